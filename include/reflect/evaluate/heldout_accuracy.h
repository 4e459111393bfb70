// How many problems a model in training solves, by the rules of reflect-eval.
#pragma once

#include "reflect/train/heldout_problems.h"

namespace reflect {

// Reads the problems of reflect-train's settings. What is returned asks each once, as the rows have
// it, decodes greedily and grades as reflect-eval does by default. The ranks of a job share the
// problems out; a base that they hold together they pass over as reflect-eval does. Throws Error
// where the file has no problem. A collective, when called.
SolveProblems heldout_accuracy(const HeldoutProblemsConfig& config);

}  // namespace reflect
