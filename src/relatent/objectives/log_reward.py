"""Rewards and values as they enter ALM's bound, whose likelihood is a return (App A.8, Figures 6 and 12)."""

from typing import Literal

from torch import Tensor

Where = Literal["none", "representation", "everywhere", "scaled"]
LEAST = 1e-6  # smallest number that a logarithm is taken of; ours, the official code has NaN there


def log_transformed(values: Tensor, where: Where, here: str, scale: float) -> Tensor:
    """The values' logarithm, where `where` names this loss (`here`) or everything; a (log(y + a) - log a) with
    a = `scale` where it is scaled, which is nearly y; else the values."""
    if where == "scaled":
        return scale * (values / scale).clamp(min=LEAST - 1).log1p()
    return values.clamp(min=LEAST).log() if where in (here, "everywhere") else values
