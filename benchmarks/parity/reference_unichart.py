"""UniChart's reference, transformers on PyTorch, behind three small functions; shared by compare_unichart.py and
../speed/unichart.py. Follows the inference code of UniChart's authors, with max_new_tokens to keep random weights short."""

import torch
from PIL import Image
from transformers import AutoImageProcessor, PreTrainedTokenizerFast, VisionEncoderDecoderModel


def load(directory):
    model = VisionEncoderDecoderModel.from_pretrained(directory, dtype=torch.float32).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(directory)
    return model, AutoImageProcessor.from_pretrained(directory), tokenizer


def pixels(processor, path):
    return processor(Image.open(path).convert("RGB"), return_tensors="pt").pixel_values


def prompt(tokenizer, question):
    text = f"<chartqa> {question} <s_answer>"
    return tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids


@torch.no_grad()
def generate(model, tokenizer, ids, max_new_tokens, beams, **image):
    """New token ids, end-of-sequence token included; `image` is pixel_values or encoder_outputs."""
    out = model.generate(
        decoder_input_ids=ids, max_new_tokens=max_new_tokens, early_stopping=beams > 1, num_beams=beams, do_sample=False,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, use_cache=True,
        bad_words_ids=[[tokenizer.unk_token_id]], **image,
    )[0].tolist()[ids.shape[1] :]
    eos = tokenizer.eos_token_id
    return out[: out.index(eos) + 1] if eos in out else out
