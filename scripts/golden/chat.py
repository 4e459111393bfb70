"""Renders conversations with the chat templates of the supported families through transformers'
apply_chat_template, as text and as ids of the golden tokenizers (run tokenizer.py first).

Usage: chat.py OUTPUT_FOLDER
"""
import json
import pathlib
import sys

from transformers import PreTrainedTokenizerFast

ALTERNATE = ("{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
             "{{ raise_exception('roles must alternate') }}{% endif %}")
SPLIT_SYSTEM = ("{% if messages[0]['role'] == 'system' %}{% set system_message = messages[0]['content'] %}"
                "{% set loop_messages = messages[1:] %}{% else %}{% set system_message = DEFAULT %}"
                "{% set loop_messages = messages %}{% endif %}")

LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim"
    " + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")

LLAMA31 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

LLAMA2 = (
    SPLIT_SYSTEM.replace("DEFAULT", "false") + "{% for message in loop_messages %}" + ALTERNATE +
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}")

MISTRAL = (
    "{{ bos_token }}" + SPLIT_SYSTEM.replace("DEFAULT", "false") + "{% for message in loop_messages %}" + ALTERNATE +
    "{% if message['role'] == 'user' %}{% if loop.first and system_message != false %}"
    "{{ '[INST] ' + system_message + '\n\n' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% endif %}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}")

MISTRAL_V1 = MISTRAL.replace("'[INST] '", "' [INST] '").replace("{{ message['content'] + eos", "{{ ' ' + message['content'] + eos")

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")

QWEN2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")

SMOLLM = QWEN2.replace("You are a helpful assistant.",
                       "You are a helpful AI assistant named SmolLM, trained by Hugging Face").replace("\n", "\\n")

ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""

VICUNA = (
    SPLIT_SYSTEM.replace("DEFAULT", "'A chat between a curious user and an artificial intelligence assistant. The "
                         "assistant gives helpful, detailed, and polite answers to the user\\'s questions.'") +
    "{{ bos_token + system_message + ' ' }}{% for message in loop_messages %}"
    "{% if message['role'] == 'user' %}{{ 'USER: ' + message['content'] + ' ' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'ASSISTANT: ' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}")

ALPACA = (
    SPLIT_SYSTEM.replace("DEFAULT", "'Below is an instruction that describes a task. Write a response that "
                         "appropriately completes the request.'") +
    "{{ bos_token + system_message + '\n\n' }}{% for message in loop_messages %}"
    "{% if message['role'] == 'user' %}{{ '### Instruction:\n' + message['content'] + '\n\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ '### Response:\n' + message['content'] + eos_token + '\n\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}")

# name of the case: (our family, Jinja text, golden tokenizer)
TEMPLATES = {
    "llama3": ("llama3", LLAMA3, "llama3"),
    "llama3.1": ("llama3.1", LLAMA31, "llama3"),
    "llama2": ("llama2", LLAMA2, "llama2"),
    "mistral": ("mistral", MISTRAL, "llama2_first"),
    "mistral-v1": ("mistral-v1", MISTRAL_V1, "llama2_first"),
    "chatml": ("chatml", CHATML, "qwen2"),
    "qwen2": ("chatml", QWEN2, "qwen2"),
    "smollm": ("chatml", SMOLLM, "smollm"),
    "zephyr": ("zephyr", ZEPHYR, "llama2"),
    "vicuna": ("vicuna", VICUNA, "llama2"),
    "alpaca": ("alpaca", ALPACA, "llama2_always"),
}

SPACES = "\u00a0\u3000 \u2003\t\x1f\u0085"
CONVERSATIONS = [
    ["user:Hi"],
    ["user:What is 2 + 2?", "assistant:It is 4."],
    ["system:You are terse.", "user:What is 2 + 2?", "assistant:4"],
    ["system:You are terse.", "user:Hi"],
    ["user:One", "assistant:Two", "user:Three", "assistant:Four", "user:Five"],
    ["system:S", "user:One", "assistant:Two", "user:Three", "assistant:Four"],
    [f"system:{SPACES}S{SPACES}", f"user:{SPACES}Q{SPACES}", f"assistant:{SPACES}A{SPACES}"],
    [f"user:\n\n  Q \n {SPACES}", f"assistant:\u200bA\u200b {SPACES}", "user: \u2028\u2029x\u202f\u205f\u1680"],
    ["user:吾輩は猫である。\n", "assistant:\t名前はまだ無い。 👩‍👩‍👧‍👦"],
    ["user:", "assistant:"],
    ["system:", "user:Q", "assistant:A"],
    ["system:Keep me", f"user:{SPACES}", "assistant: "],
    ["user:<thinking>\nA pen costs 3, so 4 cost 3 * 4 = 7.\n<reflection>It is 12.</reflection>\n</thinking>\n",
     "assistant:<thinking>\n3 * 4 is 12\n</thinking>\n<output>12</output>"],
    ["user:def f(x):\n    return x\n", "assistant:```python\nprint(f(1))\n```\n\n"],
]
# Only rendered as text: the reference turns these into special tokens.
SPECIAL_TEXT = ["user:a <|eot_id|> <|im_end|> </s> <s> [INST]", "assistant:<|start_header_id|>system</s><unk>"]


def messages_of(conversation):
    return [dict(zip(("role", "content"), m.split(":", 1))) for m in conversation]


def load(root, name):
    folder = root / "tokenizer" / name
    config = json.loads((folder / "tokenizer_config.json").read_text())
    text = {k: v["content"] if isinstance(v, dict) else v for k, v in config.items() if k in ("bos_token", "eos_token")}
    return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **text)


def main():
    out = pathlib.Path(sys.argv[1])
    cases = []
    for name, (family, template, tokenizer) in TEMPLATES.items():
        tok = load(out.parent, tokenizer)
        tok.chat_template = template
        for i, conversation in enumerate([*CONVERSATIONS, SPECIAL_TEXT]):
            for generate in (False, True):
                case = {"template": name, "messages": messages_of(conversation), "generation_prompt": generate}
                options = {"add_generation_prompt": generate}
                if name == "llama3.1" and i % 2:
                    case["date"] = options["date_string"] = "01 Feb 2025"
                case["text"] = tok.apply_chat_template(case["messages"], tokenize=False, **options)
                if generate and conversation is not SPECIAL_TEXT:
                    case["ids"] = tok.apply_chat_template(case["messages"], return_dict=False, **options)
                cases.append(case)
    templates = {n: {"family": f, "jinja": t, "tokenizer": k} for n, (f, t, k) in TEMPLATES.items()}
    out.mkdir(parents=True, exist_ok=True)
    (out / "chat.json").write_text(json.dumps({"templates": templates, "cases": cases}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
