// One question, one answer on standard output.
#pragma once

#include "reflect/evaluate/evaluate.h"

namespace reflect {

// Asks the last arm that is no draft: the tuned one, or with --ban-reflection the one that cannot
// reflect. kIncomplete when the length limit ended the answer.
ExitCode answer_question(const EvaluateConfig& config);

}  // namespace reflect
