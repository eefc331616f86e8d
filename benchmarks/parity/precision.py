"""How far bf16, 8 and 4 bits are from f32, stage by stage, on one Pix2Struct checkpoint.

    pip install -r benchmarks/requirements.txt
    python benchmarks/parity/make_checkpoint.py TOKENIZER_DIR DIR     # a full-size checkpoint with random weights
    python benchmarks/parity/precision.py DIR CHARTQA_DIR [--limit 4] [--max-patches 2048]

For the first charts of a ChartQA folder: the relative error of the encoder's states and of teacher-forced logits against f32 (which
compare.py compares with transformers), as there by the largest difference over the largest value, and by the norm of the
difference over the norm of the values. Exit code 1 where by the latter the states are off by 1e-2 in bf16 or 5e-2 in 8 bits.
"""

import argparse
import json
import sys
from pathlib import Path

import compare
from differences import relative, relative_norm

# In 4 bits any finite error will do.
LIMITS = {"bf16": 1e-2, "q8": 5e-2, "q4": sys.float_info.max}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("chartqa", type=Path)
    parser.add_argument("--limit", type=int, default=4)
    parser.add_argument("--max-patches", type=int, default=2048)
    args = parser.parse_args()
    questions = json.loads((args.chartqa / "test_human.json").read_text())[: args.limit]
    images = [str((args.chartqa / "png" / row["imgname"]).resolve()) for row in questions]
    # Any tokens do: every precision is fed the same.
    decoder_ids = [0, *range(1000, 20000, 1000)]
    rows = [{"image": image, "question": row["query"], "decoder_ids": decoder_ids} for image, row in zip(images, questions)]
    full = compare.stages(rows, args.weights.resolve(), args.max_patches)
    failed = False
    measures = {"largest": relative, "norm": relative_norm}
    places = [(stage, measure) for stage in ["encoder", "logits"] for measure in measures]
    print(f"| | {' | '.join(f'{stage}, {measure}' for stage, measure in places)} |")
    print("| --- |" + " --- |" * len(places))
    for precision, limit in LIMITS.items():
        reduced = compare.stages(rows, args.weights.resolve(), args.max_patches, precision)
        errors = {
            (stage, measure): [measures[measure](ours[stage], exact[stage]) for ours, exact in zip(reduced, full)]
            for stage, measure in places
        }
        failed |= max(errors["encoder", "norm"]) > limit
        spread = [f"{min(values):.1e} to {max(values):.1e}" for values in errors.values()]
        print(f"| {precision} | {' | '.join(spread)} |")
    sys.exit(failed)


if __name__ == "__main__":
    main()
