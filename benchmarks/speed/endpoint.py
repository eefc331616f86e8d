"""Requests a second behind an endpoint: chartbench beside inspect_ai and lmms-eval, against a server on this machine.

    cargo build --release
    python3 benchmarks/speed/endpoint.py [--seconds 20] [--in-flight 64,256] [--latency 0.2] [--picture 200000] [--rounds 3]
        [--peers DIR] [--program FILE]

The server reads each request whole, waits for the latency and sends a short completion; it takes no time of its own to
answer, so that N in flight can at best be N / latency requests a second, and as many are asked as take --seconds at that
rate. Every question has a picture of its own. Reported are the rate as a share of the ideal one, of the whole command from
its start to its last table, and of what is left where a run of N requests is taken off, the processor time a request
of the client alone, also without that, and its peak memory: medians over interleaved rounds. The server runs in processes of
its own and takes processor time too: with fewer cores than it and the client need, the share is that of the machine.

DIR is a virtual environment with the peers (`pip install inspect-ai openai lmms-eval "filelock<3.20"`); those that do not
import are left out with a line.
"""

import argparse
import base64
import json
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPLY = json.dumps({
    "id": "c", "object": "chat.completion", "created": 0, "model": "mock",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "5"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 1, "total_tokens": 1001},
}).encode()

# A process of the server. Several share the port, and a file with a byte for each request.
SERVER = """
import asyncio, os, socket, sys

port, latency, reply = int(sys.argv[1]), float(sys.argv[2]), sys.stdin.buffer.read()
counter = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND)
answer = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(reply) + reply

class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.head, self.left = transport, b"", 0

    def data_received(self, data):
        if self.left == 0:
            self.head += data
            end = self.head.find(b"\\r\\n\\r\\n")
            if end < 0:
                return
            lines = self.head[:end].lower().split(b"\\r\\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            self.left, data, self.head = length, self.head[end + 4:], b""
            if any(line.startswith(b"expect:") for line in lines):
                self.transport.write(b"HTTP/1.1 100 Continue\\r\\n\\r\\n")
        self.left -= len(data)
        if self.left <= 0:
            self.left = 0
            os.write(counter, b".")
            asyncio.get_running_loop().call_later(latency, self.transport.write, answer)

async def main():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    server = await asyncio.get_running_loop().create_server(Connection, sock=listener, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""

INSPECT = """
import sys
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, GenerateConfig, get_model
from inspect_ai.solver import generate

folder, url, in_flight, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def sample(i):
    content = [ContentImage(image=f"{folder}/charts/{i}.png"), ContentText(text=f"What is the value of bar {i}?")]
    return Sample(id=i, input=[ChatMessageUser(content=content)], target="5")
model = get_model("openai-api/mock/mock", base_url=url, api_key="none", config=GenerateConfig(max_connections=in_flight))
task = Task(dataset=MemoryDataset([sample(i) for i in range(count)]), solver=generate())
log, = eval(task, model=model, max_samples=in_flight, log_dir=f"{folder}/inspect", display="none")
assert log.status == "success", log.error
"""

LMMS = """
import sys
from lmms_eval.__main__ import cli_evaluate
folder, url, in_flight, count = sys.argv[1:]
sys.argv = ["lmms-eval", "--model", "openai", "--model_args",
    f"model_version=mock,base_url={url},api_key=none,num_concurrent={in_flight},adaptive_max_concurrency={in_flight}",
    "--tasks", "endpoint_speed", "--limit", count, "--include_path", f"{folder}/lmms", "--batch_size", "1",
    "--output_path", f"{folder}/lmms/out"]
cli_evaluate()
"""

LMMS_TASK = """
task: endpoint_speed
dataset_path: parquet
dataset_kwargs:
  data_files: {folder}/lmms/questions.parquet
test_split: train
output_type: generate_until
doc_to_visual: !function visual.visual
doc_to_text: question
doc_to_target: answer
generation_kwargs:
  max_new_tokens: 16
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""

LMMS_VISUAL = """
from PIL import Image

def visual(doc):
    return [Image.open(doc["picture"]).convert("RGB")]
"""

LMMS_DATA = """
import sys
import pandas
folder, count = sys.argv[1], int(sys.argv[2])
rows = [{"question": f"What is the value of bar {i}?", "answer": "5", "picture": f"{folder}/charts/{i}.png"} for i in range(count)]
pandas.DataFrame(rows).to_parquet(f"{folder}/lmms/questions.parquet")
"""


def png(size, draw):
    """A PNG of about `size` bytes: random pixels do not compress."""
    side = max(1, int((size / 3) ** 0.5))
    rows = b"".join(b"\0" + draw.randbytes(3 * side) for _ in range(side))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


def make(folder, count, size):
    """The questions as chartbench's own layout has them, with a picture each."""
    (folder / "charts").mkdir()
    draw = random.Random(0)
    (folder / "picture").write_bytes(png(size, draw))
    with open(folder / "questions.jsonl", "w", encoding="utf-8") as file:
        for i in range(count):
            os.link(folder / "picture", folder / "charts" / f"{i}.png")
            row = {"id": str(i), "image": f"charts/{i}.png", "question": f"What is the value of bar {i}?", "answer": "5"}
            file.write(json.dumps(row) + "\n")


