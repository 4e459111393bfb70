"""The same measurement as tokenizer_bench with the reference library (`tokenizers`, `sentencepiece`),
one text after the other on one thread, in processor time.

Usage: tokenizer_peer.py TOKENIZER_FILE FILE.jsonl...
"""
import json
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"


def load(path):
    if path.endswith(".json"):
        from tokenizers import Tokenizer
        tok = Tokenizer.from_file(path)
        return lambda t: tok.encode(t, add_special_tokens=False).ids, tok.decode
    import sentencepiece
    spm = sentencepiece.SentencePieceProcessor(model_file=path)
    return spm.encode, spm.decode


def best_seconds(action):
    times = []
    for _ in range(5):
        begin = time.process_time()
        action()
        times.append(time.process_time() - begin)
    return min(times)


def main():
    path, *files = sys.argv[1:]
    texts = [row[field] for f in files for row in map(json.loads, open(f, encoding="utf-8"))
             for field in ("question", "answer")]
    megabytes = sum(len(t.encode()) for t in texts) / 1e6
    loading = best_seconds(lambda: load(path))
    encode, decode = load(path)
    encoding = best_seconds(lambda: [encode(t) for t in texts])
    rows = [encode(t) for t in texts]
    decoding = best_seconds(lambda: [decode(r) for r in rows])
    print(f"peer: {megabytes:.2f} MB, {sum(map(len, rows))} ids; load {loading:.3f} s; "
          f"encode {megabytes / encoding:.2f} MB/s; decode {megabytes / decoding:.2f} MB/s")


if __name__ == "__main__":
    main()
