#!/usr/bin/env bash
# Sets up, builds the release preset and runs every test; arguments go to ctest.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh --tests
scripts/build.sh release
# libtorch's store looks up the name of each peer, for which a machine without DNS waits.
export RES_OPTIONS='timeout:1 attempts:1'
ctest --test-dir build/release --output-on-failure --progress --parallel 1 "$@"
