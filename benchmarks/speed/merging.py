"""What merging the shards of a run takes: many shards, one row, in a folder each and in one folder.

    cargo build --release
    python3 benchmarks/speed/merging.py [--questions 367000] [--shards 1000] [--rounds 3]

Runs a blind adapter on a folder laid out as RealCQA is (see running.py), and cuts its log as `run --shard` deals out the
charts: by the SHA-256 of the chart's id. Each merge must give the uncut log again, byte for byte.
"""

import argparse
import hashlib
import json
import shutil
import statistics
import tempfile
from pathlib import Path

from running import chartbench, make, spread

ADAPTER = "question-prior"
UNCUT, MERGED = "uncut", "merged"


def shard(chart, count):
    """The place of a chart's shard, from 1."""
    return int.from_bytes(hashlib.sha256(chart.encode()).digest()[:8], "big") % count + 1


def cut(results, count):
    """The uncut log as `count` logs, by their shards; a shard without charts has an empty one."""
    logs = [[] for _ in range(count)]
    with open(results / UNCUT / ADAPTER / "predictions.jsonl", "rb") as lines:
        for line in lines:
            logs[shard(json.loads(line)["chart"], count) - 1].append(line)
    return [b"".join(log) for log in logs]


def add_run(results, name, logs):
    """A run of some of the shards, by their places, beside the uncut one."""
    folder = results / name
    (folder / ADAPTER).mkdir(parents=True)
    for file in ["run.toml", "data.toml"]:
        shutil.copy(results / UNCUT / file, folder)
    shutil.copy(results / UNCUT / ADAPTER / "fingerprint", folder / ADAPTER)
    for (place, count), log in logs.items():
        (folder / ADAPTER / f"predictions.{place}-of-{count}.jsonl").write_bytes(log)


def merge(results, logs, has_own_folders):
    """Seconds and memory of merging logs that lie in a folder each or in one."""
    count = len(logs)
    shards = {(place, count): log for place, log in enumerate(logs, 1)}
    names = []
    if has_own_folders:
        for part, log in shards.items():
            names.append(f"shard-{part[0]}")
            add_run(results, names[-1], {part: log})
    else:
        add_run(results, MERGED, shards)
    measured = chartbench("merge", MERGED, *names, "--results", results)
    for file in [f"{ADAPTER}/predictions.jsonl", "leaderboard.md", "run.toml"]:
        if (results / MERGED / file).read_bytes() != (results / UNCUT / file).read_bytes():
            raise SystemExit(f"{file} is not that of the uncut run")
    for name in [MERGED, *names]:
        shutil.rmtree(results / name)
    return measured


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=367_000)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    ways = {"a folder each": True, "one folder": False}
    measured = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        data, results = Path(folder) / "data", Path(folder) / "results"
        make(data, args.questions)
        whole = ["--no-blind", "--adapters", ADAPTER, "--benchmark", "realcqa", "--data", data]
        chartbench("run", *whole, "--results", results, "--name", MERGED)
        # Its files name the run: they must be those of the merged one.
        (results / MERGED).rename(results / UNCUT)
        logs = cut(results, args.shards)
        for _ in range(args.rounds):
            for way, has_own_folders in ways.items():
                measured[way].append(merge(results, logs, has_own_folders))
    print(f"{args.questions:,} questions in {args.shards:,} shards")
    print("| shards in | s | questions/s | peak memory |")
    print("| --- | ---: | ---: | ---: |")
    for way, runs in measured.items():
        median, memory = statistics.median(seconds for seconds, _ in runs), max(memory for _, memory in runs)
        print(f"| {way} | {spread(runs)} | {args.questions / median:,.0f} | {memory:.0f} MiB |")


if __name__ == "__main__":
    main()
