// Whether a program that answers a problem passes the problem's unit tests.
#pragma once

#include <string_view>

#include "reflect/tasks/checker.h"
#include "reflect/tasks/sandbox.h"

namespace reflect {

// The Python code of an answer: its last block between ``` lines, else all of it.
std::string_view code_of(std::string_view answer);

// Runs the answer's code and then `tests` (Python: asserts that call what the code defines) in the
// sandbox. Right when both reach their end. Reasons: those of Verdict; "error" (the code itself
// fails), "timeout", "too_verbose", "killed" (a limit or a signal ended it). Throws Error where the
// sandbox cannot run.
//
// The sandbox keeps the program in; it does not keep it honest: code that searches its own process
// for the tests can make them pass.
Verdict check_unit_tests(std::string_view answer, std::string_view tests,
                         const SandboxLimits& limits = {});

}  // namespace reflect
