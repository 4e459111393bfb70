// Records: every accepted row form, what comes back when a row is written, and malformed rows.
#include "reflect/data/record.h"

#include <catch2/catch.hpp>
#include <limits>

#include "reflect/base/error.h"
#include "reflect/base/random.h"
#include "reflect/data/bad_rows.h"
#include "reflect/data/record_text.h"
#include "temp_folder.h"

namespace reflect {
namespace {

Record read(const std::string& json) {
  return record_of(parse_json_line(json, "t:1"), "t:1");
}

// The row as it is written, by both ways.
Json written(const std::string& json) {
  const Record record = read(json);
  Json row = json_of(record);
  REQUIRE(json_text_of(record) == row.dump());
  return row;
}

std::string reason(const std::string& json) {
  try {
    read(json);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

std::vector<std::string> keys_of(const Json& row) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : row.items()) keys.push_back(key);
  return keys;
}

TEST_CASE("prompt and response rows") {
  const Record row = read(R"({"id":"a","prompt":"2+2?","response":"4","answer":"4"})");
  CHECK(row.id == "a");
  CHECK(row.prompt() == "2+2?");
  CHECK(row.response == "4");
  CHECK(row.answer == "4");
  CHECK(row.scores.is_null());
  CHECK(read(R"({"prompt":"2+2?","system":"Be brief."})").messages[0].role == "system");
}

TEST_CASE("OpenAI messages: the last assistant turn is the response") {
  const Record row = read(R"({"messages":[{"role":"system","content":"s"},
    {"role":"user","content":"u1"},{"role":"assistant","content":"a1","weight":0},
    {"role":"user","content":[{"type":"text","text":"u"},{"type":"text","text":"2"}]},
    {"role":"assistant","content":"a2"}]})");
  REQUIRE(row.messages.size() == 4);
  CHECK(row.prompt() == "u2");
  CHECK(row.response == "a2");
  CHECK_FALSE(row.messages[2].trained);
  CHECK(json_of(row)["messages"][2]["weight"] == 0);
  CHECK(read(R"({"messages":[{"role":"user","content":"u"}]})").response.empty());
}

TEST_CASE("Alpaca rows keep instruction and input apart") {
  const Record row = read(R"({"instruction":"Add.","input":"2 2","output":"4"})");
  CHECK(row.prompt() == "Add.\n2 2");
  CHECK(row.response == "4");
  const InstructionFields fields = instruction_fields(row);
  CHECK(fields.instruction == "Add.");
  CHECK(fields.input == "2 2");
  CHECK(fields.output == "4");
  CHECK(keys_of(json_of(row)) == std::vector<std::string>{"id", "output", "instruction", "input"});
  CHECK(read(R"({"instruction":"Add.","input":null,"output":"4"})").prompt() == "Add.");
}

TEST_CASE("ShareGPT conversations") {
  const Record row = read(R"({"conversations":[{"from":"system","value":"s"},
    {"from":"human","value":"u"},{"from":"gpt","value":"a"}]})");
  REQUIRE(row.messages.size() == 2);
  CHECK(row.messages[1].role == "user");
  CHECK(row.response == "a");
}

