// reflect-train's job: fine-tune a checkpoint on rows with typed spans.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reflect/base/error.h"
#include "reflect/base/runtime.h"
#include "reflect/dist/launch.h"
#include "reflect/model/base_config.h"
#include "reflect/model/lora.h"
#include "reflect/train/heldout_problems.h"
#include "reflect/train/optimizer.h"
#include "reflect/train/pack_plan.h"
#include "reflect/train/plan.h"
#include "reflect/train/schedule.h"
#include "reflect/train/training_data.h"

namespace reflect {

struct CheckpointConfig {
  double seconds = 0;
  bool async = true;
  void visit(auto& v) {
    v("seconds", seconds, "Seconds between checkpoints, besides save_every; 0: not by time.");
    v("async", async,
      "Copy the state at a step's end and write it while training goes on; needs host memory for "
      "the copy.");
  }
};

struct TrainConfig {
  std::string model;
  std::vector<std::string> train;
  std::vector<std::string> mix;
  std::string weight_by;
  std::string curriculum_by;
  std::vector<std::string> heldout;
  std::int64_t heldout_every = 100;
  HeldoutProblemsConfig heldout_problems;
  std::string output;
  std::string method = "lora";
  std::string init = "checkpoint";
  BaseConfig base;
  PlacementConfig placement;
  std::int64_t tensor_parallel = 1;
  std::string adapter;
  std::string chat_template = "auto";
  std::vector<std::string> tag_tokens;
  std::int64_t max_seq_length = 0;
  DataConfig data;
  std::string order = "shuffle";
  PackingConfig packing;
  std::int64_t gradient_accumulation_steps = 1;
  std::int64_t epochs = 1;
  std::int64_t max_steps = 0;
  std::int64_t max_tokens = 0;
  LossConfig loss;
  LoraConfig lora;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  double clip = 1;
  std::string recompute = "auto";
  std::int64_t max_skipped_steps = 5;
  std::int64_t save_every = 200;
  CheckpointConfig checkpoint;
  std::int64_t keep_checkpoints = 2;
  std::int64_t keep_best = 0;
  std::string save_dtype = "auto";
  std::int64_t explain = 0;
  PlanConfig plan;
  LaunchConfig launch;
  RuntimeConfig runtime;

  void visit(auto& v) {
    v("model", model, "Folder of the base checkpoint: config.json, tokenizer, weights.");
    v("train", train, "Rows to train on: JSON Lines, also .gz and .zst; several files are joined.");
    v("mix", mix,
      "Share of each file of train in an epoch, in their order (2,1: two rows of the first to one "
      "of the second); empty: every row once.");
    v("weight_by", weight_by,
      "Number of a row in proportion to which it is drawn: ifd, rifd or a path such as "
      "scores.ifd_ppl; empty: every row once.");
    v("curriculum_by", curriculum_by,
      "With order curriculum: number by which rows are sorted, low first; ifd, rifd, tokens or a "
      "path.");
    v("heldout", heldout, "Rows whose loss is measured on the way and that are never trained on.");
    v("heldout.every", heldout_every,
      "Steps between measurements of the held-out rows; 0: only before the first step and after "
      "the last.");
    heldout_problems.visit(v);
    v("output", output, "Folder of the run; the same command again resumes it.");
    v("method", method, "What is trained: an adapter or every weight.", {"lora", "full"});
    v("init", init, "Start from the checkpoint's weights or (method full) from random ones.",
      {"checkpoint", "random"});
    v("base", base, "");
    placement.visit(v);
    v("tensor_parallel", tensor_parallel,
      "Processes (consecutive ranks of one machine) that hold a slice of every projection of a "
      "frozen base each and compute each pack together.");
    v("adapter", adapter, "Folder of an adapter to go on training; it brings its own lora.*.");
    v("template", chat_template, "Chat template; auto: told by the model's folder.");
    v("tag_tokens", tag_tokens,
      "Tags of the assistant's text as single tokens: reserved (the first "
      "<|reserved_special_token_N|>) "
      "or six tokens of the tokenizer, whose rows are then trained; empty: tags are text.");
    v("max_seq_length", max_seq_length,
      "Longer rows are left out; 0: the model's window, at most 4096.");
    v("data", data, "");
    v("order", order,
      "Order of rows: shuffled anew each epoch, as in the files, or sorted by curriculum_by.",
      {"shuffle", "input", "curriculum"});
    v("packing", packing, "");
    v("gradient_accumulation_steps", gradient_accumulation_steps,
      "Packs of one optimizer step, over all processes.");
    v("epochs", epochs, "Passes over the data.");
    v("max_steps", max_steps, "Optimizer steps; above 0 it replaces epochs.");
    v("max_tokens", max_tokens, "Tokens to train on; above 0 it replaces epochs.");
    v("loss", loss, "");
    v("lora", lora, "");
    v("optimizer", optimizer, "");
    v("schedule", schedule, "");
    v("clip", clip, "Largest L2 norm of the gradient; 0: no clipping.");
    v("recompute", recompute,
      "What the backward pass computes a second time to save memory: nothing, what costs no matrix "
      "product (selective), or every decoder block; auto: block where weights do not stay in "
      "memory, else none.",
      {"auto", "none", "selective", "block"});
    v("max_skipped_steps", max_skipped_steps,
      "Steps in a row with a non-finite loss or gradient after which the run stops.");
    v("save_every", save_every, "Steps between checkpoints; 0: only when a signal ends the run.");
    v("checkpoint", checkpoint, "");
    v("keep_checkpoints", keep_checkpoints, "How many of the newest checkpoints stay.");
    v("keep_best", keep_best,
      "How many more checkpoints stay: those with the lowest held-out loss.");
    v("save_dtype", save_dtype, "Type of the written model (method full); auto: as computed.",
      {"auto", "fp32", "bf16"});
    v("explain", explain, "Print this many packed rows token by token and stop; 0: train.");
    plan.visit(v);
    v("launch", launch, "");
    runtime.visit(v);
  }
};

// Trains and writes <output>/adapter (PEFT's format) or <output>/model (a Hugging Face checkpoint),
// metrics.jsonl, config.yaml and run.json. Resumes from the newest checkpoint of <output>, bit by
// bit as if never interrupted. SIGTERM, SIGINT and SIGUSR1 save at the next step's end and give
// 128 + N. As one of several processes (see LaunchEnvironment) it trains together with the others.
// `read_problems` is asked where config.heldout_problems names a file.
ExitCode train(const TrainConfig& config, const ReadProblems& read_problems);

}  // namespace reflect
