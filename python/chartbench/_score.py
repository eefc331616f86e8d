"""Scores of predictions, by the program's own metrics."""

from __future__ import annotations

import json
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Union

from ._program import find_program

Prediction = Union[str, None, Mapping[str, Any]]
Gold = Union[str, Sequence[str], Mapping[str, Any]]

_FILE = "predictions.jsonl"


def score(
    predictions: Sequence[Prediction],
    golds: Optional[Sequence[Gold]] = None,
    convention: str = "chartbench",
) -> dict[str, Any]:
    """The scores of ``predictions`` under a convention, as ``chartbench score`` computes them.

    Args:
        predictions: A text for each question, or ``None`` where there is no answer, which scores 0; or a mapping with
            the fields that ``chartbench score`` reads, such as ``prediction``, ``question``, ``answer_type``, ``id``.
        golds: The gold answer of each question in the same order: a text, a list of texts, or a mapping with such
            fields. They may be left out where the predictions are mappings that hold them.
        convention: The name of one convention of ``chartbench list``.

    Returns:
        The fields of ``chartbench score --format json``: ``convention``, ``questions``, each metric of the convention by
        its name, in percent, and ``errors``, the number of questions on which the convention's original program fails.

    Raises:
        ValueError: The program refuses the predictions or the convention; the message is its own.
        RuntimeError: The program fails in another way.
        FileNotFoundError: The program is not installed.

    What the program notes about the predictions, such as answers that are missing, is warned about.
    """
    records = _records(predictions, golds)
    if convention == "all":
        raise ValueError("name one convention, not `all`")
    with tempfile.TemporaryDirectory(prefix="chartbench-") as folder:
        with open(Path(folder, _FILE), "w", encoding="ascii") as file:
            for record in records:
                file.write(json.dumps(record) + "\n")
        command = [find_program(), "score", _FILE, "--file-format", "jsonl", "--format", "json"]
        done = subprocess.run(
            [*command, f"--convention={convention}"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    lines = done.stderr.splitlines()
    if done.returncode == 2:
        raise ValueError(lines[-1].partition("error: ")[2] if lines else "chartbench refuses the predictions")
    if done.returncode not in (0, 1):
        raise RuntimeError(f"chartbench ended with {done.returncode}: {done.stderr.strip()}")
    for line in lines:
        if line.startswith(f"{_FILE}: "):
            warnings.warn(line[len(_FILE) + 2 :], stacklevel=2)
    (row,) = json.loads(done.stdout)
    return {name: value for name, value in row.items() if name != "file"}


def _records(predictions: Sequence[Prediction], golds: Optional[Sequence[Gold]]) -> list[dict[str, Any]]:
    if isinstance(predictions, str) or isinstance(golds, str):
        raise ValueError("predictions and golds are lists, one item for each question")
    if not len(predictions):
        raise ValueError("there are no predictions to score")
    if golds is not None and len(predictions) != len(golds):
        raise ValueError(f"{len(predictions)} predictions and {len(golds)} golds: there must be one gold for each")
    records = []
    for index, prediction in enumerate(predictions):
        record = _fields(prediction, "prediction")
        for name, value in ({} if golds is None else _fields(golds[index], "gold")).items():
            if record.setdefault(name, value) != value:
                raise ValueError(f"item {index}: `{name}` is {record[name]!r} in the prediction and {value!r} in the gold")
        records.append(record)
    return records


def _fields(item: Any, name: str) -> dict[str, Any]:
    """The fields of one item of the list ``name``."""
    if isinstance(item, Mapping):
        return dict(item)
    return {name: list(item) if isinstance(item, tuple) else item}
