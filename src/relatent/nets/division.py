"""Many small batches from one draw, which costs replay one read instead of many."""

from typing import Any

from torch import Tensor


def divided(batch: Any, parts: int) -> tuple[Any, ...]:
    """A named tuple of tensors as `parts` equal ones, cut along the first axis; their draws are independent, where the
    whole's were. The axis must have a multiple of `parts` rows."""
    pieces = (cut(leaf, parts) for leaf in batch)
    return tuple(type(batch)(*leaves) for leaves in zip(*pieces, strict=True))


def cut(tensor: Tensor, parts: int) -> tuple[Tensor, ...]:
    """A tensor's rows as `parts` equal runs of them."""
    return tensor.split(len(tensor) // parts)
