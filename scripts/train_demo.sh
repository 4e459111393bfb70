#!/usr/bin/env bash
# Trains the demo model that the project ships, from scratch, with the project's own tools: problems
# modulo 7 over dependency graphs with 1 to 6 operations, plain solutions only (docs/demo.md).
# About 25 minutes on 2 cores. The same call again resumes.
#
# scripts/train_demo.sh [work folder]       default: runs/demo-base
set -euo pipefail
cd "$(dirname "$0")/.."

work=${1:-runs/demo-base}
model=data/demo/model
bin=build/release/bin
scripts/build.sh release reflect-gen reflect-train
mkdir -p "$work"

stage() {  # stage NAME ROWS OPERATIONS SEED: plain solutions of one step of the curriculum
  [ -s "$work/$1.jsonl" ] || "$bin/reflect-gen" --recipe plain --teacher.kind procedural \
    --procedural.family graph --procedural.operations "$3" --count "$2" --seed "$4" \
    --output "$work/$1.jsonl"
}
stage easy 14000 1-4 11
stage wider 14000 1-5 12
stage whole 82000 1-6 13

cp "$model"/{config,generation_config,tokenizer,tokenizer_config}.json "$work"
"$bin/reflect-train" --config configs/demo_base.yaml --model "$work" \
  --train "$work/easy.jsonl,$work/wider.jsonl,$work/whole.jsonl" --output "$work/run"
cp "$work/run/model/model.safetensors" "$model/model.safetensors"
echo "wrote $model/model.safetensors"
