// Near-duplicate search and decontamination on one thread: rows a second in processor time, and
// peak memory.
//
// Usage: dedup_bench ROWS [FILE.jsonl...]
// Rows are made from the files' rows (GSM8K: question and answer) by replacing words: a tenth of
// them by 1 % (near duplicates), the others by half (new rows). Without files: random words.
#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "reflect/base/file.h"
#include "reflect/base/random.h"
#include "reflect/data/decontaminate.h"
#include "reflect/data/minhash.h"

namespace {

using namespace reflect;

double seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

double peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

std::vector<std::string> sources_of(const std::vector<std::string>& paths) {
  std::vector<std::string> texts;
  for (const std::string& path : paths) {
    LineReader lines(path);
    while (const auto line = lines.next()) {
      const auto row = nlohmann::json::parse(*line);
      texts.push_back(row.at("question").get<std::string>() + "\n" +
                      row.at("answer").get<std::string>());
    }
  }
  for (std::uint64_t i = texts.size(); i < 7473; ++i) {
    std::string text;
    for (std::uint64_t w = 0; w < 100; ++w)
      text += fmt::format("word{} ", Random(0, "source", {i, w}).below(20000));
    texts.push_back(text);
  }
  return texts;
}

// Row `i`, made from a source by replacing words at random.
std::string row_of(const std::vector<std::string>& sources, std::uint64_t i) {
  Random random(1, "row", {i});
  const std::string& source = sources[random.below(sources.size())];
  const double replaced = random.chance(0.1) ? 0.01 : 0.5;
  std::string row;
  for (std::size_t at = 0; at < source.size();) {
    const std::size_t end = std::min(source.find(' ', at), source.size() - 1) + 1;
    if (random.chance(replaced)) {
      row += fmt::format("{:x} ", random.below(50000));
    } else {
      row.append(source, at, end - at);
    }
    at = end;
  }
  return row;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print("usage: dedup_bench ROWS [FILE.jsonl...]\n");
    return 2;
  }
  const std::uint64_t rows = std::strtoull(argv[1], nullptr, 10);
  const std::vector<std::string> sources = sources_of({argv + 2, argv + argc});
  const double base = peak_mib();
  NearDuplicates index({});
  double adding = 0, bytes = 0;
  std::vector<std::size_t> all;
  for (std::uint64_t i = 0; i < rows; ++i) {
    const std::string row = row_of(sources, i);
    bytes += static_cast<double>(row.size());
    const double begin = seconds();
    index.add(Words(row));
    adding += seconds() - begin;
    all.push_back(i);
  }
  const double begin = seconds();
  const auto matches = index.find(all, 0.8);
  const double finding = seconds() - begin;
  std::size_t duplicates = 0;
  for (const auto& match : matches) duplicates += match.has_value();
  const auto count = static_cast<double>(rows);
  fmt::print("{} rows of {:.0f} bytes, {} near duplicates\n", rows, bytes / count, duplicates);
  fmt::print("signatures {:.2f} s, search {:.2f} s: {:.0f} rows/s; peak memory {:.0f} MiB\n",
             adding, finding, count / (adding + finding), peak_mib() - base);
  if (argc < 3) return 0;

  const Benchmarks benchmarks({argv + 2, argv + argc});
  double looking = 0;
  std::size_t found = 0;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(rows, 20000); ++i) {
    Record record;
    record.messages = {{"user", row_of(sources, i)}};
    const double start = seconds();
    found += benchmarks.find(record).has_value();
    looking += seconds() - start;
  }
  const auto looked = static_cast<double>(std::min<std::uint64_t>(rows, 20000));
  fmt::print("decontamination: {:.0f} rows/s, {} of {:.0f} rows contaminated\n", looked / looking,
             found, looked);
}
