#include "reflect/data/batch.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <string_view>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::string_view kReflectionTag = "<reflection>";
constexpr std::int8_t kOutsideResponse = -1;

// Bytes [begin, end) of a message with the weight that their tokens get.
struct WeightedRange {
  std::size_t begin;
  std::size_t end;
  SpanType type;
  float weight;
};

std::vector<Span> spans_or_parsed(std::string_view text, const std::vector<Span>& spans) {
  if (!spans.empty()) return spans;
  Trace trace = parse_trace(text);
  if (trace.ok()) return std::move(trace.spans);
  return {{SpanType::kThinking, 0, text.size()}};
}

// The byte where the first reflection's tag starts; the text's size when there is none.
std::size_t first_reflection(std::string_view text, const std::vector<Span>& spans) {
  for (const Span& span : spans) {
    if (span.type != SpanType::kReflection) continue;
    const bool tagged = text.substr(0, span.begin).ends_with(kReflectionTag);
    return tagged ? span.begin - kReflectionTag.size() : span.begin;
  }
  return text.size();
}

std::vector<WeightedRange> weigh(std::string_view text, const std::vector<Span>& spans,
                                 const SpanWeights& weights) {
  const std::size_t boundary = first_reflection(text, spans);
  std::vector<WeightedRange> ranges;
  const auto add = [&](const Span& span, std::size_t begin, std::size_t end, double factor) {
    if (begin >= end) return;
    const double weight = weights.of_type.at(static_cast<std::size_t>(span.type)) * factor;
    ranges.push_back({begin, end, span.type, static_cast<float>(weight)});
  };
  for (const Span& span : spans) {
    add(span, span.begin, std::min(span.end, boundary), 1);
    add(span, std::max(span.begin, boundary), span.end, weights.after_first_reflection);
  }
  return ranges;
}

// The range of the smallest weight among those that the bytes [begin, end) touch.
const WeightedRange* lightest(const std::vector<WeightedRange>& ranges, std::size_t begin,
                              std::size_t end) {
  auto at = std::upper_bound(ranges.begin(), ranges.end(), begin,
                             [](std::size_t byte, const auto& range) { return byte < range.end; });
  const WeightedRange* best = nullptr;
  for (; at != ranges.end() && at->begin < end; ++at) {
    if (best == nullptr || at->weight < best->weight) best = &*at;
  }
  return best;
}

// Appends the tokens of a conversation to an example, turn by turn.
class ExampleWriter {
 public:
  ExampleWriter(const Record& record, const std::vector<Message>& messages,
                const Tokenizer& tokenizer, const SpanWeights& weights)
      : tokenizer_(tokenizer), response_(static_cast<int>(messages.size()) - 1) {
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const bool is_response = static_cast<int>(i) == response_;
      const std::string& text = messages[i].content;
      std::vector<Span> spans;
      if (messages[i].role == "assistant") {
        spans = spans_or_parsed(text, is_response ? record.spans : std::vector<Span>());
      }
      ranges_.push_back(weigh(text, spans, weights));
      const bool reflects = first_reflection(text, spans) < text.size();
      end_weight_.push_back(static_cast<float>(reflects ? weights.after_first_reflection : 1.0));
    }
  }

  void add(const ChatToken& token) {
    example_.input_ids.push_back(token.id);
    if (!token.trained || token.message < 0) {
      add_untrained();
    } else if (ends_turn(token)) {
      add_weighted(kOutsideResponse, end_weight_[message_index(token)]);
    } else if (token.begin == token.end) {
      // A further token of one character: its bytes are owned by the token before.
      add_weighted(last_type_, last_weight_);
    } else {
      add_content(token);
    }
  }

  bool trains_content() const { return trains_content_; }
  Example take() && {
    if (!example_.weight.empty()) example_.weight.front() = 0;
    return std::move(example_);
  }

 private:
  static std::size_t message_index(const ChatToken& token) {
    return static_cast<std::size_t>(token.message);
  }

  bool ends_turn(const ChatToken& token) const {
    return tokenizer_.is_special(token.id) || token.id == tokenizer_.eos_id() || token.end == 0;
  }

  void add_weighted(std::int8_t type, float weight) {
    example_.span_type.push_back(type);
    example_.weight.push_back(weight);
  }
  void add_untrained() { add_weighted(kOutsideResponse, 0); }

  void add_content(const ChatToken& token) {
    const WeightedRange* range = lightest(ranges_[message_index(token)], token.begin, token.end);
    if (range == nullptr) return add_untrained();
    last_type_ =
        token.message == response_ ? static_cast<std::int8_t>(range->type) : kOutsideResponse;
    last_weight_ = range->weight;
    trains_content_ = trains_content_ || last_weight_ > 0;
    add_weighted(last_type_, last_weight_);
  }

  const Tokenizer& tokenizer_;
  int response_;                                    // index of the response among the messages
  std::vector<std::vector<WeightedRange>> ranges_;  // of each message
  std::vector<float> end_weight_;                   // of each message's end-of-turn token
  Example example_;
  std::int8_t last_type_ = kOutsideResponse;
  float last_weight_ = 0;
  bool trains_content_ = false;
};

}  // namespace

