// Problems that a model in training answers on the way, and who lets it answer them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "reflect/data/chat.h"
#include "reflect/data/tokenizer.h"
#include "reflect/dist/process_group.h"
#include "reflect/model/llama.h"

namespace reflect {

struct HeldoutProblemsConfig {
  std::string problems;
  std::int64_t max_problems = 0;
  std::int64_t max_new_tokens = 512;
  std::int64_t max_batch_rows = 32;

  void visit(auto& v) {
    v("heldout.problems", problems,
      "Problems with gold answers, as reflect-eval reads them; the share that the model answers "
      "right is measured when held-out rows are.");
    v("heldout.max_problems", max_problems, "Only the first N of these problems; 0: all.");
    v("heldout.max_new_tokens", max_new_tokens, "Longest answer in tokens.");
    v("heldout.max_batch_rows", max_batch_rows,
      "Answers that a process decodes together; each needs room for its keys and values.");
  }
};

// A model as it is between two steps, on one rank of the group that trains it.
struct ModelInTraining {
  const Llama& llama;
  const Adapter* adapter;  // null: every weight is trained
  const Tokenizer& tokenizer;
  const ChatTemplate& chat;
  ProcessGroup group;
};

struct SolvedProblems {
  std::int64_t right = 0;
  std::int64_t problems = 0;  // at least one
  double accuracy() const { return static_cast<double>(right) / static_cast<double>(problems); }
};

// Lets all ranks of the group answer; changes nothing of the model. What is solved, on rank 0;
// nothing on the others, and where a signal ended it.
using SolveProblems = std::function<std::optional<SolvedProblems>(const ModelInTraining&)>;

// Reads the problems. Training cannot decode, so who calls it brings this.
using ReadProblems = std::function<SolveProblems(const HeldoutProblemsConfig&)>;

}  // namespace reflect
