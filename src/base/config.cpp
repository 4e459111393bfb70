#include "reflect/base/config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "reflect/base/error.h"

namespace reflect {
namespace {

constexpr std::string_view kConfigOp = "config";

std::string join(const std::vector<std::string>& items, std::string_view separator) {
  std::string text;
  for (const std::string& item : items) {
    if (!text.empty()) text += separator;
    text += item;
  }
  return text;
}

template <class Number>
Number parse_number(std::string_view text, std::string_view where, std::string_view kind) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) {
    fail_usage(kConfigOp, "{}: \"{}\" is too large or too small for {}", where, text, kind);
  }
  if (error != std::errc() || end != text.data() + text.size()) {
    fail_usage(kConfigOp, "{}: \"{}\" is not {}", where, text, kind);
  }
  return number;
}

bool parse_bool(std::string_view text, std::string_view where) {
  if (text != "true" && text != "false") {
    fail_usage(kConfigOp, "{}: \"{}\" is not true or false", where, text);
  }
  return text == "true";
}

double parse_double(std::string_view text, std::string_view where) {
  const double number = parse_number<double>(text, where, "a number");
  if (!std::isfinite(number))
    fail_usage(kConfigOp, "{}: \"{}\" is not a finite number", where, text);
  return number;
}

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    items.emplace_back(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return items;
}

void check_choice(const Field& field, const std::string& text, std::string_view where) {
  if (field.choices.empty() || std::ranges::find(field.choices, text) != field.choices.end()) {
    return;
  }
  const std::string nearest = nearest_name(text, field.choices);
  fail_usage(kConfigOp, "{}: \"{}\" is not one of {}{}", where, text, join(field.choices, ", "),
             nearest.empty() ? "" : "; did you mean \"" + nearest + "\"?");
}

// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  std::iota(cost[0].begin(), cost[0].end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1,
                             cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

void set_from_text(Field& field, std::string_view text, std::string_view where) {
  if (auto* flag = std::get_if<bool*>(&field.value)) {
    **flag = parse_bool(text, where);
  } else if (auto* number = std::get_if<std::int64_t*>(&field.value)) {
    **number = parse_number<std::int64_t>(text, where, "a whole number");
  } else if (auto* real = std::get_if<double*>(&field.value)) {
    **real = parse_double(text, where);
  } else if (auto* string = std::get_if<std::string*>(&field.value)) {
    check_choice(field, std::string(text), where);
    **string = text;
  } else if (auto* list = std::get_if<std::vector<std::string>*>(&field.value)) {
    std::vector<std::string> items = split_at_commas(text);
    for (const std::string& item : items) check_choice(field, item, where);
    **list = std::move(items);
  } else {
    fail_usage(kConfigOp, "{}: is a list of groups of settings; give it in the file of --config",
               where);
  }
}

std::string text_of(const Field& field) {
  struct Writer {
    std::string operator()(const bool* value) const { return *value ? "true" : "false"; }
    std::string operator()(const std::int64_t* value) const { return std::to_string(*value); }
    std::string operator()(const double* value) const { return fmt::format("{}", *value); }
    std::string operator()(const std::string* value) const { return *value; }
    std::string operator()(const std::vector<std::string>* value) const {
      return join(*value, ",");
    }
    std::string operator()(const StructList&) const { return ""; }
  };
  return std::visit(Writer{}, field.value);
}

std::vector<std::pair<std::string, std::string>> texts_of(const std::vector<Field>& fields) {
  std::vector<std::pair<std::string, std::string>> texts;
  for (const Field& field : fields)
    if (!std::holds_alternative<StructList>(field.value))
      texts.emplace_back(field.path, text_of(field));
  return texts;
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& known) {
  std::string nearest;
  std::size_t least = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : known) {
    std::size_t distance = edit_distance(name, candidate);
    // "--lr" means "optimizer.lr": a missing group counts as one edit.
    const std::size_t dot = candidate.rfind('.');
    if (dot != std::string::npos && name.find('.') == std::string_view::npos) {
      distance = std::min(distance, 1 + edit_distance(name, candidate.substr(dot + 1)));
    }
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace reflect
