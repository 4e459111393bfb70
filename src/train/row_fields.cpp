#include "row_fields.h"

namespace reflect {

std::optional<double> number_at(const Json& row, std::string_view path) {
  if (path == "ifd" || path == "rifd")
    return number_at(row, path == "ifd" ? "scores.ifd_ppl" : "scores.rifd_ppl");
  const Json* value = value_at(row, path);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->get<double>();
}

std::optional<double> number_of(const Record& record, std::string_view path) {
  const auto inside = [&](std::string_view name) { return path.starts_with(name); };
  if (path == "ifd" || path == "rifd" || inside("scores."))
    return number_at(Json{{"scores", record.scores}}, path);
  if (inside("lineage.")) return number_at(Json{{"lineage", record.lineage}}, path);
  return number_at(record.other, path);
}

}  // namespace reflect
