#!/usr/bin/env bash
# Installs what the build needs on Debian 12: the distribution's packages, and libtorch from PyPI.
# Safe to call again: what is there stays. Needs root or sudo only where packages are missing.
#
# scripts/setup.sh [--cuda|--tests]   --cuda: also the wheels that a CUDA build of libtorch needs
#                                     --tests: also SLURM, for the test of the batch scripts
# TORCH_ROOT=<folder>            use a libtorch that is already there instead of installing one
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(g++ cmake ninja-build ccache mold pkg-config git ca-certificates python3 python3-venv
  clang-format libspdlog-dev nlohmann-json3-dev libcli11-dev catch2 libyaml-cpp-dev libpcre2-dev
  libzstd-dev zlib1g-dev libutf8proc-dev libxxhash-dev libsentencepiece-dev libcurl4-openssl-dev
  openssl libsqlite3-dev libjemalloc-dev)
wheels=(torch==2.11.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)
[ "${1:-}" != --tests ] || packages+=(slurm-wlm munge)
if [ "${1:-}" = --cuda ]; then
  wheels+=(nvidia-cusparselt-cu13==0.8.0 nvidia-nvshmem-cu13==3.4.5 nvidia-cufile==1.15.1.6)
fi

install_packages() {
  local missing=() as_root=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
      echo "setup: missing packages: ${missing[*]}; install them, or run this as root" >&2
      exit 1
    }
    as_root=(sudo)
  fi
  echo "setup: installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# The list of installed wheels is written last, so that an interrupted installation is done again.
install_libtorch() {
  local done_list=build/torch/installed missing=()
  for wheel in "${wheels[@]}"; do
    grep -qxF "$wheel" $done_list 2>/dev/null || missing+=("$wheel")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "setup: installing libtorch: ${missing[*]}"
  [ -x build/torch/bin/pip ] || python3 -m venv build/torch
  build/torch/bin/pip install --quiet --no-deps --disable-pip-version-check --no-input "${missing[@]}"
  printf '%s\n' "${missing[@]}" >>$done_list
}

command -v dpkg-query >/dev/null || { echo "setup: this is not Debian; see the package list in $0" >&2; exit 1; }
install_packages
[ -n "${TORCH_ROOT:-}" ] || install_libtorch
