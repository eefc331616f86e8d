"""The kernels' speed with their share of what the processor computes at most, as a Markdown table.

    python3 benchmarks/speed/kernels.py

Runs `cargo bench --bench kernels` and reads what criterion wrote. The most is measured in the same run: multiplications and
additions of values that never leave the registers, by AVX-512, its BF16 and its VNNI. Where a processor has not got one of
them there is no share.
"""

import json
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CRITERION = ROOT / "target/criterion"
KINDS = ["f32", "bf16", "q8"]


def measured(group):
    """Of each function and kind the billions of operations a second: the median."""
    speeds = {}
    for path in sorted((CRITERION / group).glob("*/*/new/benchmark.json")):
        benchmark = json.loads(path.read_text())
        median = json.loads((path.parent / "estimates.json").read_text())["median"]["point_estimate"]
        speeds[benchmark["function_id"], benchmark["value_str"]] = benchmark["throughput"]["Elements"] / median
    return speeds


def main():
    for group in ["kernels", "peak"]:
        shutil.rmtree(CRITERION / group, ignore_errors=True)
    subprocess.run(["cargo", "bench", "--quiet", "--bench", "kernels"], cwd=ROOT, check=True, capture_output=True)
    peaks = {kind: speed for (_, kind), speed in measured("peak").items()}
    speeds = measured("kernels")

    def cell(name, kind):
        speed = speeds.get((name, kind))
        if speed is None:
            return "-"
        share = f" ({speed / peaks[kind]:.0%})" if kind in peaks else ""
        return f"{speed:.0f}{share}"

    print(f"| | {' | '.join(KINDS)} |")
    print(f"| --- |{' ---: |' * len(KINDS)}")
    print(f"| in registers | {' | '.join(f'{peaks[kind]:.0f}' if kind in peaks else '-' for kind in KINDS)} |")
    for name in dict.fromkeys(name for name, _ in speeds):
        print(f"| {name} | {' | '.join(cell(name, kind) for kind in KINDS)} |")


if __name__ == "__main__":
    main()
