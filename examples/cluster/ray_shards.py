"""Asks the shards of a run on a Ray cluster and merges them.

    python ray_shards.py --shards 8 --cpus 4 -- --adapters matcha-base --benchmark realcqa --data /shared/RealCQA \
        --results /shared/results --name before

What follows `--` are the arguments of `chartbench run`; --results and --data are on a file system that every node sees, and chartbench is
on every node's PATH. `chartbench run ... --dry-run --estimate` gives time and memory of the whole run, from which --shards follows. A
shard that a lost node, a kill or a signal ended is asked again from what is stored.
"""

import argparse
import subprocess
import sys

import ray

# The exit code of a chartbench that a signal ended: everything answered is stored.
START_AGAIN = 75
MOST_STARTS = 20


def ask(arguments, shard, shards):
    """Asks one shard; raises where another start may end better, so that Ray starts it."""
    command = ["chartbench", "run", *arguments, "--shard", f"{shard}/{shards}"]
    code = subprocess.run(command).returncode
    # A negative code is the signal that killed it.
    if code == START_AGAIN or code < 0:
        raise RuntimeError(f"shard {shard}/{shards} ended with {code}")
    return code


def value(arguments, flag, default):
    """The value of a flag in `--flag VALUE` or `--flag=VALUE`."""
    for place, argument in enumerate(arguments):
        if argument == flag and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith(f"{flag}="):
            return argument[len(flag) + 1 :]
    return default


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, required=True)
    parser.add_argument("--cpus", type=float, default=1, help="cores of a shard")
    parser.add_argument("run", nargs="+", help="arguments of `chartbench run`, after --")
    args = parser.parse_args()
    name = value(args.run, "--name", None)
    if name is None:
        parser.error("the run needs a --name: it is what is merged")

    ray.init(address="auto")
    task = ray.remote(ask).options(num_cpus=args.cpus, max_retries=MOST_STARTS, retry_exceptions=[RuntimeError])
    codes = ray.get([task.remote(args.run, shard, args.shards) for shard in range(1, args.shards + 1)])
    # 2 is a mistake in the command; with 1 the shard is done, and some questions failed.
    if any(code not in (0, 1) for code in codes):
        sys.exit(f"shards ended with {codes}")
    merge = ["chartbench", "merge", name, "--results", value(args.run, "--results", "results")]
    data = value(args.run, "--data", None)
    sys.exit(subprocess.run(merge + (["--data", data] if data else [])).returncode)


if __name__ == "__main__":
    main()
