"""Times a full-size training step in chartbench and in transformers with PyTorch, interleaved, in one run.

    pip install torch transformers pillow safetensors
    python benchmarks/parity/make_checkpoint.py TOKENIZER_DIR CHECKPOINT
    python benchmarks/speed/training_step.py CHECKPOINT [--rounds 3] [--batch 4] [--patches 768] [--labels 20]

Each round starts one process of each kind, which takes three AdamW steps in f32 with dropout on; the first warms it up and is
left out. Memory is the process's peak resident set. Figures are medians with their range over rounds; machines drift, so
quote the ratio. `benchmarks/parity/training.py` compares the loss and every gradient of the same step.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("forward", "backward", "optimizer")
STEPS = 3


def measured(command):
    """Runs a command; returns the seconds of each step's parts after the first and the peak resident set in GiB."""
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"failed with {process.returncode}: {' '.join(map(str, command))}")
    steps = [line for line in output.splitlines() if line.startswith("step ")]
    seconds = [[float(re.search(rf"{part} ([\d.]+) s", line)[1]) for part in PARTS] for line in steps[1:]]
    return seconds, usage.ru_maxrss / 2**20


def told(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--patches", type=int, default=768)
    parser.add_argument("--labels", type=int, default=20)
    arguments = parser.parse_args()
    checkpoint = arguments.checkpoint.resolve()
    sizes = [arguments.batch, arguments.patches, arguments.labels, STEPS]
    subprocess.run(["cargo", "build", "--release", "--quiet", "--example", "training_step"], cwd=ROOT, check=True)
    ours = [ROOT / "target/release/examples/training_step", checkpoint, *sizes, "--dropout", "--adamw"]
    theirs = [sys.executable, ROOT / "benchmarks/parity/training.py", checkpoint, "--time", *sizes]
    times, memory, ratios = ([], []), ([], []), []
    for number in range(arguments.rounds):
        medians = []
        for side, command in enumerate((ours, theirs)):
            seconds, peak = measured(command)
            times[side].extend(seconds)
            memory[side].append(peak)
            medians.append(statistics.median(map(sum, seconds)))
        ratios.append(medians[0] / medians[1])
        print(f"round {number}: {medians[0]:.2f} s against {medians[1]:.2f} s", file=sys.stderr)
    print("| | chartbench | transformers | ratio |\n| --- | --- | --- | --- |")
    for index, part in enumerate(PARTS):
        print(f"| {part}, s | {told([step[index] for step in times[0]])} | {told([step[index] for step in times[1]])} | |")
    whole = [told([sum(step) for step in side]) for side in times]
    print(f"| whole step, s | {whole[0]} | {whole[1]} | {told(ratios)} |")
    peaks = [told(side) for side in memory]
    print(f"| peak memory, GiB | {peaks[0]} | {peaks[1]} | {statistics.median(memory[0]) / statistics.median(memory[1]):.2f} |")


if __name__ == "__main__":
    main()
