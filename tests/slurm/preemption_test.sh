#!/usr/bin/env bash
# A real SLURM: a training job of two ranks is preempted, requeued, and ends with the bits of one that was left alone;
# job arrays generate and score in parts that together are the whole. Exit code 77 (skipped) where SLURM cannot run.
#
# usage: tests/slurm/preemption_test.sh BIN_DIR
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export REFLECT_BIN=$1
. "$root/tests/slurm/cluster.sh"

can_start_cluster || { echo "skipped: needs root and Debian's slurm-wlm and munge"; exit 77; }
work=$(mktemp -d)
trap 'stop_cluster; rm -rf "$work"' EXIT
start_cluster "$work/cluster"

fail() {
  echo "preemption_test: $1" >&2
  tail -n 20 "$work"/*.out >&2
  exit 1
}

wait_until() {  # what, seconds, command...
  local what=$1 end=$((SECONDS + $2))
  shift 2
  until "$@"; do
    [ $SECONDS -lt $end ] || fail "$what: not within the time"
    sleep 0.2
  done
}

completed() {
  local state
  state=$(scontrol show job "$1")
  [[ $state != *JobState=FAILED* ]] || fail "job $1 failed"
  [[ $state == *JobState=COMPLETED* ]]
}
has_lines() { [ -f "$1" ] && [ "$(wc -l <"$1")" -ge "$2" ]; }

model=$root/data/demo/model
"$REFLECT_BIN/reflect-gen" --recipe inject --teacher.kind procedural --accept 60 \
  --output "$work/rows.jsonl" --quiet >"$work/gen.out" 2>&1 || fail "rows to train on"

train() {  # run: submits a job of two ranks and prints its number
  sbatch --parsable --ntasks-per-node=2 --output="$work/$1.out" "$root/scripts/slurm/train.sbatch" --model "$model" \
    --train "$work/rows.jsonl" --output "$work/$1" --dtype fp32 --max_steps 20 --save_every 0 \
    --gradient_accumulation_steps 2
}

alone=$(train alone)
wait_until "the undisturbed job ends" 300 completed "$alone"

preempted=$(train preempted)
wait_until "some steps" 120 has_lines "$work/preempted/metrics.jsonl" 5
urgent=$(sbatch --parsable --partition=urgent --ntasks=2 --output="$work/urgent.out" --wrap "sleep 2")
wait_until "the urgent job ends" 120 completed "$urgent"
scontrol update job "$preempted" StartTime=now  # a requeued job would wait for two minutes
wait_until "the preempted job ends" 300 completed "$preempted"
scontrol show job "$preempted" | grep -q "Restarts=1" || fail "the job was not requeued"
grep -q "resumed at step" "$work/preempted.out" || fail "the requeued job did not resume"
cmp "$work/alone/adapter/adapter_model.safetensors" "$work/preempted/adapter/adapter_model.safetensors" ||
  fail "the adapters differ"

score() { echo --model "$model" --input "$work/rows.jsonl" --selected "$work/kept.jsonl" --dtype fp32 --quiet; }
array=$(sbatch --parsable --wait --array=0-1 --output="$work/array-%a.out" "$root/scripts/slurm/array.sbatch" \
  reflect-score $(score) --output "$work/scored.jsonl") || fail "the job array $array"
"$REFLECT_BIN/reflect-score" $(score) --output "$work/whole.jsonl" >"$work/whole.out" 2>&1 || fail "scoring at once"
[ "$(cat "$work"/scored-*.jsonl | wc -l)" = "$(wc -l <"$work/whole.jsonl")" ] || fail "parts and whole differ in rows"

generate() { echo --recipe inject --teacher.kind procedural --count 40 --quiet; }
array=$(sbatch --parsable --wait --array=0-1 --output="$work/gen-array-%a.out" "$root/scripts/slurm/array.sbatch" \
  reflect-gen $(generate) --output "$work/traces.jsonl") || fail "the job array $array"
"$REFLECT_BIN/reflect-gen" $(generate) --output "$work/all.jsonl" >"$work/all.out" 2>&1 || fail "generating at once"
cmp <(sort "$work"/traces-0000?-of-00002.jsonl) <(sort "$work/all.jsonl") || fail "parts and whole differ in traces"
echo "passed: preempted, requeued, same bits; arrays of two parts"
