"""Compares `chartbench judge` with CharXiv's official code, on a clone of its repository.

    git clone https://github.com/princeton-nlp/CharXiv CLONE
    cargo build --release
    python3 benchmarks/parity/judged.py CLONE [--figures 50]

Needs no packages, no network and no key: the judge is a server of this script that fails, refuses and answers malformed
JSON. Answers to the questions about the first figures are made up here, imported, and judged; the judge is killed in the
middle and started again. Then

* the requests must be those that the official code builds, byte for byte (by their hashes),
* every answer must be judged once, in the official batches,
* the means of `chartbench leaderboard` must be the official `get_stats.py`'s, in every category, to its two digits, and
  so must be the number of invalid verdicts.

The clone stays as it is: a copy without the other figures is judged. Its charts are not looked at. Exit code 1 when
something differs.
"""

import argparse
import collections
import hashlib
import http.server
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ADAPTER = """family = "chat"
title = "The judge of this script"
source = "here"
[endpoint]
base_url = "http://127.0.0.1:{port}/v1"
model = "judge-1"
extra = {{ response_format = {{ type = "json_object" }}, top_p = 1 }}
[limits]
concurrency = 8
first_delay = 0.01
longest_delay = 0.05
retries = 2
"""
# Slices of chartbench, and the keys of the official statistics.
SLICES = {
    "descriptive": {
        "category": "By Category",
        "subplots": "By Subplot",
        "subject": "By Subject",
        "year": "By Year",
        "template": "By Question",
    },
    "reasoning": {
        "inst_category": "By Answer Type",
        "source": "By Source",
        "subplots": "By Subplot",
        "subject": "By Subject",
        "year": "By Year",
    },
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=pathlib.Path)
    parser.add_argument("--figures", type=int, default=50)
    parser.add_argument("--chartbench", type=pathlib.Path, default=ROOT / "target/release/chartbench")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        clone = copy(arguments.clone, place / "CharXiv", arguments.figures)
        program = Program(arguments.chartbench.resolve(), place)
        different = sum(check(part, clone, program) for part in SLICES)
    print("all equal" if different == 0 else f"{different} differ")
    return min(different, 1)


def copy(clone, to, figures):
    """The clone with its first figures alone."""
    for name in ["src", "data"]:
        shutil.copytree(clone / name, to / name)
    (to / "images").mkdir()
    (to / "results").mkdir()
    for path in (to / "data").glob("*_val.json"):
        whole = json.loads(path.read_text(encoding="utf-8"))
        kept = dict(list(whole.items())[:figures])
        path.write_text(json.dumps(kept), encoding="utf-8")
        for figure in kept:
            (to / "images" / f"{figure}.jpg").touch()
    return to


class Program:
    """chartbench in a folder of its own."""

    def __init__(self, path, folder):
        self.path, self.folder = path, folder

    def start(self, *arguments, **options):
        return subprocess.Popen([self.path, *arguments], cwd=self.folder, **options)

    def run(self, *arguments):
        process = self.start(*arguments, stdout=subprocess.PIPE)
        output, _ = process.communicate()
        if process.returncode > 1:
            sys.exit(f"chartbench {' '.join(map(str, arguments))}: exit code {process.returncode}")
        return output


