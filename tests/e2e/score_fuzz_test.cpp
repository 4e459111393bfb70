// Rows of all kinds of rubbish: each gets a status or a place among the rejected lines, and no file
// holds a number that is not finite.
#include <catch2/catch.hpp>
#include <set>

#include "e2e/score_workplace.h"
#include "reflect/base/random.h"

namespace reflect {
namespace {

// Bytes of any kind; mostly not UTF-8.
std::string bytes(Random& random, std::int64_t most) {
  std::string text;
  for (std::int64_t n = random.between(0, most); n > 0; --n)
    text += random.below(4) == 0 ? "<|eot_id|>é\n\0 "[random.below(14)]
                                 : static_cast<char>(random.between(1, 255));
  return text;
}

std::string specials(Random& random, std::int64_t most) {
  const char* const names[] = {"<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>",
                               "<|end_header_id|>", "</s>"};
  std::string text;
  for (std::int64_t n = random.between(1, most); n > 0; --n) text += names[random.below(5)];
  return text;
}

std::string text(Random& random) {
  switch (random.below(7)) {
    case 0:
      return "";
    case 1:
      return specials(random, 5);
    case 2:
      return std::string(static_cast<std::size_t>(random.between(0, 3)), ' ') + "\n\t";
    case 3:
      return std::string(static_cast<std::size_t>(random.between(400, 3000)), 'x');  // too long
    case 4:
      return "<thinking>\nOne.\n<reflection></reflection></thinking><output>";
    case 5:
      return "\xE2\x80\x8B\xF0\x9F\xA6\x80\xCC\x81";  // zero width, beyond 16 bits, combining
    default:
      return bytes(random, 200);
  }
}

// What a row does not have to hold, of the right kind or another.
void add_strange_field(Json& row, Random& random) {
  const Json values[] = {nullptr,        -1,  1e300, "NaN", Json::array({1, nullptr}),
                         Json::object(), true};
  const char* const names[] = {"answer", "scores", "lineage", "group",   "variant",
                               "id",     "spans",  "correct", "verdict", "messages"};
  row[names[random.below(10)]] = values[random.below(7)];
}

std::string row_line(Random& random, int i) {
  const auto utf8 = Json::error_handler_t::replace;
  Json row;
  switch (random.below(5)) {
    case 0:
      row = {{"instruction", text(random)}, {"input", text(random)}, {"output", text(random)}};
      break;
    case 1:
      row = {{"messages",
              {{{"role", "system"}, {"content", text(random)}},
               {{"role", "user"}, {"content", text(random)}},
               {{"role", "assistant"}, {"content", text(random)}}}}};
      break;
    case 2: {  // spans that cover the response, of types that may make no sense together
      const std::string response = "One is two. No, one is one. So one.";
      Json spans = Json::array();
      const char* const types[] = {"thinking", "error", "reflection", "correction", "output"};
      for (std::size_t begin = 0; begin < response.size();) {
        const std::size_t end =
            std::min(response.size(), begin + static_cast<std::size_t>(random.between(1, 12)));
        spans.push_back({{"type", types[random.below(5)]},
                         {"begin", begin},
                         {"end", end},
                         {"round", random.between(0, 2)}});
        begin = end;
      }
      row = {{"prompt", "What is one?"}, {"response", response}, {"spans", spans}};
      break;
    }
    default:
      row = {{"prompt", text(random)}, {"response", text(random)}};
  }
  if (random.chance(0.3)) add_strange_field(row, random);
  if (!row.contains("id")) row["id"] = std::to_string(i);
  if (random.chance(0.1)) return row.dump(-1, ' ', false, utf8) + "}";  // not JSON
  if (random.chance(0.1)) return "{\"prompt\": \"" + bytes(random, 30) + "\", \"response\": NaN}";
  return row.dump(-1, ' ', false, utf8);
}

// A bare NaN or Infinity is no JSON; a number too big for a double would be infinite.
void check_finite(const Json& value) {
  if (value.is_number_float()) CHECK(std::isfinite(value.get<double>()));
  if (value.is_structured())
    for (const Json& item : value) check_finite(item);
}

std::size_t check_lines(const std::string& path) {
  std::size_t count = 0;
  LineReader lines(path);
  while (const auto line = lines.next()) {
    const Json row = Json::parse(*line, nullptr, false);
    CHECK_FALSE(row.is_discarded());
    check_finite(row);
    ++count;
  }
  return count;
}

void check_status(const Record& record) {
  static const std::set<std::string> known = {"ok", "too_long", "empty", "non_finite",
                                              "prefiltered"};
  const Json& scores = record.scores;
  const std::string status = scores.at("status");
  INFO(record.id << " " << scores.dump());
  CHECK(known.contains(status));
  for (const char* name : {"ifd_ppl", "ifd_loss", "rifd_ppl", "rifd_loss"}) {
    if (status == "ok") CHECK(scores.at(name).is_number());
    if (status == "prefiltered") CHECK(scores.at(name).is_null());
  }
  CHECK(scores.contains("failed_pass") == (status != "ok" && status != "prefiltered"));
  if (status != "ok") CHECK(record.other.at("decision_reason") == status);
}

}  // namespace

TEST_CASE("random rows give a status each and never a number that is not finite") {
  Random random(5, "score-fuzz");
  std::string input;
  std::size_t lines = 0;
  for (int i = 0; i < 150; ++i) {
    std::string line = row_line(random, i);
    std::replace(line.begin(), line.end(), '\n', ' ');
    lines += line.find_first_not_of(" \t\r") != line.npos;
    input += line + "\n";
  }
  // A group with its original: policies that compare with it refuse rows without any.
  for (const char* variant : {"original", "rewritten"}) {
    input += Json{{"id", variant},
                  {"group", "g"},
                  {"variant", variant},
                  {"prompt", "Add 1 and 2."},
                  {"response", "3"}}
                 .dump() +
             "\n";
    ++lines;
  }
  const std::vector<std::vector<std::string>> runs = {
      {"--selection.near-duplicates", "0.8"},
      {"--parity", "reference", "--dtype", "bf16"},
      {"--selection.policy", "selective-paper"},
      {"--prefilter.model", kGoldenModel, "--selection.policy", "diverse",
       "--selection.top-fraction", "0.2", "--selection.max-ifd", "0"}};
  for (const std::vector<std::string>& settings : runs) {
    const ScoreRun run(input);
    std::vector<std::string> more = settings;
    more.insert(more.end(), {"--report", run.folder / "report.html"});
    const ToolResult result = run(more);
    INFO(settings.front() << " " << result.err);
    REQUIRE(result.exit_code == 0);
    std::set<std::string> statuses;
    for (const Record& record : run.rows()) {
      check_status(record);
      statuses.insert(record.scores.at("status"));
    }
    CHECK(statuses.size() >= 3);  // the rows reach what they are for
    const std::size_t rejected = check_lines(run.scored() + ".rejected.jsonl");
    CHECK(rejected > 10);
    CHECK(check_lines(run.scored()) + rejected == lines);
    check_lines(run.folder / "kept.jsonl");
    check_finite(run.receipt());
    check_finite(run.meta());
    const std::string page = read_file(run.folder / "report.html");
    for (const char* wrong : {"\"nan\"", "\"inf\"", "\"-nan\"", ">nan<", ">inf<", ">-nan<"})
      CHECK(page.find(wrong) == std::string::npos);
  }
}

}  // namespace reflect
