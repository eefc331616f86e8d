"""Loads a fine-tuned checkpoint of the mini benchmark in transformers and asks it every question of its run again.

    pip install -r benchmarks/requirements.txt
    chartbench finetune --name after
    chartbench data synth CHARTS --train 1
    python benchmarks/parity/finetuned.py results/after/matcha-tiny CHARTS

The folder is the run's of one adapter (checkpoint/ and predictions.jsonl). Ends in 1 unless every answer's token ids are
those of the run. Pix2Struct folders answer greedily, Donut folders with 4 beams, as the adapters' files say.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from transformers.modeling_outputs import BaseModelOutput

import reference
import reference_unichart


def pix2struct(folder, settings):
    model, processor, tokenizer = reference.load(folder)
    most = processor.max_patches

    def answer(image, question):
        return reference.generate(model, reference.patches(processor, image, question, most), settings.max_new_tokens)

    return answer


def donut(folder, settings):
    model, processor, tokenizer = reference_unichart.load(folder)
    encoded = {}

    def answer(image, question):
        if image not in encoded:
            encoded.clear()
            with torch.no_grad():
                encoded[image] = model.encoder(reference_unichart.pixels(processor, image)).last_hidden_state
        ids = reference_unichart.prompt(tokenizer, question)
        most = model.config.decoder.max_position_embeddings - ids.shape[1]
        return reference_unichart.generate(model, tokenizer, ids, most, 4, encoder_outputs=BaseModelOutput(encoded[image]))

    return answer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("charts", type=Path)
    parser.add_argument("--max-new-tokens", type=int, default=48, help="of Pix2Struct answers")
    args = parser.parse_args()
    folder = args.run / "checkpoint"
    family = json.loads((folder / "config.json").read_text())["model_type"]
    answer = {"pix2struct": pix2struct, "vision-encoder-decoder": donut}[family](folder, args)
    records = [json.loads(line) for line in (args.run / "predictions.jsonl").read_text().splitlines()]
    different = 0
    for record in records:
        ids = answer(args.charts / "images" / f"{record['chart']}.png", record["question"])
        if ids != record["token_ids"]:
            different += 1
            print(f"{record['id']}: {record['token_ids']} here, {ids} in transformers")
    print(f"token ids of {len(records) - different} of {len(records)} questions equal")
    sys.exit(different > 0 or not records)


if __name__ == "__main__":
    main()
