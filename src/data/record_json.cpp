#include <algorithm>
#include <array>
#include <charconv>

#include "data/record_names.h"
#include "reflect/data/record_text.h"

namespace reflect {
namespace {

Json json_of_span(const Span& span) {
  Json::object_t json;
  json.emplace_back("type", name_of(span.type));
  json.emplace_back("begin", span.begin);
  json.emplace_back("end", span.end);
  if (span.round != 0) json.emplace_back("round", span.round);
  if (span.proof != Proof::kNone) json.emplace_back("proof", name_of(span.proof));
  return json;
}

Json json_of_message(const Message& message) {
  Json json = {{"role", message.role}, {"content", message.content}};
  if (!message.trained) json["weight"] = 0;
  return json;
}

// The fields of a row as a JSON tree.
class FieldTree {
 public:
  void add(const std::string& name, const std::string& text) { row_[name] = text; }
  void add(const std::string& name, const Json& value) { row_[name] = value; }
  void add(const std::string& name, const std::vector<Message>& messages) {
    Json& list = row_[name] = Json::array();
    for (const Message& message : messages) list.push_back(json_of_message(message));
  }
  void add(const std::string& name, const std::vector<Span>& spans) {
    Json& list = row_[name] = Json::array();
    for (const Span& span : spans) list.push_back(json_of_span(span));
  }
  bool has(const std::string& name) const { return row_.contains(name); }
  Json take() && { return std::move(row_); }

 private:
  Json row_;
};

// The fields of a row as text.
class FieldText {
 public:
  explicit FieldText(std::size_t expected_size) { out_.reserve(expected_size); }

  void add(const std::string& name, const std::string& text) {
    begin(name);
    add_text(text);
  }
  void add(const std::string& name, const Json& value) {
    begin(name);
    out_ += value.dump();
  }
  void add(const std::string& name, const std::vector<Message>& messages) {
    begin(name);
    out_ += '[';
    for (const Message& message : messages) {
      out_ += &message == messages.data() ? "{\"role\":" : ",{\"role\":";
      add_text(message.role);
      out_ += ",\"content\":";
      add_text(message.content);
      out_ += message.trained ? "}" : ",\"weight\":0}";
    }
    out_ += ']';
  }
  void add(const std::string& name, const std::vector<Span>& spans) {
    begin(name);
    out_ += '[';
    for (const Span& span : spans) {
      out_ += &span == spans.data() ? "{\"type\":\"" : ",{\"type\":\"";
      out_ += name_of(span.type);
      add_number("\",\"begin\":", span.begin);
      add_number(",\"end\":", span.end);
      if (span.round != 0) add_number(",\"round\":", span.round);
      if (span.proof != Proof::kNone) {
        out_ += ",\"proof\":\"";
        out_ += name_of(span.proof);
        out_ += '"';
      }
      out_ += '}';
    }
    out_ += ']';
  }
  bool has(const std::string& name) const {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  }
  std::string take() && { return std::move(out_ += '}'); }

 private:
  void begin(const std::string& name) {
    out_ += names_.empty() ? '{' : ',';
    names_.push_back(name);
    add_text(name);
    out_ += ':';
  }

  // ASCII without control characters but line ends; what else there is takes the library's way.
  void add_text(const std::string& text) {
    const std::size_t begin = out_.size();
    out_ += '"';
    for (std::size_t done = 0; done < text.size();) {
      std::size_t end = done;
      while (end < text.size() && is_plain(text[end])) ++end;
      out_.append(text, done, end - done);
      if (end == text.size()) break;
      if (text[end] != '\n' && text[end] != '"' && text[end] != '\\') {
        out_.resize(begin);
        out_ += Json(text).dump();
        return;
      }
      out_ += '\\';
      out_ += text[end] == '\n' ? 'n' : text[end];
      done = end + 1;
    }
    out_ += '"';
  }
  static bool is_plain(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\';
  }

  template <class Integer>
  void add_number(std::string_view before, Integer number) {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    out_ += before;
    out_.append(digits.data(), end.ptr);
  }

  std::string out_;
  std::vector<std::string> names_;
};

template <class Fields>
void add_prompt(const Record& record, Fields& fields) {
  const auto& messages = record.messages;
  if (messages.size() != 1 || messages[0].role != "user") {
    fields.add("messages", messages);
  } else if (prompt_in(record.other) != messages[0].content) {
    fields.add("prompt", messages[0].content);
  }
}

template <class Fields>
void add_record(const Record& record, Fields& fields) {
  fields.add("id", record.id);
  if (!record.group.empty()) fields.add("group", record.group);
  if (!record.variant.empty()) fields.add("variant", record.variant);
  add_prompt(record, fields);
  if (const Json* raw = raw_answer(record)) {
    fields.add("answer", *raw);
  } else if (record.answer) {
    fields.add("answer", *record.answer);
  }
  if (!record.response.empty()) fields.add(response_key(record.other), record.response);
  if (!record.spans.empty()) fields.add("spans", record.spans);
  if (!record.scores.is_null()) fields.add("scores", record.scores);
  if (!record.lineage.is_null()) fields.add("lineage", record.lineage);
  for (const auto& [name, value] : record.other.items()) {
    if (!fields.has(name)) fields.add(name, value);
  }
}

}  // namespace

Json json_of(const Record& record) {
  FieldTree fields;
  add_record(record, fields);
  return std::move(fields).take();
}

std::string json_text_of(const Record& record) {
  FieldText fields(1024 + 2 * record.response.size());
  add_record(record, fields);
  return std::move(fields).take();
}

}  // namespace reflect
