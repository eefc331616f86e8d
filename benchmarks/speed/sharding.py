"""What cutting a run into shards costs: a shard's start, and shards that are larger than others.

    cargo build --release
    python3 benchmarks/speed/sharding.py [--questions 400000] [--shards 8,64,256,1000] [--rounds 3] [--update]

Makes a data set laid out as RealCQA is (synthetic, as running.py makes it) and asks one shard of it of a program that answers at once: what
is timed is the whole command, almost all of it reading which questions there are. The largest shard is computed from the charts' ids by the
rule of FORMAT.md. `--update` writes the table into docs/guides/cluster.md.
"""

import argparse
import hashlib
import tempfile
from pathlib import Path

from running import PER_CHART, ROOT, make, run, spread

GUIDE = ROOT / "docs/guides/cluster.md"


def shard_of(chart, count):
    """The shard, from 0, that has a chart."""
    return int.from_bytes(hashlib.sha256(chart.encode()).digest()[:8], "big") % count


def largest(charts, count):
    """The charts of the largest shard over those of the mean."""
    sizes = [0] * count
    for chart in charts:
        sizes[shard_of(chart, count)] += 1
    return max(sizes) / (len(charts) / count)


def ask(data, count):
    """Seconds of a whole run of the last shard, which asks no blind row, and its peak memory in MiB."""
    return run(data, "--adapters", "echo", "--adapters-dir", ROOT / "examples/process", "--shard", f"{count}/{count}")


def table(questions, counts, rounds):
    """The lines of the table."""
    charts = [f"PMC{number:07}" for number in range(questions // PER_CHART)]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        make(data, questions)
        measured = {count: [] for count in counts}
        for _ in range(rounds):
            for count in counts:
                measured[count].append(ask(data, count))
    yield "| shards | questions a shard, mean | largest shard, times the mean | whole command, s | peak memory |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    for count, runs in measured.items():
        memory = max(memory for _, memory in runs)
        yield f"| {count:,} | {questions / count:,.0f} | {largest(charts, count):.2f} | {spread(runs)} | {memory:.0f} MiB |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=400_000)
    parser.add_argument("--shards", default="8,64,256,1000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--update", action="store_true")
    args = parser.parse_args()
    counts = [int(count) for count in args.shards.split(",")]
    text = "\n".join(table(args.questions, counts, args.rounds))
    print(text)
    if args.update:
        begin, end = "<!-- sharding:begin -->\n", "<!-- sharding:end -->"
        before, rest = GUIDE.read_text().split(begin)
        after = rest.split(end)[1]
        note = f"{args.questions:,} questions, {PER_CHART} a chart (synthetic), {args.rounds} rounds. A program answers at once\n(`benchmarks/speed/sharding.py --update`):"
        GUIDE.write_text(f"{before}{begin}{note}\n\n{text}\n\n{end}{after}")


if __name__ == "__main__":
    main()
