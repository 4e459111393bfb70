#!/usr/bin/env bash
# Installs what is missing, configures and builds one preset; what is built already stays.
#
# scripts/build.sh [release|dev|cuda] [target...]
# TORCH_ROOT=<folder>   another libtorch than the one that scripts/setup.sh installs
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
shift || true
if [ "$preset" = cuda ]; then scripts/setup.sh --cuda; else scripts/setup.sh; fi
cmake --preset "$preset" ${TORCH_ROOT:+"-DTORCH_ROOT=$TORCH_ROOT"} >build/configure.log ||
  { cat build/configure.log >&2; exit 1; }
cmake --build "build/$preset" ${1:+--target "$@"}
