"""How far two tensors are apart. Infinitely far where shapes differ or a value of either is NaN or infinite: NaN compares as
false with every limit, and so would pass.
"""

import math


def largest(ours, theirs):
    """The largest difference."""
    return (ours - theirs).abs().max().item() if comparable(ours, theirs) else math.inf


def relative(ours, theirs):
    """The largest difference over the largest value of `theirs`."""
    return ratio(largest(ours, theirs), theirs.abs().max().item()) if comparable(ours, theirs) else math.inf


def relative_norm(ours, theirs):
    """The norm of the difference over the norm of `theirs`."""
    return ratio((ours - theirs).norm().item(), theirs.norm().item()) if comparable(ours, theirs) else math.inf


def comparable(ours, theirs):
    """Whether both have one shape, some values, and nothing but finite ones."""
    return ours.shape == theirs.shape and ours.numel() > 0 and bool(ours.isfinite().all() and theirs.isfinite().all())


def ratio(difference, size):
    if difference == 0:
        return 0.0
    return difference / size if size > 0 else math.inf
