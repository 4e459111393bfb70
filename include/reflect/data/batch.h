// Examples (one row as ids with span types and loss weights) and the batches they are packed into.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reflect/data/record.h"

namespace reflect {

// Loss weight by span type; the presets of the training specification.
struct SpanWeights {
  std::array<double, 6> of_type = {1, 1, 1, 1, 1, 1};  // indexed by SpanType
  double after_first_reflection = 1;  // multiplies every weight from the first reflection on
  // "mask_error" (error 0), "all", "glaive" (2 from the first reflection on), "output_only".
  // Throws Error (usage) for another name.
  static SpanWeights preset(const std::string& name);
};

// One row, tokenized. All vectors have length T. weight[i] is the weight of predicting input_ids[i]
// from what stands before it; 0 = not trained, always 0 for the first token and for the prompt. A
// token that straddles two spans takes the smaller weight, so no error byte is trained by accident;
// all tokens of one character take the weight of its first.
struct Example {
  std::string row_id;
  std::vector<std::int32_t> input_ids;
  std::vector<std::int8_t> span_type;  // SpanType, or -1 outside the response
  std::vector<float> weight;
  std::size_t size() const { return input_ids.size(); }
};

enum class ExampleStatus { kOk, kTooLong, kNothingTrained };

struct ExampleOptions {
  std::int64_t max_seq_length = 4096;
  SpanWeights weights;
};

// `status` tells why an example must not be used: it is too long, or no token of what the assistant
// wrote has a weight. The response's weights come from record.spans; without spans from its tags;
// where those do not parse, all of it counts as thinking. So do earlier assistant turns that are to
// be trained. The end-of-turn token is always trained: weight 1, times after_first_reflection in a
// turn that reflects.
Example example_of(const Record& record, const ChatTemplate& chat, const Tokenizer& tokenizer,
                   const ExampleOptions& options, ExampleStatus& status);

// Rows laid end to end, attention block-diagonal: row r owns tokens [offsets[r], offsets[r+1]).
struct Batch {
  std::vector<std::int64_t> row_index;  // into the examples, one per packed row
  std::vector<std::int64_t> offsets;    // [rows + 1], offsets[0] == 0
  std::int64_t tokens() const { return offsets.empty() ? 0 : offsets.back(); }
};

// Packs rows of `lengths` into packs of at most `capacity` tokens: the longest row left goes into
// the emptiest pack, so that every pack mixes long rows and short ones and all are filled alike.
// Rows that do not fit are an Error. Deterministic; packs come in order of their first row in
// `order`.
std::vector<Batch> pack(const std::vector<std::int64_t>& lengths,
                        const std::vector<std::int64_t>& order, std::int64_t capacity);

}  // namespace reflect