SpanWeights SpanWeights::preset(const std::string& name) {
  SpanWeights weights;
  const auto of = [&](SpanType type) -> double& {
    return weights.of_type.at(static_cast<std::size_t>(type));
  };
  if (name == "all") return weights;
  if (name == "mask_error") {
    of(SpanType::kError) = 0;
  } else if (name == "glaive") {
    weights.after_first_reflection = 2;
  } else if (name == "output_only") {
    weights.of_type = {};
    of(SpanType::kOutput) = 1;
  } else {
    fail_usage("span weights", "unknown preset '{}'; known: mask_error, all, glaive, output_only",
               name);
  }
  return weights;
}

Example example_of(const Record& record, const ChatTemplate& chat, const Tokenizer& tokenizer,
                   const ExampleOptions& options, ExampleStatus& status) {
  std::vector<Message> messages = record.messages;
  messages.push_back({"assistant", record.response});
  ExampleWriter writer(record, messages, tokenizer, options.weights);
  for (const ChatToken& token : encode_chat(chat.render(messages), tokenizer)) writer.add(token);
  const bool trains_content = writer.trains_content();
  Example example = std::move(writer).take();
  example.row_id = record.id;
  if (static_cast<std::int64_t>(example.size()) > options.max_seq_length) {
    status = ExampleStatus::kTooLong;
  } else {
    status = trains_content ? ExampleStatus::kOk : ExampleStatus::kNothingTrained;
  }
  return example;
}

std::vector<Batch> pack(const std::vector<std::int64_t>& lengths,
                        const std::vector<std::int64_t>& order, std::int64_t capacity) {
  const auto length_at = [&](std::size_t place) {
    return lengths.at(static_cast<std::size_t>(order[place]));
  };
  std::vector<std::size_t> places(order.size());  // positions in `order`, longest row first
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::stable_sort(places.begin(), places.end(),
                   [&](auto a, auto b) { return length_at(a) > length_at(b); });

  std::int64_t total = 0;
  for (std::size_t place = 0; place < order.size(); ++place) {
    const std::int64_t length = length_at(place);
    if (length < 1 || length > capacity) {
      fail("pack", "row {} has {} tokens, a pack holds 1 to {}; leave it out or raise the length",
           order[place], length, capacity);
    }
    total += length;
  }
  std::vector<std::vector<std::size_t>> packs(
      static_cast<std::size_t>((total + capacity - 1) / capacity));
  std::set<std::pair<std::int64_t, std::size_t>> room;  // free tokens and pack
  for (std::size_t index = 0; index < packs.size(); ++index) room.insert({capacity, index});
  for (const std::size_t place : places) {
    const std::int64_t length = length_at(place);
    if (room.rbegin()->first < length) {
      room.insert({capacity, packs.size()});
      packs.emplace_back();
    }
    const auto [free, index] = *room.rbegin();
    room.erase(std::prev(room.end()));
    packs[index].push_back(place);
    room.insert({free - length, index});
  }

  for (auto& rows : packs) std::sort(rows.begin(), rows.end());
  std::sort(packs.begin(), packs.end());
  std::vector<Batch> batches;
  for (const auto& rows : packs) {
    Batch batch{{}, {0}};
    for (const std::size_t place : rows) {
      batch.row_index.push_back(order[place]);
      batch.offsets.push_back(batch.offsets.back() + length_at(place));
    }
    batches.push_back(std::move(batch));
  }
  return batches;
}

}  // namespace reflect
