#!/usr/bin/env bash
# reflect-gen against a server that is not ours: `transformers serve` with the demo model.
#
# scripts/try_openai_server.sh [RUN_FOLDER]      (default: runs/openai-server)
# PYTHON=<python>    one that has transformers[serving] and torch; otherwise build/serve gets them from
#                    PyPI (some GB)
# COUNT=<n>          problems (default 40)
#
# The model's own mistakes on generated problems, greedy, are collected through both endpoints, through
# a run that is killed and goes on, and by the project's engine. All four must be the same rows.
set -euo pipefail
cd "$(dirname "$0")/.."
run=${1:-runs/openai-server} count=${COUNT:-40}
bin=build/release/bin
[ -x $bin/reflect-gen ] || scripts/build.sh release reflect-gen
rm -rf "$run"
mkdir -p "$run"

if [ -z "${PYTHON:-}" ]; then
  PYTHON=build/serve/bin/python
  [ -x $PYTHON ] || python3 -m venv build/serve
  build/serve/bin/pip install --quiet --disable-pip-version-check --no-input torch==2.11.0 \
    'transformers[serving]==5.23.0'
fi

# The server renders chats itself: the demo model's "plain" template as Jinja.
cp -r data/demo/model "$run/model"
python3 - "$run/model/tokenizer_config.json" <<'PYTHON'
import json, sys
config = json.load(open(sys.argv[1]))
config["chat_template"] = (
    "{{ bos_token }}{% for m in messages %}{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% if m['role'] != 'assistant' or not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}")
json.dump(config, open(sys.argv[1], "w"), indent=1)
PYTHON
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
HF_HUB_OFFLINE=1 $PYTHON -c 'from transformers.cli.transformers import main; main()' serve "$run/model" \
  --host 127.0.0.1 --port "$port" --device cpu --dtype float32 >"$run/server.log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null' EXIT
url=http://127.0.0.1:$port
for _ in $(seq 180); do
  python3 -c "import urllib.request as r; r.urlopen('$url/health')" 2>/dev/null && break
  kill -0 $server || { tail -5 "$run/server.log" >&2; exit 1; }
  sleep 1
done

prepare() {  # prepare OUTPUT [flags]: the command that collects the demo model's own mistakes
  command=("$bin/reflect-gen" --recipe own_errors --procedural.family graph --procedural.operations 3-6
    --count "$count" --teacher.model "$run/model" --teacher.sampling.temperature 0
    --teacher.sampling.max_new_tokens 120 --quiet --output "$run/$1.jsonl" "${@:2}")
}
gen() { prepare "$@" && "${command[@]}"; }
endpoint=(--teacher.kind openai --teacher.url "$url/v1" --teacher.max-in-flight 4)

echo "== chat endpoint"
gen chat "${endpoint[@]}"
echo "== completions endpoint"
gen completions "${endpoint[@]}" --teacher.api completions --teacher.template plain >"$run/completions.txt"
echo "== killed after a third of the replies, then the same command again"
answered() { grep -c 'POST /v1.* 200' "$run/server.log"; }
before=$(answered)
prepare resumed "${endpoint[@]}"
"${command[@]}" >"$run/killed.txt" 2>&1 &
killed=$!
while [ $(($(answered) - before)) -lt $((count / 3)) ]; do sleep 0.2; done
kill -KILL $killed
wait $killed || true
gen resumed "${endpoint[@]}" >"$run/resumed.txt"
echo "== the project's own engine"
gen local --teacher.kind local --teacher.model data/demo/model --dtype fp32 >"$run/local.txt"
echo "== a model that the server does not have"
"$bin/reflect-gen" --recipe own_errors --count 1 --teacher.model nobody --quiet \
  --output "$run/nobody.jsonl" "${endpoint[@]}" && exit 1

cmp "$run/chat.jsonl" "$run/resumed.jsonl"
python3 - "$run" <<'PYTHON'
import json, sys
def rows(name):
    return [(r["prompt"], r["response"]) for r in map(json.loads, open(f"{sys.argv[1]}/{name}.jsonl"))]
chat = rows("chat")
assert chat, "no row was accepted"
for name in ("completions", "local"):
    other = rows(name)
    same = sum(row in chat for row in other)
    print(f"{name}: {same} of {len(other)} rows are those of the chat endpoint ({len(chat)})")
    assert other == chat, f"{name} differs"
print("the resumed run: equal bytes")
PYTHON
