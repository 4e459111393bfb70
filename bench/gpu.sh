#!/usr/bin/env bash
# What a GPU does: kernels against the CPU, LoRA on Llama-3.1-8B's shape (bf16, FP8 and NF4 base, packs of
# 4096 tokens) beside transformers + PEFT, scoring and decoding. Random weights; about 18 GB of disk.
#
# usage: bench/gpu.sh [WORK]
# Builds the preset cuda first unless BIN names a folder of built programs (TESTS: that of model_tests).
# PYTHON has torch, transformers, peft and safetensors. DEVICE=cpu SHAPE=tiny LENGTH=2048 is a trial of the
# script itself. Has never run on a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
work=${1:-$(mktemp -d)}
device=${DEVICE:-cuda} shape=${SHAPE:-8b} length=${LENGTH:-4096} steps=${STEPS:-10}
python=${PYTHON:-python3}
if [ -z "${BIN:-}" ]; then
  scripts/build.sh cuda
  cmake --preset cuda -DREFLECT_BUILD_BENCH=ON >/dev/null && cmake --build build/cuda --target generate_bench
fi
bin=${BIN:-build/cuda/bin} tests=${TESTS:-build/cuda/tests}
mkdir -p "$work"

"$tests/model_tests" "on a GPU*" || { echo "gpu.sh: the kernels are wrong on this GPU; nothing was timed" >&2; exit 1; }

"$python" bench/gpu_model.py "$shape" data/demo/model "$work/model" "$work/rows.jsonl"

# Runs a command and leaves the GPU's largest memory in use, in GiB, in `peak`.
with_peak() {
  : >"$work/memory"
  if [ "$device" = cuda ]; then
    nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 200 >"$work/memory" &
    local watch=$!
    "$@"
    kill "$watch"
  else
    "$@"
  fi
  peak=$(sort -n "$work/memory" | tail -1 | awk '{printf "%.1f", $1 / 1024}')
}

ours() {
  local run="$work/run-$1"
  rm -rf "$run"
  with_peak "$bin/reflect-train" --model "$work/model" --train "$work/rows.jsonl" --output "$run" \
    --device "$device" --dtype bf16 --base.storage "$1" --packing.capacity "$length" \
    --max_seq_length "$length" --gradient_accumulation_steps 1 --max_steps "$steps" \
    --schedule.type constant --schedule.warmup_ratio 0 --lora.rank 16 --lora.alpha 32 --recompute block \
    --save_every 0 --quiet --log-level error >/dev/null
  "$python" - "$run/metrics.jsonl" "$peak" <<'PY'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])][2:]
tokens = sum(line["tokens_per_second"] * line["seconds"] for line in lines)
seconds = sum(line["seconds"] for line in lines)
print(f"{tokens / seconds:.0f} {seconds / len(lines):.2f} {sys.argv[2] or 0}")
PY
}

row() {  # name, command...
  local name=$1 figures
  shift
  figures=$("$@")  # apart, so that a failure ends the script
  printf '| %s | %s | %s | %s |\n' "$name" $figures
}
echo
echo "LoRA r = 16 on all projections, shape $shape, packs of $length, block recomputation, $device"
echo
echo "| program | tokens/s | s/step | peak GiB |"
echo "|---|---|---|---|"
for storage in dtype fp8 nf4; do
  row "reflect-train, base in ${storage/dtype/bf16}" ours $storage
done
row "transformers + PEFT, bf16" "$python" bench/gpu_peer.py "$work/model" "$length" "$steps" --device "$device"

echo
echo "Scoring:"
head -100 "$work/rows.jsonl" >"$work/score.jsonl"
rm -f "$work"/scored.jsonl*
"$bin/reflect-score" --model "$work/model" --input "$work/score.jsonl" --output "$work/scored.jsonl" \
  --selected "$work/kept.jsonl" --device "$device" --dtype bf16 --quiet | grep "rows/s"
echo "Decoding:"
for batch in 1 16; do
  "$bin/generate_bench" --model "$work/model" --rows "$work/rows.jsonl" --batch "$batch" --new 128 \
    --device "$device" --dtype bf16
done
