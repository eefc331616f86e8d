"""``python -m chartbench ARGUMENTS`` runs the program."""

import os
import subprocess
import sys

from ._program import find_program


def main() -> None:
    try:
        program = find_program()
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")
    if sys.platform != "win32":
        os.execv(program, [program, *sys.argv[1:]])
    # Windows starts another process for `exec` and does not wait for it.
    try:
        sys.exit(subprocess.call([program, *sys.argv[1:]]))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
