// JSON Lines files of records: what a line may hold, and what happens to lines that are wrong.
#include <charconv>

#include "data/utf8.h"
#include "reflect/base/error.h"
#include "reflect/data/record.h"

namespace reflect {
namespace {

constexpr int kMaxDepth = 200;

// The number that starts at `begin`, as written.
std::string_view number_at(std::string_view line, std::size_t begin) {
  const std::size_t end = line.find_first_not_of("+-.0123456789eE", begin);
  return line.substr(begin, end == line.npos ? line.npos : end - begin);
}

bool fits_64_bits(std::string_view number) {
  if (number.find_first_of(".eE") != number.npos) return true;
  const auto parses = [&](auto value) {
    return std::from_chars(number.data(), number.data() + number.size(), value).ec !=
           std::errc::result_out_of_range;
  };
  return number.starts_with('-') ? parses(std::int64_t{}) : parses(std::uint64_t{});
}

// What the parser would accept but not survive or not keep: deep nesting and huge integers.
void check_limits(std::string_view line, const std::string& where) {
  int depth = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"') {
      for (++i; i < line.size() && line[i] != '"'; ++i) i += line[i] == '\\';
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) {
        fail("record", "{}: nested deeper than {} at byte {}", where, kMaxDepth, i);
      }
    } else if (c == '}' || c == ']') {
      --depth;
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      const std::string_view number = number_at(line, i);
      if (!fits_64_bits(number)) {
        fail("record", "{}: the integer {} at byte {} does not fit 64 bits; write it as text",
             where, number.substr(0, 40), i);
      }
      i += number.size() - 1;
    }
  }
}

// The parser quotes the line as it is; a reason must be text that JSON can hold.
std::string with_bad_bytes_replaced(std::string_view text) {
  std::string good;
  while (!text.empty()) {
    const std::size_t valid = valid_prefix(text);
    good += text.substr(0, valid);
    text.remove_prefix(valid);
    if (text.empty()) break;
    good += kReplacementCharacter;
    text.remove_prefix(first_character(text).length);
  }
  return good;
}

}  // namespace

Json parse_json_line(std::string_view line, const std::string& where) {
  check_limits(line, where);
  Json row;
  try {
    row = Json::parse(line);
  } catch (const nlohmann::json::exception& error) {
    fail("record", "{}: not a JSON object: {}", where, with_bad_bytes_replaced(error.what()));
  }
  if (!row.is_object()) {
    fail("record", "{}: the row is {}, not an object; write one JSON object a line", where,
         row.type_name());
  }
  return row;
}

const Json* value_at(const Json& row, std::string_view path) {
  const Json* value = &row;
  while (true) {
    if (!value->is_object()) return nullptr;
    const std::size_t dot = path.find('.');
    const auto found = value->find(std::string(path.substr(0, dot)));
    if (found == value->end()) return nullptr;
    value = &*found;
    if (dot == path.npos) return value;
    path.remove_prefix(dot + 1);
  }
}

std::optional<Record> RecordReader::next() {
  while (const auto line = lines_.next()) {
    if (line->find_first_not_of(" \t\r") == line->npos) continue;
    const std::string where = fmt::format("{}:{}", lines_.path(), lines_.line_number());
    try {
      return record_of(parse_json_line(*line, where), where);
    } catch (const Error& error) {
      bad_rows_.push_back({lines_.line_number(), error.what()});
    }
  }
  return std::nullopt;
}

std::vector<Record> read_records(const std::string& path, std::vector<BadRow>* bad_rows) {
  RecordReader reader(path);
  std::vector<Record> records;
  while (auto record = reader.next()) records.push_back(std::move(*record));
  if (bad_rows != nullptr) {
    *bad_rows = reader.bad_rows();
  } else if (!reader.bad_rows().empty()) {
    throw Error(reader.bad_rows().front().reason);
  }
  return records;
}

void write_json_line(AtomicWriter& writer, const Json& row) {
  std::string line;
  try {
    line = row.dump();
  } catch (const nlohmann::json::exception& error) {
    fail("record", "a row cannot be written: {}", error.what());
  }
  writer.write(line + "\n");
}

}  // namespace reflect
