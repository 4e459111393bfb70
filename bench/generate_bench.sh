#!/bin/bash
# Decoding speed of the engine beside transformers' generate() and, where given, llama.cpp.
#
# Usage: bench/generate_bench.sh PEERS MODEL ROWS.jsonl [DTYPE ...]      (default: bf16 fp32)
#   PEERS   folder with generate_reference.py (docs/benchmarks.md says what it does)
#   MODEL   a checkpoint folder; ROWS: at least 16 rows {instruction, ...}
# Environment: PYTHON (with transformers), BIN (folder of generate_bench), THREADS (2), NEW (256 new
#   tokens a row), GGUF_bf16 and GGUF_fp32 (the model for llama.cpp), OURS_ONLY=1 leaves the peers out.
#
# Chat prompts, no stop token, prompt included in the time, models loaded before. Sampled: temperature
# 0.7, top-p 0.9. Prints a Markdown table of tokens per second over all rows, and peak memory.
set -euo pipefail
peers=$1 model=$2 rows=$3
shift 3
dtypes=${*:-bf16 fp32}
python=${PYTHON:-python3} threads=${THREADS:-2} new=${NEW:-256}
bin=${BIN:-$(dirname "$0")/../build/release/bin}
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false

ours() {  # ours DTYPE BATCH [--sample]
  "$bin/generate_bench" --model "$model" --rows "$rows" --dtype "$1" --batch "$2" --new "$new" \
    --threads "$threads" --log-level error "${@:3}"
}

transformers() {  # transformers DTYPE BATCH [--sample]
  "$python" "$peers/generate_reference.py" hf "$model" "$rows" --dtype "$1" --batch "$2" --new "$new" \
    --threads "$threads" "${@:3}" 2>/dev/null
}

llamacpp() {  # llamacpp GGUF [--sample]
  "$python" "$peers/generate_reference.py" llamacpp "$model" "$rows" --gguf "$1" --new "$new" \
    --threads "$threads" "${@:2}" 2>/dev/null
}

row() {  # row PROGRAM DTYPE BATCH MODE < the program's line of JSON
  "$python" -c '
import json, sys
r = json.loads(sys.stdin.read().strip().splitlines()[-1])
print("| {} | {} | {} | {} |".format(" | ".join(sys.argv[1:]), round(r["tokens_per_s"], 1),
                                     round(r["seconds"], 1), r["peak_rss_mib"]))' "$@"
}

echo "| program | dtype | batch | decoding | tokens/s | seconds | peak RSS MiB |"
echo "|---|---|---|---|---|---|---|"
for dtype in $dtypes; do
  for batch in 1 16; do
    for flags in "" --sample; do
      mode=${flags:+sampled}
      ours "$dtype" $batch $flags | row reflect "$dtype" $batch "${mode:-greedy}"
      [ "${OURS_ONLY:-0}" = 1 ] && continue
      transformers "$dtype" $batch $flags | row transformers "$dtype" $batch "${mode:-greedy}"
      gguf=GGUF_$dtype
      if [ $batch = 1 ] && [ -n "${!gguf:-}" ]; then
        llamacpp "${!gguf}" $flags | row llama.cpp "$dtype" 1 "${mode:-greedy}"
      fi
    done
  done
done
