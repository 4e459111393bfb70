// Tokenizer speed: encodes and decodes the texts of JSON Lines files one by one on one thread, in
// processor time, so that a busy machine disturbs it little.
//
// Usage: tokenizer_bench TOKENIZER FILE.jsonl...     (the fields of GSM8K: question and answer)
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "reflect/base/file.h"
#include "reflect/data/tokenizer.h"

namespace {

std::vector<std::string> texts_of(const std::vector<std::string>& paths) {
  std::vector<std::string> texts;
  for (const std::string& path : paths) {
    reflect::LineReader lines(path);
    while (const auto line = lines.next()) {
      const auto row = nlohmann::json::parse(*line);
      for (const char* field : {"question", "answer"}) texts.push_back(row[field]);
    }
  }
  return texts;
}

template <class Action>
double best_seconds(Action action) {
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    const std::clock_t begin = std::clock();
    action();
    best = std::min(best, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::puts("usage: tokenizer_bench TOKENIZER FILE.jsonl...");
    return 2;
  }
  const std::vector<std::string> texts = texts_of({argv + 2, argv + argc});
  double megabytes = 0;
  for (const std::string& text : texts) megabytes += static_cast<double>(text.size()) / 1e6;

  std::unique_ptr<reflect::Tokenizer> tokenizer;
  const double load = best_seconds([&] { tokenizer = reflect::load_tokenizer(argv[1]); });
  std::vector<std::vector<std::int32_t>> rows(texts.size());
  const double encode = best_seconds([&] {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      rows[i].clear();
      for (const reflect::Token& token : tokenizer->encode(texts[i])) rows[i].push_back(token.id);
    }
  });
  std::size_t ids = 0;
  const double decode = best_seconds([&] {
    ids = 0;
    for (const auto& row : rows) {
      if (!reflect::decode(*tokenizer, row).empty()) ids += row.size();
    }
  });
  std::printf("reflect: %.2f MB, %zu ids; load %.3f s; encode %.2f MB/s; decode %.2f MB/s\n",
              megabytes, ids, load, megabytes / encode, megabytes / decode);
}
