// The system calls that a sandboxed program must do without.
#pragma once

namespace reflect {

// Installs the filter in the calling process; async-signal-safe. Returns 0 or an errno.
int forbid_system_calls();

}  // namespace reflect
