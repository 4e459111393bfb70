#include "reflect/recipes/text_template.h"

#include <algorithm>

#include "reflect/base/error.h"

namespace reflect {
namespace {

bool is_field_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

}  // namespace

TextTemplate::TextTemplate(std::string_view text) {
  std::size_t copied = 0;
  for (std::size_t open = text.find("{{"); open != text.npos; open = text.find("{{", open)) {
    const std::size_t close = text.find("}}", open);
    if (close == text.npos) break;
    const std::string_view name = text.substr(open + 2, close - open - 2);
    if (!is_field_name(name)) {
      ++open;
      continue;
    }
    if (open > copied) pieces_.push_back({std::string(text.substr(copied, open - copied)), false});
    pieces_.push_back({std::string(name), true});
    open = copied = close + 2;
  }
  if (copied < text.size()) pieces_.push_back({std::string(text.substr(copied)), false});
}

std::string TextTemplate::fill(const FieldLookup& lookup) const {
  std::string text;
  for (const Piece& piece : pieces_) {
    if (!piece.is_field) {
      text += piece.text;
      continue;
    }
    const std::optional<std::string> value = lookup(piece.text);
    if (!value) fail("template", "nothing is known for {{{{{}}}}}", piece.text);
    text += *value;
  }
  return text;
}

std::string TextTemplate::fill(const TemplateFields& fields) const {
  return fill([&](std::string_view name) -> std::optional<std::string> {
    const auto field = std::ranges::find(fields, name, &TemplateFields::value_type::first);
    return field == fields.end() ? std::nullopt : std::optional(field->second);
  });
}

std::vector<std::string_view> TextTemplate::fields() const {
  std::vector<std::string_view> names;
  for (const Piece& piece : pieces_) {
    if (piece.is_field) names.push_back(piece.text);
  }
  return names;
}

}  // namespace reflect
