// One description of every setting: a struct names its fields once, in `visit`, and that feeds the
// YAML file, the flags, --help, --print-config and the copy saved with a run.
//
//   struct OptimizerConfig {
//     double lr = 2e-4;
//     void visit(auto& v) { v("lr", lr, "Peak learning rate."); }
//   };
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace reflect {

struct Field;

// A std::vector of visitable structs; only the YAML file can fill it.
struct StructList {
  std::function<void()> clear;
  std::function<std::vector<Field>()> append;              // fields of the new element
  std::function<std::vector<std::vector<Field>>()> items;  // fields of each element
};

using FieldValue = std::variant<bool*, std::int64_t*, double*, std::string*,
                                std::vector<std::string>*, StructList>;

// One setting: its dotted path, help text, storage and, where limited, the allowed values.
struct Field {
  std::string path;
  std::string help;
  FieldValue value;
  std::vector<std::string> choices;
};

// Collects the fields of a configuration struct, depth first, in the order of its `visit`.
class FieldCollector {
 public:
  explicit FieldCollector(std::string prefix = "") : prefix_(std::move(prefix)) {}

  template <class T>
  void operator()(std::string_view name, T& value, std::string_view help,
                  std::vector<std::string> choices = {}) {
    const std::string path = prefix_ + std::string(name);
    if constexpr (std::is_constructible_v<FieldValue, T*>) {
      fields_.push_back({path, std::string(help), &value, std::move(choices)});
    } else if constexpr (requires { value.visit(*this); }) {
      FieldCollector nested(path + ".");
      value.visit(nested);
      for (Field& field : nested.fields_) fields_.push_back(std::move(field));
    } else {
      fields_.push_back({path, std::string(help), list_of(value), {}});
    }
  }

  std::vector<Field> take() { return std::move(fields_); }

 private:
  template <class T>
  static StructList list_of(std::vector<T>& list) {
    const auto fields_of_item = [](T& item) {
      FieldCollector collector;
      item.visit(collector);
      return collector.take();
    };
    return {[&list] { list.clear(); },
            [&list, fields_of_item] { return fields_of_item(list.emplace_back()); },
            [&list, fields_of_item] {
              std::vector<std::vector<Field>> all;
              for (T& item : list) all.push_back(fields_of_item(item));
              return all;
            }};
  }

  std::string prefix_;
  std::vector<Field> fields_;
};

// The fields of `config`; they point into it, so it must outlive them.
template <class Config>
std::vector<Field> fields_of(Config& config) {
  FieldCollector collector;
  config.visit(collector);
  return collector.take();
}

// Sets fields from a YAML file. An unknown key, a wrong type or a value outside the choices is an
// Error (usage) that names file, line, value and the nearest known name.
void read_yaml(const std::string& path, std::vector<Field>& fields);

// Sets one field from a flag's text. `where` (a flag's name) goes into the error.
void set_from_text(Field& field, std::string_view text, std::string_view where);

// The value as a flag would spell it; empty for a list of structs.
std::string text_of(const Field& field);
// Paths and texts of all fields but those that only a file can fill.
std::vector<std::pair<std::string, std::string>> texts_of(const std::vector<Field>& fields);

// All fields as a YAML document with the help texts as comments; read_yaml reads it back.
std::string to_yaml(const std::vector<Field>& fields);

// The known name that is nearest to `name` by edit distance; empty when none is close.
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);

}  // namespace reflect