TEST_CASE("GSM8K rows: the gold answer follows ####, the worked solution stays") {
  const std::string json =
      R"({"question":"How many?","answer":"He has 2*9=<<2*9=18>>18.\nSo 1,018.\n#### 1,018"})";
  const Record row = read(json);
  CHECK(row.prompt() == "How many?");
  CHECK(row.answer == "1,018");
  CHECK(row.response.empty());
  CHECK(worked_solution(row, Annotations::kRemove) == "He has 2*9=18.\nSo 1,018.");
  CHECK(worked_solution(row, Annotations::kKeep) == "He has 2*9=<<2*9=18>>18.\nSo 1,018.");
  const InstructionFields fields = instruction_fields(row);
  CHECK(fields.instruction == "How many?");
  CHECK(fields.output == "He has 2*9=<<2*9=18>>18.\nSo 1,018.\n#### 1,018");

  const Json again = json_of(row);
  CHECK(again["answer"] == Json::parse(json)["answer"]);
  CHECK(again["question"] == "How many?");
  CHECK_FALSE(again.contains("prompt"));
  CHECK(json_of(record_of(again, "t")) == again);

  Record changed = row;
  changed.answer = "7";
  CHECK(json_of(changed)["answer"] == "7");
  CHECK(worked_solution(changed, Annotations::kKeep) == std::nullopt);
  CHECK(worked_solution(read(R"({"prompt":"p","answer":"4"})"), Annotations::kKeep) ==
        std::nullopt);
  CHECK(read(R"({"prompt":"p","answer":"a #### b"})").answer == "a #### b");
}

TEST_CASE("numbers as answers and ids") {
  CHECK(read(R"({"prompt":"p","answer":18})").answer == "18");
  CHECK(read(R"({"prompt":"p","answer":0.5})").answer == "0.5");
  CHECK(written(R"({"prompt":"p","answer":18})")["answer"] == 18);
  CHECK(read(R"({"prompt":"p","id":7})").id == "7");
  CHECK(read(R"({"prompt":"p","answer":null})").answer == std::nullopt);
}

TEST_CASE("unknown fields come back as they came, in order") {
  const std::string json =
      R"({"id":"1","prompt":"p","zeta":1.50,"alpha":{"b":[1,null,{"c":18446744073709551615}]},"x":-9223372036854775808,"nul":"a\u0000b","none":null})";
  const Json row = written(json);
  CHECK(row == Json::parse(json));
  CHECK(keys_of(row) ==
        std::vector<std::string>{"id", "prompt", "zeta", "alpha", "x", "nul", "none"});
}

TEST_CASE("spans, scores and lineage survive writing") {
  const std::string json =
      R"({"id":"1","group":"g","variant":"QA","prompt":"p","response":"abcd","spans":[{"type":"thinking","begin":0,"end":1},{"type":"error","begin":1,"end":4,"round":2,"proof":"executed"}],"scores":{"ifd_ppl":0.5},"lineage":{"recipe":"inject"}})";
  const Record row = read(json);
  REQUIRE(row.spans.size() == 2);
  CHECK(row.spans[1] == Span{SpanType::kError, 1, 4, 2, Proof::kExecuted});
  CHECK(json_of(row).dump() == json);
  CHECK(json_text_of(row) == json);
}

TEST_CASE("a row's text is that of its JSON, whatever the texts hold") {
  Record row = read(R"({"prompt":"p","response":"ab","zeta\n":1})");
  row.messages = {
      {"system", "s"}, {"user", "u\n\"\\"}, {"assistant", "\x7f\t", false}, {"user", ""}};
  row.answer = std::string("\0\x1f", 2);
  row.group = "Zürich 日本 \U0001F600";
  row.response = "<thinking>\n\"a\\b\"\r\n</thinking>";
  row.spans = {{SpanType::kThinking, 0, 123456789012}, {SpanType::kError, 2, 3, -1, Proof::kNone}};
  CHECK(json_text_of(row) == json_of(row).dump());
  row.variant = "\xc3(";
  CHECK_THROWS_AS(json_text_of(row), Json::exception);
}

TEST_CASE("a row without an id gets a hash of its content") {
  const std::string id = read(R"({"prompt":"p","response":"r"})").id;
  CHECK(id.size() == 32);
  CHECK(read(R"({"x":1,"response":"r","prompt":"p"})").id == id);
  CHECK(read(R"({"prompt":"p","response":"r2"})").id != id);
  CHECK(read(R"({"prompt":"pr","response":""})").id != read(R"({"prompt":"p","response":"r"})").id);
  const Json row = written(R"({"prompt":"p","response":"r"})");
  CHECK(row["id"] == id);
}

TEST_CASE("malformed rows say what is wrong") {
  using Catch::Contains;
  CHECK_THAT(reason("[1]"), Contains("array, not an object"));
  CHECK_THAT(reason("nonsense"), Contains("not a JSON object"));
  CHECK_THAT(reason(R"({"prompt":"a)"), Contains("not a JSON object"));
  CHECK_THAT(reason(R"({"answer":"4"})"), Contains("no prompt"));
  CHECK_THAT(reason(R"({"prompt":5})"), Contains("field 'prompt' is number, not text"));
  CHECK_THAT(reason(R"({"prompt":"p","response":["a"]})"), Contains("'response' is array"));
  CHECK_THAT(reason(R"({"prompt":"p","answer":[4]})"), Contains("'answer' is array"));
  CHECK_THAT(reason(R"({"prompt":"p","scores":3})"), Contains("'scores' is number"));
  CHECK_THAT(reason(R"({"prompt":"p","lineage":"x"})"), Contains("'lineage' is string"));
  CHECK_THAT(reason(R"({"prompt":"p","group":1})"), Contains("'group' is number"));
  CHECK_THAT(reason(R"({"prompt":"p","id":{}})"), Contains("'id' is object"));
  CHECK_THAT(reason(R"({"messages":{}})"), Contains("'messages' is object"));
  CHECK_THAT(reason(R"({"messages":[]})"), Contains("no user message"));
  CHECK_THAT(reason(R"({"messages":[{"role":"assistant","content":"a"}]})"),
             Contains("no user message"));
  CHECK_THAT(reason(R"({"messages":["hi"]})"), Contains("messages[0]"));
  CHECK_THAT(reason(R"({"messages":[{"role":"tool","content":"a"}]})"), Contains("role 'tool'"));
  CHECK_THAT(reason(R"({"messages":[{"role":"user","content":null}]})"),
             Contains("messages[0].content"));
  CHECK_THAT(reason(R"({"messages":[{"role":"user","content":[{"type":"image"}]}]})"),
             Contains("only text"));
  CHECK_THAT(reason(R"({"messages":[{"role":"user","content":"u"},
    {"role":"assistant","content":"a","weight":0}]})"),
             Contains("weight 0"));
  CHECK_THAT(reason(R"({"messages":[{"role":"user","content":"u","weight":0.5}]})"),
             Contains("not 0 or 1"));
}

TEST_CASE("malformed spans say what is wrong") {
  const auto spans = [](const std::string& list) {
    return reason(R"({"prompt":"p","response":"abcd","spans":)" + list + "}");
  };
  using Catch::Contains;
  CHECK(spans(R"([{"type":"output","begin":0,"end":4}])") == "accepted");
  CHECK(spans("[]") == "accepted");
  CHECK_THAT(spans("{}"), Contains("'spans' is object"));
  CHECK_THAT(spans("[7]"), Contains("spans[0] is number"));
  CHECK_THAT(spans(R"([{"begin":0,"end":4}])"), Contains("not a span type"));
  CHECK_THAT(spans(R"([{"type":"idea","begin":0,"end":4}])"), Contains("'idea'"));
  CHECK_THAT(spans(R"([{"type":"output","begin":-1,"end":4}])"), Contains("begin"));
  CHECK_THAT(spans(R"([{"type":"output","begin":0}])"), Contains("spans[0].end"));
  CHECK_THAT(spans(R"([{"type":"output","begin":1,"end":4}])"), Contains("a start at 0"));
  CHECK_THAT(spans(R"([{"type":"output","begin":0,"end":0}])"), Contains("bytes [0, 0)"));
  CHECK_THAT(spans(R"([{"type":"output","begin":0,"end":5}])"), Contains("the response has 4"));
  CHECK_THAT(spans(R"([{"type":"output","begin":0,"end":4,"round":-1}])"), Contains("round"));
  CHECK_THAT(spans(R"([{"type":"output","begin":0,"end":4,"proof":"sworn"}])"), Contains("sworn"));
}

TEST_CASE("a file's malformed lines are counted with their place, the others are read") {
  const TempFolder folder;
  const std::string path = folder / "rows.jsonl";
  const std::string deep(300, '[');
  const std::string deepest = std::string(200'000, '[') + std::string(200'000, ']');
  const std::vector<std::string> bad = {
      "",                                        // blank: skipped
      R"({"prompt":"a"})",                       // good
      "{\"prompt\":\"\xff\"}",                   // invalid UTF-8
      R"({"prompt":"\ud800"})",                  // lone surrogate
      "{\"prompt\":\"a\"\x01}",                  // control byte
      std::string("{\"prompt\":\"a\0b\"}", 15),  // raw NUL
      R"({"prompt":"p","x":)" + deep + "}",      // unclosed
      R"({"prompt":"p","x":)" + deepest + "}",   // deep
      R"({"prompt":"p","x":18446744073709551616})",
      R"({"prompt":"p","x":-9223372036854775809})",
      R"({"prompt":"p","x":1e999})",
      R"([{"prompt":"p"}])",
      R"({"prompt":"p"} {"prompt":"q"})",
      R"({"prompt":"p","x":"[[[ 99999999999999999999 \" ]"})",  // good: inside a string
      R"({"prompt":"\u0000 b"})",                               // good: an escaped NUL
  };
  std::string text;
  for (const std::string& line : bad) text += line + "\n";
  write_file_atomic(path, text);

  std::vector<BadRow> bad_rows;
  const std::vector<Record> records = read_records(path, &bad_rows);
  REQUIRE(records.size() == 3);
  CHECK(records[2].prompt() == std::string("\0 b", 3));
  REQUIRE(bad_rows.size() == 11);
  CHECK(bad_rows[0].line == 3);
  for (const BadRow& row : bad_rows) CHECK_NOTHROW(Json(row.reason).dump());  // valid UTF-8
  CHECK_THAT(bad_rows[0].reason, Catch::Contains("rows.jsonl:3: not a JSON object"));
  CHECK_THAT(bad_rows[5].reason, Catch::Contains("nested deeper than 200"));
  CHECK_THAT(bad_rows[6].reason, Catch::Contains("18446744073709551616"));
  CHECK_THROWS_WITH(read_records(path), Catch::Contains("rows.jsonl:3"));
  CHECK_THROWS_AS(read_records(folder / "none.jsonl"), Error);
}

TEST_CASE("written rows are JSON whatever the numbers are") {
  const TempFolder folder;
  const std::string path = folder / "rows.jsonl";
  AtomicWriter writer(path);
  write_json_line(writer, {{"id", "1"}, {"x", std::numeric_limits<double>::quiet_NaN()}});
  CHECK_THROWS_AS(write_json_line(writer, {{"id", "\xff"}}), Error);
  writer.commit();
  CHECK(read_file(path) == "{\"id\":\"1\",\"x\":null}\n");
}

TEST_CASE("no mutation of a row makes reading fail with anything but its reason") {
  const std::string row =
      R"({"id":"1","messages":[{"role":"user","content":"é 日"}],"response":"ab","spans":[{"type":"output","begin":0,"end":2,"round":1}],"answer":"x\n#### 7","scores":{"a":[1e3]}})";
  Random random(3, "record test");
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = row;
    for (std::uint64_t n = random.below(4); n > 0 && !text.empty(); --n) {
      const std::size_t at = random.below(text.size());
      if (random.chance(0.5)) {
        text[at] = static_cast<char>(random.below(256));
      } else {
        text.erase(at, 1 + random.below(8));
      }
    }
    if (reason(text) != "accepted") continue;
    ++accepted;
    const Json once = written(text);
    REQUIRE(json_of(record_of(once, "t")).dump() == once.dump());
  }
  CHECK(accepted > 5000);
  CHECK(accepted < 19000);
}

TEST_CASE("malformed rows are told by reason, the first with their lines") {
  const TempFolder folder;
  const std::string path = folder / "rows.jsonl";
  std::string text = "{\"prompt\": 3}\n[]\n{\"prompt\": \"a\"}\n";
  for (int i = 0; i < 20; ++i) text += "{broken " + std::string(500, 'x') + "\n";
  write_file_atomic(path, text);
  std::vector<BadRow> bad;
  CHECK(read_records(path, &bad).size() == 1);
  CHECK(counts_by_kind(bad) ==
        std::map<std::string, std::int64_t>{{"field 'prompt' is number, not text", 1},
                                            {"the row is array, not an object", 1},
                                            {"not a JSON object", 20}});
  const std::string told = summary_of(bad, path);
  CHECK_THAT(told,
             Catch::StartsWith(path + ": 22 malformed rows left out: 20 not a JSON object, 1 "));
  for (const char* part : {"; line 1: field 'prompt' is number, not text", "; line 2: the row is",
                           "; line 4: not a JSON object: ", "; ..."})
    CHECK_THAT(told, Catch::Contains(part));
  CHECK(told.size() < 700);
  CHECK(summary_of({}, path).empty());
  CHECK(kind_of({9, "[record] rows.jsonl:9: the spans end at byte 31, the response has 7"}) ==
        "the spans end at byte N, the response has N");
  std::map<std::string, std::int64_t> many;
  for (int i = 0; i < 9; ++i) many["reason " + std::to_string(i)] = i == 7 ? 5 : 1;
  CHECK(list_of_counts(many) ==
        "5 reason 7, 1 reason 0, 1 reason 1, 1 reason 2, 1 reason 3, 1 reason 4, 3 for other "
        "reasons");
}

}  // namespace
}  // namespace reflect
