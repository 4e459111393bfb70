// A folder with rows to train on, and the arguments of a short run of reflect-train there.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "e2e/run_tool.h"
#include "reflect/data/record.h"

namespace reflect {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;

inline const std::string kModel = REFLECT_SOURCE_DIR "/tests/golden/model/llama3";

inline std::string trace_rows(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    const std::string a = std::to_string(i % 7), b = std::to_string(i / 7);
    TraceBuilder trace;
    trace.error(a + " + " + b + " = 99.", 1, Proof::kExecuted);
    trace.reflection("That cannot be.", 1);
    trace.correction(" " + std::to_string(i % 7 + i / 7), 1);
    trace.output(std::to_string(i % 7 + i / 7));
    Record record;
    record.id = "row-" + std::to_string(i);
    record.messages = {{"user", "What is " + a + " + " + b + "?"}};
    record.response = trace.text();
    record.spans = trace.spans();
    text += json_of(record).dump() + "\n";
  }
  return text;
}

struct Workplace {
  TempFolder folder;
  std::string rows = folder / "rows.jsonl";
  std::string run = folder / "run";

  Workplace() { write_file_atomic(rows, trace_rows(30)); }

  // Ten steps of two packs.
  Arguments arguments(const Arguments& more = {}, const std::string& output = "") const {
    Arguments all = {"--model",  kModel,
                     "--train",  rows,
                     "--output", output.empty() ? run : output,
                     "--quiet",  "--threads",
                     "1",        "--dtype",
                     "fp32",     "--max_steps",
                     "10",       "--gradient_accumulation_steps",
                     "2",        "--packing.capacity",
                     "512",      "--lora.dropout",
                     "0.1"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

inline std::vector<Json> metrics_of(const std::string& run) {
  std::vector<Json> lines;
  std::istringstream text(read_file(run + "/metrics.jsonl"));
  for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
  return lines;
}

// Waits until the run has logged `steps` steps. Counts ends of lines: the last line may be half
// written.
inline void wait_for_steps(const std::string& run, std::ptrdiff_t steps) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(5);
  while (std::chrono::steady_clock::now() < deadline) {
    if (fs::exists(run + "/metrics.jsonl") &&
        std::ranges::count(read_file(run + "/metrics.jsonl"), '\n') >= steps)
      return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  FAIL("no " << steps << " steps in time");
}

}  // namespace reflect
