#!/usr/bin/env bash
# How long reflect-gen takes to start on a run folder with N stored replies (1,000,000): without a
# checkpoint, when every row is made again from its reply, and with one. Prints wall and CPU seconds.
#
# bench/resume_bench.sh [N] [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
count=${1:-1000000}
folder=${2:-$(mktemp -d)}
bin=build/release/bin

"$bin/resume_bench" "$folder" "$count"
du -sh "$folder/rows.run" | cut -f1
run() {
  # The budget is too small for any request: the run ends where stored replies do (exit code 3).
  OPENAI_API_KEY=none /usr/bin/time -f "$1: %e s, CPU %U + %S s, %M KiB" "$bin/reflect-gen" \
    --recipe "$folder/recipe.yaml" --input "$folder/problems.jsonl" --output "$folder/rows.jsonl" \
    --teacher.kind openai --teacher.url http://127.0.0.1:9/v1 --teacher.model none \
    --budget.tokens 1 --quiet >/dev/null || [ $? = 3 ]
}
run "all rows made again"
sha256sum <"$folder/rows.jsonl"
run "behind the checkpoint"
sha256sum <"$folder/rows.jsonl"
