"""Compares a training step's loss and gradients with PyTorch's, and times PyTorch's step.

    python benchmarks/parity/make_checkpoint.py TOKENIZER_DIR CHECKPOINT
    cargo run --release --example training_step -- CHECKPOINT 2 256 20 1 --dump step.safetensors
    python benchmarks/parity/training.py CHECKPOINT step.safetensors

The dump holds the batch as well, so both sides compute the same. CPU, f32, dropout off. Every gradient is compared
relative to its largest value; the script ends in 1 where one is further away than --tolerance (1e-4) or missing, or the
loss further than 1e-5. With --time BATCH PATCHES LABELS STEPS it only times steps of that size in training mode (dropout
on), AdamW included.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import Pix2StructForConditionalGeneration

from differences import relative


def batch_of(dump):
    images = [dump[f"image.{row}"] for row in range(sum(name.startswith("image.") for name in dump))]
    labels = torch.nn.utils.rnn.pad_sequence(
        [dump[f"labels.{row}"] for row in range(len(images))], batch_first=True, padding_value=-100
    )
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(image)) for image in images], batch_first=True)
    patches = torch.nn.utils.rnn.pad_sequence(images, batch_first=True)
    return dict(flattened_patches=patches, attention_mask=mask, labels=labels)


def compare(model, dump, tolerance):
    batch = batch_of(dump)
    count = (batch["labels"] != -100).sum()
    loss = model(**batch).loss * count
    loss.backward()
    off = relative(dump["loss"], loss.detach().reshape(1))
    print(f"loss {dump['loss'].item() / count:.7f}, PyTorch {loss.item() / count:.7f}, relative difference {off:.1e}")
    differences = []
    for name, parameter in model.named_parameters():
        if f"gradient.{name}" not in dump:
            print(f"{name}: no gradient")
            differences.append((float("inf"), name))
            continue
        found, golden = dump[f"gradient.{name}"], parameter.grad
        differences.append((relative(found, golden), name))
    differences.sort(reverse=True)
    print(f"{len(differences)} gradients, relative differences: median {differences[len(differences) // 2][0]:.1e}, worst:")
    for difference, name in differences[:5]:
        print(f"  {difference:.1e} {name}")
    return off <= 1e-5 and differences[0][0] <= tolerance


def timed(model, batch, patches, labels, steps):
    model.train()
    side = int(patches**0.5 + 0.999)
    images = torch.randn(batch, patches, 2 + model.config.vision_config.patch_embed_hidden_size)
    images[:, :, 0] = torch.arange(patches) // side + 1
    images[:, :, 1] = torch.arange(patches) % side + 1
    ids = torch.randint(2, model.config.text_config.vocab_size, (batch, labels))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for step in range(steps):
        optimizer.zero_grad()
        start = time.perf_counter()
        loss = model(flattened_patches=images, attention_mask=torch.ones(batch, patches), labels=ids).loss
        middle = time.perf_counter()
        loss.backward()
        end = time.perf_counter()
        optimizer.step()
        stepped = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        seconds = f"forward {middle - start:.2f} s, backward {end - middle:.2f} s, optimizer {stepped - end:.2f} s"
        print(f"step {step}: {seconds}, peak memory {peak:.2f} GiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("dump", type=Path, nargs="?")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--time", type=int, nargs=4, metavar=("BATCH", "PATCHES", "LABELS", "STEPS"))
    arguments = parser.parse_args()
    model = Pix2StructForConditionalGeneration.from_pretrained(arguments.checkpoint, dtype=torch.float32).eval()
    if arguments.time:
        timed(model, *arguments.time)
    elif arguments.dump:
        sys.exit(0 if compare(model, load_file(arguments.dump), arguments.tolerance) else 1)
    else:
        parser.error("a dump or --time is needed")


if __name__ == "__main__":
    main()
