#!/usr/bin/env bash
# Scores the same rows with reflect-score and with transformers, and compares value by value.
#
# usage: bench/score_parity.sh MODEL_DIR ROWS.jsonl [vicuna|alpaca|wiz|fixed] [MAX_LENGTH]
# A prompt's name: --parity reference against the peer ifd_reference.py, the published method; fixed: the
# fixed mode against bench/fixed_peer.py, its definition written down once more.
# PYTHON (with torch and transformers), PEERS (folder of ifd_reference.py) and PRESET can be set;
# TABLE=1 prints one row of a Markdown table.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
model=$1 rows=$2 prompt=${3:-vicuna} length=${4:-2048}
peers=${PEERS:-$root/../shared/peers} python=${PYTHON:-python3} bin=$root/build/${PRESET:-release}/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }

if [ "$prompt" = fixed ]; then
  run "$python" "$root/bench/fixed_peer.py" "$model" "$rows" "$work/peer.jsonl"
  mode=(--parity fixed)
else
  run "$python" "$peers/ifd_reference.py" "$model" "$rows" "$work/peer.jsonl" --mode naive --prompt "$prompt" \
    --max-length "$length"
  mode=(--parity reference --reference.prompt "$prompt")
fi
run "$bin/reflect-score" --model "$model" --input "$rows" --output "$work/scored.jsonl" --selected "$work/kept.jsonl" \
  "${mode[@]}" --max-length "$length" --dtype fp32 --quiet
label="$(basename "$model") | $prompt | $length"
[ -n "${TABLE:-}" ] || echo "$label:"
"$python" "$root/bench/compare_scores.py" "$work/scored.jsonl" "$work/peer.jsonl" ${TABLE:+--label "$label"}
