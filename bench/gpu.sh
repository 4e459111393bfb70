#!/usr/bin/env bash
# What a GPU does, in at most LIMIT seconds (570): kernels against the CPU; LoRA on Llama-3.1-8B's shape (bf16, FP8
# and NF4 base, packs of 4096 tokens, with and without recomputation) beside transformers + PEFT; LoRA on
# Llama-3.1-70B's shape with an NF4 base (where 60 GiB of GPU memory are free); scoring and decoding beside
# transformers; attention kernels beside each other. Random weights. Prints Markdown, with date, commit and device.
# What the time did not reach, what failed (with the end of its log) and what lacks a Python package is said, and the
# rest goes on.
#
# usage: bench/gpu.sh [WORK]
# Builds the preset cuda first (not counted) unless BIN names a folder of built programs, generate_bench among them
# (TESTS: that of model_tests). PYTHON has torch, and transformers and peft for what they do. Disk in WORK: 16 GB for
# 8B; for 70B, after that is deleted, 4 GB and 36 GB of codes in CODES (default: /dev/shm where it has room, else WORK).
# COMMIT names the commit where there is no git. DEVICE=cpu SHAPE=tiny BIG=tiny LENGTH=2048 is a trial of the script.
# Exit code 1: something failed; 3: something was left out. Has never run on a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
work=${1:-$(mktemp -d)}
device=${DEVICE:-cuda} shape=${SHAPE:-8b} big=${BIG:-70b} length=${LENGTH:-4096} steps=${STEPS:-10} limit=${LIMIT:-570}
python=${PYTHON:-python3}
if [ -z "${BIN:-}" ]; then
  scripts/build.sh cuda
  cmake --preset cuda -DREFLECT_BUILD_BENCH=ON >/dev/null && cmake --build build/cuda --target generate_bench
fi
bin=${BIN:-build/cuda/bin} tests=${TESTS:-build/cuda/tests}
commit=${COMMIT:-$(git describe --always --dirty --exclude '*' 2>/dev/null || echo unknown)}
mkdir -p "$work"
codes=
trap 'rm -rf "$codes"' EXIT
SECONDS=0 status=0 allowed=0
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false

left() { echo $((limit - SECONDS)); }

# Runs a command in the time that is left, and in a third of all, without what it says of itself; 124 where that is
# over.
limited() {
  allowed=$(left)
  if [ "$allowed" -lt 5 ]; then return 124; fi
  if [ "$allowed" -gt $((limit / 3)) ]; then allowed=$((limit / 3)); fi
  echo "+ $*" >>"$work/log"
  timeout --kill-after=5 "$allowed" "$@" 2>>"$work/log"
}

# Whether the Python packages are there; 77 with their names in `absent` where not.
has_packages() {
  absent=$("$python" -c 'import importlib.util, sys
print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))' "$@") || return
  [ -z "$absent" ] || return 77
}

# Why a figure is not there, in `why`; keeps it for the script's exit code.
missed() {  # exit code
  if [ "$1" = 77 ]; then
    why="left out: $python has no $absent"
  elif [ "$1" != 124 ] && [ "$1" != 137 ]; then
    why="failed ($1)" status=1
    printf 'gpu.sh: failed (%s); the end of %s:\n%s\n' "$1" "$work/log" "$(tail -n 12 "$work/log")" >&2
  elif [ "$allowed" -lt 5 ]; then
    why="not reached in $limit s"
  else
    why="not done in $allowed s"
  fi
  [ "$status" = 1 ] || status=3
}

# The same with the GPU's largest memory in use, in GiB, in `peak`.
with_peak() {
  local watch='' code=0
  : >"$work/memory"
  if [ "$device" = cuda ]; then
    nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 200 >"$work/memory" &
    watch=$!
  fi
  limited "$@" || code=$?
  [ -z "$watch" ] || { kill "$watch" && wait "$watch"; } 2>/dev/null || true
  peak=$(sort -n "$work/memory" | tail -1 | awk '{printf "%.1f", $1 / 1024}')
  return $code
}

train() {  # model, storage, recompute, steps, flags...
  local run=$work/run
  rm -rf "$run"
  with_peak "$bin/reflect-train" --model "$1" --train "$work/rows.jsonl" --output "$run" \
    --device "$device" --dtype bf16 --base.storage "$2" --packing.capacity "$length" \
    --max_seq_length "$length" --gradient_accumulation_steps 1 --max_steps "$4" \
    --schedule.type constant --schedule.warmup_ratio 0 --lora.rank 16 --lora.alpha 32 --recompute "$3" \
    --save_every 0 --quiet --log-level error "${@:5}" >>"$work/log" || return
  "$python" - "$run/metrics.jsonl" >"$work/figures" <<'PY'
import json, sys
lines = [line for line in map(json.loads, open(sys.argv[1])) if "tokens_per_second" in line][2:]
tokens = sum(line["tokens_per_second"] * line["seconds"] for line in lines)
seconds = sum(line["seconds"] for line in lines)
print(f"{tokens / seconds:.0f} {seconds / len(lines):.2f}")
PY
}

