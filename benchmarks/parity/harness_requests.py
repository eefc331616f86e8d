#!/usr/bin/env python3
"""The request bodies of `run --protocol lmms-eval` and `--protocol vlmevalkit`, beside those that the two harnesses' own code sends: 50
questions of each protocol, 25 in ChartQA's layout and 25 in ChartQAPro's, to one local server.

    python -m venv harnesses && . harnesses/bin/activate
    pip install --no-deps lmms-eval==0.7.3 ms-vlmeval==0.0.20 openbench==0.5.3
    pip install pillow numpy pandas pyarrow pydantic openai python-dotenv loguru tqdm pyyaml requests jinja2 pytz tenacity anls validators
    cargo build --release
    python benchmarks/parity/harness_requests.py target/release/chartbench

No PyTorch is needed: what the harnesses import of it, of accelerate and of other large packages is replaced by empty modules, which
building a request does not touch. Everything in a body must be equal; of the picture lmms-eval's must have the same pixels, and
VLMEvalKit's, which it encodes as JPEG, the same size: the largest difference of a pixel is printed.

`--write fixtures/protocols/requests.jsonl` pins bodies of the harnesses for the tests, which need neither network nor packages; it
needs no program.
"""

import argparse
import base64
import functools
import http.server
import importlib.abc
import importlib.machinery
import importlib.util
import io
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import types
from unittest.mock import MagicMock

import numpy
import pyarrow
import pyarrow.parquet
import yaml
from PIL import Image

HARNESSES = ("lmms_eval", "vlmeval")
KINDS = ["Factoid", "Multi Choice", "Conversational", "Fact Checking", "Hypothetical"]
# Texts that a careless template, a Python list or JSON would change.
ODD = ["What's \"A\"?", "Is {question} in {paragraph}?", "5\u00a0% \u200bof\nB \\n?", " Which is largest? ", "Größe – 漢 <answer>?"]


class EmptyModule(types.ModuleType):
    """A module in which every name is there: classes are empty, everything else is a mock."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = type(name, (), {}) if name[:1].isupper() else MagicMock(name=name)
        setattr(self, name, value)
        return value


class EmptyModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds an empty module for whatever a harness imports that is not installed."""

    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe(1)
        while frame and frame.f_code.co_filename.startswith("<frozen importlib"):
            frame = frame.f_back
        importer = frame.f_globals.get("__name__", "") if frame else ""
        own, top = importer.split(".")[0], name.split(".")[0]
        if own in HARNESSES and top not in HARNESSES:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return EmptyModule(spec.name)

    def exec_module(self, module):
        pass


@functools.cache
def package_folder(name):
    return pathlib.Path(importlib.util.find_spec(name).submodule_search_locations[0])


def bare_package(name, **names):
    """The package without what its `__init__.py` imports: dozens of models and data sets."""
    module = types.ModuleType(name)
    module.__path__ = [str(package_folder(name.split(".")[0]).joinpath(*name.split(".")[1:]))]
    vars(module).update(names)
    sys.modules[name] = module


class Server(http.server.ThreadingHTTPServer):
    """Answers every chat with `R1`, `R2` and so on, and keeps the bodies."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies = []
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.base_url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def take(self):
        with self.lock:
            bodies, self.bodies = self.bodies, []
        return bodies


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.bodies.append(body)
            text = f"R{len(self.server.bodies)}"
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        reply = {"id": "r", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice], "usage": usage}
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def picture(seed, form):
    pixels = numpy.random.default_rng(seed).integers(0, 256, (120 + seed, 160, 3), dtype=numpy.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels // 64 * 64).save(file, form)
    return file.getvalue()


def questions(count=25):
    """`count` questions of each layout: (ChartQA's rows, ChartQAPro's rows)."""
    draw = random.Random(5)
    chartqa = [
        {"type": draw.choice(["human_test", "augmented_test"]), "question": f"{ODD[i % 5]} ({i})", "answer": str(i), "image": picture(i, "PNG")}
        for i in range(count)
    ]
    pro = []
    for i in range(count):
        kind = KINDS[i % 5]
        turns = 1 + i % 4 if kind == "Conversational" else 1
        asked = [f"{ODD[(i + turn) % 5]} ({i}.{turn})" for turn in range(turns)]
        answers = [draw.choice(["it's", "5\u00a0%", ' say "no" ', "['a', 'b']", "2019"]) for _ in asked]
        paragraph = "" if i % 3 else f"  A paragraph's text, {i}.\n"
        pro.append({"Question": asked, "Answer": answers, "Question Type": kind, "image": picture(100 + i, "JPEG"), "Year": ["NO"] * turns, "Paragraph": paragraph})
    return chartqa, pro


def lmms_eval(server, chartqa, pro):
    """The bodies of lmms-eval's model type `openai`, in the order of the questions: for each benchmark."""
    from lmms_eval.api.instance import Instance
    from lmms_eval.api.task import ConfigurableMessagesTask
    import lmms_eval.models.simple.openai as simple
    simple.Accelerator = MagicMock(return_value=MagicMock(num_processes=1, local_process_index=0))
    from lmms_eval.models.chat.openai import OpenAICompatible

    model = OpenAICompatible(model_version="m-1", base_url=server.base_url, api_key="none", num_concurrent=1, prefix_aware_queue=False)
    pictures = lambda row: row | {"image": Image.open(io.BytesIO(row["image"]))}
    bodies = {}
    for name, rows in {"chartqa": [pictures(row) for row in chartqa], "chartqapro": pro}.items():
        utils = importlib.import_module(f"lmms_eval.tasks.{name}.utils")
        text = (package_folder("lmms_eval") / "tasks" / name / f"{name}.yaml").read_text()
        task = yaml.load(text.replace("!function ", ""), yaml.SafeLoader)
        words = task["lmms_eval_specific_kwargs"]["default"]
        def messages(row):
            visuals = getattr(utils, f"{name}_doc_to_visual")(row)
            return ConfigurableMessagesTask._build_user_turn(visuals, getattr(utils, f"{name}_doc_to_text")(row, words))
        model.task_dict = {name: {"test": rows}}
        model.generate_until([
            Instance(request_type="generate_until", arguments=("", messages, dict(task["generation_kwargs"]), index, name, "test"), idx=0, metadata={"task": name, "doc_id": index, "repeats": 1})
            for index in range(len(rows))
        ])
        bodies[name] = server.take()
    return bodies


