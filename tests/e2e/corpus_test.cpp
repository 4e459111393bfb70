// reflect-train on tokenized rows that runs share: same bytes with and without, bounded memory.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>

#include "e2e/processes.h"
#include "e2e/train_workplace.h"

namespace reflect {
namespace {

struct Trained {
  std::string adapter, identity, log;
};

// Runs to the end into `name`.
Trained trained(const Workplace& place, const std::string& name, const Arguments& more) {
  const std::string run = place.folder / name;
  const ToolResult result = run_tool("reflect-train", place.arguments(more, run));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return {read_file(run + "/adapter/adapter_model.safetensors"),
          Json::parse(read_file(run + "/run.json"))["run"].dump(), result.err};
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& file : fs::directory_iterator(folder)) names.push_back(file.path().filename());
  return names;
}

// Rows of few tokens and much other text.
void write_wide_rows(const std::string& path, int count) {
  Json row = {{"prompt", "a"}, {"response", "b"}, {"notes", std::string(30000, 'x')}};
  AtomicWriter file(path);
  for (int i = 0; i < count; ++i) {
    row["id"] = std::to_string(i);
    write_json_line(file, row);
  }
  file.commit();
}

}  // namespace

TEST_CASE("runs with a cold, a warm, a broken and no cache end with the same bytes") {
  const Workplace place;
  const std::string heldout = place.folder / "heldout.jsonl", cache = place.folder / ".tokenized";
  write_file_atomic(heldout, trace_rows(12));
  const Arguments rows = {"--heldout",  heldout,           "--order",
                          "curriculum", "--curriculum_by", "tokens"};
  Arguments without = rows;
  without.insert(without.end(), {"--data.cache", "none"});
  const Trained plain = trained(place, "plain", without);
  CHECK_FALSE(fs::exists(cache));
  const Trained cold = trained(place, "cold", rows), warm = trained(place, "warm", rows);
  REQUIRE(names_in(cache).size() == 2);
  for (const auto& file : fs::directory_iterator(cache))
    fs::resize_file(file, fs::file_size(file) / 2);
  const Trained mended = trained(place, "mended", rows);
  CHECK_THAT(cold.log, Catch::Contains("tokenized " + heldout + " into " + cache));
  CHECK_THAT(warm.log,
             Catch::Contains("tokenized rows come from " + cache) && !Catch::Contains("into"));
  CHECK_THAT(mended.log, Catch::Contains(".tokens is truncated or damaged at its end; it is made "
                                         "again"));
  for (const Trained* run : {&cold, &warm, &mended}) {
    CHECK(run->adapter == plain.adapter);
    CHECK(run->identity == plain.identity);
  }
}

TEST_CASE("processes that wait for tokenized rows longer than the time-out do not time out") {
  const Workplace place;
  const Trained alone = trained(place, "alone", {});
  const std::string cache = place.folder / ".tokenized";
  const std::vector<std::string> names = names_in(cache);
  REQUIRE(names.size() == 1);
  // As if another process tokenized these rows: it holds their lock, and the file is not there.
  fs::remove(fs::path(cache) / names[0]);
  const std::string lock = cache + "/" + names[0] + ".lock";
  const int held = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  REQUIRE(::flock(held, LOCK_EX) == 0);
  Tool tool("reflect-train", place.arguments(job_of(2, {"--launch.timeout", "3"})));
  std::this_thread::sleep_for(std::chrono::seconds(5));
  CHECK_FALSE(fs::exists(place.run + "/metrics.jsonl"));
  ::close(held);
  const ToolResult result = tool.wait();
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err, Catch::Contains("waiting for the process that tokenizes these rows"));
  CHECK(metrics_of(place.run).size() == 10);
}

