#!/usr/bin/env bash
# The whole pipeline on one CPU: traces with mistakes -> scores -> tuned models -> an honest table.
#
# scripts/quickstart.sh                               the demo that the project ships
# scripts/quickstart.sh --gsm8k DIR [--model DIR]     recorded real mistakes on GSM8K problems
#   DIR holds train.jsonl, test.jsonl, example_model_solutions.jsonl; the model defaults to the demo's
# scripts/quickstart.sh ... --run DIR                 the run's folder; default runs/quickstart[-gsm8k]
#
# Installs and builds what is missing. A second call reuses what is built and what is finished.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."

usage() { sed -n '2,9s/^# \{0,1\}//p' scripts/quickstart.sh; }
from_here() { case "$1" in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }
gsm8k='' model=data/demo/model run=''
while [ $# -gt 0 ]; do
  case "$1" in
    --gsm8k | --model | --run)
      [ $# -ge 2 ] || { echo "quickstart: $1 needs a folder" >&2; exit 2; }
      path=$(from_here "$2")
      case "$1" in --gsm8k) gsm8k=$path ;; --model) model=$path ;; --run) run=$path ;; esac
      shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "quickstart: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
  esac
done
if [ -n "$gsm8k" ]; then
  for file in train test example_model_solutions; do
    [ -s "$gsm8k/$file.jsonl" ] || { echo "quickstart: $gsm8k/$file.jsonl is missing" >&2; exit 2; }
  done
fi
run=${run:-runs/quickstart${gsm8k:+-gsm8k}}

scripts/build.sh release reflect-gen reflect-score reflect-train reflect-eval reflect-merge
bin=$PWD/build/release/bin
mkdir -p "$run"
say() { printf '\n== %s\n' "$*"; }
once() {  # once FILE COMMAND...: runs the command unless FILE is there; fewer rows than asked for will do
  [ -e "$1" ] && { echo "$1 is there already"; return; }
  shift
  "$@" || { local code=$?; [ $code = 3 ] || exit $code; }
}
lora=(--method lora --lora.rank 32 --lora.alpha 64)
tune() {  # tune NAME ROWS TOKENS [flags]: one tuning run
  local name=$1 rows=$2 tokens=$3
  shift 3
  "$bin/reflect-train" --config configs/demo_tune.yaml --model "$model" --train "$rows" \
    --max_tokens "$tokens" --output "$run/$name" "$@"
}

demo() {
  local graph=(--teacher.kind procedural --procedural.family graph) tokens=1300000
  say "gen: reflection traces, plain solutions as the control, problems to evaluate on"
  once "$run/traces.jsonl" "$bin/reflect-gen" --recipe inject "${graph[@]}" --set.q 0.5 \
    --set.form follow --set.max_too_early 1 --procedural.operations 2-6 --count 16000 --seed 21 --output "$run/traces.jsonl"
  once "$run/plain.jsonl" "$bin/reflect-gen" --recipe plain "${graph[@]}" \
    --procedural.operations 2-6 --count 24000 --seed 22 --output "$run/plain.jsonl"
  once "$run/problems.jsonl" "$bin/reflect-gen" --problems-only "${graph[@]}" \
    --procedural.operations 4,6,8 --count 600 --seed 23 --output "$run/problems.jsonl"
  say "score: how hard is each trace for the model?"
  once "$run/kept.jsonl" "$bin/reflect-score" --model "$model" --input "$run/traces.jsonl" \
    --output "$run/scored.jsonl" --selected "$run/kept.jsonl" --reverse false --span-gain false
  say "train: every weight on plain solutions, on traces; an adapter on traces"
  tune plain "$run/plain.jsonl" "$tokens"
  tune reflection "$run/kept.jsonl" "$tokens"
  tune adapter "$run/kept.jsonl" "$tokens" "${lora[@]}" --optimizer.lr 4e-3
  say "eval: the same problems, greedy"
  "$bin/reflect-eval" --input "$run/problems.jsonl" --output "$run/results.json" \
    --group-by operations --sampling.max_new_tokens 320 --engine.max_batch_rows 64 \
    --train-rows "$run/kept.jsonl" --ban-text "<reflection>,</reflection>,unknown" \
    --arms "base=$model,plain=$run/plain/model,reflection=$run/reflection/model,banned=$run/reflection/model:ban,adapter=$model+$run/adapter/adapter"
}

real() {
  say "gen: recorded solutions of one half of the problems become traces; the other half is for eval"
  once "$run/traces.jsonl" "$bin/reflect-gen" --recipe split --teacher.kind replay \
    --input "$gsm8k/example_model_solutions.jsonl" --split-part train --set.system_prompt "" --output "$run/traces.jsonl"
  once "$run/plain.jsonl" "$bin/reflect-gen" --recipe plain --teacher.kind replay \
    --input "$gsm8k/train.jsonl" --accept 1000 --output "$run/plain.jsonl"
  once "$run/problems.jsonl" "$bin/reflect-gen" --problems-only --teacher.kind replay \
    --input "$gsm8k/test.jsonl" --split-part eval --accept 50 --output "$run/problems.jsonl"
  say "score: the harder half of the traces is kept"
  once "$run/kept.jsonl" "$bin/reflect-score" --model "$model" --input "$run/traces.jsonl" \
    --output "$run/scored.jsonl" --selected "$run/kept.jsonl" --limit 400 \
    --selection.max-ifd 0 --selection.max-rifd 0 --selection.top-fraction 0.5
  say "train: adapters on plain solutions and on traces"
  tune plain "$run/plain.jsonl" 200000 "${lora[@]}"
  tune reflection "$run/kept.jsonl" 200000 "${lora[@]}"
  say "eval: problems that no training row holds, greedy"
  "$bin/reflect-eval" --input "$run/problems.jsonl" --output "$run/results.json" \
    --sampling.max_new_tokens 256 --train-rows "$run/kept.jsonl" \
    --arms "base=$model,plain=$model+$run/plain/adapter,reflection=$model+$run/reflection/adapter,banned=$model+$run/reflection/adapter:ban"
}

if [ -n "$gsm8k" ]; then real; else demo; fi
say "everything is in $run"
