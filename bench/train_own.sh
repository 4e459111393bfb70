#!/usr/bin/env bash
# What reflect-train costs by itself: more processes, checkpoints, and how the base is stored and what is
# recomputed, with the memory that --plan said beforehand.
#
# usage: bench/train_own.sh MODEL ROWS.jsonl [scaling|checkpoints|plan ...]     (default: all three)
# Environment: PYTHON (python3), BIN (folder of reflect-train), STEPS (12; checkpoints: three times it).
#
# LoRA r = 16 on the seven projections, packs of 1024 tokens, AdamW at a constant rate, as
# train_bench.sh. Prints Markdown tables.
set -euo pipefail
model=$1 rows=$2
shift 2
parts=${*:-scaling checkpoints plan}
python=${PYTHON:-python3} steps=${STEPS:-12}
bin=${BIN:-$(dirname "$0")/../build/release/bin}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# train FOLDER STEPS SAVE_EVERY [flag ...]
train() {
  local folder=$scratch/$1 length=$2 every=$3
  shift 3
  rm -rf "$folder"
  "$bin/reflect-train" --model "$model" --train "$rows" --output "$folder" --packing.capacity 1024 \
    --max_steps "$length" --schedule.type constant --schedule.warmup_ratio 0 --lora.rank 16 \
    --lora.alpha 32 --save_every "$every" --quiet "$@"
}

# Tokens a second of a run's steps but the first two, and its peak in MiB.
rate_and_peak() {
  "$python" - "$scratch/$1/metrics.jsonl" <<'PY'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
steady = lines[2:]
tokens = sum(line["tokens_per_second"] * line["seconds"] for line in steady)
print(tokens / sum(line["seconds"] for line in steady), lines[-1]["peak_rss_mib"])
PY
}

# Two packs a step in each row: the same work.
scaling() {
  echo "| processes x threads | placement | tokens/s | peak RSS MiB of rank 0 |"
  echo "|---|---|---|---|"
  local processes threads placement
  while read -r processes threads placement; do
    OMP_NUM_THREADS=$threads train scaling "$steps" 0 --dtype bf16 --threads "$threads" --gradient_accumulation_steps 2 \
      --launch.nproc "$processes" --placement "$placement" --log-level error >/dev/null
    printf '| %s x %s | %s | %.0f | %.0f |\n' "$processes" "$threads" "$placement" $(rate_and_peak scaling)
  done <<'RUNS'
1 1 replicate
1 2 replicate
2 1 replicate
2 1 shard
RUNS
}

checkpoints() {
  echo "| a checkpoint each | what the program says |"
  echo "|---|---|"
  local every
  for every in 1 10; do
    train checkpoints $((3 * steps)) "$every" --dtype bf16 >"$scratch/out" 2>&1
    echo "| $every steps | $(grep -o '[0-9]* checkpoints: .*' "$scratch/out") |"
  done
}

# plan_row DTYPE [flag ...]
plan_row() {
  local dtype=$1 planned rate peak
  shift
  planned=$(train plan "$steps" 4 --dtype "$dtype" "$@" --plan --log-level error | awk '$1 == "peak" { print $2 }')
  train plan "$steps" 4 --dtype "$dtype" "$@" --log-level error >/dev/null
  read -r rate peak < <(rate_and_peak plan)
  printf '| %s | %s | %.0f | %.0f | %+.1f %% | %.0f |\n' "$dtype" "${*:-replicate}" "$planned" "$peak" \
    "$(awk "BEGIN { print 100 * ($planned - $peak) / $peak }")" "$rate"
}

plan() {
  echo "| dtype | base | planned MiB | measured MiB | planned - measured | tokens/s |"
  echo "|---|---|---|---|---|---|"
  local dtype placed
  for dtype in bf16 fp32; do
    plan_row "$dtype"
    plan_row "$dtype" --recompute selective
    plan_row "$dtype" --recompute block
    plan_row "$dtype" --base.storage fp8
    for placed in '--base.storage nf4' '--placement offload'; do
      plan_row "$dtype" $placed
      plan_row "$dtype" $placed --recompute selective
      plan_row "$dtype" $placed --recompute none
    done
  done
}

for part in $parts; do
  printf '\n'
  "$part"
done
