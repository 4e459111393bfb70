// Rows of pairs (a prompt, a chosen and a rejected response) as examples.
#pragma once

#include "reflect/train/training_data.h"

namespace reflect {

// Reads rows {prompt | messages | ..., chosen, rejected}. A response is text or a list of messages
// that ends with the assistant's; without a prompt both lists start with it. Examples 2 i and
// 2 i + 1 of the result are the chosen and the rejected response of pair i; every token of a
// response and its end of turn has weight 1, all else 0. A pair is left out, and counted, when
// either row is malformed, too long or empty, or when both responses are the same.
TrainingData load_preference_data(const TrainingDataOptions& options, const ChatTemplate& chat,
                                  const Tokenizer& tokenizer);

}  // namespace reflect
