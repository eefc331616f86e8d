"""Times 30 questions on one chart with UniChart at full size, in chartbench and in transformers, interleaved, in one run.

    pip install torch transformers pillow
    python benchmarks/parity/make_unichart.py TOKENIZER_DIR DIR
    cargo build --release
    python benchmarks/speed/unichart.py DIR IMAGE [--rounds 3] [--questions 30] [--tokens 20]

chartbench answers all questions in one call, the chart encoded once; transformers answers them one by one, as UniChart's
authors do. f32, 4 beams, at most 20 new tokens. Times are from the image file to the last token, loading left out: chartbench's
are its recorded latencies. Token ids must be equal. Figures are medians with their range over rounds; quote the ratio.
"""

import argparse
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
    command = [ROOT / "target/release/chartbench", "run", "--adapters", "unichart", "--weights", args.weights, "--benchmark", "chartqa"]
    command += ["--data", data, "--batch", str(args.questions), "--max-new-tokens", str(args.tokens), "--offline"]
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
    args = parser.parse_args()
    import torch

    import reference_unichart as reference

    torch.set_num_threads(args.threads)
    model, processor, tokenizer = reference.load(args.weights)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        data.mkdir()
        rows = data_set(data, args.image, args.questions)
        for round in range(args.rounds):
            seconds, ids = chartbench(args, data, f"{scratch}/{round}")
            ours.append(seconds)
            started = time.perf_counter()
            expected = []
            for row in rows:
                pixels = reference.pixels(processor, args.image)
                prompt = reference.prompt(tokenizer, row["query"])
                expected.append(reference.generate(model, tokenizer, prompt, args.tokens, 4, pixel_values=pixels))
            theirs.append(time.perf_counter() - started)
            if ids != expected:
                sys.exit("token ids differ")
    for name, values in [("chartbench, one call", ours), ("transformers, one by one", theirs)]:
        print(f"{name:<26} {statistics.median(values):8.2f} s   ({min(values):.2f} to {max(values):.2f})")
    ratios = [mine / other for mine, other in zip(ours, theirs)]
    print(f"{'ratio':<26} {statistics.median(ratios):8.3f}     ({min(ratios):.3f} to {max(ratios):.3f}); token ids equal")


if __name__ == "__main__":
    main()
