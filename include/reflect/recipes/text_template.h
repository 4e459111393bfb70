// Text with {{field}} places that are filled in one pass: what is filled in is never expanded
// again, and braces elsewhere stay as they are.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reflect {

using TemplateFields = std::vector<std::pair<std::string_view, std::string>>;
// The text of a field; nothing where there is no such field.
using FieldLookup = std::function<std::optional<std::string>(std::string_view)>;

class TextTemplate {
 public:
  TextTemplate() = default;
  explicit TextTemplate(std::string_view text);

  // A field that is not there is an Error that names it.
  std::string fill(const FieldLookup& lookup) const;
  std::string fill(const TemplateFields& fields) const;
  bool empty() const { return pieces_.empty(); }
  // The names of the places, in order.
  std::vector<std::string_view> fields() const;

 private:
  struct Piece {
    std::string text;
    bool is_field;
  };
  std::vector<Piece> pieces_;
};

}  // namespace reflect
