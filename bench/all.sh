#!/usr/bin/env bash
# Every table of docs/benchmarks.md in one run: this project and its peers, one after the other.
#
# usage: bench/all.sh PEERS WORK GSM8K      (40 minutes on 2 cores)
#   PEERS  folder of the peer programs; WORK  folder with base/ (their 116 M model), base.gguf,
#   base32.gguf, rows200.jsonl, train600.jsonl, test16.jsonl; GSM8K  folder with its files.
# Environment: PYTHON (with the peers' libraries), THREADS (2). ONLY="peak tokenizer ..." runs a part.
set -euo pipefail
cd "$(dirname "$0")/.."
peers=$1 work=$2 gsm8k=$3
export PYTHON=${PYTHON:-python3} THREADS=${THREADS:-2} PEERS=$peers BIN=build/release/bin
export GGUF_bf16=$work/base.gguf GGUF_fp32=$work/base32.gguf

cmake --preset release -DREFLECT_BUILD_BENCH=ON >/dev/null
cmake --build build/release --target peak_bench tokenizer_bench generate_bench reflect-score reflect-train >/dev/null

wanted() { [ -z "${ONLY:-}" ] || [[ " $ONLY " == *" $1 "* ]]; }
title() { printf '\n### %s\n\n' "$*"; }

if wanted peak; then
  title "What the machine can do"
  for dtype in bf16 fp32; do $BIN/peak_bench --dtype $dtype --threads "$THREADS" --log-level error; done
fi
if wanted tokenizer; then
  title "Tokenizing GSM8K, one thread"
  echo "reflect:"; $BIN/tokenizer_bench "$work/base/tokenizer.json" "$gsm8k/train.jsonl"
  echo "tokenizers:"; "$PYTHON" bench/tokenizer_peer.py "$work/base/tokenizer.json" "$gsm8k/train.jsonl"
fi
if wanted score; then
  title "Scoring"
  bench/score_bench.sh "$work/base" "$work/rows200.jsonl" "$THREADS"
fi
if wanted train; then
  title "Training"
  bench/train_bench.sh "$peers" "$work/base" "$work/train600.jsonl"
fi
if wanted generate; then
  title "Decoding"
  bench/generate_bench.sh "$peers" "$work/base" "$work/test16.jsonl"
fi
