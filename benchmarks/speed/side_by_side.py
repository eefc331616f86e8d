"""Times one MatCha-size question in chartbench and in transformers, interleaved, in one run.

    pip install torch transformers pillow
    python benchmarks/parity/make_checkpoint.py TOKENIZER_DIR DIR
    python benchmarks/speed/side_by_side.py DIR CHARTQA_DIR [--rounds 5] [--questions 3]

Each round starts one process of each kind on the same questions (2,048 patches, f32, greedy, exactly 20 new tokens
where the checkpoint never ends early). A question's time is from its image file to its tokens; the first question of
a process warms it up and is left out. Memory is the process's peak resident set. Figures are medians with their range
over rounds; machines drift, so quote the ratio.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def measured(command):
    """Runs a command; returns its stdout and its peak resident set in MiB."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"failed with {process.returncode}: {' '.join(map(str, command))}")
    return output, usage.ru_maxrss / 1024


def chartbench(args, results):
    command = [ROOT / "target/release/chartbench", "run", "--adapters", "matcha-base", "--weights", args.weights]
    command += ["--benchmark", "chartqa", "--data", args.chartqa, "--limit", str(args.questions + 1), "--batch", "1"]
    command += ["--max-new-tokens", str(args.tokens), "--offline", "--threads", str(args.threads), "--name", "x", "--results", results]
    _, memory = measured(command)
    records = [json.loads(line) for line in open(f"{results}/x/matcha-base/predictions.jsonl")]
    return [record["latency_ms"] / 1e3 for record in records[1:]], [record["token_ids"] for record in records[1:]], memory


def transformers(args):
    output, memory = measured([sys.executable, __file__, args.weights, args.chartqa, "--reference", "--questions", str(args.questions),
                               "--tokens", str(args.tokens), "--threads", str(args.threads)])
    answer = json.loads(output)
    return answer["seconds"], answer["ids"], memory


def run_reference(args):
    """The child process on the transformers side."""
    sys.path.insert(0, str(ROOT / "benchmarks/parity"))
    import torch

    import reference

    torch.set_num_threads(args.threads)
    model, processor, _ = reference.load(args.weights)
    questions = json.load(open(Path(args.chartqa) / "test_human.json"))[: args.questions + 1]
    seconds, ids = [], []
    for record in questions:
        started = time.perf_counter()
        inputs = reference.patches(processor, Path(args.chartqa) / "png" / record["imgname"], record["query"], 2048)
        ids.append(reference.generate(model, inputs, args.tokens))
        seconds.append(time.perf_counter() - started)
    json.dump({"seconds": seconds[1:], "ids": ids[1:]}, sys.stdout)


def told(name, values, unit):
    return f"{name:<34} {statistics.median(values):8.2f} {unit}   ({min(values):.2f} to {max(values):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("chartqa")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--questions", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--reference", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.weights, args.chartqa = (str(Path(path).resolve()) for path in (args.weights, args.chartqa))
    if args.reference:
        return run_reference(args)
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    ours, theirs, our_memory, their_memory, ratios = [], [], [], [], []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as results:
            seconds, ids, memory = chartbench(args, results)
        reference_seconds, reference_ids, reference_memory = transformers(args)
        if ids != reference_ids:
            sys.exit("the token ids differ: run benchmarks/parity/compare.py")
        ours.append(statistics.median(seconds))
        theirs.append(statistics.median(reference_seconds))
        ratios.append(ours[-1] / theirs[-1])
        our_memory.append(memory)
        their_memory.append(reference_memory)
    print(f"{args.rounds} rounds of {args.questions} questions, 2,048 patches, {args.tokens} new tokens, f32, {args.threads} threads")
    print(told("chartbench, a question", ours, "s"))
    print(told("transformers, a question", theirs, "s"))
    print(told("ratio chartbench / transformers", ratios, "x"))
    print(told("chartbench, peak memory", our_memory, "MiB"))
    print(told("transformers, peak memory", their_memory, "MiB"))


if __name__ == "__main__":
    main()
