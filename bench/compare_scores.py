#!/usr/bin/env python3
"""Compares the rows of reflect-score with those of the peer ifd_reference.py, value by value.

Usage: compare_scores.py SCORED.jsonl PEER.jsonl [--tolerance 1e-4] [--label TEXT]

Prints the largest difference of each ratio and loss, relative to the value where that is above 1; with
--label one row of a Markdown table: rows compared, the largest difference of the ratios and of the losses.
Where the peer has no number, the row must have a status other than ok. Exit code 1 when a difference is above the tolerance or a status disagrees.
"""
import argparse
import json
import math

RATIOS = ["ifd_ppl", "ifd_loss", "rifd_ppl", "rifd_loss"]
LOSSES = ["nll_prompt", "nll_direct", "nll_reverse", "nll_conditional"]  # in the peer's order


def rows_of(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def peer_values(row):
    if not row:
        return dict.fromkeys(RATIOS + LOSSES)
    return {**{name: row[name] for name in RATIOS}, **dict(zip(LOSSES, row["loss"]))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scored")
    parser.add_argument("peer")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--label")
    args = parser.parse_args()
    ours, peers = rows_of(args.scored), rows_of(args.peer)
    if len(ours) != len(peers):
        raise SystemExit(f"compare_scores: {len(ours)} rows against {len(peers)}")
    largest = dict.fromkeys(RATIOS + LOSSES, 0.0)
    disagree = compared = failed = 0
    for row, peer in zip(ours, peers):
        scores, expected = row["scores"], peer_values(peer)
        complete = all(expected[name] is not None for name in RATIOS)
        disagree += (scores["status"] == "ok") != complete
        failed += not complete
        compared += complete
        for name, value in expected.items():
            if value is not None and scores[name] is not None:
                largest[name] = max(largest[name], abs(scores[name] - value) / max(1, abs(value)))
    if args.label:
        ratios, losses = (max(largest[name] for name in names) for names in (RATIOS, LOSSES))
        print(f"| {args.label} | {compared} + {failed} | {ratios:.1e} | {losses:.1e} |")
    else:
        print(f"{compared} rows compared, {failed} without a number in the peer, {disagree} disagree about that")
        for name, value in largest.items():
            print(f"  {name:<16} largest difference {value:.2e}")
    if disagree or compared == 0 or any(not math.isfinite(v) or v > args.tolerance for v in largest.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
