// reflect-train: fine-tunes a Llama checkpoint on rows with typed spans.
#include "reflect/cli/app.h"
#include "reflect/train/train.h"

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
  return reflect::run_app(argc, argv, info, reflect::train);
}
