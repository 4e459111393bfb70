#!/usr/bin/env python3
"""Golden files of scoring: IFD and r-IFD of a few rows on the golden model llama3, by transformers.

Writes into OUT (tests/golden/score):
  rows.jsonl       rows {id, instruction, input, output}
  border/          a tokenizer for the same model that has tokens across the border of a prompt (":The")
  expected.json    cases {mode, tokenizer, prompt, max_length, rows}; a row has the mean NLL of each of its
                   four texts (null where no token is scored) and their [tokens, first scored token]

The reference mode is written down here once more from its definition (docs/scoring.md): joined strings,
tokenized whole. The fixed mode joins ids: the rendered prompt, then the response tokenized by itself.
"""
import json
import os
import sys

import torch
from tokenizers import AddedToken, Tokenizer, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer

ROWS = [
    ("How many hours does the trip take?", "", "The train leaves at nine and arrives at noon, so three hours."),
    ("Count the posts.", "The fence has posts at both ends and ten between.", "There are twelve of them, not eleven."),
    ("repeat this", "", "You said: repeat this, so I repeat this."),
    ("three", "three and three", "six"),
    ("Translate into Japanese: good morning.", "", "おはようございます ☀️"),
    ("Say it.", "", "The"),
    ("List:\n- a\n- b\n", "x = {q}", "- a\n\n- b   \n"),
    ("Which token ends a turn?", "", "It is <|eot_id|>."),
    ("Think aloud about the fence. " * 3, "", "I counted the fence posts twice; there are twelve. " * 3),
    ("", "", "An answer to nothing."),
    ("Nothing?", "", ""),
]
ASK = "please guess the corresponding instruction for the given response."
VICUNA = ("A chat between a curious user and an artificial intelligence assistant. The assistant gives "
          "helpful, detailed, and polite answers to the user's questions. USER: ")


def prompt_text(kind, instruction, extra):
    if kind == "vicuna":
        return VICUNA + instruction + (f"\nInput:\n{extra}" if extra else "") + " ASSISTANT:"
    if kind == "wiz":
        return instruction + (f"\n{extra}" if extra else "") + "\n\n### Response:"
    context = ", paired with an input that provides further context" if extra else ""
    block = f"\n\n### Input:\n{extra}" if extra else ""
    return (f"Below is an instruction that describes a task{context}. Write a response that appropriately "
            f"completes the request.\n\n### Instruction:\n{instruction}{block}\n\n### Response:")


def query_text(response):
    return (f"Below is the response to an instruction, {ASK}\n{response}\n"
            "Generate the instruction for the above response.")


def reference_texts(tok, row, kind, limit):
    instruction, extra, response = row
    prompt = prompt_text(kind, instruction, extra)
    query = prompt_text(kind, query_text(response), "")

    def ids(text):
        return tok(text)["input_ids"]

    def inside(text, part):
        return ids(text)[:limit], max(1, len(ids(text[:text.rindex(part)])))

    def bare(text, beside):
        return ids(text)[:limit - min(limit, len(ids(beside))) + 1], 1

    return {"conditional": inside(prompt + response, response), "direct": bare(response, prompt),
            "reverse": inside(query + instruction + extra, instruction), "prompt": bare(instruction + extra, query)}


def fixed_texts(tok, row):
    instruction, extra, response = row
    question = f"{instruction}\n{extra}" if extra else instruction

    def after(user, answer):
        text = tok.apply_chat_template([{"role": "user", "content": user}], add_generation_prompt=True, tokenize=False)
        context = tok(text, add_special_tokens=False)["input_ids"]
        target = tok(answer.strip(), add_special_tokens=False)["input_ids"]
        return (context + target, len(context)), ([tok.bos_token_id] + target, 1)

    conditional, direct = after(question, response)
    reverse, prompt = after(query_text(response), question)
    return {"conditional": conditional, "direct": direct, "reverse": reverse, "prompt": prompt}


@torch.inference_mode()
def mean_nll(model, ids, start):
    if start >= len(ids):
        return None
    logits = model(torch.tensor([ids])).logits[0].double()
    picked = torch.log_softmax(logits, -1)[torch.arange(start - 1, len(ids) - 1), torch.tensor(ids[start:])]
    return -picked.mean().item()


def case(model, tok, name, mode, kind, limit):
    rows = []
    for row in ROWS:
        if row[2] == "" or (mode == "fixed" and ("<|" in row[2] or row[0] == "")):
            rows.append(None)
            continue
        texts = reference_texts(tok, row, kind, limit) if mode == "reference" else fixed_texts(tok, row)
        rows.append({"nll": {k: mean_nll(model, *t) for k, t in texts.items()},
                     "spans": {k: [len(ids), start] for k, (ids, start) in texts.items()}})
    return {"mode": mode, "tokenizer": name, "prompt": kind, "max_length": limit, "rows": rows}


def save_border_tokenizer(source, out):
    """`source`'s tokenizer with merges learned from text in which words follow a colon."""
    tok = Tokenizer.from_file(f"{source}/tokenizer.json")
    specials = sorted(tok.get_added_tokens_decoder().items())
    blank = json.loads(tok.to_str())
    blank["added_tokens"] = []
    alphabet = [t for t, i in blank["model"]["vocab"].items() if len(t) == 1]
    blank["model"].update(vocab={t: i for i, t in enumerate(sorted(alphabet))}, merges=[])
    border = Tokenizer.from_str(json.dumps(blank))
    border.train_from_iterator(["ASSISTANT:The ASSISTANT:There Response:The Response:An :I :You :six response."] * 3,
                               trainers.BpeTrainer(vocab_size=specials[0][0], min_frequency=1, show_progress=False,
                                                   initial_alphabet=alphabet))
    fill = specials[0][0] - border.get_vocab_size()
    border.add_tokens([AddedToken(f"<filler{i}>", normalized=False) for i in range(fill)])
    border.add_special_tokens([AddedToken(t.content, special=True, normalized=False) for _, t in specials])
    os.makedirs(out, exist_ok=True)
    border.save(f"{out}/tokenizer.json")
    with open(f"{source}/tokenizer_config.json", encoding="utf-8") as f, \
            open(f"{out}/tokenizer_config.json", "w", encoding="utf-8") as g:
        g.write(f.read())


def main():
    out = sys.argv[1]
    folder = os.path.join(out, "..", "model", "llama3")
    os.makedirs(out, exist_ok=True)
    save_border_tokenizer(folder, f"{out}/border")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    plain, border = AutoTokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(f"{out}/border")
    cases = [case(model, plain, "llama3", "fixed", "llama3", 0)]
    for kind in ("vicuna", "alpaca", "wiz"):
        cases.append(case(model, plain, "llama3", "reference", kind, 2048))
        cases.append(case(model, border, "border", "reference", kind, 2048))
    cases.append(case(model, plain, "llama3", "reference", "vicuna", 200))
    cases.append(case(model, border, "border", "reference", "vicuna", 240))
    with open(f"{out}/rows.jsonl", "w", encoding="utf-8") as f:
        for i, (instruction, extra, response) in enumerate(ROWS):
            row = {"id": f"row-{i}", "instruction": instruction, "input": extra, "output": response}
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
    with open(f"{out}/expected.json", "w", encoding="utf-8") as f:
        json.dump({"cases": cases}, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
