"""Scores predictions in ChartQAPro's own form under each of its conventions, beside what their authors published.

    git clone https://github.com/amirmohseniranian/chartqapro-evidence-first CLONE
    python3 benchmarks/parity/chartqapro_results.py CLONE/Results/qwen2_5_vl_3b_instruct_direct.official.json \\
        --published CLONE/Results/qwen2_5_vl_3b_direct_official_evaluation.json [--program chartbench]

The predictions are a list of {"Answer", "Question Type", "Year", "prediction"}, as evaluate_predictions.py of
vis-nlp/ChartQAPro reads it; the published file is what it prints, as JSON: {"scores": {"Overall": 0.32, TYPE: ...}}. Prints the
mean over each type of question and over all, in %. Ends with exit code 1 if the published ones are not those of the
convention `chartqapro` to the second decimal.

Needs nothing but Python 3.11 or later and the program.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

CONVENTIONS = ["chartqapro", "chartqapro-exact"]


def scores(program, path, convention):
    command = [program, "score", str(path), "--convention", convention, "--show", "questions", "--format", "jsonl"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    return [json.loads(line)["scores"][f"{convention}.relaxed"] for line in done.stdout.splitlines()]


def means(rows, values):
    by_type = defaultdict(list)
    for row, value in zip(rows, values, strict=True):
        by_type["Overall"].append(value)
        by_type[row["Question Type"]].append(value)
    return {kind: f"{100 * sum(values) / len(values):.2f}" for kind, values in by_type.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--published", type=Path)
    parser.add_argument("--program", default="chartbench")
    arguments = parser.parse_args()
    rows = json.loads(arguments.predictions.read_text(encoding="utf-8"))
    tables = {name: means(rows, scores(arguments.program, arguments.predictions, name)) for name in CONVENTIONS}
    if arguments.published:
        published = json.loads(arguments.published.read_text(encoding="utf-8"))["scores"]
        tables["published"] = {kind: f"{100 * value:.2f}" for kind, value in published.items()}
    print(f"{'':<16}" + "".join(f"{name:>18}" for name in tables))
    for kind in tables[CONVENTIONS[0]]:
        print(f"{kind:<16}" + "".join(f"{table.get(kind, '-'):>18}" for table in tables.values()))
    sys.exit(arguments.published is not None and tables["published"] != tables[CONVENTIONS[0]])


if __name__ == "__main__":
    main()
