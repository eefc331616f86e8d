"""Compares chartbench with transformers on one Pix2Struct checkpoint, stage by stage.

    pip install -r benchmarks/requirements.txt
    python benchmarks/parity/make_checkpoint.py TOKENIZER_DIR DIR     # a full-size checkpoint with random weights
    python benchmarks/parity/compare.py DIR CHARTQA_DIR [--limit 8] [--deplot] [--images FILE...]

For the first questions of a ChartQA folder: patches (absolute difference), encoder states and teacher-forced logits
(largest difference over the largest value), and the token ids of `chartbench run`, which must be equal. With --deplot the
same for their charts under DePlot's header, where the text of `chartbench table` must be what the reference's token ids
decode to. For every file of --images: patches with header and without. Exit code 1 when a tolerance is exceeded.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

import reference
from differences import largest, relative

ROOT = Path(__file__).resolve().parents[2]
PATCHES, RELATIVE = 1e-4, 1e-3
DEPLOT_HEADER = "Generate underlying data table of the figure below:"


def run_chartbench(arguments, fine=(0,)):
    command = ["cargo", "run", "--quiet", "--release", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode not in fine:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}")
    return done.stdout


def stages(rows, directory, max_patches, *precision):
    """What the example program computes for each row, in f32 or another precision: a list of tensor dictionaries."""
    with tempfile.TemporaryDirectory() as scratch:
        asked = Path(scratch) / "rows.json"
        asked.write_text(json.dumps(rows))
        run_chartbench(["--example", "pix2struct_stages", "--", str(directory), str(asked), scratch, str(max_patches), *precision])
        return [load_file(f"{scratch}/{index}.safetensors") for index in range(len(rows))]


def answers(weights, data, args):
    """The records of `chartbench run` for the first questions of the test split."""
    with tempfile.TemporaryDirectory() as results:
        run_chartbench(
            ["--", "run", "--no-blind", "--adapters", "matcha-base", "--weights", str(weights), "--benchmark", "chartqa", "--data", str(data)]
            + ["--limit", str(args.limit), "--max-new-tokens", str(args.max_new_tokens), "--name", "x", "--offline"]
            + ["--max-patches", str(args.max_patches), "--results", results]
        )
        lines = (Path(results) / "x/matcha-base/predictions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def tables(weights, data, args):
    """What `chartbench table` writes of the first charts."""
    records = []
    for image in sorted((data / "png").iterdir())[: args.limit]:
        text = run_chartbench(
            ["--", "table", str(image), "--adapters", "deplot", "--weights", str(weights), "--format", "raw", "--offline"]
            + ["--max-new-tokens", str(args.max_new_tokens), "--max-patches", str(args.max_patches)],
            fine=(0, 1),  # What random weights write is no table: it is told, and printed as it is.
        )
        records.append({"id": image.stem, "chart": image.name, "question": DEPLOT_HEADER, "prediction": text})
    return records


def compare_patches(ours, inputs):
    valid = inputs["attention_mask"][0].bool()
    return largest(ours, inputs["flattened_patches"][0][valid])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("chartqa", type=Path)
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--max-patches", type=int, default=2048)
    parser.add_argument("--max-new-tokens", type=int, default=20)
    parser.add_argument("--deplot", action="store_true", help="the charts' tables under DePlot's header")
    parser.add_argument("--images", nargs="*", type=Path, default=[])
    args = parser.parse_args()
    weights, data = args.weights.resolve(), args.chartqa.resolve()
    model, processor, tokenizer = reference.load(weights)
    failed = False

    records = tables(weights, data, args) if args.deplot else answers(weights, data, args)
    rows, expected = [], []
    for record in records:
        image = data / "png" / f"{record['chart']}"
        image = image if image.exists() else image.with_name(image.name + ".png")
        inputs = reference.patches(processor, image, record["question"], args.max_patches)
        ids = reference.generate(model, inputs, args.max_new_tokens)
        decoder_ids = [model.config.text_config.decoder_start_token_id, *ids]
        with torch.no_grad():
            encoder = model.encoder(**inputs).last_hidden_state
            output = model(**inputs, decoder_input_ids=torch.tensor([decoder_ids]))
        rows.append({"image": str(image), "question": record["question"], "decoder_ids": decoder_ids})
        valid = inputs["attention_mask"][0].bool()
        expected.append((inputs, encoder[0][valid], output.logits[0], ids))
    print(f"{'question':<14} {'patches':>9} {'encoder':>9} {'logits':>9}  tokens")
    for record, ours, (inputs, encoder, logits, ids) in zip(records, stages(rows, weights, args.max_patches), expected):
        differences = compare_patches(ours["patches"], inputs), relative(ours["encoder"], encoder), relative(ours["logits"], logits)
        text = tokenizer.decode(ids, skip_special_tokens=True)
        if args.deplot:
            same = record["prediction"].rstrip("\n") == text.rstrip("\n")
        else:
            same = record["token_ids"] == ids and record["prediction"] == text
        failed |= differences[0] > PATCHES or max(differences[1:]) > RELATIVE or not same
        print(f"{record['id']:<14} {differences[0]:9.1e} {differences[1]:9.1e} {differences[2]:9.1e}  " + ("equal" if same else "DIFFERENT"))

    header = "What is the value of \u201cA\u201d in 2011-2019 (mg/kg)?"
    rows = [{"image": str(path.resolve()), "question": question} for path in args.images for question in (None, header)]
    if rows:
        print(f"\n{'image':<44} {'no header':>10} {'header':>10}")
        found = stages(rows, weights, args.max_patches)
        for index, path in enumerate(args.images):
            pair = [
                compare_patches(found[2 * index + at]["patches"], reference.patches(processor, path, question, args.max_patches))
                for at, question in enumerate((None, header))
            ]
            failed |= max(pair) > PATCHES
            print(f"{path.name:<44} {pair[0]:10.1e} {pair[1]:10.1e}")
    print("\nFAILED" if failed else f"\nall within tolerance: patches {PATCHES:.0e} absolute, states and logits {RELATIVE:.0e} relative, tokens equal")
    sys.exit(failed)


if __name__ == "__main__":
    main()
