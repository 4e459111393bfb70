#!/usr/bin/env python3
"""Writes the golden files under tests/golden from reference implementations.

Usage: make_golden.py [AREA ...]     (default: all; AREA is a script in scripts/golden without .py)

Needs Python with the packages that the area's script imports (transformers, peft, tokenizers, ...).
"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    scripts = ROOT / "scripts" / "golden"
    known = sorted(p.stem for p in scripts.glob("*.py"))
    wanted = sys.argv[1:] or known
    for area in wanted:
        if area not in known:
            sys.exit(f"make_golden: no area '{area}'; known: {', '.join(known)}")
    for area in wanted:
        print(f"make_golden: {area}", flush=True)
        subprocess.run([sys.executable, scripts / f"{area}.py", ROOT / "tests" / "golden" / area], check=True)


if __name__ == "__main__":
    main()
