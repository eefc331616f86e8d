"""Runs examples/cluster/ray_shards.py on a Ray cluster of two nodes on this machine, kills one shard's program on the way, and checks
that the merged run is the one that was never cut.

    CHARTBENCH=target/debug/chartbench python3 tests/cluster/ray_nodes.py

Needs the package ray (2.60).
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ray.cluster_utils import Cluster

PROJECT = Path(__file__).resolve().parents[2]
FLAGS = ["--adapters", "matcha-tiny-mini,slow,question-prior", "--adapters-dir", str(PROJECT / "tests/cluster"), "--no-blind", "--threads", "1"]
FLAGS += ["--name", "before", "--limit", "160"]


def processes(text):
    """The ids of the processes whose command line holds the text."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if text in command and command.startswith("chartbench"):
            found.append(int(folder.name))
    return found


def main():
    program = Path(os.environ["CHARTBENCH"]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bin").mkdir()
        (folder / "bin/chartbench").symlink_to(program)
        os.environ["PATH"] = f"{folder / 'bin'}:{os.environ['PATH']}"
        whole = ["chartbench", "run", *FLAGS, "--results", str(folder / "uncut"), "--quiet"]
        subprocess.run(whole, check=True, stdout=subprocess.DEVNULL)
        cluster = Cluster()
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=100 << 20, include_dashboard=False)
        try:
            script = [sys.executable, PROJECT / "examples/cluster/ray_shards.py", "--shards", "8", "--"]
            environment = {**os.environ, "RAY_ADDRESS": cluster.address}
            asking = subprocess.Popen([*script, *FLAGS, "--results", str(folder / "results")], env=environment)
            log = folder / "results/before/slow/predictions.3-of-8.jsonl"
            while asking.poll() is None and not (log.exists() and log.stat().st_size):
                time.sleep(0.1)
            killed = processes("--shard 3/8")
            for process in killed:
                os.kill(process, signal.SIGKILL)
            if asking.wait() != 0 or not killed:
                sys.exit(f"the script ended with {asking.returncode}, {len(killed)} processes were killed")
        finally:
            cluster.shutdown()
        same = PROJECT / "tests/cluster/same_run.py"
        subprocess.run([sys.executable, same, folder / "uncut/before", folder / "results/before"], check=True)


if __name__ == "__main__":
    main()