def vlmevalkit(server, chartqa, pro, folder):
    """The bodies of VLMEvalKit's GPT4V models, in the order of the questions, for each of its data sets."""
    for name in ["vlmeval", "vlmeval.api", "vlmeval.dataset"]:
        bare_package(name)
    bare_package("vlmeval.dataset.utils", build_judge=None, DEBUG_MESSAGE=None)
    from vlmeval.api.gpt import GPT4V
    from vlmeval.dataset.chartbench import ChartBench
    from vlmeval.dataset.chartqapro import ChartQAPro
    from vlmeval.dataset.image_vqa import ImageVQADataset
    from vlmeval.dataset.plotqa import PlotQA
    import vlmeval.api.base as base
    base.time.sleep = lambda _: None

    def image(name, content):
        path = folder / name
        path.write_bytes(content)
        return str(path)
    lines = [{"question": row["question"], "image_path": image(f"{i}.png", row["image"])} for i, row in enumerate(chartqa)]
    pro_lines = [
        {"question": repr(row["Question"]), "answer": repr(row["Answer"]), "question_type": row["Question Type"], "paragraph": row["Paragraph"], "image": image(f"pro-{i}.jpg", row["image"])}
        for i, row in enumerate(pro)
    ]
    model = GPT4V(model="m-1", key="none", api_base=f"{server.base_url}/chat/completions", temperature=0, img_size=-1, img_detail="high", retry=1, verbose=False)
    sets = {
        "chartqa": (ImageVQADataset, "ChartQA_TEST", lines),
        "chartqapro": (ChartQAPro, "ChartQAPro", pro_lines),
        "chartqapro-cot": (ChartQAPro, "ChartQAPro_CoT", pro_lines),
        "plotqa-vlmevalkit": (PlotQA, "PlotQA", lines),
        "chartbench-vlmevalkit": (ChartBench, "ChartBench", lines),
    }
    bodies = {}
    for name, (kind, dataset_name, rows) in sets.items():
        data = object.__new__(kind)
        data.dataset_name, data.meta_only = dataset_name, True
        for row in rows:
            model.generate(data.build_prompt(row), dataset=dataset_name)
        bodies[name] = server.take()
    return bodies


def openbench(server, pro):
    """The bodies of openbench's last turns, after its own replies `R1`, `R2`: its words in the order of its solver."""
    path = package_folder("openbench") / "prompts" / "chartqapro.py"
    spec = importlib.util.spec_from_file_location("openbench_words", path)
    words = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(words)
    bodies = []
    for row in pro:
        image = {"type": "image_url", "image_url": {"url": data_url(row["image"])}}
        first = words.format_question_with_paragraph(row["Question"][0], row["Paragraph"])
        messages = [
            {"role": "system", "content": words.get_system_prompt(row["Question Type"], "direct")},
            {"role": "user", "content": [image, {"type": "text", "text": first}]},
        ]
        for index, question in enumerate(row["Question"][1:], 1):
            messages += [{"role": "assistant", "content": f"R{index}"}, {"role": "user", "content": f"Question: {question}"}]
        bodies.append({"model": "m-1", "messages": messages})
    return bodies


def data_url(content):
    kind = Image.open(io.BytesIO(content)).format.lower()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def split(body):
    """The body without its picture, and the picture."""
    pictures = []
    def walk(value):
        if isinstance(value, dict):
            if value.get("type") == "image_url":
                pictures.append(value["image_url"]["url"])
                value = value | {"image_url": value["image_url"] | {"url": "IMAGE"}}
            return {key: walk(inner) for key, inner in value.items()}
        return [walk(inner) for inner in value] if isinstance(value, list) else value
    body = walk(body)
    [picture] = pictures
    return body, picture


