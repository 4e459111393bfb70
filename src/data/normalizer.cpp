#include "data/normalizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "data/json_field.h"
#include "reflect/base/error.h"

namespace reflect {

void Normalizer::add(const nlohmann::json& json, const std::string& where, int depth) {
  if (json.is_null()) return;
  const std::string type = json_type(json, depth, where);
  if (type == "Sequence") {
    for (const auto& part : json_member(json, "normalizers", where)) add(part, where, depth + 1);
  } else if (type == "Prepend") {
    steps_.push_back(Prepend{json_field<std::string>(json, "prepend", where)});
  } else if (type == "Replace") {
    steps_.push_back(
        Replace{json_pattern(json, where), json_field<std::string>(json, "content", where)});
  } else if (const std::optional<NormalForm> form = normal_form_named(type)) {
    steps_.push_back(*form);
  } else {
    fail("tokenizer",
         "{}: normalizer type '{}' is not supported; known are NFC, NFD, NFKC, NFKD, Prepend, "
         "Replace and Sequence",
         where, type);
  }
}

AlignedText Normalizer::apply(AlignedText text) const {
  for (const Step& step : steps_) {
    text = std::visit([&](const auto& action) { return applied(action, std::move(text)); }, step);
  }
  return text;
}

AlignedText Normalizer::applied(NormalForm form, AlignedText text) {
  const std::string_view before = text.text();
  if (normalized(before, form) == before) return text;
  TextEdit edit(text);
  for (std::size_t at = 0; at < before.size();) {
    const std::size_t end = at + first_grapheme(before.substr(at));
    const std::string_view cluster = before.substr(at, end - at);
    const std::string after = normalized(cluster, form);
    if (after == cluster) {
      edit.keep(at, end);
    } else {
      edit.replace(at, end, after);
    }
    at = end;
  }
  return edit.finish();
}

AlignedText Normalizer::applied(const Prepend& prepend, AlignedText text) {
  if (text.size() == 0) return text;
  TextEdit edit(text);
  edit.insert(0, prepend.text);
  edit.keep(0, text.size());
  return edit.finish();
}

AlignedText Normalizer::applied(const Replace& replace, AlignedText text) {
  TextEdit edit(text);
  std::size_t at = 0;
  Regex::Scanner scanner(replace.pattern, text.text());
  while (const auto match = scanner.next()) {
    edit.keep(at, match->begin);
    edit.replace(match->begin, match->end, replace.by);
    at = match->end;
  }
  if (at == 0) return text;
  edit.keep(at, text.size());
  return edit.finish();
}

}  // namespace reflect
