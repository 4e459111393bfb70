#include "reflect/score/reference.h"

#include <algorithm>

#include "reflect/base/error.h"

namespace reflect {

namespace {

using Ids = std::vector<std::int32_t>;

struct PromptForm {
  std::string_view name, before, before_with_input, input_lead, after;
};

constexpr std::string_view kVicunaSystem =
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions. USER: ";
constexpr PromptForm kForms[] = {
    {"vicuna", kVicunaSystem, kVicunaSystem, "\nInput:\n", " ASSISTANT:"},
    {"alpaca",
     "Below is an instruction that describes a task. Write a response that appropriately completes "
     "the request.\n\n### Instruction:\n",
     "Below is an instruction that describes a task, paired with an input that provides further "
     "context. Write a response that appropriately completes the request.\n\n### Instruction:\n",
     "\n\n### Input:\n", "\n\n### Response:"},
    {"wiz", "", "", "\n", "\n\n### Response:"},
};

class TextPasses {
 public:
  TextPasses(const Tokenizer& tokenizer, std::int64_t max_length)
      : tokenizer_(tokenizer), max_length_(static_cast<std::size_t>(max_length)) {}

  std::size_t count(std::string_view text) const { return encode(text).size(); }

  // `span` scored inside `text`, which holds it.
  Pass given(std::string_view name, const std::string& text, const std::string& span) const {
    return split(name, encode(text), max_length_, count(text.substr(0, text.rfind(span))));
  }

  // All of `text` but its first token, beside a joined text whose prompt has `prompt_tokens`.
  Pass alone(std::string_view name, std::string_view text, std::size_t prompt_tokens) const {
    const std::size_t room = max_length_ - std::min(prompt_tokens, max_length_) + 1;
    return split(name, encode(text), room, 1);
  }

 private:
  Ids encode(std::string_view text) const {
    Ids ids;
    if (tokenizer_.adds_bos()) ids.push_back(*tokenizer_.bos_id());
    for (const Token& token : tokenizer_.encode(text, SpecialText::kParse)) ids.push_back(token.id);
    return ids;
  }

  // The first token is never scored: nothing stands before it.
  static Pass split(std::string_view name, Ids ids, std::size_t cut, std::size_t start) {
    ids.resize(std::min(ids.size(), cut));
    const auto border = ids.begin() + static_cast<std::ptrdiff_t>(
                                          std::min(std::max<std::size_t>(start, 1), ids.size()));
    Pass pass;
    pass.name = name;
    pass.context_ids.assign(ids.begin(), border);
    pass.target_ids.assign(border, ids.end());
    return pass;
  }

  const Tokenizer& tokenizer_;
  std::size_t max_length_;
};

}  // namespace

std::string reference_prompt(std::string_view name, std::string_view instruction,
                             std::string_view input) {
  const auto form = std::find_if(std::begin(kForms), std::end(kForms),
                                 [&](const PromptForm& f) { return f.name == name; });
  if (form == std::end(kForms))
    fail_usage("reference", "unknown prompt '{}'; use vicuna, alpaca or wiz", name);
  std::string text(input.empty() ? form->before : form->before_with_input);
  text += instruction;
  if (!input.empty()) text.append(form->input_lead).append(input);
  return text.append(form->after);
}

RowPasses reference_passes(const Record& record, const ReferenceConfig& config,
                           const Tokenizer& tokenizer, std::int64_t max_length, bool reverse) {
  const auto [instruction, input, response] = instruction_fields(record);
  const std::string prompt = reference_prompt(config.prompt, instruction, input);
  const std::string query = reference_prompt(config.prompt, guess_instruction_query(response), "");
  const TextPasses texts(tokenizer, max_length);
  RowPasses row;
  row.passes = {
      texts.given(pass_name::kConditional, prompt + response, response),
      texts.alone(pass_name::kDirect, response, texts.count(prompt)),
  };
  if (!reverse || response.empty()) return row;
  row.passes.push_back(texts.given(pass_name::kReverse, query + instruction + input, instruction));
  row.passes.push_back(texts.alone(pass_name::kPrompt, instruction + input, texts.count(query)));
  return row;
}

}  // namespace reflect
