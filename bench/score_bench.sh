#!/usr/bin/env bash
# Rows a second of reflect-score and of the peer ifd_reference.py on the same rows, one after another.
#
# usage: bench/score_bench.sh MODEL_DIR ROWS.jsonl [THREADS]
# Prints a Markdown table for the rows as they are, for 8 responses to a prompt and for groups of four candidates
# (bench/make_rows.py; PROMPTS of them, 12); loading the model is not counted. CASES="single responses candidates"
# and DTYPES="fp32 bf16" choose. PYTHON, PEERS and PRESET as in score_parity.sh.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
model=$1 input=$2 threads=${3:-$(nproc)}
peers=${PEERS:-$root/../shared/peers} python=${PYTHON:-python3} bin=$root/build/${PRESET:-release}/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

peer() {  # name, flags...
  local name=$1 line
  shift
  line=$("$python" "$peers/ifd_reference.py" "$model" "$rows" "$work/peer.jsonl" --threads "$threads" "$@" 2>/dev/null | tail -1)
  "$python" - "$name" "$line" <<'PY'
import json, sys
r = json.loads(sys.argv[2])
print(f"| {sys.argv[1]} | {r['dtype']} | {r['rows_per_s']:.2f} | {r['tokens_per_s']} | {r['peak_rss_mib']} |")
PY
}

ours() {  # name, dtype, flags...
  local name=$1 dtype=$2
  shift 2
  rm -f "$work"/scored.jsonl*
  "$bin/reflect-score" --model "$model" --input "$rows" --output "$work/scored.jsonl" --selected "$work/kept.jsonl" \
    --dtype "$dtype" --threads "$threads" --quiet "$@" >"$work/log"
  sed -nE "s#.* ([0-9.]+) rows/s, ([0-9]+) tokens/s; peak memory ([0-9]+) MiB.*#| $name | $dtype | \1 | \2 | \3 |#p" "$work/log" | tail -1
}

table() {
  echo "$1: $(wc -l <"$rows") rows on $(basename "$model"), $threads threads"
  echo
  echo "| program | dtype | rows/s | tokens/s | peak MiB |"
  echo "|---|---|---|---|---|"
  for dtype in ${DTYPES:-fp32 bf16}; do
    local onednn=
    [ "$dtype" = fp32 ] && onednn=--onednn
    peer "peer, naive" --mode naive --dtype "$dtype"
    peer "peer, batched $onednn --batch 4" --mode batched $onednn --batch 4 --dtype "$dtype"
    ours "reflect-score --parity reference" "$dtype" --parity reference
    ours "reflect-score" "$dtype"
  done
  echo
}

for case in ${CASES:-single responses candidates}; do
  rows=$work/rows.jsonl
  if [ "$case" = single ]; then
    cp "$input" "$rows"
  else
    "$python" "$root/bench/make_rows.py" "$case" "$input" "$rows" --prompts "${PROMPTS:-12}"
  fi
  table "$case"
done