def check(part, clone, program):
    """The number of differences in a part."""
    questions = json.loads((clone / f"data/{part}_val.json").read_text(encoding="utf-8"))
    responses = made_up(part, questions)
    lines = [json.dumps({"id": key, "prediction": text}) for key, text in responses.items()]
    (program.folder / f"{part}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    program.run("import", f"{part}.jsonl", "--as", part, "--benchmark", f"charxiv-{part}", "--data", "CharXiv")
    log = program.folder / "results" / part / part / "judgements.jsonl"
    judge(program, part, log)
    judgements = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    print(f"{part}: {len(responses)} answers judged in {len(judgements)} requests")

    different = 0
    officially = collections.Counter(official_requests(part, clone, questions, responses))
    ours = collections.Counter(line["request_sha256"] for line in judgements)
    if ours != officially:
        different += report("requests", f"{len(ours - officially)} are not official", f"{len(officially - ours)} are missing")
    judged = collections.Counter(answer["id"] for line in judgements for answer in line["answers"])
    if judged != collections.Counter(list(responses)):
        different += report("verdicts", len(judged), len(responses))

    stats = official_stats(part, clone, judgements)
    board = program.run("leaderboard", part, "--convention", "charxiv", "--format", "json", "--slice-by", ",".join(SLICES[part]))
    for row in json.loads(board)["rows"]:
        here = round(row["judged accuracy"], 2)
        if row["slice"] == "overall":
            different += compare("overall", here, stats["Overall Score"])
            continue
        value = f"Q{row['value']}" if row["slice"] == "template" else row["value"]
        different += compare(f"{row['slice']} {value}", here, stats[SLICES[part][row["slice"]]][value])
    invalid = sum(answer["score"] == -1 for line in judgements for answer in line["answers"])
    return different + compare("invalid verdicts", invalid, stats["N_invalid"])


def compare(name, here, official):
    return 0 if abs(here - official) < 0.0051 else report(name, here, official)


def report(name, here, official):
    print(f"{name}: {here} here, {official} officially")
    return 1


def made_up(part, questions):
    """Responses of which about two in three are right."""
    responses = {}
    for figure, question in questions.items():
        golds = question["answers"] if part == "descriptive" else [question["answer"]]
        for index, gold in enumerate(golds):
            key = f"{figure}_{index}" if part == "descriptive" else figure
            is_right = (int(figure) + index) % 3 > 0
            responses[key] = f"In figure {figure} it is: {gold if is_right else 'something else'}"
    return responses


def judge(program, part, log):
    """Judges a run; the first start is killed when some verdicts are stored."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Judge)
    server.seen = collections.Counter()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (program.folder / "script.toml").write_text(ADAPTER.format(port=server.server_port), encoding="utf-8")
    command = ["judge", part, "--with", "script", "--adapters-dir", ".", "--clone", "CharXiv"]
    first = program.start(*command, stdout=subprocess.DEVNULL)
    while first.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") > 3):
        time.sleep(0.01)
    first.kill()
    first.wait()
    stored = log.read_bytes()
    stored = stored[: stored.rfind(b"\n") + 1]
    finished = {json.loads(line)["request_sha256"] for line in stored.splitlines()}
    server.seen.clear()
    program.run(*command)
    server.shutdown()
    if not log.read_bytes().startswith(stored):
        sys.exit("what was stored before the kill has changed")
    again = finished & {hashlib.sha256(message.encode()).hexdigest() for message in server.seen}
    if again:
        sys.exit(f"{len(again)} finished requests were sent again")


class Judge(http.server.BaseHTTPRequestHandler):
    """Finds right what is like the gold answer; what else it does depends on the request's hash."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = body["messages"][0]["content"]
        before = self.server.seen[message]
        self.server.seen[message] += 1
        kind = hashlib.sha256(message.encode()).digest()[0] % 8
        status, text = 200, json.dumps(verdicts(message))
        if kind == 0 and before == 0:
            status = 500
        elif kind == 1 and before < 2:
            text = "Certainly: {"
        elif kind == 2 and body["max_tokens"] < 512:
            text = text[: text.index('"') + 4]
        elif kind == 3:
            text = json.dumps({key: "1" if "score" in key else value for key, value in json.loads(text).items()})
        elif kind == 4:
            text = None
        choice = {"message": {"role": "assistant", "content": text, "refusal": "no"}, "finish_reason": "stop"}
        reply = json.dumps({"choices": [choice]} if status == 200 else {}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)


def verdicts(message):
    """The verdicts on the pairs of a request, as far as they need no understanding."""
    tail = message[message.rfind("### Example") :] if "Ground Truth" in message else message
    scores = {}
    if "score_T1" in message:
        said = tail.split("\nResponse ")[1:]
        for number, pair in enumerate(said, 1):
            response, _, gold = pair.partition(f"\nGround Truth {number}: ")
            scores[f"extract_answer_T{number}"] = response
            scores[f"score_T{number}"] = int(response.endswith(gold.split("\n\n")[0]))
        return scores
    response = tail.rpartition("Response: ")[2].strip()
    return {"extracted_answer": response, "score": int(not response.endswith("something else"))}


def official(clone):
    """The official modules of the clone."""
    sys.path.insert(0, str(clone / "src"))
    names = ["constants", "descriptive_utils", "reasoning_utils"]
    for name in names:
        sys.modules.pop(name, None)
    return [importlib.import_module(name) for name in names]


def official_requests(part, clone, questions, responses):
    """SHA-256 of each request that the official code builds."""
    _, descriptive, reasoning = official(clone)
    if part == "descriptive":
        answers = {key: {"response": text} for key, text in responses.items()}
        groups = descriptive.preprocess_descriptive_grading_queries(questions, answers)
        queries = descriptive.build_descriptive_grading_queries(groups)
    else:
        answers = {
            key: {"response": responses[key], "raw_question": question["query"]} for key, question in questions.items()
        }
        queries = reasoning.build_reasoning_grading_queries(questions, answers).values()
    return [hashlib.sha256(query["grading_query"].encode()).hexdigest() for query in queries]


def official_stats(part, clone, judgements):
    """The statistics that the official script makes of the stored verdicts."""
    scores = {
        answer["id"]: {"extracted_answer": answer.get("extracted"), "score": answer["score"]}
        for line in judgements
        for answer in line["answers"]
    }
    for path in (clone / "results").iterdir():
        path.unlink()
    (clone / f"results/scores-made_up-{part}_val.json").write_text(json.dumps(scores), encoding="utf-8")
    command = [sys.executable, "src/get_stats.py", "--model_name", "made_up", "--split", "val"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL)
    return json.loads((clone / f"results/stats-made_up-{part}_val.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
