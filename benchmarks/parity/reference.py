"""The reference implementation, transformers on PyTorch, behind three small functions.

Shared by compare.py and ../speed/side_by_side.py. Needs `pip install -r benchmarks/requirements.txt`.
"""

import types
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, Pix2StructForConditionalGeneration

FONT = Path(__file__).resolve().parents[2] / "crates/fonts/fonts/DejaVuSans.ttf"


def load(directory, font=FONT):
    """Model, image processor (headers in `font`) and tokenizer of a checkpoint folder."""
    model = Pix2StructForConditionalGeneration.from_pretrained(directory, dtype=torch.float32).eval()
    processor = AutoImageProcessor.from_pretrained(directory)
    render_header = type(processor).render_header
    processor.render_header = types.MethodType(
        lambda self, image, header, **_: render_header(self, image, header, font_path=str(font)), processor
    )
    return model, processor, AutoTokenizer.from_pretrained(directory)


def patches(processor, path, question, max_patches):
    """Flattened patches [1, max_patches, 2 + P] and mask of one chart; without header where `question` is None."""
    image = Image.open(path)
    options = {"return_tensors": "pt", "max_patches": max_patches, "is_vqa": question is not None}
    if question is not None:
        options["header_text"] = question
    return processor(image, **options)


def generate(model, inputs, max_new_tokens):
    """Greedy token ids after the start token, end-of-sequence token included."""
    return generate_batch(model, inputs, max_new_tokens)[0]


@torch.no_grad()
def generate_batch(model, inputs, max_new_tokens):
    """The same for each question of a batch."""
    answers = model.generate(
        flattened_patches=inputs["flattened_patches"],
        attention_mask=inputs["attention_mask"],
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        use_cache=True,
    ).tolist()
    eos = model.config.text_config.eos_token_id
    return [ids[1 : ids.index(eos, 1) + 1] if eos in ids[1:] else ids[1:] for ids in answers]
