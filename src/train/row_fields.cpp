#include "row_fields.h"

namespace reflect {

std::optional<double> number_at(const Json& row, std::string_view path) {
  if (path == "ifd" || path == "rifd")
    return number_at(row, path == "ifd" ? "scores.ifd_ppl" : "scores.rifd_ppl");
  const Json* value = value_at(row, path);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->get<double>();
}

}  // namespace reflect
