"""chartbench scores answers to questions about charts, and runs, trains and compares the models that give them.

The package carries the program ``chartbench``. :func:`score` calls it; ``python -m chartbench`` runs it.
"""

from ._program import find_program
from ._score import score

__all__ = ["find_program", "score"]
