"""Scoring against Python: seconds for a file of predictions under each convention, both sides in one run.

    cargo build --release
    python3 benchmarks/speed/scoring.py [--rows 1000000] [--file predictions.csv] [--rounds 3]

Python's side is fixtures/metrics/originals.py, which scores as the published implementations do and, as they, one
answer after the other (edit distances by rapidfuzz where it is installed: the original implementations' are slower).
Both read the same CSV file, which repeats --file (or the gold and predicted answers of fixtures/metrics/goldens.jsonl)
up to --rows, with columns prediction, label and answer_type. Python's time is that of a sample of the rows, times the
rest; ours is that of the whole command, reading included, and Python's reading is not counted. Interleaved; medians
with their range.
"""

import argparse
import csv
import itertools
import json
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
    return [(r["prediction"], originals.text(r["gold"])) for r in records if r["answer_type"] is None]


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
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - start, json.loads(output)


def check(name, score, rows, row):
    """The two sides must agree before their speeds are worth comparing."""
    kept = [score(gold, prediction, kind) for prediction, gold, kind in rows]
    names = {"exact_match": "exact match", "relaxed": "relaxed accuracy", "anls": "ANLS", "accuracy": "accuracy"}
    for key in kept[0]:
        values = [0.0 if isinstance(scores[key], str) else scores[key] for scores in kept]
        mean = 100 * sum(values) / len(values)
        assert abs(mean - row[names[key]]) < 1e-6, f"{name}.{key}: {mean} in Python, {row[names[key]]} here"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--file", help="a CSV file with the columns predictions and labels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--binary", default=str(ROOT / "target/release/chartbench"))
    args = parser.parse_args()
    try:
        from rapidfuzz.distance import Levenshtein

        originals.distance = Levenshtein.distance
    except ImportError:
        print("rapidfuzz is not installed: Python's edit distances are in plain Python", file=sys.stderr)
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
        print("| convention | Python | chartbench | ratio |\n| :-- | --: | --: | --: |")
        for name, score in originals.ORIGINALS.items():
            check(name, score, cycle, ours(args.binary, small, name)[1][0])
            rounds = [(python(score, cycle) * share, ours(args.binary, path, name)[0]) for _ in range(args.rounds)]
            theirs, own = zip(*rounds)
            ratios = [a / b for a, b in rounds]
            cells = [f"{statistics.median(x):.2f} ({min(x):.2f}-{max(x):.2f})" for x in (theirs, own)]
            print(f"| {name} | {' | '.join(cells)} | {statistics.median(ratios):.0f} ({min(ratios):.0f}-{max(ratios):.0f}) |")
        seconds = [ours(args.binary, path, "all")[0] for _ in range(args.rounds)]
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"\nall conventions at once: {statistics.median(seconds):.2f} s ({min(seconds):.2f}-{max(seconds):.2f}), ", end="")
        print(f"peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
