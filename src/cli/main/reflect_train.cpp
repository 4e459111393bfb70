// reflect-train: fine-tunes a Llama checkpoint on rows with typed spans.
#include "reflect/cli/app.h"
#include "reflect/evaluate/heldout_accuracy.h"
#include "reflect/train/train.h"

// Read by jemalloc: big blocks are treated as others (see keep_memory_of_steps).
extern "C" {
const char* malloc_conf = "oversize_threshold:0";
}

namespace {

reflect::ExitCode train_and_evaluate(const reflect::TrainConfig& config) {
  return reflect::train(config, reflect::heldout_accuracy);
}

}  // namespace

int main(int argc, char** argv) {
  const reflect::AppInfo info = {
      .name = "reflect-train",
      .summary = "Fine-tunes a Llama checkpoint (LoRA or every weight) on reflection traces.",
      .examples =
          "  reflect-train --model base --train kept.jsonl --output run\n"
          "  reflect-train --model base --train kept.jsonl --output run --method full "
          "--optimizer.lr 2e-5\n"
          "  reflect-train --model base --train kept.jsonl --output run --explain 2\n",
  };
  return reflect::run_app(argc, argv, info, train_and_evaluate);
}
