"""Checks the manifests of examples/cluster: their schema, and that their commands, run here with the variables that Kubernetes sets,
make the run that was never cut.

    CHARTBENCH=target/debug/chartbench python3 tests/cluster/kubernetes.py

Needs the packages of requirements.txt. The schema check knows no enumerations.
"""

import os
import subprocess
import sys
import tempfile
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
        for index in range(completions):
            environment = {**os.environ, "JOB_COMPLETION_INDEX": str(index)}
            command = [program, *arguments(pod, results), *RUN_FLAGS]
            subprocess.run(command, check=True, env=environment, cwd=folder, stdout=subprocess.DEVNULL)
        _, merge = container("kubernetes-merge.yaml")
        subprocess.run([program, *arguments(merge, results)], check=True, cwd=folder, stdout=subprocess.DEVNULL)
        whole = [argument for argument in arguments(pod, uncut) if argument not in ("--shard", f"auto/{completions}")]
        subprocess.run([program, *whole, *RUN_FLAGS], check=True, cwd=folder, stdout=subprocess.DEVNULL)
        same = PROJECT / "tests/cluster/same_run.py"
        subprocess.run([sys.executable, same, uncut / "before", results / "before"], check=True)


if __name__ == "__main__":
    main()
