"""Times MatCha-size questions in chartbench and in transformers, interleaved, in one run.

    pip install -r benchmarks/requirements.txt
    python benchmarks/parity/make_checkpoint.py TOKENIZER_DIR DIR
    python benchmarks/speed/side_by_side.py DIR CHARTQA_DIR [--rounds 5] [--questions 3] [--batch 1]

Each round starts one process of each kind on the same questions, one a chart (2,048 patches, greedy, exactly 20 new tokens
where the checkpoint never ends early): chartbench in f32, bf16 and q8, transformers in f32 and bf16. A question's time is
from its image file to its tokens; what a process answers first, a question or a batch, warms it up and is left out. With
`--batch` transformers is timed one by one as well, and its better time counts. Memory is the process's peak resident set.
The token ids in f32 must be transformers'. Figures are medians with their range over rounds; machines drift, so quote the
ratios, which are taken within a round.
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
OURS = {"chartbench f32": "matcha-base", "chartbench bf16": "matcha-base@bf16", "chartbench q8": "matcha-base@q8"}
THEIRS = {"transformers f32": "float32", "transformers bf16": "bfloat16"}


def measured(command, stdin=None):
    """Runs a command; returns its stdout and its peak resident set in MiB."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"failed with {process.returncode}: {' '.join(map(str, command))}")
    return output, usage.ru_maxrss / 1024


def chartbench(args, adapter, results):
    command = [ROOT / "target/release/chartbench", "run", "--no-blind", "--adapters", adapter, "--weights", args.weights]
    command += ["--benchmark", "chartqa", "--data", args.chartqa, "--limit", str(args.questions + args.batch)]
    command += ["--questions-per-chart", "1", "--batch-size", str(args.batch), "--max-new-tokens", str(args.tokens), "--offline"]
    command += ["--threads", str(args.threads), "--name", "x", "--results", results]
    _, memory = measured(command)
    records = [json.loads(line) for line in open(f"{results}/x/{adapter}/predictions.jsonl")]
    return statistics.mean(record["latency_ms"] / 1e3 for record in records[args.batch :]), records, memory


def transformers(args, dtype, batch, questions):
    command = [sys.executable, __file__, args.weights, args.chartqa, "--reference", dtype, "--batch", str(batch)]
    command += ["--tokens", str(args.tokens), "--threads", str(args.threads)]
    with tempfile.TemporaryFile("w+") as stdin:
        json.dump(questions, stdin)
        stdin.seek(0)
        output, memory = measured(command, stdin)
    answer = json.loads(output)
    return answer["seconds"], answer["ids"], memory


def run_reference(args):
    """The child process on the transformers side: charts and questions come as JSON."""
    sys.path.insert(0, str(ROOT / "benchmarks/parity"))
    import torch

    import reference

    torch.set_num_threads(args.threads)
    model, processor, _ = reference.load(args.weights)
    dtype = getattr(torch, args.reference)
    model = model.to(dtype)
    questions = json.load(sys.stdin)
    seconds, ids = [], []
    for first in range(0, len(questions), args.batch):
        started = time.perf_counter()
        inputs = [reference.patches(processor, Path(args.chartqa) / "png" / f"{chart}.png", question, 2048)
                  for chart, question in questions[first : first + args.batch]]
        together = {name: torch.cat([one[name] for one in inputs]) for name in inputs[0]}
        together["flattened_patches"] = together["flattened_patches"].to(dtype)
        ids.extend(reference.generate_batch(model, together, args.tokens))
        seconds.append((time.perf_counter() - started) / len(inputs))
    json.dump({"seconds": statistics.mean(seconds[1:]), "ids": ids}, sys.stdout)


def told(values, digits=2):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("chartqa")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--questions", type=int)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--reference", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.questions = args.questions or (3 if args.batch == 1 else args.batch)
    args.weights, args.chartqa = (str(Path(path).resolve()) for path in (args.weights, args.chartqa))
    if args.reference:
        return run_reference(args)
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    seconds, memory = ({side: [] for side in OURS | THEIRS} for _ in range(2))
    for number in range(args.rounds):
        for side, adapter in OURS.items():
            with tempfile.TemporaryDirectory() as results:
                taken, records, peak = chartbench(args, adapter, results)
            seconds[side].append(taken)
            memory[side].append(peak)
            if side == "chartbench f32":
                questions = [(record["chart"], record["question"]) for record in records]
                ids = [record["token_ids"] for record in records]
        for side, dtype in THEIRS.items():
            runs = [transformers(args, dtype, batch, questions) for batch in sorted({1, args.batch})]
            if side == "transformers f32" and any(run[1] != ids for run in runs):
                sys.exit("the token ids differ: run benchmarks/parity/compare.py")
            taken, _, peak = min(runs, key=lambda run: run[0])
            seconds[side].append(taken)
            memory[side].append(peak)
        print(f"round {number}: {', '.join(f'{side} {values[-1]:.2f} s' for side, values in seconds.items())}", file=sys.stderr)
    print(f"{args.rounds} round{'s' * (args.rounds > 1)}, {args.questions} questions in batches of {args.batch}, 2,048 patches, {args.tokens} new tokens, {args.threads} threads\n")
    print("| | seconds a question | times as fast as transformers f32 | as transformers bf16 | peak memory, MiB |")
    print("| --- | --- | --- | --- | --- |")
    for side, values in seconds.items():
        faster = [told([theirs / ours for theirs, ours in zip(seconds[other], values)]) for other in THEIRS]
        print(f"| {side} | {told(values)} | {' | '.join(faster)} | {statistics.median(memory[side]):.0f} |")


if __name__ == "__main__":
    main()
