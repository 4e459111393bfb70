#!/usr/bin/env bash
# Scores the same rows with reflect-score (--parity reference) and with the peer ifd_reference.py, and compares.
#
# usage: bench/score_parity.sh MODEL_DIR ROWS.jsonl [vicuna|alpaca|wiz] [MAX_LENGTH]
# PYTHON (with torch and transformers), PEERS (folder of ifd_reference.py) and PRESET can be set.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
model=$1 rows=$2 prompt=${3:-vicuna} length=${4:-2048}
peers=${PEERS:-$root/../shared/peers} python=${PYTHON:-python3} bin=$root/build/${PRESET:-release}/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" "$peers/ifd_reference.py" "$model" "$rows" "$work/peer.jsonl" --mode naive --prompt "$prompt" \
  --max-length "$length" >"$work/peer.log"
"$bin/reflect-score" --model "$model" --input "$rows" --output "$work/scored.jsonl" --selected "$work/kept.jsonl" \
  --parity reference --reference.prompt "$prompt" --max-length "$length" --dtype fp32 --quiet >"$work/ours.log"
echo "model $(basename "$model"), prompt $prompt, max_length $length:"
"$python" "$root/bench/compare_scores.py" "$work/scored.jsonl" "$work/peer.jsonl"
