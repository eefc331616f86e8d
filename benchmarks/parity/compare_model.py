"""Compares the model with transformers at full size: encoder states, teacher-forced logits, greedy tokens, times.

    cargo build --release --example parity_model
    python benchmarks/parity/compare_model.py CHECKPOINT_DIR [--patches 2048,1500,600] [--tokens 20] [--seed 0]

Inputs are random patches laid out and normalised as the image processor's, each question with its own number of rows.
Prints the largest difference relative to the largest value of each output; exits with 1 when one exceeds 1e-3 or a
greedy token differs.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import Pix2StructForConditionalGeneration

BINARY = Path(__file__).parents[2] / "target/release/examples/parity_model"
LIMIT = 1e-3


def patches(rows, generator):
    """Smooth random patches of unit variance with ids from 1, on a grid about as wide as high."""
    columns = max(1, int(rows**0.5))
    ids = torch.tensor([[patch // columns + 1, patch % columns + 1] for patch in range(rows)], dtype=torch.float32)
    base = torch.randn(rows, 3, generator=generator).repeat(1, 256)
    values = base + 0.5 * torch.randn(rows, 768, generator=generator)
    return torch.cat([ids, (values - values.mean()) / values.std()], 1)


def difference(name, ours, theirs):
    worst = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    print(f"  {name}: relative difference {worst:.2e}")
    return worst <= LIMIT


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--patches", default="2048,1500,600")
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(arguments.seed)
    questions = {}
    counts = [int(count) for count in arguments.patches.split(",")]
    for n, count in enumerate(counts):
        questions[f"patches.{n}"] = patches(count, generator)
        ids = torch.randint(2, 50244, (12,), generator=generator)
        ids[0] = 0
        questions[f"ids.{n}"] = ids
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = f"{folder}/in.safetensors", f"{folder}/out.safetensors"
        save_file(questions, inputs)
        subprocess.run([BINARY, arguments.checkpoint, inputs, str(arguments.tokens), outputs], check=True)
        ours = load_file(outputs)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"chartbench: peak memory {peak:.2f} GiB")

    model = Pix2StructForConditionalGeneration.from_pretrained(arguments.checkpoint).eval()
    good = True
    for n in range(len(counts)):
        rows = questions[f"patches.{n}"][None]
        start = time.time()
        encoded = model.encoder(flattened_patches=rows, attention_mask=torch.ones(rows.shape[:2]))
        middle = time.time()
        greedy = model.generate(flattened_patches=rows, max_new_tokens=arguments.tokens, use_cache=True)[0, 1:]
        print(f"question {n}: transformers encoder {middle - start:.2f} s, generate {time.time() - middle:.2f} s")
        logits = model(
            decoder_input_ids=questions[f"ids.{n}"][None],
            encoder_outputs=encoded,
            attention_mask=torch.ones(rows.shape[:2]),
        ).logits[0]
        good &= difference("encoder states", ours[f"encoded.{n}"], encoded.last_hidden_state[0])
        good &= difference("logits", ours[f"logits.{n}"], logits)
        same = ours[f"greedy.{n}"].tolist() == greedy.tolist()
        print(f"  greedy: {'equal' if same else 'DIFFERENT'} {greedy.tolist()[:8]} ...")
        good &= same
    print(f"transformers: peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
