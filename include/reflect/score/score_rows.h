// The job of reflect-score: reads rows, scores them with the student model, decides which are kept.
#pragma once

#include <string>
#include <vector>

#include "reflect/base/error.h"
#include "reflect/base/runtime.h"
#include "reflect/dist/launch.h"
#include "reflect/model/base_config.h"
#include "reflect/score/prefilter_config.h"
#include "reflect/score/reference.h"
#include "reflect/score/scorer_config.h"
#include "reflect/score/select.h"

namespace reflect {

struct ScoreConfig {
  RuntimeConfig runtime;
  std::string model;
  std::string adapter;
  BaseConfig base;
  PlacementConfig placement;
  LaunchConfig launch;
  std::string input;
  std::string output;
  std::string selected;
  std::string random_control = "auto";
  std::string report;
  std::vector<std::string> decontaminate;
  double decontaminate_ratio = 0.7;
  std::string parity = "fixed";
  std::string chat_template = "auto";
  bool reverse = true;
  bool span_gain = true;
  std::int64_t limit = 0;
  std::string shard = "auto";
  std::string explain;
  std::int64_t tokenizer_threads = 1;
  PrefilterConfig prefilter;
  ScorerConfig scorer;
  ReferenceConfig reference;
  SelectionConfig selection;

  void visit(auto& v) {
    v("model", model, "Folder of the student's checkpoint.");
    v("adapter", adapter, "Folder of a PEFT adapter on it.");
    v("base", base, "");
    placement.visit(v);
    v("input", input, "Rows as JSON Lines; - reads standard input.");
    v("output", output, "All rows with their scores and the decision.");
    v("selected", selected, "The kept rows.");
    v("random-control", random_control,
      "As many rows at random, to compare with; auto: random_control.jsonl beside the kept rows, "
      "none: not written.");
    v("report", report, "HTML page about scores and selection; empty: none.");
    v("decontaminate", decontaminate,
      "Benchmark files (JSON Lines): drop rows that hold 13 words in a row of their text, or "
      "decontaminate-ratio of the 8-grams of one text.");
    v("decontaminate-ratio", decontaminate_ratio,
      "Share of a benchmark text's distinct 8-grams that makes a row contaminated.");
    v("parity", parity,
      "How passes are built: fixed (on ids, by the chat template) or reference (the published "
      "scripts, on joined strings).",
      {"fixed", "reference"});
    v("template", chat_template, "Chat template of the fixed mode; auto: the model's own.");
    v("reverse", reverse, "Score r-IFD too; false halves the cost.");
    v("span-gain", span_gain,
      "Score each correction without its reflection, and with another row's, too (fixed mode, rows "
      "with spans).");
    v("limit", limit, "Score the first rows only; 0: all.");
    v("shard", shard,
      "i/n: score the i-th of n parts of the input (0/4 is the first of four) into files named "
      "after it; auto: all of it. The processes of a job (--launch.nproc, torchrun, SLURM) share "
      "the rows out and write one result.");
    v("explain", explain,
      "Id of a row: print its passes token by token and write nothing; --output and --selected "
      "are not needed.");
    v("tokenizer-threads", tokenizer_threads, "Threads that read and tokenize ahead of the model.");
    v("prefilter", prefilter, "");
    scorer.visit(v);
    v("reference", reference, "");
    v("selection", selection, "");
    v("launch", launch, "");
    runtime.visit(v);
  }
};

// Writes `output`, `selected`, a random control, `output`.receipt.json, `output`.meta.json and,
// where input lines were bad, `output`.rejected.jsonl; prints a summary on standard output. An
// interrupted run leaves `output`.journal, from which the same command goes on to the same bytes; a
// finished one leaves its scores in `output`, among which the same command, with the same or other
// selection settings, selects again without the model. Returns kIncomplete when
// a signal ended it at a batch's end. The processes of a job score a batch each at a time; the
// first one selects and writes all files, the bytes of which are those that one process writes.
ExitCode score_rows(const ScoreConfig& config);

}  // namespace reflect
