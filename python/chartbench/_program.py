"""Where the program is that was installed with this package."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import Iterator


def find_program() -> str:
    """The path of the program ``chartbench``.

    Raises:
        FileNotFoundError: it is in none of the folders for scripts that installers use.
    """
    name = "chartbench" + (sysconfig.get_config_var("EXE") or "")
    looked: list[str] = []
    for folder in _folders():
        program = Path(folder) / name
        if program.is_file():
            return str(program)
        looked.append(str(folder))
    raise FileNotFoundError(
        f"the program chartbench is not installed with its Python package (looked in {', '.join(looked)}): "
        "install the package again with `pip install --force-reinstall chartbench`"
    )


def _folders() -> Iterator[str | Path]:
    """The folders for scripts: of this Python, of `pip install --target` and `--prefix`, of the user."""
    yield sysconfig.get_path("scripts")
    package = Path(__file__).resolve().parent
    yield package.parent / "bin"
    # PREFIX/lib/pythonX.Y/site-packages/chartbench, and PREFIX/Lib/site-packages/chartbench on Windows.
    scripts, above = ("Scripts", 2) if sys.platform == "win32" else ("bin", 3)
    yield from (prefix / scripts for prefix in list(package.parents)[above : above + 1])
    yield sysconfig.get_path("scripts", scheme=_user_scheme())


def _user_scheme() -> str:
    if sys.version_info >= (3, 10):
        return sysconfig.get_preferred_scheme("user")
    if os.name == "nt":
        return "nt_user"
    return "osx_framework_user" if sys.platform == "darwin" and sys._framework else "posix_user"
