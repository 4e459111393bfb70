#!/bin/bash
# Training speed and memory of reflect-train beside TRL + PEFT and a bare transformers + PEFT loop.
#
# Usage: bench/train_bench.sh PEERS MODEL ROWS.jsonl [DTYPE ...]      (default: bf16 fp32)
#   PEERS   folder with train_reference.py (docs/benchmarks.md says what it does)
#   MODEL   a checkpoint folder; ROWS: {instruction, input, output} a line
# Environment: PYTHON (with transformers, peft, trl), BIN (folder of reflect-train), THREADS (2),
#   STEPS (8), OURS_ONLY=1 leaves the peers out.
#
# All three: LoRA r = 16 on the seven projections, packs of 1024 tokens, one pack a step, AdamW at a
# constant rate; the first two steps are dropped. Prints a Markdown table.
set -euo pipefail
peers=$1 model=$2 rows=$3
shift 3
dtypes=${*:-bf16 fp32}
python=${PYTHON:-python3} threads=${THREADS:-2} steps=${STEPS:-8}
bin=${BIN:-$(dirname "$0")/../build/release/bin}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export OMP_NUM_THREADS=$threads HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false

ours() {
  "$bin/reflect-train" --model "$model" --train "$rows" --output "$scratch/run-$1" --dtype "$1" \
    --threads "$threads" --packing.capacity 1024 --max_steps "$steps" --schedule.type constant \
    --schedule.warmup_ratio 0 --lora.rank 16 --lora.alpha 32 --save_every 0 --quiet --log-level error
  "$python" - "$scratch/run-$1/metrics.jsonl" <<'PY'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])][2:]
tokens = [line["tokens_per_second"] * line["seconds"] for line in lines]
seconds = sum(line["seconds"] for line in lines)
print(sum(tokens) / seconds, seconds / len(lines), lines[-1]["peak_rss_mib"])
PY
}

peer() {
  "$python" "$peers/train_reference.py" "$1" "$model" "$rows" --dtype "$2" --steps "$steps" \
    --threads "$threads" 2>/dev/null | "$python" -c '
import json, sys
r = json.loads(sys.stdin.read().strip().splitlines()[-1])
print(r["steady_tokens_per_s"], r["seconds_per_step"], r["peak_rss_mib"])'
}

row() { printf '| %s | %s | %.0f | %.2f | %.0f |\n' "$1" "$2" $3; }

echo "| program | dtype | tokens/s | s/step | peak RSS MiB |"
echo "|---|---|---|---|---|"
for dtype in $dtypes; do
  row reflect-train "$dtype" "$(ours "$dtype")"
  [ "${OURS_ONLY:-0}" = 1 ] && continue
  row "bare loop (transformers + PEFT)" "$dtype" "$(peer plain "$dtype")"
  row "TRL + PEFT" "$dtype" "$(peer trl "$dtype")"
done
