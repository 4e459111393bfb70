// The rows of a run as examples, with an account of every row that is not among them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reflect/data/chat.h"
#include "reflect/data/tokenized_corpus.h"
#include "reflect/data/tokenizer.h"
#include "reflect/train/preference_config.h"
#include "reflect/train/row_order.h"

namespace reflect {

struct LossConfig {
  std::string kind = "sft";
  std::string preset = "auto";
  PreferenceConfig dpo;
  void visit(auto& v) {
    v("kind", kind, "sft: responses; dpo: pairs of a chosen and a rejected response.",
      {"sft", "dpo"});
    v("preset", preset,
      "Weights by span type: mask_error (errors 0), glaive (2 from the first reflection on), "
      "output_only, all; auto: mask_error for lora and wherever rows have error spans, else all.",
      {"auto", "mask_error", "all", "glaive", "output_only"});
    v("dpo", dpo, "");
  }
};

struct DataConfig {
  std::string cache = "auto";
  void visit(auto& v) {
    v("cache", cache,
      "Folder that keeps tokenized rows for later runs; auto: .tokenized beside the folder of the "
      "run; none: in memory.");
  }
};

struct TrainingDataOptions {
  std::vector<std::string> files;
  std::string preset;  // of LossConfig
  bool lora = true;    // what "auto" looks at
  std::int64_t max_seq_length = 4096;
  std::string kind = "sft";  // of LossConfig
  bool heldout = false;      // measured, never trained on: mistakes may be without a span
  bool by_file = false;      // for a mix: remember which file a row came from
  // Path of the number by which rows are drawn, and of that by which a curriculum is sorted, for
  // example "scores.ifd_ppl"; "tokens" is a row's length. Empty: none. Rows without it are dropped.
  std::string weight_by = "", curriculum_by = "";
  std::string cache = "";      // folder of tokenized rows; empty: none
  std::string tokenizer = "";  // with a cache: what the tokenizer was loaded from
};

// What became of rows, and what they hold.
struct RowAccount {
  std::int64_t rows = 0;                        // read, good or bad
  std::map<std::string, std::int64_t> dropped;  // rows left out, by reason
  std::vector<std::string> malformed;           // for people: of each file, which rows and why
  std::int64_t rows_with_error = 0;             // with at least one error span
  std::int64_t reflective_rows = 0;             // with at least one reflection
  std::int64_t reflective_without_error = 0;    // of these: no error span
  // Rows by the hash of their system message ("none" without one), and rows whose message is not
  // the one that their recipe wrote.
  std::map<std::string, std::int64_t> system_prompts;
  std::int64_t other_system_prompt = 0;

  void add(const RowAccount& other);
};

struct TrainingData : RowAccount {
  TokenizedCorpus examples;  // of pairs: chosen and rejected in turn
  std::string preset;        // "auto" resolved
  RowTraits traits;          // of each example or, where they are pairs, of each pair
  std::string hash;          // of all ids and weights, in order, and of the traits

  std::vector<std::int64_t> lengths() const;
};

// Tokenizes all files on all cores, or finds that done in the cache. Throws Error when no row is
// left, when check_example refuses one, or when mask_error would mask nothing: more than 5 % of the
// reflective rows have no error span.
TrainingData load_training_data(const TrainingDataOptions& options, const ChatTemplate& chat,
                                const Tokenizer& tokenizer);

// How many of `examples` have the ids of one of `others`.
std::int64_t count_shared(const TokenizedCorpus& examples, const TokenizedCorpus& others);

// Of all ids and weights, in order, and of the traits where there are any.
std::string hash_of(const TokenizedCorpus& examples, const RowTraits& traits = {});

// Refuses rows that would teach something broken: a doubled BOS, or no trained end-of-turn token.
class ExampleCheck {
 public:
  // Throws Error when the tokenizer has no token that ends a turn of the template.
  ExampleCheck(const ChatTemplate& chat, const Tokenizer& tokenizer);
  // Throws Error that names the row.
  void operator()(const Example& example) const;

 private:
  std::optional<std::int32_t> bos_;
  std::vector<std::int32_t> ends_;
  std::string name_of_end_;
};

}  // namespace reflect