def start_servers(port, latency, processes, counter):
    servers = []
    for _ in range(processes):
        server = subprocess.Popen([sys.executable, "-c", SERVER, str(port), str(latency), counter], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        server.stdin.write(REPLY)
        server.stdin.close()
        assert server.stdout.readline() == b"ready\n"
        servers.append(server)
    return servers


def measure(command, environment):
    """Seconds, processor seconds and peak resident MiB of a command that must succeed."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        if status != 0:
            output.seek(0)
            sys.exit(f"{' '.join(map(str, command))}\n{output.read().decode()[-2000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


class Chartbench:
    name = "chartbench"

    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def command(self, url, in_flight, count, number):
        adapters = self.folder / f"adapters-{in_flight}"
        adapters.mkdir(exist_ok=True)
        (adapters / "mock.toml").write_text(textwrap.dedent(f"""\
            family = "chat"
            title = "A server that waits"
            source = "benchmarks/speed/endpoint.py"
            [endpoint]
            base_url = "{url}"
            model = "mock"
            [limits]
            concurrency = {in_flight}
            """))
        results = self.folder / f"results-{number}"
        return [self.program, "run", "--no-blind", "--quiet", "--adapters", "mock", "--adapters-dir", adapters,
                "--data", self.folder / "questions.jsonl", "--limit", str(count), "--results", results]


class Peer:
    """A program in Python of the environment of the peers."""

    def __init__(self, name, python, script, folder):
        self.name, self.python, self.script, self.folder = name, python, script, folder

    def command(self, url, in_flight, count, number):
        return [self.python, "-c", self.script, str(self.folder), url, str(in_flight), str(count)]


def peers(environment, folder, count):
    """The peers that import; a line for each other."""
    python = Path(environment) / "bin/python"
    found = []
    for name, module, script in [("inspect_ai", "inspect_ai, openai", INSPECT), ("lmms-eval", "lmms_eval.models", LMMS)]:
        tried = subprocess.run([python, "-c", f"import {module}"], capture_output=True, text=True)
        if tried.returncode != 0:
            print(f"{name} is left out: {tried.stderr.strip().splitlines()[-1]}")
            continue
        if name == "lmms-eval":
            (folder / "lmms").mkdir()
            (folder / "lmms/endpoint_speed.yaml").write_text(LMMS_TASK.format(folder=folder))
            (folder / "lmms/visual.py").write_text(LMMS_VISUAL)
            subprocess.run([python, "-c", LMMS_DATA, str(folder), str(count)], check=True)
        found.append(Peer(name, python, script, folder))
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def describe(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="at the ideal rate")
    parser.add_argument("--in-flight", default="64,256")
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--picture", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--servers", type=int, default=2, help="processes of the server")
    parser.add_argument("--peers", help="the virtual environment of the peers")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/chartbench")
    args = parser.parse_args()
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        counter = folder / "requests"
        counter.touch()
        servers = start_servers(port, args.latency, args.servers, counter)
        try:
            requests = {n: round(n / args.latency * args.seconds) for n in map(int, args.in_flight.split(","))}
            make(folder, max(requests.values()), args.picture)
            programs = [Chartbench(args.program, folder)]
            if args.peers:
                programs += peers(args.peers, folder, max(requests.values()))
            environment = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "OPENAI_API_KEY": "none", "MOCK_API_KEY": "none",
                           "HF_HUB_OFFLINE": "1"}
            encoded = len(base64.b64encode((folder / "charts/0.png").read_bytes()))
            print(f"pictures of {encoded} bytes in base64, {args.latency} s a request, {os.cpu_count()} threads\n")
            print("| in flight | program | requests a second | of the ideal rate, % | without the start, % "
                  "| processor ms a request | peak memory, MiB |")
            print("| --- | --- | --- | --- | --- | --- | --- |")
            number = 0
            for in_flight, count in requests.items():
                measured = {program.name: [] for program in programs}
                for _ in range(args.rounds):
                    for program in programs:
                        pair = []
                        for asked in [in_flight, count]:
                            number += 1
                            before = counter.stat().st_size
                            pair.append(measure(program.command(url, in_flight, asked, number), environment))
                            sent = counter.stat().st_size - before
                            assert sent == asked, f"{program.name} sent {sent} requests, not {asked}"
                        measured[program.name].append(pair)
                for name, runs in measured.items():
                    ideal, more = in_flight / args.latency, count - in_flight
                    rates = [count / whole[0] for _, whole in runs]
                    columns = [
                        describe(rates, 0),
                        describe([100 * rate / ideal for rate in rates], 1),
                        describe([100 * more / (whole[0] - start[0]) / ideal for start, whole in runs], 1),
                        describe([1e3 * (whole[1] - start[1]) / more for start, whole in runs], 2),
                        describe([whole[2] for _, whole in runs], 0),
                    ]
                    print(f"| {in_flight} | {name} | {' | '.join(columns)} |", flush=True)
        finally:
            for server in servers:
                server.kill()


main()
