"""Pages to look at: runs of the mini benchmark, a hostile run, and a run of 20,000 questions."""

import json
import os
import random
import re
import struct
import subprocess
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CHARTBENCH", ROOT / "target/release/chartbench")

MANIFEST = """\
format = 1
name = {name}
program = "0.1.0"

[benchmark]
name = "custom"
title = "Made by a test"
split = "test"
charts = {charts}
questions = {questions}
questions_per_chart = "all"
seed = 0
limit = 0
hash = "{hash}"
"""

ADAPTER = """
[[adapters]]
id = {id}
fingerprint = "00"

[adapters.execution]
device = "cpu"

[adapters.settings]
prompt = {prompt}
"""


def chartbench(*arguments):
    """Runs the program, which must end well."""
    subprocess.run([PROGRAM, *map(str, arguments)], check=True, capture_output=True, text=True)


def toml(text):
    """A text as a basic string of TOML; JSON's escapes are among TOML's."""
    return json.dumps(text)


def write_run(path, name, question_hash, adapters, prompt="none"):
    """A run directory by hand; `adapters` is a list of an id and its prediction lines."""
    path.mkdir(parents=True)
    charts = {line["chart"] for _, lines in adapters for line in lines}
    manifest = MANIFEST.format(name=toml(name), charts=len(charts), questions=len(adapters[0][1]), hash=question_hash)
    manifest += "".join(ADAPTER.format(id=toml(adapter), prompt=toml(prompt)) for adapter, _ in adapters)
    (path / "run.toml").write_text(manifest)
    for adapter, lines in adapters:
        (path / adapter).mkdir()
        content = "".join(json.dumps(line) + "\n" for line in lines)
        (path / adapter / "predictions.jsonl").write_text(content)


def mini(folder):
    """Two runs of the mini benchmark, of which the second changes one adapter; some pictures, and training curves."""
    results = folder / "results"
    common = ["--limit", 240, "--results", results]
    chartbench("run", "--no-blind", "--adapters", "majority,question-prior,matcha-tiny,matcha-tiny-mini", "--name", "before", *common)
    weights = f"matcha-tiny={ROOT / 'crates/models-matcha/matcha-tiny-mini'}"
    chartbench("run", "--no-blind", "--adapters", "matcha-tiny", "--weights", weights, "--name", "after", *common)
    steps = [{"kind": "step", "step": step, "loss": 3 / step**0.5, "lr": 1e-3, "gradient_norm": 1.0, "tokens": 60, "seconds": 0.1}
             for step in range(1, 201)]
    scores = [{"kind": "validation", "step": step, "questions": 40, "metrics": {"relaxed": step / 500, "loss": 2 / step**0.4}, "seconds": 1.0}
              for step in range(50, 201, 50)]
    log = "".join(json.dumps(line) + "\n" for line in steps + scores)
    (results / "after/matcha-tiny/training.jsonl").write_text(log)
    manifest = results / "after/run.toml"
    manifest.write_text(re.sub(r'"finetune.step" = "\d+"', '"finetune.step" = "150"', manifest.read_text()))
    page = folder / "mini.html"
    chartbench("report", results / "before", results / "after", "--images", 40, "--out", page)
    return page


def png(width, height):
    """A white picture."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xff" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "\"'><img src=x onerror=alert(3)>",
    "<!--<script>",
    "\u202eright to left\u2066 and \u200e back",
    "bell \u0007, escape \u001b[31m, zero \u0000, next line \u0085, \u2028 and \u2029",
    "{{ 7 * 7 }} {% raw %} ${alert(4)} &lt;b&gt;",
    "long " + "x" * 100_000,
]
IMAGES = ["ok.png", "a b#1?.png", "javascript:alert(5)", "../outside.png", "blob:image/svg+xml,<svg onload=alert(6)>", "\"onerror=alert(7) .png"]


def hostile(folder):
    """Data and answers that try to become markup."""
    data = folder / "data"
    data.mkdir()
    (folder / "outside.png").write_bytes(png(30, 20))
    for name in ["ok.png", "a b#1?.png"]:
        (data / name).write_bytes(png(30, 20))
    lines = [
        {"id": f"q{index}", "image": IMAGES[index % len(IMAGES)], "question": text, "answer": text, "chart_type": HOSTILE[index % len(IMAGES)][:40], "source": "a\nb"}
        for index, text in enumerate(HOSTILE)
    ]
    lines.append({"id": "t", "image": "ok.png", "question": "?", "answer": "a", "split": "train"})
    (data / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    chartbench("run", "--adapters", "majority", "--benchmark", "custom", "--data", data, "--name", "asked", "--results", folder)
    asked = (folder / "asked/run.toml").read_text()
    question_hash = next(line for line in asked.splitlines() if line.startswith("hash")).split('"')[1]
    stored = [json.loads(line) for line in (folder / "asked/majority/predictions.jsonl").read_text().strip().split("\n")]
    answers = [dict(line, prediction=text, error=None) for line, text in zip(stored, HOSTILE)]
    errors = [dict(line, prediction=None, error=text) for line, text in zip(stored, HOSTILE)]
    adapters = [("<img src=x onerror=alert(8)>", answers), ("\u202e'\"><script>alert(9)<", errors)]
    write_run(folder / "hostile", "<b>run<title>", question_hash, adapters, prompt="</dd><script>alert(10)</script>")
    page = folder / "hostile.html"
    title = "</title><script>alert(11)</script>"
    chartbench("report", folder / "hostile", "--data", data, "--benchmark", "custom", "--images", 1, "--title", title, "--out", page)
    return page


def big(folder):
    """20,000 questions, four adapters in two runs; some answers are right but for a percent sign."""
    dice = random.Random(0)
    names = ["Revenue", "Rainfall", "Population", "Exports", "Temperature", "Output"]

    def line(index, right):
        gold = str(index * 7 % 1000)
        question = f"What is the {dice.choice(names).lower()} of {dice.choice(names)} in {1900 + index % 120}?"
        prediction = gold if dice.random() < right else str(dice.randrange(1000))
        prediction += "%" if dice.random() < 0.02 else ""
        return {"id": f"q{index}", "chart": f"chart {index // 4}", "question": question, "gold": gold,
                "answer_type": "numerical", "chart_type": ["line", "bar", "scatter"][index % 3],
                "prediction": prediction, "error": None, "latency_ms": 100.0}

    def lines(right):
        return [line(index, right) for index in range(20_000)]

    write_run(folder / "big-a", "before", "00", [("one", lines(0.4)), ("two", lines(0.5)), ("majority", lines(0.1))])
    write_run(folder / "big-b", "after", "00", [("one", lines(0.6))])
    page = folder / "big.html"
    chartbench("report", folder / "big-a", folder / "big-b", "--out", page)
    return page
