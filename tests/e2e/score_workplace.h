// Rows with reflections, and runs of reflect-score on them with the golden model.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <thread>

#include "e2e/run_tool.h"
#include "reflect/data/record.h"

namespace reflect {

inline const std::string kGoldenModel = REFLECT_SOURCE_DIR "/tests/golden/model/llama3";

inline std::string fence_row(int i) {
  TraceBuilder trace;
  trace.thinking(fmt::format("There are {} posts. ", i));
  trace.error(fmt::format("Twice that is {}.", 2 * i + 1), 1, Proof::kExecuted);
  trace.reflection("I added one too many.", 1);
  trace.correction(fmt::format("Twice that is {}.", 2 * i), 1);
  trace.output(std::to_string(2 * i));
  Record record;
  record.id = fmt::format("row-{}", i);
  record.messages.push_back(
      {"user", fmt::format("A fence has {} posts. How many have two fences?", i)});
  record.response = trace.text();
  record.spans = trace.spans();
  record.other["kept_field"] = i;
  return json_of(record).dump() + "\n";
}

inline std::string fence_rows(int count) {
  std::string text;
  for (int i = 1; i <= count; ++i) text += fence_row(i);
  return text;
}

// One run's files in a folder of their own.
struct ScoreRun {
  explicit ScoreRun(const std::string& input) { write_file_atomic(folder / "in.jsonl", input); }

  std::vector<std::string> arguments(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {"--model",  kGoldenModel, "--input",    folder / "in.jsonl",
                                    "--output", scored(),     "--selected", folder / "kept.jsonl",
                                    "--dtype",  "fp32",       "--quiet"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  ToolResult operator()(const std::vector<std::string>& more = {}) const {
    return run_tool("reflect-score", arguments(more));
  }
  std::string scored() const { return folder / "scored.jsonl"; }
  std::string journal() const { return scored() + ".journal"; }
  std::vector<Record> rows() const { return read_records(scored()); }
  std::vector<Record> kept() const { return read_records(folder / "kept.jsonl"); }
  Json meta() const { return Json::parse(read_file(scored() + ".meta.json")); }
  Json receipt() const { return Json::parse(read_file(scored() + ".receipt.json")); }

  TempFolder folder;
};

inline std::size_t size_of(const std::string& path) {
  std::error_code missing;
  const auto size = std::filesystem::file_size(path, missing);
  return missing ? 0 : size;
}

// Starts a run and sends it `signal` once `journal` has lines; returns the exit code.
inline int interrupt(const ScoreRun& run, const std::vector<std::string>& more,
                     const std::string& journal, int signal) {
  Tool tool("reflect-score", run.arguments(more));
  while (size_of(journal) < 2000) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  tool.send(signal);
  return tool.wait().exit_code;
}

// Relative where numbers are above 1.
inline double largest_difference(const Json& a, const Json& b) {
  if (a.is_number_float()) {
    const double x = a.get<double>(), y = b.get<double>();
    return std::abs(x - y) / std::max(1.0, std::abs(x));
  }
  if (!a.is_structured()) return a == b ? 0 : INFINITY;
  double largest = a.size() == b.size() ? 0 : INFINITY;
  for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end(); ++x, ++y)
    largest = std::max(largest, largest_difference(*x, *y));
  return largest;
}

}  // namespace reflect
