#!/usr/bin/env bash
# The HTTP client beside asyncio + aiohttp, on one server process that answers after DELAY seconds.
#
# Usage: bench/client_bench.sh [REQUESTS] [IN_FLIGHT]      (default: 10240 256)
# Environment: PYTHON (with aiohttp), BIN (folder of client_bench), DELAY (0.5), ROUNDS (3)
#
# Prints a line of JSON for each run, ours and the peer's in turn. The CPU time is that of the client
# process alone, start included.
set -euo pipefail
cd "$(dirname "$0")/.."
requests=${1:-10240} in_flight=${2:-256}
python=${PYTHON:-python3} bin=${BIN:-build/release/bin} delay=${DELAY:-0.5} rounds=${ROUNDS:-3}

coproc server { exec python3 tests/net/fault_server.py --forgetful --delay "$delay"; }
read -r port <&"${server[0]}"
for _ in $(seq "$rounds"); do
  for client in "$bin/client_bench" "$python bench/client_peer.py"; do
    printf '%s ' "${client##*/}"
    $client "http://127.0.0.1:$port/v1" "$requests" "$in_flight" "$delay"
  done
done
