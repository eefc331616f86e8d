"""Scores the results of models that ChartBench's repository publishes, beside its own tables.

    git clone https://github.com/IDEA-FinAI/ChartBench CLONE
    python3 benchmarks/parity/chartbench_results.py CLONE [MODEL...] [--program chartbench] [--cells]

Reads CLONE/Result/raw/MODEL.jsonl (every model that a table has, if none is named), scores it with
`chartbench score FILE --convention idea-finai-chartbench --show questions --format jsonl`, and averages over the groups of
charts of CLONE/Stat/stat_all_metric.py. Prints what this gives for all charts beside the workbooks in
CLONE/Result/Paper_Table, and how many cells of these agree to their second decimal; `--cells` lists those that do not.
Ends with exit code 1 if a cell differs.

chartbench scores a question once, the tables count a record as often as it stands in the file. Where records stand twice,
both are printed; the cells are those of a copy in which each record has an id of its own.

Needs nothing but Python 3.11 or later and the program.
"""

import argparse
import ast
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
import zipfile
from collections import defaultdict
from pathlib import Path

CONVENTION = "idea-finai-chartbench"
# The workbooks, and the metric of each.
METRICS = {"final": "overall", "accp": "acc_plus", "acc": "accuracy", "cor": "cor", "nqa": "relaxed"}
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def workbook(path):
    """The first sheet of a workbook of texts: {row's first cell: {column: number}}."""
    with zipfile.ZipFile(path) as book:
        names = book.namelist()
        shared = xml.fromstring(book.read("xl/sharedStrings.xml")) if "xl/sharedStrings.xml" in names else []
        texts = ["".join(part.text or "" for part in item.iter(f"{SHEET}t")) for item in shared]
        sheet = xml.fromstring(book.read("xl/worksheets/sheet1.xml"))
    rows = []
    for row in sheet.iter(f"{SHEET}row"):
        cells = [(cell.get("t"), "".join(part.text or "" for part in cell.iter() if part.tag in (f"{SHEET}v", f"{SHEET}t")))
                 for cell in row]
        rows.append([texts[int(value)] if kind == "s" else value for kind, value in cells])
    header = rows[0][1:]
    return {row[0]: {column: float(value) for column, value in zip(header, row[1:])} for row in rows[1:]}


def groups(clone):
    """The groups of a record, by the dictionaries of the repository's script."""
    tree = ast.parse((clone / "Stat/stat_all_metric.py").read_text(encoding="utf-8"))
    constants = {node.targets[0].id: ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)}

    def of(record):
        image, task = record["type"]["image"], record["type"]["task"]
        labels = "wi" if image in constants["metric_anno"]["wi_anno"] else "wo"
        found = ["all", f"{labels}_anno"]
        if record["type"]["QA"] == "Acc+" and task:
            found += [task, f"{labels}_{task}"]
        for group, images in constants["metric_group"].items():
            if image in images:
                found += [group, "regular" if group in {"line", "bar", "pie"} else "extra"]
        return found

    return of


def scores(program, path):
    """Every question's scores by its id."""
    command = [program, "score", str(path), "--convention", CONVENTION, "--show", "questions", "--format", "jsonl"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["id"]: {key.rsplit(".", 1)[1]: value for key, value in line["scores"].items()} for line in lines}


def means(records, scored, groups_of):
    """The mean of each metric and group, in %."""
    sums = defaultdict(lambda: [0.0, 0])
    for record in records:
        for turn in range(len(record["conversation"])):
            for metric, value in scored[f"{record['id']}/{turn}"].items():
                if value is None:
                    continue
                for group in groups_of(record):
                    total = sums[metric, group]
                    total[0] += value
                    total[1] += 1
    # In this order, so that halves of the second decimal are rounded as there.
    return {key: total / count * 100 for key, (total, count) in sums.items()}


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def compare(model, arguments, tables, groups_of):
    """Prints the model's lines; returns how many cells of the tables there are, and those that differ."""
    path = arguments.clone / "Result/raw" / f"{model}.jsonl"
    records = read(path)
    own = means({record["id"]: record for record in reversed(records)}.values(), scores(arguments.program, path), groups_of)
    twice = len(records) - len({record["id"] for record in records})
    counted = own
    if twice:
        copies = [record | {"id": number} for number, record in enumerate(records)]
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            copy.write_text("".join(json.dumps(record) + "\n" for record in copies), encoding="utf-8")
            counted = means(copies, scores(arguments.program, copy), groups_of)
    cells, different = 0, []
    for workbook_name, metric in METRICS.items():
        published = tables[workbook_name][model]
        note = f", {twice} records counted twice {counted[metric, 'all']:.2f}" if twice else ""
        print(f"{model:<24} {workbook_name:<6} here {own[metric, 'all']:6.2f}{note}, published {published['all']:6.2f}")
        for group, value in published.items():
            cells += 1
            # A group without a question is 0 in the tables.
            here = counted.get((metric, group), 0.0)
            if f"{here:.2f}" != f"{value:.2f}":
                different.append(f"{model} {workbook_name} {group}: here {here:.2f}, published {value:.2f}")
    return cells, different


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--program", default="chartbench")
    parser.add_argument("--cells", action="store_true")
    arguments = parser.parse_args()
    tables = {name: workbook(arguments.clone / f"Result/Paper_Table/{name}.xlsx") for name in METRICS}
    groups_of = groups(arguments.clone)
    raw = arguments.clone / "Result/raw"
    models = arguments.models or [name for name in sorted(tables["final"]) if (raw / f"{name}.jsonl").is_file()]
    cells, different = 0, []
    for model in models:
        count, others = compare(model, arguments, tables, groups_of)
        cells += count
        different += others
    print(f"{cells - len(different)} of {cells} cells of the tables agree")
    if arguments.cells:
        print("\n".join(different))
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
