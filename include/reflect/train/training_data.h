// The rows of a run as examples, with an account of every row that is not among them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "reflect/data/batch.h"
#include "reflect/data/chat.h"
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

struct TrainingDataOptions {
  std::vector<std::string> files;
  std::string preset;  // of LossConfig
  bool lora = true;    // what "auto" looks at
  std::int64_t max_seq_length = 4096;
  bool keep_records = false;  // for `explain`, which shows roles
  bool heldout = false;       // measured, never trained on: mistakes may be without a span
  bool by_file = false;       // for a mix: remember which file a row came from
  // Path of the number by which rows are drawn, and of that by which a curriculum is sorted, for
  // example "scores.ifd_ppl"; "tokens" is a row's length. Empty: none. Rows without it are dropped.
  std::string weight_by = "", curriculum_by = "";
};

struct TrainingData {
  std::vector<Example> examples;
  std::vector<Record> records;                  // of the examples, where asked for
  std::string preset;                           // "auto" resolved
  std::map<std::string, std::int64_t> dropped;  // rows left out, by reason
  std::vector<std::string> malformed;           // for people: of each file, which rows and why
  std::int64_t rows = 0;                        // read, good or bad
  std::int64_t reflective_rows = 0;             // with at least one reflection
  std::int64_t reflective_without_error = 0;    // of these: no error span
  // Rows by the hash of their system message ("none" without one), and rows whose message is not
  // the one that their recipe wrote.
  std::map<std::string, std::int64_t> system_prompts;
  std::int64_t other_system_prompt = 0;
  RowTraits traits;  // of each example or, where they are pairs, of each pair
  std::string hash;  // of all ids and weights, in order, and of the traits

  std::vector<std::int64_t> lengths() const;
};

// Reads and tokenizes all files on all cores. Throws Error when no row is left, or when mask_error
// would mask nothing: more than 5 % of the reflective rows have no error span.
TrainingData load_training_data(const TrainingDataOptions& options, const ChatTemplate& chat,
                                const Tokenizer& tokenizer);

// Throws Error with the reasons where no row is left.
void require_examples(const TrainingData& data);

// Why a row whose example has this status (not kOk) is left out.
std::string drop_reason(ExampleStatus status);

// Counts and describes the malformed rows of a file.
void add_malformed(const std::vector<BadRow>& rows, const std::string& file, TrainingData& data);

// How many of `examples` have the ids of one of `others`.
std::int64_t count_shared(const std::vector<Example>& examples, const std::vector<Example>& others);

// Of all ids and weights, in order, and of the traits where there are any.
std::string hash_of(const std::vector<Example>& examples, const RowTraits& traits = {});

// Refuses rows that would teach something broken: a doubled BOS, or no trained end-of-turn token.
// Throws Error that names the row.
void check_examples(const std::vector<Example>& examples, const ChatTemplate& chat,
                    const Tokenizer& tokenizer);

}  // namespace reflect
