"""Times a full-size training step in chartbench, in f32 and computing in bf16, and in transformers with PyTorch in f32,
interleaved, in one run.

    pip install -r benchmarks/requirements.txt
    python benchmarks/parity/make_checkpoint.py TOKENIZER_DIR CHECKPOINT
    python benchmarks/speed/training_step.py CHECKPOINT [--rounds 3] [--batch 4] [--patches 768] [--labels 20]

Each round starts one process of each kind, which takes three AdamW steps with dropout on, weights in f32; the first warms it up and is
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
    # As chartbench itself sets it for its allocator (src/main.rs).
    environment = os.environ | {"MIMALLOC_PURGE_DELAY": "-1"}
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
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
    sides = {"chartbench f32": ours, "chartbench bf16": [*ours, "--bf16"], "PyTorch f32": theirs}
    times, memory, medians = ({side: [] for side in sides} for _ in range(3))
    for number in range(arguments.rounds):
        for side, command in sides.items():
            seconds, peak = measured(command)
            times[side].extend(seconds)
            memory[side].append(peak)
            medians[side].append(statistics.median(map(sum, seconds)))
        print(f"round {number}: {', '.join(f'{side} {values[-1]:.2f} s' for side, values in medians.items())}", file=sys.stderr)
    print("| | forward, s | backward, s | optimizer, s | whole step, s | times as fast as PyTorch | peak memory, GiB | of PyTorch's |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    theirs = statistics.median(memory["PyTorch f32"])
    for side, steps in times.items():
        cells = [told([step[part] for step in steps]) for part in range(len(PARTS))] + [told([sum(step) for step in steps])]
        cells.append(told([other / own for other, own in zip(medians["PyTorch f32"], medians[side])]))
        cells += [told(memory[side]), f"{statistics.median(memory[side]) / theirs:.2f}"]
        print(f"| {side} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
