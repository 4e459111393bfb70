// One pass of a row as a table for people.
#pragma once

#include <string>

#include "reflect/data/tokenizer.h"
#include "reflect/score/scorer.h"

namespace reflect {

// The end of the context as one line, then every target token with its negative log-likelihood in
// nats and a bar of its height; or the pass's status.
std::string explain_pass(const Pass& pass, const PassScore& score, const Tokenizer& tokenizer);

}  // namespace reflect
