"""Draws that losses and policies take as arguments, made where their generator lives."""

import torch
from torch import Tensor


def normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal draws."""
    return torch.randn(shape, generator=generator, device=generator.device)


def normal_if(drawn: bool, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal draws, or zeros that leave the generator as it was."""
    return normal(shape, generator) if drawn else torch.zeros(shape, device=generator.device)


def gumbel(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draws of the standard Gumbel distribution: the largest logit plus such a draw is a draw from the softmax."""
    return -torch.log(torch.empty(shape, device=generator.device).exponential_(generator=generator))
