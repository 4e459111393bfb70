// Configuration fields as YAML: reading with file and line in every error, and writing.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "reflect/base/config.h"
#include "reflect/base/error.h"
#include "reflect/base/file.h"

namespace reflect {
namespace {

constexpr std::string_view kYamlOp = "config";

// Walks one file's nodes and sets fields from them.
class YamlReader {
 public:
  explicit YamlReader(const std::string& path) : path_(path) {}

  // `prefix` is the dotted path of `map` among `fields`; `shown` what errors put before it.
  void read_map(const YAML::Node& map, std::vector<Field>& fields, const std::string& prefix,
                const std::string& shown) {
    if (map.IsNull()) return;  // a group whose lines are all commented out
    if (!map.IsMap()) {
      fail_usage(kYamlOp, "{}: expected \"name: value\" lines{}", at(map),
                 shown.empty() ? "" : " under \"" + shown.substr(0, shown.size() - 1) + "\"");
    }
    std::set<std::string> seen;
    for (const auto& entry : map) {
      if (!entry.first.IsScalar()) fail_usage(kYamlOp, "{}: a key must be a name", at(entry.first));
      const std::string name = entry.first.Scalar();
      if (!seen.insert(name).second) {
        fail_usage(kYamlOp, "{}: \"{}\" is given twice", at(entry.first), shown + name);
      }
      read_entry(entry.first, entry.second, fields, prefix + name, shown + name);
    }
  }

 private:
  void read_entry(const YAML::Node& key, const YAML::Node& value, std::vector<Field>& fields,
                  const std::string& path, const std::string& shown) {
    const auto field = std::ranges::find(fields, path, &Field::path);
    const bool group =
        std::ranges::any_of(fields, [&](const Field& f) { return f.path.starts_with(path + "."); });
    if (field != fields.end() && !(group && value.IsMap())) {
      read_field(value, key, *field, shown);
    } else if (group) {
      read_map(value, fields, path + ".", shown + ".");
    } else {
      std::vector<std::string> known;
      for (const Field& f : fields) known.push_back(f.path);
      const std::string nearest = nearest_name(path, known);
      fail_usage(
          kYamlOp, "{}: unknown key \"{}\"; {}", at(key), shown,
          nearest.empty() ? "--help lists the known ones" : "did you mean \"" + nearest + "\"?");
    }
  }

  void read_field(const YAML::Node& value, const YAML::Node& key, Field& field,
                  const std::string& shown) {
    const std::string where = fmt::format("{}: {}", at(key), shown);
    if (auto* structs = std::get_if<StructList>(&field.value)) {
      read_structs(value, *structs, where, shown);
    } else if (value.IsNull()) {
      fail_usage(kYamlOp, "{}: has no value; write '' for an empty text", where);
    } else if (value.IsScalar()) {
      set_from_text(field, value.Scalar(), where);
    } else if (auto* list = std::get_if<std::vector<std::string>*>(&field.value);
               list != nullptr && value.IsSequence()) {
      read_texts(value, field, **list, where);
    } else {
      fail_usage(kYamlOp, "{}: expected one value, not {}", where,
                 value.IsMap() ? "a map" : "a list");
    }
  }

  void read_texts(const YAML::Node& sequence, const Field& field, std::vector<std::string>& list,
                  const std::string& where) {
    list.clear();
    for (const YAML::Node& item : sequence) {
      if (!item.IsScalar()) fail_usage(kYamlOp, "{}: expected a list of texts", where);
      std::string text;
      Field element{field.path, "", &text, field.choices};
      set_from_text(element, item.Scalar(), where);
      list.push_back(std::move(text));
    }
  }

  void read_structs(const YAML::Node& sequence, StructList& structs, const std::string& where,
                    const std::string& shown) {
    if (!sequence.IsSequence())
      fail_usage(kYamlOp, "{}: expected a list (lines with \"- \")", where);
    structs.clear();
    for (std::size_t i = 0; i < sequence.size(); ++i) {
      std::vector<Field> fields = structs.append();
      read_map(sequence[i], fields, "", fmt::format("{}[{}].", shown, i));
    }
  }