peer() {  # flags...
  has_packages transformers peft || return
  with_peak "$python" bench/gpu_peer.py train "$work/model" "$length" "$steps" --device "$device" "$@" >"$work/figures"
}

row() {  # name, command that leaves two figures in $work/figures and `peak`
  local code=0 tokens seconds
  : >"$work/figures"
  "${@:2}" || code=$?
  if [ $code = 0 ] && [ ! -s "$work/figures" ]; then code=1; fi
  if [ $code = 0 ]; then
    read -r tokens seconds <"$work/figures"
    echo "| $1 | $tokens | $seconds | ${peak:--} |"
  else
    missed $code
    echo "| $1 | $why | | |"
  fi
}

table() {
  printf '\n%s\n\n' "$1"
  echo "| program | tokens/s | s/step | peak GiB |"
  echo "|---|---|---|---|"
}

header() {
  local name
  if [ "$device" = cuda ]; then
    name=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | head -1)
  else
    name=$(grep -m1 "model name" /proc/cpuinfo | sed 's/.*: //')
  fi
  printf '## %s, commit %s\n\n%s\n\n' "$(date -u '+%Y-%m-%d %H:%M UTC')" "$commit" "$name"
}

gib_free() { df --output=avail -BG "$1" | tail -1 | tr -dc 0-9; }

# A folder in memory or on the disk for 36 GB of codes.
place_of_codes() {
  local host
  host=$(awk '/MemAvailable/ {printf "%d", $2 / 1048576}' /proc/meminfo)
  if [ -n "${CODES:-}" ]; then
    echo "$CODES"
  elif [ "$big" != 70b ]; then
    echo "$work"
  elif [ "$(gib_free /dev/shm)" -ge 40 ] && [ "$host" -ge 64 ]; then
    echo /dev/shm
  elif [ "$(gib_free "$work")" -ge 44 ]; then
    echo "$work"
  fi
}

# The big checkpoint without its projections, and random codes of them where --base.cache looks: the program names
# that folder when it starts, and has no time to quantise anything.
make_big() {  # folder of codes
  limited "$python" bench/gpu_model.py "$big" data/demo/model "$work/big" "$work/rows.jsonl" --sparse || return
  "$bin/reflect-train" --model "$work/big" --train "$work/rows.jsonl" --output "$work/named" \
    --max_seq_length "$length" --dtype bf16 --base.storage nf4 --base.cache "$1" --max_steps 1 --quiet \
    --log-level error >>"$work/log" 2>&1 &
  local naming=$! folder=
  while [ -z "$folder" ] && kill -0 $naming 2>/dev/null && [ "$(left)" -gt 5 ]; do
    sleep 0.2
    folder=$(find "$1" -mindepth 1 -maxdepth 1 -type d -name "nf4-*")
  done
  { kill -9 $naming && wait $naming; } 2>/dev/null || true
  [ -n "$folder" ] || return $(($(left) > 5 ? 1 : 124))
  find "$folder" -type f -delete
  limited "$python" bench/gpu_codes.py "$big" "$folder"
}

big_case() {
  local free=0 place code=0
  [ "$device" != cuda ] || free=$(nvidia-smi --query-gpu=memory.free --format=csv,noheader,nounits | head -1)
  table "LoRA as above, shape $big, NF4 base with random codes, packs of $length, block recomputation, $device"
  if [ "$device" = cuda ] && [ "$big" = 70b ] && [ "$free" -lt 61440 ]; then
    echo "| reflect-train, base in nf4 | left out: $free MiB of GPU memory are free, 61440 are needed | | |"
    return
  fi
  rm -rf "$work/model"
  place=$(place_of_codes)
  if [ -z "$place" ]; then
    echo "| reflect-train, base in nf4 | left out: no 40 GiB for codes in /dev/shm or 44 in $work | | |"
    return
  fi
  codes=$(mktemp -d "$place/codes.XXXXXX")
  make_big "$codes" || code=$?
  if [ $code = 0 ]; then
    row "reflect-train, base in nf4" train "$work/big" nf4 block $((steps < 6 ? steps : 6)) --base.cache "$codes"
  else
    missed $code
    echo "| reflect-train, base in nf4 | no codes: $why | | |"
  fi
  rm -rf "$codes" "$work/big"
}

