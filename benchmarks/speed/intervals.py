"""Intervals for many predictions: seconds and peak memory of `chartbench score FILE --intervals` under all conventions.

    cargo build --release
    python3 benchmarks/speed/intervals.py [--rows 1000000] [--per-chart 40] [--rounds 3]

The file repeats the answers of fixtures/metrics/goldens.jsonl (made up, one a rule) with columns id, chart, prediction,
label and answer_type. The whole command is timed, reading included. Medians with their range.
"""

import argparse
import csv
import itertools
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TYPES = ["string", "numerical", "binary"]


def write(path, rows, per_chart):
    lines = (ROOT / "fixtures/metrics/goldens.jsonl").read_text(encoding="utf-8").splitlines()
    known = [(r["prediction"], r["gold"]) for r in map(json.loads, lines) if isinstance(r["gold"], str)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "chart", "prediction", "label", "answer_type"])
        some = zip(range(rows), itertools.cycle(known), itertools.cycle(TYPES))
        writer.writerows((i, f"chart-{i // per_chart}", *pair, kind) for i, pair, kind in some)


def measure(command):
    """Seconds and peak resident MiB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--per-chart", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.csv"
        write(path, args.rows, args.per_chart)
        command = [ROOT / "target/release/chartbench", "score", path, "--intervals"]
        runs = [measure(command) for _ in range(args.rounds)]
    seconds, memory = zip(*runs)
    print(f"{args.rows} answers, {args.per_chart} a chart, all conventions: "
          f"{statistics.median(seconds):.1f} s ({min(seconds):.1f}-{max(seconds):.1f}), peak {max(memory):.0f} MiB")


main()
