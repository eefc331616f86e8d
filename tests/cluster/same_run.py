"""Checks that two folders hold the same run, file by file and byte by byte, but for latencies.

    python3 tests/cluster/same_run.py UNCUT MERGED
"""

import re
import sys
from pathlib import Path

LATENCY = re.compile(rb'"latency_ms":[0-9.e+-]+')


def files(folder):
    """The files of a run by name, their latencies removed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith(".lock"):
            found[path.relative_to(folder).as_posix()] = LATENCY.sub(b"", path.read_bytes())
    return found


def main():
    uncut, merged = (files(Path(folder)) for folder in sys.argv[1:3])
    if not uncut:
        sys.exit(f"{sys.argv[1]} holds no files")
    if uncut.keys() != merged.keys():
        sys.exit(f"files differ: {sorted(uncut)} and {sorted(merged)}")
    for name, text in uncut.items():
        for number, (left, right) in enumerate(zip(text.split(b"\n"), merged[name].split(b"\n")), 1):
            if left != right:
                sys.exit(f"{name}, line {number}:\n{left.decode()}\n{right.decode()}")
        if text != merged[name]:
            sys.exit(f"{name} has another length")
    print(f"{len(uncut)} files are the same byte for byte, latencies aside")


if __name__ == "__main__":
    main()