  std::string at(const YAML::Node& node) const {
    return fmt::format("{}:{}", path_, node.Mark().line + 1);
  }

  std::string path_;
};

// Whether `text` may stand in YAML without quotes and come back as the same text.
bool is_plain(const std::string& text) {
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '.' || c == '/' || c == '-' || c == '+' || c >= 0x80;
  };
  return !text.empty() && text.front() != '-' && std::ranges::all_of(text, plain) &&
         text != "null" && text != "Null" && text != "NULL" && !text.starts_with("...");
}

std::string quoted(const std::string& text) {
  if (is_plain(text)) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", c);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string yaml_value(const Field& field) {
  if (const auto* list = std::get_if<std::vector<std::string>*>(&field.value)) {
    std::string out;
    for (const std::string& item : **list) out += (out.empty() ? "" : ", ") + quoted(item);
    return "[" + out + "]";
  }
  if (std::holds_alternative<std::string*>(field.value)) return quoted(text_of(field));
  return text_of(field);
}

// The groups around a field and its name. A field that is a group, too ("a" beside "a.b"), has no
// map: what is in the group is named with its dot.
std::vector<std::string> split_path(const std::string& path, const std::vector<Field>& fields) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < path.size(); ++i) {
    const bool is_field = path[i] == '.' && std::ranges::find(fields, path.substr(0, i),
                                                              &Field::path) != fields.end();
    if (path[i] == '.' && !is_field) {
      parts.emplace_back();
    } else {
      parts.back() += path[i];
    }
  }
  return parts;
}

// Writes fields as nested YAML maps, `indent` spaces deep.
class YamlWriter {
 public:
  explicit YamlWriter(bool comments) : comments_(comments) {}

  std::string write(const std::vector<Field>& fields, std::size_t indent) {
    std::vector<std::string> open;  // the groups around the last field
    for (const Field& field : fields) {
      std::vector<std::string> groups = split_path(field.path, fields);
      const std::string name = groups.back();
      groups.pop_back();
      const auto shared = std::ranges::mismatch(open, groups).in2 - groups.begin();
      for (auto depth = static_cast<std::size_t>(shared); depth < groups.size(); ++depth) {
        out_ += std::string(indent + 2 * depth, ' ') + groups[depth] + ":\n";
      }
      write_field(field, name, std::string(indent + 2 * groups.size(), ' '));
      open = std::move(groups);
    }
    return std::move(out_);
  }

 private:
  void write_field(const Field& field, const std::string& name, const std::string& margin) {
    if (comments_ && !field.help.empty()) {
      out_ += margin + "# " + field.help;
      for (std::size_t i = 0; i < field.choices.size(); ++i) {
        out_ += (i == 0 ? " One of: " : ", ") + field.choices[i];
      }
      out_ += "\n";
    }
    const auto* structs = std::get_if<StructList>(&field.value);
    if (structs == nullptr) {
      out_ += margin + name + ": " + yaml_value(field) + "\n";
      return;
    }
    const auto items = structs->items();
    out_ += margin + name + (items.empty() ? ": []\n" : ":\n");
    for (const std::vector<Field>& item : items) {
      std::string text = YamlWriter(false).write(item, margin.size() + 4);
      text[margin.size() + 2] = '-';
      out_ += text;
    }
  }

  bool comments_;
  std::string out_;
};

}  // namespace

void read_yaml(const std::string& path, std::vector<Field>& fields) {
  std::string text;
  try {
    text = read_file(path);
  } catch (const Error& error) {
    throw Error(error.what(), ExitCode::kUsage);
  }
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::Exception& error) {
    fail_usage(kYamlOp, "{}:{}: {}", path, error.mark.line + 1, error.msg);
  }
  YamlReader(path).read_map(root, fields, "", "");
}

std::string to_yaml(const std::vector<Field>& fields) {
  return YamlWriter(true).write(fields, 0);
}

}  // namespace reflect
