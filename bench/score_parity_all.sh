#!/usr/bin/env bash
# The table of docs/benchmarks.md: scores of GSM8K rows against transformers, in both modes, with
# tokenizers of two families.
#
# usage: bench/score_parity_all.sh PEERS GSM8K WORK [ROWS]
#   PEERS  folder of make_model.py, gsm8k_rows.py, ifd_reference.py; GSM8K  folder with train.jsonl and
#   test.jsonl; WORK  folder for models and rows; ROWS  how many (500)
# Environment: PYTHON, PRESET as in score_parity.sh.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export PEERS=$1 PYTHON=${PYTHON:-python3} TABLE=1
gsm8k=$2 work=$3 rows=${4:-500}
mkdir -p "$work"
"$PYTHON" "$root/bench/parity_models.py" "$PEERS" "$gsm8k/train.jsonl" "$work" >&2
"$PYTHON" "$PEERS/gsm8k_rows.py" "$gsm8k/test.jsonl" "$work/rows.jsonl" --rows "$rows"

echo "| model | mode | max_length | rows | ratios | losses |"
echo "|---|---|---|---|---|---|"
for model in bpe colon spm; do
  for prompt in vicuna alpaca fixed; do
    "$root/bench/score_parity.sh" "$work/$model" "$work/rows.jsonl" "$prompt"
  done
done
"$root/bench/score_parity.sh" "$work/colon" "$work/rows.jsonl" vicuna 400  # cuts many texts