one() {  # what, program, command that leaves a figure in $work/figures
  local code=0
  : >"$work/figures"
  "${@:3}" || code=$?
  if [ $code = 0 ] && [ ! -s "$work/figures" ]; then code=1; fi
  if [ $code = 0 ]; then
    echo "| $1 | $2 | $(cat "$work/figures") |"
  else
    missed $code
    echo "| $1 | $2 | $why |"
  fi
}

score() {
  rm -f "$work"/scored.jsonl* "$work/kept.jsonl"
  limited "$bin/reflect-score" --model "$work/model" --input "$work/score.jsonl" --output "$work/scored.jsonl" \
    --selected "$work/kept.jsonl" --device "$device" --dtype bf16 --quiet >"$work/said" || return
  sed -nE 's#.* ([0-9.]+) rows/s.*#\1#p' "$work/said" | tail -1 >"$work/figures"
}

decode() {  # rows
  limited "$bin/generate_bench" --model "$work/model" --rows "$work/rows.jsonl" --batch "$1" --new 128 \
    --device "$device" --dtype bf16 --log-level error >"$work/said" || return
  sed -nE 's/.*"tokens_per_s":([0-9.]+).*/\1/p' "$work/said" | awk '{printf "%.1f\n", $1}' >"$work/figures"
}

peers_figure() {  # name
  awk -v name="$1" '$1 == name {print $2; found = 1} END {exit !found}' "$work/peer" >"$work/figures" ||
    return $((peer_code > 0 ? peer_code : 1))
}

inference() {
  local peer_code=0
  head -100 "$work/rows.jsonl" >"$work/score.jsonl"
  : >"$work/peer"
  { has_packages transformers && limited "$python" bench/gpu_peer.py infer "$work/model" "$work/rows.jsonl" 128 \
    --device "$device" >"$work/peer"; } || peer_code=$?
  printf '\n%s\n\n' "Scoring (rows/s) and greedy decoding of 128 tokens a row (tokens/s), shape $shape, bf16"
  echo "| what | program | figure |"
  echo "|---|---|---|"
  one "scoring" reflect-score score
  one "scoring" transformers peers_figure scoring
  for rows in 1 16; do
    one "decoding, rows: $rows" generate_bench decode $rows
    one "decoding, rows: $rows" transformers peers_figure "decoding-$rows"
  done
}

attention() {
  printf '\n%s\n\n' "Causal attention, shape $shape, $length tokens, bf16 (milliseconds)"
  echo "| kernel | rows | forward | with gradients | difference |"
  echo "|---|---|---|---|---|"
  local code=0
  limited "$python" bench/gpu_attention.py "$shape" "$length" || code=$?
  if [ $code != 0 ]; then missed $code && echo "| $why | | | | |"; fi
}

# Stops where the programs cannot run or there is no GPU. Where a kernel is wrong the times still tell something.
kernels() {
  local code=0
  limited "$tests/model_tests" "*GPU*" >"$work/said" || code=$?
  if { [ "$device" = cuda ] && grep -q "no GPU here" "$work/said"; } || ! grep -qE "passed|failed" "$work/said"; then
    tail -n 40 "$work/log" "$work/said" >&2
    echo "gpu.sh: the kernels were not tried on a GPU ($code); nothing was timed" >&2
    exit 1
  fi
  if [ $code = 0 ]; then
    echo "Kernels against the CPU: $(grep -E "passed|skipped" "$work/said" | tail -1)"
  else
    missed $code
    printf '**Kernels against the CPU: %s.** The times below are of these kernels.\n\n```\n' "$why"
    tail -n 60 "$work/said"
    echo '```'
  fi
}

training() {
  table "LoRA r = 16 on all projections, shape $shape, packs of $length, $device"
  for storage in dtype fp8 nf4; do
    row "reflect-train, base in ${storage/dtype/bf16}" train "$work/model" $storage none "$steps"
  done
  row "transformers + PEFT, bf16" peer
  row "reflect-train, base in bf16, block recomputation" train "$work/model" dtype block "$steps"
  row "transformers + PEFT, bf16, gradient checkpointing" peer --checkpointing
}

header
: >"$work/log"
has_packages torch || { echo "gpu.sh: $python has no torch; PYTHON names one that has" >&2 && exit 1; }
kernels
code=0
limited "$python" bench/gpu_model.py "$shape" data/demo/model "$work/model" "$work/rows.jsonl" || code=$?
if [ $code = 0 ]; then
  training
  inference
else
  missed $code
  printf '\n%s\n' "No checkpoint of the shape $shape: $why."
fi
if [ "$device" = cuda ]; then attention; fi
big_case
printf '\n%s\n' "$SECONDS s in all."
exit $status
