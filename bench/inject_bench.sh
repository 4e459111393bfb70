#!/usr/bin/env bash
# Traces a second and core of `procedural` + `inject`: written, verified and on the disk.
#
# Usage: bench/inject_bench.sh [ROWS] [PROFILE.jsonl]      (default: 100000; recorded mistakes to follow)
# Environment: BIN (folder of reflect-gen), ROUNDS (3)
#
# Prints CPU time of the whole process, its start (libtorch is loaded) apart, and rows a CPU second.
set -euo pipefail
cd "$(dirname "$0")/.."
rows=${1:-100000} recorded=${2:-} bin=${BIN:-build/release/bin} rounds=${ROUNDS:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1

cpu() {  # seconds of the command, user and system
  /usr/bin/time -o "$work/time" -f "%U %S" "$@" >/dev/null
  awk '{print $1 + $2}' "$work/time"
}
measure() {  # NAME FLAGS...
  local name=$1 start all
  shift
  start=$(for _ in 1 2 3; do  # the least of three
    cpu "$bin/reflect-gen" --recipe inject --teacher.kind procedural "$@" --accept 1 \
      --output "$work/rows.jsonl" --quiet
  done | sort -n | head -1)
  all=$(cpu "$bin/reflect-gen" --recipe inject --teacher.kind procedural "$@" --accept "$rows" \
    --output "$work/rows.jsonl" --quiet)
  awk -v name="$name" -v n="$rows" -v start="$start" -v all="$all" 'BEGIN {
    printf "%-44s %6.2f s, start %.2f s, %6.0f rows/s\n", name, all, start, n / (all - start)}'
}
if [ -n "$recorded" ]; then
  "$bin/reflect-gen" --profile-only --input "$recorded" --output "$work/profile.json" --quiet
fi
for _ in $(seq "$rounds"); do
  measure "words, 3 to 6 steps" --procedural.family words --procedural.operations 3-6
  measure "arithmetic, 4 to 8 steps" --procedural.family arithmetic --procedural.operations 4-8
  [ -z "$recorded" ] || measure "arithmetic, 4 to 8 steps, error profile" \
    --procedural.family arithmetic --procedural.operations 4-8 --error-profile "$work/profile.json"
done
