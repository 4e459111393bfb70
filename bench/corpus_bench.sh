#!/usr/bin/env bash
# What it costs to come from a file of rows to the first one that is trained on: reflect-train --explain 1
# on N varied copies (306,393) of GSM8K's training rows, kept in memory, with a cold cache and with a warm
# one. Prints CPU seconds (user + system) and peak RSS. OTHER: another build's program.
#
# bench/corpus_bench.sh MODEL GSM8K [N] [OTHER]
set -euo pipefail
cd "$(dirname "$0")/.."
model=$1 gsm8k=$2 count=${3:-306393} other=${4:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}

python3 - "$gsm8k/train.jsonl" "$work/rows.jsonl" "$count" <<'PYTHON'
import itertools, json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
with open(sys.argv[2], "w") as out:
    for i, row in enumerate(itertools.islice(itertools.cycle(rows), int(sys.argv[3]))):
        copy = i // len(rows)
        out.write(json.dumps({"question": f"{copy}. {row['question']}", "answer": row["answer"]}) + "\n")
PYTHON

run() {  # label, program, flags
  local label=$1 program=$2
  shift 2
  command time -o "$work/time" -f '%U %S %M' "$program" --model "$model" --train "$work/rows.jsonl" \
    --explain 1 --log-level warning "$@" >/dev/null
  awk -v label="$label" '{ printf "| %s | %.1f | %d |\n", label, $1 + $2, $3 / 1024 }' "$work/time"
}
echo "$(wc -l <"$work/rows.jsonl") rows, $(du -m "$work/rows.jsonl" | cut -f1) MiB"
echo "| rows | CPU s | peak RSS MiB |"
echo "|---|---|---|"
bin=build/release/bin/reflect-train
[ -z "$other" ] || run "other build" "$other"
run "in memory" "$bin" --data.cache none
run "cold cache" "$bin" --data.cache "$work/cache"
run "warm cache" "$bin" --data.cache "$work/cache"
echo "cache: $(du -m "$work/cache" | cut -f1) MiB"
