#!/usr/bin/env python3
"""Rows that share beginnings, from single rows {instruction, input, output}.

Usage: make_rows.py responses|candidates ROWS.jsonl OUT.jsonl [--prompts N]

responses: 8 responses to each of N prompts (those of other rows where a prompt has fewer of its own).
candidates: the four rows original, Q, A, QA of each of N problems; Q has another row's instruction, A
another row's response. Both are made of real text, so lengths are those of the input.
"""
import argparse
import json


def rows_of(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def responses(by_prompt, outputs, count):
    following = iter(outputs * 8)
    for i, (prompt, own) in enumerate(list(by_prompt.items())[:count]):
        own = own[:8]
        while len(own) < 8:
            own.append(next(following))
        for k, output in enumerate(own):
            yield {"id": f"{i}-{k}", "group": str(i), "instruction": prompt, "input": "", "output": output}


def candidates(by_prompt, count):
    prompts = list(by_prompt)
    for i, prompt in enumerate(prompts[:count]):
        other = prompts[(i + 1) % len(prompts)]
        answer, another = by_prompt[prompt][0], by_prompt[prompt][-1]
        if answer == another:
            another = by_prompt[other][0]
        for variant, q, a in [("original", prompt, answer), ("Q", other, answer), ("A", prompt, another),
                              ("QA", other, another)]:
            yield {"id": f"{i}-{variant}", "group": str(i), "variant": variant, "instruction": q, "input": "",
                   "output": a}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["responses", "candidates"])
    parser.add_argument("rows")
    parser.add_argument("out")
    parser.add_argument("--prompts", type=int, default=12)
    args = parser.parse_args()
    by_prompt = {}
    rows = rows_of(args.rows)
    for row in rows:
        by_prompt.setdefault(row["instruction"], []).append(row["output"])
    made = (responses(by_prompt, [row["output"] for row in rows], args.prompts) if args.kind == "responses"
            else candidates(by_prompt, args.prompts))
    with open(args.out, "w", encoding="utf-8") as f:
        for row in made:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
