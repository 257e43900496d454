"""How a weight changes over training, as a tensor of the updates done, so that it may change within a compiled loss."""

from torch import Tensor


def two_segments(updates: Tensor, share: float, first: float, second: float) -> Tensor:
    """From 0 linearly to `share` after `first` updates, and on to 1 after `second` of them (haosulab/RPG@a7dc920)."""
    early = (updates / first).clamp(0, 1)
    late = ((updates - first) / (second - first)).clamp(0, 1)
    return share * early + (1 - share) * late
