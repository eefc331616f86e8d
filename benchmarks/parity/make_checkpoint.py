"""Makes a full-size Pix2Struct checkpoint with random weights, for parity and speed checks without the real weights.

    python benchmarks/parity/make_checkpoint.py TOKENIZER_DIR OUT_DIR [--seed 0] [--bin]

The shape is google/matcha-base's (the defaults of transformers' Pix2StructConfig: 282,285,696 parameters, 1.13 GB). Weights
are scaled so that greedy answers vary with the image and differ from token to token. OUT_DIR gets config.json,
generation_config.json, preprocessor_config.json (is_vqa true), the tokenizer files of TOKENIZER_DIR and
model.safetensors; with --bin pytorch_model.bin instead.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from transformers import Pix2StructConfig, Pix2StructForConditionalGeneration

TOKENIZER_FILES = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
]
PREPROCESSOR = {
    "do_convert_rgb": True,
    "do_normalize": True,
    "image_processor_type": "Pix2StructImageProcessor",
    "is_vqa": True,
    "max_patches": 2048,
    "patch_size": {"height": 16, "width": 16},
    "processor_class": "Pix2StructProcessor",
}


@torch.no_grad()
def scale(model):
    """Every linear keeps the variance of its input (times a gain); norms and biases are mildly uneven."""
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.uniform_(0.8, 1.2)
        elif "relative_attention_bias" in name:
            parameter.normal_(0, 1.0)
        elif "row_embedder" in name or "column_embedder" in name:
            parameter.normal_(0, 0.3)
        elif "embed_tokens" in name:
            parameter.normal_(0, 1.0)
        elif "query" in name or "key" in name:
            # Unscaled dot products: scores of a standard deviation near 1.5.
            parameter.normal_(0, 0.43 / parameter.shape[1] ** 0.5)
        elif parameter.dim() == 2:
            parameter.normal_(0, 1.0 / parameter.shape[1] ** 0.5)
        else:
            parameter.normal_(0, 0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bin", action="store_true", help="write pytorch_model.bin instead of model.safetensors")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    config = Pix2StructConfig(is_vqa=True)
    model = Pix2StructForConditionalGeneration(config).eval()
    scale(model)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.bin:
        config.architectures = ["Pix2StructForConditionalGeneration"]
        config.save_pretrained(arguments.out)
        model.generation_config.save_pretrained(arguments.out)
        torch.save(model.state_dict(), arguments.out / "pytorch_model.bin")
    else:
        model.save_pretrained(arguments.out)
    (arguments.out / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")
    for name in TOKENIZER_FILES:
        if (arguments.tokenizer / name).is_file():
            shutil.copy(arguments.tokenizer / name, arguments.out / name)
    print(f"{arguments.out}: {sum(p.numel() for p in model.parameters()):,} parameters, seed {arguments.seed}")


if __name__ == "__main__":
    main()
