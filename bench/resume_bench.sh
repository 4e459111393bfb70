#!/usr/bin/env bash
# How long reflect-gen takes on a run folder with N stored replies (1,000,000) until it sends its first
# request: without a checkpoint, when every row is made again from its reply, and with one. Prints wall
# and CPU seconds.
#
# bench/resume_bench.sh [N] [FOLDER]      (a million take 4 GB)
set -euo pipefail
cd "$(dirname "$0")/.."
count=${1:-1000000}
folder=${2:-$(mktemp -d)}
bin=build/release/bin

[ -e "$folder/problems.jsonl" ] || "$bin/resume_bench" "$folder" "$count"
du -sh "$folder/rows.run" | cut -f1
run() {
  printf '%s: ' "$1"
  OPENAI_API_KEY=none python3 bench/first_request.py "$bin/reflect-gen" \
    --recipe "$folder/recipe.yaml" --input "$folder/problems.jsonl" --output "$folder/rows.jsonl" \
    --teacher.kind openai --teacher.url URL --teacher.model none --quiet
}
run "all rows made again"
run "behind the checkpoint"
