// SIGTERM, SIGINT and SIGUSR1 as a flag that long loops look at between steps.
#pragma once

namespace reflect {

void watch_signals();          // installs the handlers; call once, at the start of a tool
void note_signal(int number);  // as if this signal had come: it came to another process of the job
int signal_received();         // the signal's number, 0 when none came

}  // namespace reflect
