"""Checks the manifests of examples/cluster: their schema, and that their commands, run here with the variables that Kubernetes sets,
make the run that was never cut.

    CHARTBENCH=target/debug/chartbench python3 tests/cluster/kubernetes.py

Needs the packages of requirements.txt. The schema check knows no enumerations.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT / "examples/cluster"
# What stands in the place of the cluster's model, data set and folders.
REPLACED = {"--adapters": "matcha-tiny-mini,question-prior", "--benchmark": "mini", "--data": None}
RUN_FLAGS = ["--no-blind", "--limit", "40", "--quiet"]


def container(file):
    """The job's specification and its one container."""
    job = yaml.safe_load((EXAMPLES / file).read_text())["spec"]
    (container,) = job["template"]["spec"]["containers"]
    return job, container


def arguments(container, results):
    """The container's arguments for this machine."""
    verb, *flags = container["args"]
    kept = [verb]
    for flag in flags:
        name, _, value = flag.partition("=")
        value = str(results) if name == "--results" else REPLACED.get(name, value)
        if value is not None:
            kept += [name] if "=" not in flag else [name, value]
    return kept


def command(container, program):
    """What the container starts, before its arguments."""
    return container.get("command", [program])


def check_signal(pod, environment, folder):
    """Checks that the signal that ends a pod reaches the program, whose exit code is the pod's."""
    flags = arguments(pod, folder / "ended")
    flags[flags.index("--adapters") + 1] = "unichart-tiny"
    log = folder / "ended/before/unichart-tiny/predictions.1-of-8.jsonl"
    process = subprocess.Popen([*command(pod, None), *flags, "--no-blind", "--quiet"], env=environment, cwd=folder, stdout=subprocess.DEVNULL)
    for _ in range(600):
        if log.exists() and log.stat().st_size > 0:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=60)
    if code != 75:
        sys.exit(f"a pod that is ended has the exit code {code} instead of 75")


def main():
    program = Path(os.environ["CHARTBENCH"]).resolve()
    for file in ("kubernetes.yaml", "kubernetes-merge.yaml"):
        subprocess.run([sys.executable, "-m", "kubernetes_validate", "--strict", EXAMPLES / file], check=True)
    job, pod = container("kubernetes.yaml")
    completions = job["completions"]
    if job["completionMode"] != "Indexed" or f"--shard=auto/{completions}" not in pod["args"]:
        sys.exit(f"kubernetes.yaml has {completions} completions and the arguments {pod['args']}")
    with tempfile.TemporaryDirectory() as folder:
        results, uncut = Path(folder) / "results", Path(folder) / "uncut"
        # Containers start `chartbench` by name.
        binaries = Path(folder) / "bin"
        binaries.mkdir()
        (binaries / "chartbench").symlink_to(program)
        environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}
        for index in range(completions):
            environment["JOB_COMPLETION_INDEX"] = str(index)
            shard = [*command(pod, program), *arguments(pod, results), *RUN_FLAGS]
            subprocess.run(shard, check=True, env=environment, cwd=folder, stdout=subprocess.DEVNULL)
        environment["JOB_COMPLETION_INDEX"] = "0"
        check_signal(pod, environment, Path(folder))
        wrong = [*command(pod, program), "run", "--shard=auto/0"]
        if subprocess.run(wrong, env=environment, cwd=folder, stderr=subprocess.DEVNULL).returncode != 2:
            sys.exit("a mistake in the command is not the pod's exit code 2")
        _, merge = container("kubernetes-merge.yaml")
        subprocess.run([program, *arguments(merge, results)], check=True, cwd=folder, stdout=subprocess.DEVNULL)
        whole = [argument for argument in arguments(pod, uncut) if argument not in ("--shard", f"auto/{completions}")]
        subprocess.run([program, *whole, *RUN_FLAGS], check=True, cwd=folder, stdout=subprocess.DEVNULL)
        same = PROJECT / "tests/cluster/same_run.py"
        subprocess.run([sys.executable, same, uncut / "before", results / "before"], check=True)


if __name__ == "__main__":
    main()
