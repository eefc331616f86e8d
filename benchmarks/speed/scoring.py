"""Scoring against Python: seconds to score a file of predictions under each convention, both sides in one run.

    cargo build --release
    python3 benchmarks/speed/scoring.py [--rows 1000000] [--file predictions.csv] [--rounds 3]

Python's side is fixtures/metrics/originals.py, which scores as the published implementations do and, as they do, one
answer after the other. Edit distances are in plain Python for lmms-eval and VLMEvalKit, as in theirs; for pix2struct and
the PyPI package anls (study, ChartQAPro), which use compiled ones, by rapidfuzz where it is installed.

Both score the same CSV file, which repeats --file (or the answers of fixtures/metrics/goldens.jsonl) up to --rows, with
columns prediction, label and answer_type. Compared is scoring alone, without reading: ours as the command tells it on
stderr, Python's over one whole cycle of the repeated rows, times the number of cycles. The whole command's time, start
and reading included, stands beside. Interleaved; medians with their range.
"""

import argparse
import csv
import itertools
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "fixtures/metrics"))
import originals  # noqa: E402

PLAIN = originals.distance
try:
    from rapidfuzz.distance.Levenshtein import distance as COMPILED
except ImportError:
    COMPILED = None
    print("rapidfuzz is not installed: all of Python's edit distances are in plain Python", file=sys.stderr)

TYPES = ["string", "numerical", "binary"]


def pairs(path):
    """Predictions and labels to repeat, as texts."""
    if path:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader)
            gold, prediction = header.index("labels"), header.index("predictions")
            return [(row[prediction], row[gold]) for row in reader]
    lines = (ROOT / "fixtures/metrics/goldens.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    # Questions of a kind of their own are for one convention alone.
    of_all = [r for r in records if r["answer_type"] is None and "study" in r]
    return [(r["prediction"], originals.text(r["gold"])) for r in of_all]


def write(path, rows, known):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["prediction", "label", "answer_type"])
        some = zip(itertools.cycle(known), itertools.cycle(TYPES), range(rows))
        writer.writerows((prediction, gold, kind) for (prediction, gold), kind, _ in some)


def python(score, rows):
    start = time.perf_counter()
    for prediction, gold, kind in rows:
        score(gold, prediction, kind)
    return time.perf_counter() - start


def ours(binary, path, convention):
    start = time.perf_counter()
    command = [binary, "score", path, "--convention", convention, "--format", "json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    whole = time.perf_counter() - start
    told = re.search(r"scored in ([0-9.]+) s", done.stderr)
    return whole, float(told.group(1)) if told else None, json.loads(done.stdout)


NAMES = {"exact_match": "exact match", "relaxed": "relaxed accuracy", "anls": "ANLS", "accuracy": "accuracy"}


def check(name, score, rows, row):
    """The two sides must agree before their speeds are worth comparing."""
    kept = [score(gold, prediction, kind) for prediction, gold, kind in rows]
    for key in kept[0]:
        values = [0.0 if isinstance(scores[key], str) else scores[key] for scores in kept if scores[key] is not None]
        if not values:
            continue
        mean = 100 * sum(values) / len(values)
        assert abs(mean - row[NAMES[key]]) < 1e-6, f"{name}.{key}: {mean} in Python, {row[NAMES[key]]} here"


def shown(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def plain_or_compiled(name):
    """Sets the edit distance that the original of a convention uses."""
    compiled = name in ("pix2struct", "study", "chartqapro")
    originals.distance = COMPILED if compiled and COMPILED else PLAIN


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--file", help="a CSV file with the columns predictions and labels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--binary", default=str(ROOT / "target/release/chartbench"))
    args = parser.parse_args()
    known = pairs(args.file)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "predictions.csv")
        write(path, args.rows, known)
        # Whole cycles of rows, so that the sample has the file's mix.
        cycle = [(p, g, k) for (p, g), k, _ in zip(itertools.cycle(known), itertools.cycle(TYPES), range(3 * len(known)))]
        small = str(Path(folder) / "small.csv")
        write(small, len(cycle), known)
        share = args.rows / len(cycle)
        print(f"{args.rows} rows, {args.rounds} rounds; seconds: median (range)\n")
        print("| convention | Python scores | chartbench scores | ratio | whole command |\n| :-- | --: | --: | --: | --: |")
        for name, score in originals.ORIGINALS.items():
            plain_or_compiled(name)
            # What is for one data set's kinds of questions scores none of these, or needs pairs of them.
            scores = [score(gold, prediction, kind) for prediction, gold, kind in cycle]
            if not scores[0].keys() <= NAMES.keys() or all(value is None for row in scores for value in row.values()):
                continue
            check(name, score, cycle, ours(args.binary, small, name)[2][0])
            rounds = [(python(score, cycle) * share, *ours(args.binary, path, name)[:2]) for _ in range(args.rounds)]
            theirs, whole, own = zip(*rounds)
            cells = [shown(theirs), shown(own), shown([a / b for a, b in zip(theirs, own)], 0), shown(whole)]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
        seconds = [ours(args.binary, path, "all")[0] for _ in range(args.rounds)]
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"\nall conventions at once, whole command: {shown(seconds)} s, ", end="")
        print(f"peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