def pixels(url):
    content = base64.b64decode(url.split(",", 1)[1])
    return numpy.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def chartbench(program, server, folder, benchmark, protocol, rows):
    """The bodies of `run --protocol`."""
    data = folder / f"{protocol}-{benchmark}"
    (data / "data").mkdir(parents=True)
    columns = [row | {"image": {"bytes": row["image"], "path": None}} if benchmark.startswith("chartqa-") else row for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(columns), data / "data" / "test-00000-of-00001.parquet")
    adapters = folder / "adapters"
    adapters.mkdir(exist_ok=True)
    (adapters / "served.toml").write_text(
        f'family = "chat"\ntitle = "Served"\nsource = "here"\n[endpoint]\nbase_url = "{server.base_url}"\nmodel = "m-1"\n'
        "[limits]\nconcurrency = 1\n[generation]\ntemperature = 0.5\nseed = 42\n"
    )
    command = [program, "run", "--benchmark", benchmark, "--data", data, "--protocol", protocol, "--adapters", "served", "--adapters-dir", adapters]
    subprocess.run([*map(str, command), "--no-blind", "--results", str(folder / "results"), "--name", f"{protocol}-{benchmark}"], check=True, stdout=subprocess.DEVNULL)
    return server.take()


def compare(name, expected, found, same_pixels):
    """How many bodies are equal, printed; what differs of the first that are not."""
    key = lambda body: json.dumps([message["content"] for message in split(body)[0]["messages"]])
    found = {key(body): body for body in found}
    equal, most = 0, 0
    for body in expected:
        (want, want_picture), other = split(body), found.get(key(body))
        if other is None:
            print(f"{name}: not asked: {key(body)[:300]}")
            continue
        got, got_picture = split(other)
        if got != want:
            print(f"{name}: differs in {[k for k in want | got if want.get(k) != got.get(k)]}")
            continue
        a, b = pixels(want_picture), pixels(got_picture)
        if a.shape != b.shape or (same_pixels and (a != b).any()):
            print(f"{name}: another picture")
            continue
        most, equal = max(most, abs(a - b).max()), equal + 1
    print(f"{name}: {equal} of {len(expected)} bodies equal; pixels differ by {most} of 255 at most")
    return equal == len(expected) == len(found)


def pinned(protocol, benchmark, rows, bodies):
    """A line a question and body."""
    for row, body in zip(rows, bodies, strict=True):
        asked, answers = (row[key] if isinstance(row[key], list) else [row[key]] for key in (("Question", "Answer") if "Question" in row else ("question", "answer")))
        line = {"protocol": protocol, "benchmark": benchmark, "question": asked[-1], "question_type": row.get("Question Type"), "paragraph": row.get("Paragraph", "")}
        yield line | {"history": list(zip(asked[:-1], answers[:-1])), "body": split(body)[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", help="chartbench")
    parser.add_argument("--write", type=pathlib.Path, help="pin bodies for the tests in this file")
    arguments = parser.parse_args()
    sys.meta_path.append(EmptyModules())
    server = Server()
    chartqa, pro = questions()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        lmms, kit = lmms_eval(server, chartqa, pro), vlmevalkit(server, chartqa, pro, scratch)
        if arguments.write:
            few, few_pro = slice(0, 5), slice(0, 15)
            lines = [
                *pinned("lmms-eval", "chartqa", chartqa[few], lmms["chartqa"][few]),
                *pinned("lmms-eval", "chartqapro", pro[few_pro], lmms["chartqapro"][few_pro]),
                *pinned("vlmevalkit", "chartqa", chartqa[few], kit["chartqa"][few]),
                *pinned("vlmevalkit", "chartqapro", pro[few_pro], kit["chartqapro"][few_pro]),
                *pinned("vlmevalkit-cot", "chartqapro", pro[few], kit["chartqapro-cot"][few]),
                *pinned("vlmevalkit", "plotqa-vlmevalkit", chartqa[:1], kit["plotqa-vlmevalkit"][:1]),
                *pinned("vlmevalkit", "chartbench-vlmevalkit", chartqa[:1], kit["chartbench-vlmevalkit"][:1]),
                *pinned("openbench", "chartqapro", pro[few_pro], openbench(server, pro)[few_pro]),
            ]
            arguments.write.parent.mkdir(parents=True, exist_ok=True)
            arguments.write.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        if not arguments.program:
            return arguments.write is None
        good = []
        for protocol, bodies in {"lmms-eval": lmms, "vlmevalkit": kit}.items():
            for benchmark, rows in {"chartqa-lmms-lab": chartqa, "chartqapro": pro}.items():
                found = chartbench(arguments.program, server, scratch, benchmark, protocol, rows)
                name = benchmark.split("-")[0]
                good.append(compare(f"{protocol}, {benchmark}", bodies[name], found, protocol == "lmms-eval"))
    return not all(good)


if __name__ == "__main__":
    sys.exit(main())
