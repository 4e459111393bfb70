#!/usr/bin/env bash
# Rows a second of reflect-score and of the peer ifd_reference.py on the same rows, one after another.
#
# usage: bench/score_bench.sh MODEL_DIR ROWS.jsonl [THREADS]
# Prints a Markdown table; loading the model is not counted. PYTHON, PEERS and PRESET as in score_parity.sh.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
model=$1 rows=$2 threads=${3:-$(nproc)}
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

echo "$(wc -l <"$rows") rows on $(basename "$model"), $threads threads"
echo
echo "| program | dtype | rows/s | tokens/s | peak MiB |"
echo "|---|---|---|---|---|"
peer "peer, naive" --mode naive --dtype fp32
peer "peer, batched --onednn --batch 4" --mode batched --onednn --batch 4 --dtype fp32
ours "reflect-score --parity reference" fp32 --parity reference
ours "reflect-score" fp32
peer "peer, naive" --mode naive --dtype bf16
peer "peer, batched --batch 4" --mode batched --batch 4 --dtype bf16
ours "reflect-score --parity reference" bf16 --parity reference
ours "reflect-score" bf16
