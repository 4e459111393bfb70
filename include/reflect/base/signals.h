// SIGTERM, SIGINT and SIGUSR1 as a flag that long loops look at between steps.
#pragma once

namespace reflect {

// A thread of its own takes the signals and every other thread blocks them: oneDNN's fp32 linear
// kernels (torch 2.11) damage the heap when a handler runs on top of them. Call once, at the start
// of a tool, before any other thread exists: threads inherit the blocked signals. A limit on the
// size of files becomes an error of the write that meets it.
void watch_signals();
void note_signal(int number);  // as if this signal had come: it came to another process of the job
int signal_received();         // the signal's number, 0 when none came

}  // namespace reflect
