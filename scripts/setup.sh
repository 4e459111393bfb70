#!/usr/bin/env bash
# Installs what the build needs on Debian 12: the distribution's packages, and libtorch from PyPI.
# Safe to call again: what is there stays. Needs root or sudo only for missing packages.
#
# TORCH_ROOT=<folder>  use a libtorch that is already there instead of installing one.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(g++ cmake ninja-build ccache mold pkg-config git python3 python3-venv clang-format
  libspdlog-dev nlohmann-json3-dev libcli11-dev catch2 libyaml-cpp-dev libpcre2-dev libzstd-dev
  zlib1g-dev libutf8proc-dev libxxhash-dev libsentencepiece-dev)

missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "setup: missing packages: ${missing[*]}; install them, or run this as root" >&2; exit 1; }
    as_root=(sudo)
  fi
  echo "setup: installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ -z "${TORCH_ROOT:-}" ] && ! compgen -G 'build/torch/lib/python3*/site-packages/torch/lib/libtorch_cpu.so' >/dev/null; then
  echo "setup: installing libtorch 2.11.0"
  python3 -m venv build/torch
  build/torch/bin/pip install --quiet --no-deps --disable-pip-version-check \
    torch==2.11.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85
fi
