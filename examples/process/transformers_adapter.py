"""A chartbench adapter around a transformers model: a Pix2Struct (MatCha, DePlot), or any image-text-to-text chat model.

    pip install torch transformers pillow
    chartbench run --adapters-dir examples/process --adapters transformers

Copy it beside an adapter file of your own, and change what your model wants to be changed: `load` returns what is recorded
as the model's settings, and a function from a picture and a question to an answer.
"""

import argparse
import json
import os
import sys
import types

PROTOCOL = 1


def load_pix2struct(options):
    """A Pix2Struct reads its question above the chart."""
    from transformers import AutoImageProcessor, AutoTokenizer, Pix2StructForConditionalGeneration

    model = Pix2StructForConditionalGeneration.from_pretrained(
        options.model, revision=options.revision, dtype=options.dtype
    )
    processor = AutoImageProcessor.from_pretrained(options.model, revision=options.revision)
    tokenizer = AutoTokenizer.from_pretrained(options.model, revision=options.revision)
    if options.font:
        render = type(processor).render_header
        processor.render_header = types.MethodType(
            lambda self, image, header, **_: render(self, image, header, font_path=options.font), processor
        )
    model = model.to(options.device).eval()

    def answer(image, question):
        inputs = processor(image, header_text=question, return_tensors="pt").to(options.device, model.dtype)
        ids = model.generate(**inputs, max_new_tokens=options.max_new_tokens, do_sample=False, num_beams=1)
        return tokenizer.decode(ids[0], skip_special_tokens=True)

    return {"prompt": "the question as header", "font": os.path.basename(options.font or "reference")}, model, answer


def load_chat(options):
    """A chat model gets the picture and the prompt as one user message."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(options.model, revision=options.revision)
    model = AutoModelForImageTextToText.from_pretrained(
        options.model, revision=options.revision, dtype=options.dtype
    )
    model = model.to(options.device).eval()

    def answer(image, question):
        text = options.prompt.replace("{question}", question)
        content = [{"type": "image", "image": image}, {"type": "text", "text": text}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(options.device, model.dtype)
        ids = model.generate(**inputs, max_new_tokens=options.max_new_tokens, do_sample=False, num_beams=1)
        return processor.decode(ids[0][inputs["input_ids"].shape[1] :], skip_special_tokens=True)

    return {"prompt": options.prompt}, model, answer


def load(options):
    """The settings that can change an answer, and a function that answers."""
    import torch
    import transformers

    config = transformers.AutoConfig.from_pretrained(options.model, revision=options.revision)
    family = load_pix2struct if config.model_type == "pix2struct" else load_chat
    settings, model, answer = family(options)
    commit = getattr(model.config, "_commit_hash", None)
    settings |= {
        "model": options.model,
        "commit": commit or "a local folder",
        "dtype": str(model.dtype),
        "max_new_tokens": options.max_new_tokens,
        "table_prompt": options.table_prompt or "none",
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    }
    return settings, torch.no_grad()(answer)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="name on the Hugging Face hub, or a folder")
    parser.add_argument("--revision", default="main")
    parser.add_argument("--prompt", default="{question}\nAnswer with a single word, number or phrase.")
    parser.add_argument("--table-prompt", help="asks for a chart's table, in place of a question")
    parser.add_argument("--font", help="font file for a Pix2Struct's header (default: Arial from the hub)")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--dtype", default="float32", help="float32, bfloat16, float16, or auto: the checkpoint's own")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def main():
    options = parse()
    # Whatever a library prints must not come between the answers: standard output is kept for them alone.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message):
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    settings, answer = load(options)
    say({"protocol": PROTOCOL, "settings": settings})
    from PIL import Image

    for line in sys.stdin:
        question = json.loads(line)
        try:
            image = Image.open(question["image"]).convert("RGB")
            is_table = question.get("answer_type") == "table"
            if is_table and not options.table_prompt:
                raise ValueError("this model writes no tables: give --table-prompt")
            text = options.table_prompt if is_table else question["question"]
            say({"id": question["id"], "prediction": answer(image, text)})
        except Exception as error:  # one picture or question that fails is a row, not the end
            say({"id": question["id"], "error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
