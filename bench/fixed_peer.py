#!/usr/bin/env python3
"""IFD and r-IFD by the fixed mode's definition, with transformers, one text at a time.

Usage: fixed_peer.py MODEL ROWS.jsonl OUT.jsonl

ROWS and OUT as ifd_reference.py has them. A conversation is rendered by the tokenizer's own chat template
and tokenized whole, once. Its target are the tokens that hold characters of the last message, without
special ones; the context is all before them. The bare text is BOS and the same target ids. For r-IFD the
message is the instruction, after a query that shows the response. Losses are means over the target in fp64
from fp32 logits. A response that is empty when trimmed gives {}.
"""
import json
import math
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

GUESS = ("Below is the response to an instruction, please guess the corresponding instruction for the "
         "given response.\n{a}\nGenerate the instruction for the above response.")


def last_turn(tok, user, answer):
    """Ids of the context and of the target of [user, assistant]."""
    text = tok.apply_chat_template([{"role": "user", "content": user}, {"role": "assistant", "content": answer}],
                                   tokenize=False)
    begin = text.rindex(answer.strip())
    end = begin + len(answer.strip())
    encoded = tok(text, add_special_tokens=False, return_offsets_mapping=True)
    context, target = [], []
    for token, (first, last) in zip(encoded["input_ids"], encoded["offset_mapping"]):
        if last > begin and first < end and token not in tok.all_special_ids:
            target.append(token)
        elif not target:
            context.append(token)
    return context, target


@torch.inference_mode()
def mean_nll(model, context, target):
    ids = torch.tensor([context + target], device=model.device)
    logits = model(ids).logits[0, len(context) - 1:-1].double()
    return -torch.log_softmax(logits, -1).gather(1, ids[0, len(context):, None]).mean().item()


def scores(model, tok, row):
    question = "\n".join(part for part in (row["instruction"], row.get("input", "")) if part)
    if not row["output"].strip() or not question.strip():
        return {}
    answer = last_turn(tok, question, row["output"])
    guess = last_turn(tok, GUESS.replace("{a}", row["output"]), question)
    bos = [tok.bos_token_id]
    loss = [mean_nll(model, bos, guess[1]), mean_nll(model, bos, answer[1]), mean_nll(model, *guess),
            mean_nll(model, *answer)]
    return {"loss": loss, "ifd_ppl": math.exp(loss[3] - loss[1]), "rifd_ppl": math.exp(loss[2] - loss[0]),
            "ifd_loss": loss[3] / loss[1], "rifd_loss": loss[2] / loss[0]}


def main():
    folder, rows, out = sys.argv[1:4]
    tok = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with open(rows, encoding="utf-8") as source, open(out, "w", encoding="utf-8") as sink:
        for line in source:
            if line.strip():
                sink.write(json.dumps(scores(model, tok, json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
