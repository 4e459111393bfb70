// reflect-merge: adapter + base -> a plain checkpoint, verified after writing.
#include "reflect/cli/app.h"
#include "reflect/model/merge.h"

int main(int argc, char** argv) {
  const reflect::AppInfo info = {
      "reflect-merge", "Merges a LoRA adapter into its base and verifies what was written.",
      "  reflect-merge --model llama-3.1-8b --adapter runs/tuned/adapter --output llama-tuned\n"};
  return reflect::run_app<reflect::MergeConfig>(argc, argv, info, reflect::merge);
}
