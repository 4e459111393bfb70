// Whether the span gain means something: a reflection that belongs to its mistake helps the
// correction more than one of another row does.
#include <catch2/catch.hpp>
#include <iostream>

#include "e2e/run_tool.h"
#include "reflect/base/error.h"
#include "reflect/data/record.h"
#include "reflect/evaluate/statistics.h"

namespace reflect {
namespace {

const std::string kDemoModel = REFLECT_SOURCE_DIR "/data/demo/model";

std::string text_of(const Record& record, const Span& span) {
  return record.response.substr(span.begin, span.end - span.begin);
}

// The record with other reflections, its spans moved to fit.
Record with_reflections(const Record& record, const std::vector<std::string>& reflections,
                        std::size_t& next) {
  Record changed = record;
  changed.response.clear();
  for (Span& span : changed.spans) {
    const std::string text =
        span.type == SpanType::kReflection ? reflections[next++] : text_of(record, span);
    span.begin = changed.response.size();
    changed.response += text;
    span.end = changed.response.size();
  }
  return changed;
}

// Every reflection in the place of one half the file away.
std::vector<Record> shuffled(const std::vector<Record>& records) {
  std::vector<std::string> reflections;
  for (const Record& record : records)
    for (const Span& span : record.spans)
      if (span.type == SpanType::kReflection) reflections.push_back(text_of(record, span));
  std::rotate(reflections.begin(),
              reflections.begin() + static_cast<std::ptrdiff_t>(reflections.size() / 2),
              reflections.end());
  std::vector<Record> changed;
  std::size_t next = 0;
  for (const Record& record : records)
    changed.push_back(with_reflections(record, reflections, next));
  return changed;
}

// The gain of every round of every row, in order.
std::vector<double> gains_of(const TempFolder& folder, const std::string& name,
                             const std::vector<Record>& records, const std::string& model) {
  AtomicWriter writer(folder / name);
  for (const Record& record : records) write_json_line(writer, json_of(record));
  writer.commit();
  const ToolResult result =
      run_tool("reflect-score",
               {"--model", model, "--input", folder / name, "--output", folder / ("scored-" + name),
                "--selected", folder / ("kept-" + name), "--random-control", "none", "--dtype",
                "fp32", "--reverse", "false", "--quiet"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  std::vector<double> gains;
  for (const Record& record : read_records(folder / ("scored-" + name)))
    if (record.scores.contains("gains"))
      for (const Json& gain : record.scores.at("gains")) gains.push_back(gain.at("gain"));
  return gains;
}

// `count` traces with mistakes, written by `seed`; a reflection says what the right step is.
std::string make_traces(const TempFolder& folder, const std::string& count,
                        const std::string& seed) {
  const std::string path = folder / ("traces-" + seed + ".jsonl");
  const ToolResult made =
      run_tool("reflect-gen", {"--recipe", "inject", "--teacher.kind", "procedural", "--set.q",
                               "0.5", "--set.kinds", "wrong_result", "--procedural.family", "graph",
                               "--procedural.operations", "3-5", "--accept", count, "--seed", seed,
                               "--output", path, "--quiet"});
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  return path;
}

// The demo model has never seen a reflection; tuned for a moment it knows what they are for.
std::string tune(const TempFolder& folder, const std::string& traces) {
  const ToolResult tuned =
      run_tool("reflect-train", {"--config", REFLECT_SOURCE_DIR "/configs/demo_tune.yaml",
                                 "--model", kDemoModel, "--train", traces, "--max_tokens", "300000",
                                 "--output", folder / "run", "--quiet"});
  INFO(tuned.err);
  REQUIRE(tuned.exit_code == 0);
  return folder / "run/model";
}

}  // namespace

TEST_CASE("the mean span gain drops when reflections are shuffled between rows") {
  const TempFolder folder;
  const std::string model = tune(folder, make_traces(folder, "4000", "21"));
  const std::vector<Record> records = read_records(make_traces(folder, "300", "5"));
  const std::vector<double> own = gains_of(folder, "own.jsonl", records, model);
  const std::vector<double> others = gains_of(folder, "others.jsonl", shuffled(records), model);
  REQUIRE(own.size() == others.size());
  REQUIRE(own.size() > 50);
  std::vector<double> differences;
  for (std::size_t i = 0; i < own.size(); ++i) differences.push_back(own[i] - others[i]);
  const Interval interval = bootstrap_mean_interval(differences, 2000, 0);
  std::cout << fmt::format(
      "span gain of {} rounds: {:+.3f} nats a token with their own reflections, {:+.3f} with "
      "others'; difference {:+.3f}, 95 % interval [{:+.3f}, {:+.3f}]\n",
      own.size(), mean_of(own), mean_of(others), mean_of(differences), interval.low, interval.high);
  CHECK(interval.low > 0);
}

}  // namespace reflect
