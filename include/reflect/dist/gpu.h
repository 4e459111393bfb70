// Which GPU of its machine a process works with.
#pragma once

#include <c10/core/Device.h>

namespace reflect {

// GPU `number` of this machine, from now on the one of this thread. Throws Error (usage) when there
// are not that many.
at::Device use_gpu(int number);

}  // namespace reflect
