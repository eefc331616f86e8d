"""What the harness itself takes of a question: whole runs of a blind adapter, from the command to the leaderboard.

    cargo build --release
    python3 benchmarks/speed/running.py [--questions 1000,10000,100000,400000] [--adapter question-prior] [--rounds 3]

Makes folders laid out as RealCQA is (synthetic: 40 questions a chart, an annotation of about 80 KB beside each, a tenth as
many charts to train on) and runs the adapter on each, the sizes in turn. A blind adapter opens no image, so what is timed
is reading the data, learning, answering, recording each answer, slicing by the charts' data, scoring and the leaderboard.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHARTBENCH = ROOT / "target/release/chartbench"
PER_CHART = 40
# A white pixel: the layout wants an image of every chart, and no blind adapter opens it.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8ffffff7f0009fb03fd05434548"
    "0000000049454e44ae426082"
)


def annotation(draw):
    """A CHART-Info annotation of about 80 KB: type, text blocks, data series."""
    box = lambda: {f"{axis}{corner}": draw.randint(0, 900) for corner in range(4) for axis in "xy"}
    blocks = [{"id": i, "polygon": box(), "text": f"label {draw.randint(0, 99)}"} for i in range(420)]
    roles = [{"id": i, "role": "tick_label"} for i in range(420)]
    points = lambda: [{"x": f"group {i}", "y": round(draw.uniform(-9, 99), 3)} for i in range(60)]
    series = [{"name": f"series {i}", "data": points()} for i in range(draw.randint(1, 6))]
    return json.dumps({
        "task1": {"name": "Chart Classification", "output": {"chart_type": draw.choice(["line", "scatter", "vertical bar"])}},
        "task2": {"name": "Text Detection and Recognition", "output": {"text_blocks": blocks}},
        "task3": {"name": "Text Role Classification", "output": {"text_roles": roles}},
        "task6": {"name": "Data Extraction", "output": {"data series": series}},
    })


def records(chart, draw):
    """The questions about one chart, as RealCQA's files have them."""
    for number in range(PER_CHART):
        kind, answer = draw.choice([
            ("String", f"series {draw.randint(0, 5)}"),
            ("Numerical", round(draw.uniform(-9, 99), 2)),
            ("Binary", draw.choice(["Yes", "No"])),
            ("Ranked List", [f"group {draw.randint(0, 59)}" for _ in range(3)]),
        ])
        template = draw.randint(1, 200)
        yield {
            "taxonomy id": f"{draw.randint(1, 4)}.{template}",
            "QID": str(template),
            "question": f"Is the value of series {draw.randint(0, 5)} at group {draw.randint(0, 59)} the largest of template {template}?",
            "answer": answer,
            "answer_type": kind,
            "qa_id": str(number),
            "PMC_ID": chart,
        }


def make(folder, questions):
    draw = random.Random(questions)
    for part in ["images", "qa", "json"]:
        (folder / part).mkdir(parents=True)
    image = folder / "image"
    image.write_bytes(PNG)
    some = [annotation(draw) for _ in range(50)]
    count = questions // PER_CHART
    tests = []
    for number in range(count + max(1, count // 10)):
        chart = f"PMC{number:07}"
        os.link(image, folder / "images" / f"{chart}.jpg")
        (folder / "json" / f"{chart}.json").write_text(some[number % len(some)])
        (folder / "qa" / f"{chart}.json").write_text(json.dumps(list(records(chart, draw))))
        if number < count:
            tests.append(chart)
    image.unlink()
    (folder / "test_filenames.txt").write_text("\n".join(tests) + "\n")


def chartbench(*arguments):
    """Seconds of a command and its peak memory in MiB."""
    started = time.monotonic()
    process = subprocess.Popen([CHARTBENCH, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(said.decode())
    return time.monotonic() - started, usage.ru_maxrss / 1024


def run(data, *flags):
    """Seconds of a whole run without further blind rows and its peak memory in MiB."""
    with tempfile.TemporaryDirectory() as results:
        return chartbench("run", "--no-blind", "--benchmark", "realcqa", "--data", data, "--results", results, *flags)


def spread(runs):
    """The median of the runs' seconds with their range."""
    seconds = [seconds for seconds, _ in runs]
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", default="1000,10000,100000,400000")
    parser.add_argument("--adapter", default="question-prior")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    sizes = [int(size) for size in args.questions.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            make(Path(folder) / str(size), size)
        measured = {size: [] for size in sizes}
        for _ in range(args.rounds):
            for size in sizes:
                measured[size].append(run(Path(folder) / str(size), "--adapters", args.adapter))
    print("| questions | s | questions/s | µs a question | peak memory |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for size, runs in measured.items():
        median, memory = statistics.median(seconds for seconds, _ in runs), max(memory for _, memory in runs)
        print(f"| {size:,} | {spread(runs)} | {size / median:,.0f} | {median / size * 1e6:.1f} | {memory:.0f} MiB |")


if __name__ == "__main__":
    main()
