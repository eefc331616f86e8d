"""Times 30 questions on one chart with UniChart at full size, in chartbench and in transformers, interleaved, in one run.

    pip install -r benchmarks/requirements.txt
    python benchmarks/parity/make_unichart.py TOKENIZER_DIR DIR
    cargo build --release
    python benchmarks/speed/unichart.py DIR IMAGE [--rounds 3] [--questions 30] [--tokens 20]

chartbench answers all questions in one call, the chart encoded once. transformers answers them one by one: from the image each
time, as UniChart's authors do (left out with --reused-only), and with its encoder's output of the first question handed to the
others. f32, 4 beams, at most 20 new tokens. Times are from the image file to the last token, loading left out: chartbench's are
its recorded latencies. Token ids must be equal. Figures are medians with their range over rounds; quote the ratios.
"""

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks/parity"))
QUESTION = "What is the value of bar number {} in the chart?"


def data_set(folder, image, count):
    """A ChartQA folder that asks `count` questions about one chart."""
    (folder / "png").mkdir()
    (folder / "png" / image.name).write_bytes(image.read_bytes())
    rows = [{"imgname": image.name, "query": QUESTION.format(i), "label": "1"} for i in range(count)]
    for name in ["test_human.json", "test_augmented.json"]:
        (folder / name).write_text(json.dumps(rows if name == "test_human.json" else []))
    return rows


def chartbench(args, data, results):
    command = [ROOT / "target/release/chartbench", "run", "--no-blind", "--adapters", "unichart", "--weights", args.weights, "--benchmark", "chartqa"]
    command += ["--data", data, "--batch-size", str(args.questions), "--max-new-tokens", str(args.tokens), "--offline"]
    command += ["--threads", str(args.threads), "--name", "x", "--results", results]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    records = [json.loads(line) for line in open(f"{results}/x/unichart/predictions.jsonl")]
    return sum(record["latency_ms"] for record in records) / 1e3, [record["token_ids"] for record in records]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--reused-only", action="store_true")
    args = parser.parse_args()
    import torch

    import reference_unichart as reference

    torch.set_num_threads(args.threads)
    model, processor, tokenizer = reference.load(args.weights)
    sides = ["chartbench, one call"] + ["transformers, one by one"] * (not args.reused_only)
    sides.append("transformers, its encoder output reused")
    times = {side: [] for side in sides}

    def generate(row, **image):
        prompt = reference.prompt(tokenizer, row["query"])
        return reference.generate(model, tokenizer, prompt, args.tokens, 4, **image)

    def one_by_one(rows):
        return [generate(row, pixel_values=reference.pixels(processor, args.image)) for row in rows]

    @torch.no_grad()
    def reused(rows):
        encoded = model.encoder(reference.pixels(processor, args.image))
        # generate() writes into what it is handed.
        return [generate(row, encoder_outputs=copy.copy(encoded)) for row in rows]

    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        data.mkdir()
        rows = data_set(data, args.image, args.questions)
        for round in range(args.rounds):
            seconds, ids = chartbench(args, data, f"{scratch}/{round}")
            times[sides[0]].append(seconds)
            for side in sides[1:]:
                started = time.perf_counter()
                expected = (one_by_one if side == "transformers, one by one" else reused)(rows)
                times[side].append(time.perf_counter() - started)
                if ids != expected:
                    sys.exit("token ids differ")
    print("| | seconds for all | times chartbench's |")
    print("| --- | --- | --- |")
    for side, values in times.items():
        ratios = [theirs / ours for theirs, ours in zip(values, times[sides[0]])]
        print(f"| {side} | {told(values, 2)} | {told(ratios, 1)} |")


def told(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


if __name__ == "__main__":
    main()
