#!/usr/bin/env bash
# Installs the release build, moves the tree and runs every tool from there without any help.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d -p "$PWD/build")
trap 'rm -rf "$folder"' EXIT
cmake --install build/release --prefix "$folder/first" >"$folder/log" || { cat "$folder/log" >&2; exit 1; }
mv "$folder/first" "$folder/moved"
runtime='^(linux-vdso|.*/ld-linux|lib(c|m|rt|dl|util|pthread|gcc_s|stdc\+\+)\.so)'
for tool in "$folder"/moved/bin/reflect-*; do
  env -i "$tool" --version
  foreign=$(env -i ldd "$tool" | grep -v "$folder/moved" | awk '{print $1}' | grep -Ev "$runtime" || true)
  [ -z "$foreign" ] || { echo "check_install: $tool loads from outside the tree: $foreign" >&2; exit 1; }
done

# From another folder: recipes and the demo model come from the tree, and libtorch computes.
tree=$folder/moved
(cd / && env -i "$tree/bin/reflect-gen" --recipe plain --teacher.kind procedural --count 1 --output - --quiet \
  --log-level error | grep -q '"response"')
(cd / && env -i "$tree/bin/reflect-eval" --model "$tree/share/reflect/data/demo/model" --quiet \
  --ask "a=1,b=2,a+b=?" >/dev/null)
echo "check_install: passed"
