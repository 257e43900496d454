"""How a weight changes over training, as a tensor of what was done, so that it may change within a compiled loss."""

from torch import Tensor

from relatent.specs.errors import RelatentError


def two_segments(updates: Tensor, share: float, first: float, second: float) -> Tensor:
    """From 0 linearly to `share` after `first` updates, and on to 1 after `second` of them (haosulab/RPG@a7dc920)."""
    early = (updates / first).clamp(0, 1)
    late = ((updates - first) / (second - first)).clamp(0, 1)
    return share * early + (1 - share) * late


def fall(steps: Tensor, first: float, last: float) -> Tensor:
    """1 until `first` steps, and from there linearly to 0 at `last` (RPG, Table 1)."""
    return ((last - steps) / (last - first)).clamp(0, 1)


def check_span(name: str, span: tuple[float, ...]) -> None:
    """Raise RelatentError unless a hyperparameter of this name is two numbers that rise, or none."""
    if span and not (len(span) == 2 and span[0] < span[1]):
        raise RelatentError(f"{name}: {list(span)}, expected [] or [first, last] with first < last")
