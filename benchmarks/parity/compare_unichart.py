"""Compares chartbench with transformers on one UniChart checkpoint, stage by stage.

    pip install -r benchmarks/requirements.txt     # and no torchvision: its resampling gives other pixels
    python benchmarks/parity/make_unichart.py TOKENIZER_DIR DIR       # a full-size checkpoint with random weights
    python benchmarks/parity/compare_unichart.py DIR CHARTQA_DIR [--limit 8]

For the first questions of a ChartQA folder: pixels (absolute difference), encoder states and teacher-forced logits
(largest difference over the largest value), and the token ids of `chartbench run`, greedy and with 4 beams, which must
be equal. Exit code 1 when a tolerance is exceeded.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers.modeling_outputs import BaseModelOutput

import reference_unichart as reference
from differences import largest, relative

ROOT = Path(__file__).resolve().parents[2]
PIXELS, RELATIVE = 1e-6, 1e-3
BEAMS = [1, 4]


def chartbench(arguments):
    subprocess.run(["cargo", "run", "--quiet", "--release", *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def predictions(args, scratch, beams):
    """The records of a run of the adapter `unichart` with so many beams."""
    text = (ROOT / "adapters/unichart.toml").read_text().replace("beams = 4", f"beams = {beams}")
    adapters = scratch / "adapters"
    adapters.mkdir(exist_ok=True)
    (adapters / "unichart.toml").write_text(text)
    chartbench(
        ["--", "run", "--no-blind", "--adapters", "unichart", "--adapters-dir", str(adapters), "--weights", str(args.weights.resolve())]
        + ["--benchmark", "chartqa", "--data", str(args.chartqa.resolve()), "--limit", str(args.limit), "--offline"]
        + ["--max-new-tokens", str(args.max_new_tokens), "--name", f"beams{beams}", "--results", str(scratch)]
    )
    lines = (scratch / f"beams{beams}/unichart/predictions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("chartqa", type=Path)
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--max-new-tokens", type=int, default=20)
    args = parser.parse_args()
    model, processor, tokenizer = reference.load(args.weights)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        ours = {beams: predictions(args, scratch, beams) for beams in BEAMS}
        rows, expected = [], []
        for record in ours[1]:
            image = args.chartqa / "png" / record["chart"]
            image = image if image.exists() else image.with_name(image.name + ".png")
            pixels, ids = reference.pixels(processor, image), reference.prompt(tokenizer, record["question"])
            with torch.no_grad():
                states = model.encoder(pixels).last_hidden_state
            # A fresh one each time: generate() expands it in place, one copy a beam.
            encoded = lambda: BaseModelOutput(last_hidden_state=states)
            answers = [reference.generate(model, tokenizer, ids, args.max_new_tokens, beams, encoder_outputs=encoded()) for beams in BEAMS]
            decoder_ids = torch.cat([ids, torch.tensor([answers[0]])], 1)
            with torch.no_grad():
                logits = model(encoder_outputs=encoded(), decoder_input_ids=decoder_ids).logits[0]
            rows.append({"image": str(image.resolve()), "decoder_ids": decoder_ids[0].tolist()})
            expected.append((pixels[0], states[0], logits, answers))
        (scratch / "rows.json").write_text(json.dumps(rows))
        chartbench(["--example", "donut_stages", "--", str(args.weights.resolve()), str(scratch / "rows.json"), str(scratch)])
        print(f"{'question':<14} {'pixels':>9} {'encoder':>9} {'logits':>9}  greedy     4 beams")
        for index, (pixels, encoder, logits, answers) in enumerate(expected):
            found = load_file(scratch / f"{index}.safetensors")
            worst = largest(found["pixels"], pixels)
            states = [relative(found["encoder"], encoder), relative(found["logits"], logits)]
            same = [ours[beams][index]["token_ids"] == ids for beams, ids in zip(BEAMS, answers)]
            failed |= worst > PIXELS or max(states) > RELATIVE or not all(same)
            told = ["equal" if one else "DIFFERENT" for one in same]
            distinct = [len(set(ids)) for ids in answers]
            print(f"{ours[1][index]['id']:<14} {worst:9.1e} {states[0]:9.1e} {states[1]:9.1e}  {told[0]:<10} {told[1]:<10} distinct tokens {distinct}")
    print("\nFAILED" if failed else f"\nall within tolerance: pixels {PIXELS:.0e} absolute, states and logits {RELATIVE:.0e} relative, tokens equal")
    sys.exit(failed)


if __name__ == "__main__":
    main()
