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

// A stage adds fields and keeps all that it does not know (in `other`). docs/records.md lists the
// accepted row forms and the JSON of each field.
struct Record {
  std::string id;                     // given, or a content hash of messages and response
  std::string group;                  // candidates of one problem share it
  std::string variant;                // "original", "Q", "A", "QA", "draw-3", "chosen", "rejected"
  std::vector<Message> messages;      // everything before the response
  std::optional<std::string> answer;  // gold answer
  std::string response;               // the last assistant turn; empty: a problem
  std::vector<Span> spans;            // of the response; empty: not known
  Json scores;                        // null or an object
  Json lineage;                       // null or an object
  Json other = Json::object();        // fields as they came

  const std::string& prompt() const;  // content of the last user message; Error without one
};

// Reads one JSON row in any accepted form: {prompt, response, answer}, OpenAI {messages}, Alpaca
// {instruction, input, output}, ShareGPT {conversations}, GSM8K {question, answer with ####}.
// Throws Error that names the field; `where` ("file:line") starts its text.
Record record_of(const Json& row, const std::string& where);

// The row as JSON; record_of reads it back to an equal record. Prompts are written under the names
// that they came with, an Alpaca response as `output`, a GSM8K `answer` with its worked solution.
Json json_of(const Record& record);

// Hash of messages and response: the id of a row that came without one.
std::string content_id(const Record& record);

// A row as {instruction, input, output}, the form of the published scoring scripts. Alpaca rows
// keep their input apart; other rows have the prompt as instruction. The output is the response, or
// without one a GSM8K row's `answer` field as it came, else empty.
struct InstructionFields {
  std::string instruction;
  std::string input;
  std::string output;
};
InstructionFields instruction_fields(const Record& record);

enum class Annotations { kKeep, kRemove };

// The worked solution of a GSM8K row: the text before "####", trimmed, with or without its
// calculator annotations <<...>>. Nothing for other rows.
std::optional<std::string> worked_solution(const Record& record, Annotations annotations);

// The text without its calculator annotations <<...>>.
std::string without_annotations(std::string text);

// A row that could not be read: kept with its place and reason.
struct BadRow {
  std::size_t line;
  std::string reason;
};

// Parses one line of a JSON Lines file. Throws Error for what is not one JSON object, for nesting
// deeper than 200 and for integers that 64 bits do not hold (they would change when written back).
Json parse_json_line(std::string_view line, const std::string& where);

// The value at a dotted path ("scores.ifd_ppl") of a JSON object; nullptr where there is none.
const Json* value_at(const Json& row, std::string_view path);

// Reads records one by one; blank lines are skipped. A malformed row becomes a BadRow and reading
// goes on; a file that cannot be opened or is truncated inside a compressed stream is an Error.
class RecordReader {
 public:
  explicit RecordReader(const std::string& path) : lines_(path) {}
  std::optional<Record> next();
  const std::vector<BadRow>& bad_rows() const { return bad_rows_; }

 private:
  LineReader lines_;
  std::vector<BadRow> bad_rows_;
};

// All records of a file. Without `bad_rows` the first malformed row is an Error.
std::vector<Record> read_records(const std::string& path, std::vector<BadRow>* bad_rows = nullptr);

// Writes the row as one line of UTF-8; numbers that are not finite become null. Text that is not
// valid UTF-8 is an Error.
void write_json_line(AtomicWriter& writer, const Json& row);

}  // namespace reflect