TEST_CASE("a killed run goes on from tokenized rows, or without them, to the same bytes") {
  const Workplace place;
  const Trained whole = trained(place, "whole", {"--data.cache", "none"});
  const Arguments arguments = place.arguments({"--save_every", "2"});
  Tool tool("reflect-train", arguments);
  wait_for_steps(place.run, 5);
  tool.send(SIGKILL);
  tool.wait();
  const bool keep = GENERATE(true, false);
  if (!keep) fs::remove_all(place.folder / ".tokenized");
  const ToolResult resumed = run_tool("reflect-train", arguments);
  INFO(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK_THAT(resumed.err, Catch::Contains(keep ? "tokenized rows come from" : "into"));
  CHECK(read_file(place.run + "/adapter/adapter_model.safetensors") == whole.adapter);
}

TEST_CASE("pairs come from the cache as they were tokenized") {
  const Workplace place;
  std::string pairs;
  for (int i = 0; i < 24; ++i)
    pairs +=
        Json{{"prompt", std::to_string(i)}, {"chosen", "yes"}, {"rejected", "no"}}.dump() + "\n";
  write_file_atomic(place.rows, pairs);
  const Arguments dpo = {"--loss.kind", "dpo", "--max_steps", "2"};
  Arguments without = dpo;
  without.insert(without.end(), {"--data.cache", "none"});
  const Trained plain = trained(place, "plain", without);
  for (const char* name : {"cold", "warm"})
    CHECK(trained(place, name, dpo).adapter == plain.adapter);
}

TEST_CASE(
    "processes and runs that start at once share tokenized rows and leave nothing else behind") {
  const Workplace place;
  write_file_atomic(place.rows, trace_rows(2000));
  const std::string one = place.folder / "one", two = place.folder / "two";
  const Arguments job = job_of(2, {"--max_steps", "2"});
  Tool first("reflect-train", place.arguments(job, one));
  Tool second("reflect-train", place.arguments(job, two));
  std::string logs;
  for (Tool* tool : {&first, &second}) {
    const ToolResult result = tool->wait();
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    logs += result.err;
  }
  CHECK(read_file(one + "/adapter/adapter_model.safetensors") ==
        read_file(two + "/adapter/adapter_model.safetensors"));
  CHECK(logs.find("warning") == std::string::npos);
  REQUIRE(names_in(place.folder / ".tokenized").size() == 1);
  CHECK_THAT(names_in(place.folder / ".tokenized")[0], Catch::EndsWith(".tokens"));
}

TEST_CASE("memory does not grow with the text of the rows") {
  const Workplace place;
  const std::string few = place.folder / "few.jsonl";
  write_wide_rows(few, 4);
  write_wide_rows(place.rows, 4000);  // 120 MB
  const auto peak_of = [&](const std::string& name, const Arguments& more) {
    trained(place, name, more);
    return metrics_of(place.folder / name).back()["peak_rss_mib"].get<int>();
  };
  const Arguments none = {"--max_steps", "1", "--data.cache", "none"};
  const int many = peak_of("many", none);
  const int cold = peak_of("cold", {"--max_steps", "1"});
  const int warm = peak_of("warm", {"--max_steps", "1"});
  fs::rename(few, place.rows);
  const int least = peak_of("few", none);
  CAPTURE(least, many, cold, warm);
  CHECK(many < least + 60);
  CHECK(cold < least + 60);
  CHECK(warm < least + 60);
}

TEST_CASE("a full disk keeps tokenized rows in memory, with a warning") {
  const Workplace place;
  write_file_atomic(place.rows, trace_rows(400));
  const std::string err = place.folder / "err", out = place.folder / "out";
  // Files of 16 KiB at most.
  const std::string command = "trap '' XFSZ; ulimit -f 32; " + std::string(REFLECT_BIN_DIR) +
                              "/reflect-train --model " + kModel + " --train " + place.rows +
                              " --explain 1 --data.cache " + (place.folder / "cache") + " >" + out +
                              " 2>" + err;
  CHECK(WEXITSTATUS(std::system(command.c_str())) == 0);
  CHECK_THAT(read_file(err), Catch::Contains("kept in memory") && Catch::Contains("too large"));
  CHECK_THAT(read_file(out), Catch::Contains("reflection"));
  CHECK(fs::is_empty(place.folder / "cache"));
}

}  // namespace reflect
