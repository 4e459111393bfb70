#include "explain.h"

#include <fmt/format.h>

#include <algorithm>

#include "tokenize_rows.h"

namespace reflect {
namespace {

// The role of each token's message; "-" where a token belongs to none.
std::vector<std::string> roles_of(const Record& record, const ExplainInput& input) {
  std::vector<Message> messages = record.messages;
  messages.push_back({"assistant", record.response});
  std::vector<std::string> roles;
  for (const ChatToken& token : encode_chat(input.chat.render(messages), input.tokenizer))
    roles.push_back(token.message < 0 ? "-"
                                      : messages[static_cast<std::size_t>(token.message)].role);
  return roles;
}

std::string quoted(std::string_view bytes) {
  return Json(std::string(bytes)).dump(-1, ' ', false, Json::error_handler_t::replace);
}

void print_row(std::ostream& out, const ExplainInput& input, const Example& example,
               const Record& record) {
  const std::vector<std::string> roles = roles_of(record, input);
  out << fmt::format("{:>6} {:>7} {:<10} {:<11} {:>6}  {}\n", "token", "id", "role", "span",
                     "weight", "text");
  for (std::size_t i = 0; i < example.size(); ++i) {
    const std::int8_t type = example.span_type[i];
    out << fmt::format("{:>6} {:>7} {:<10} {:<11} {:>6}  {}\n", i, example.input_ids[i], roles[i],
                       type < 0 ? "-" : name_of(static_cast<SpanType>(type)), example.weight[i],
                       quoted(input.tokenizer.bytes_of(example.input_ids[i])));
  }
}

// The first `count` rows of the packs.
std::vector<std::size_t> first_rows(const std::vector<Batch>& packs, std::size_t count) {
  std::vector<std::size_t> rows;
  for (const Batch& pack : packs)
    for (const std::int64_t row : pack.row_index)
      if (rows.size() < count) rows.push_back(static_cast<std::size_t>(row));
  return rows;
}

}  // namespace

void explain(std::ostream& out, const ExplainInput& input, std::int64_t rows) {
  const std::vector<std::size_t> shown = first_rows(input.packs, static_cast<std::size_t>(rows));
  const auto records = records_at(shown, input.examples, input.options);
  std::size_t printed = 0;
  for (std::size_t p = 0; p < input.packs.size() && printed < shown.size(); ++p) {
    const Batch& pack = input.packs[p];
    out << fmt::format("=== pack {}: {} rows, {} tokens\n", p, pack.row_index.size(),
                       pack.tokens());
    for (std::size_t r = 0; r < pack.row_index.size() && printed < shown.size(); ++r) {
      const std::size_t row = shown[printed++];
      const Example example = input.examples[row];
      const auto trained = std::ranges::count_if(example.weight, [](float w) { return w > 0; });
      out << fmt::format("--- row {} at tokens [{}, {}) of the pack, {} trained\n", example.row_id,
                         pack.offsets[r], pack.offsets[r + 1], trained);
      print_row(out, input, example, records.at(row));
    }
  }
}

}  // namespace reflect
