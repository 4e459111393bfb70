// The one row type that travels through all tools, and its JSON Lines files.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "reflect/base/file.h"
#include "reflect/data/chat.h"
#include "reflect/data/trace.h"

namespace reflect {

using Json = nlohmann::ordered_json;

// A stage adds fields and keeps all that it does not know (in `other`).
struct Record {
  std::string id;                     // given, or a content hash of prompt and response
  std::string group;                  // candidates of one problem share it
  std::string variant;                // "original", "Q", "A", "QA", "draw-3", "chosen", "rejected"
  std::vector<Message> messages;      // everything before the response
  std::optional<std::string> answer;  // gold answer
  std::string response;               // empty: a problem
  std::vector<Span> spans;            // of the response; empty: not known
  Json scores;                        // null or an object
  Json lineage;                       // null or an object
  Json other = Json::object();        // fields as they came

  const std::string& prompt() const;  // content of the last user message
};

// Reads one JSON row in any accepted form: {prompt, response, answer}, OpenAI {messages}, Alpaca
// {instruction, input, output}, ShareGPT {conversations}, GSM8K {question, answer with ####}.
// Throws Error that names the field; `where` ("file:line") starts its text.
Record record_of(const Json& row, const std::string& where);
Json json_of(const Record& record);

// A row that could not be read: kept with its place and reason.
struct BadRow {
  std::size_t line;
  std::string reason;
};

// Reads records one by one. A malformed row becomes a BadRow and reading goes on; a file that
// cannot be opened or is truncated inside a compressed stream is an Error.
class RecordReader {
 public:
  explicit RecordReader(const std::string& path) : lines_(path) {}
  std::optional<Record> next();
  const std::vector<BadRow>& bad_rows() const { return bad_rows_; }

 private:
  LineReader lines_;
  std::vector<BadRow> bad_rows_;
};

std::vector<Record> read_records(const std::string& path, std::vector<BadRow>* bad_rows = nullptr);
void write_json_line(AtomicWriter& writer, const Json& row);

}  // namespace reflect
