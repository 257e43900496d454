"""A policy whose actions are normal numbers between -1 and 1, as danijar/dreamerv2@6124db4 acts on continuous actions.

The density is that of a Gaussian, but for a factor, and zero outside of the bounds. A sample is a differentiable
function of mean, deviation and one standard normal draw: with F the Gaussian's distribution function and u that of the
draw, it is the number x with F(x) = F(-1) + u (F(1) - F(-1)).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from relatent.nets.latent_world import elu
from relatent.nets.mlp import mlp, xavier

LEAST_STD = 0.1
MARGIN = 1e-6  # between a sample and the bounds


class TruncatedNormal(NamedTuple):
    """Independent numbers along the last axis; mean and deviation are those of the Gaussian, before it is cut."""

    mean: Tensor  # within [-1, 1], which makes it the mode
    std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """For standard normal `noise`. Within MARGIN of a bound it is moved away, its gradient is not."""
        below, inside = self._masses()
        precision = torch.finfo(inside.dtype).eps
        level = (below + torch.special.ndtr(noise) * inside).clamp(precision, 1.0 - precision)
        value = self.mean + self.std * torch.special.ndtri(level)
        return value + (value.clamp(-1.0 + MARGIN, 1.0 - MARGIN) - value).detach()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of values within the bounds, summed over the last axis."""
        standardised = (value - self.mean) / self.std
        return (-0.5 * standardised.square() - 0.5 * math.log(2 * math.pi) - self._log_scale()).sum(-1)

    def entropy(self) -> Tensor:
        """Summed over the last axis."""
        lower, upper = self._bounds()
        _, inside = self._masses()
        edges = (lower * normal_density(lower) - upper * normal_density(upper)) / (2 * inside)
        return (0.5 * math.log(2 * math.pi * math.e) + self._log_scale() + edges).sum(-1)

    def _bounds(self) -> tuple[Tensor, Tensor]:
        """In deviations from the mean."""
        return (-1.0 - self.mean) / self.std, (1.0 - self.mean) / self.std

    def _masses(self) -> tuple[Tensor, Tensor]:
        """Of the Gaussian below the lower bound, and between both."""
        lower, upper = (torch.special.ndtr(bound) for bound in self._bounds())
        return lower, upper - lower

    def _log_scale(self) -> Tensor:
        return self.std.log() + self._masses()[1].log()


def normal_density(value: Tensor) -> Tensor:
    """Of the standard normal distribution."""
    return torch.exp(-0.5 * value.square()) / math.sqrt(2 * math.pi)


class TruncatedPolicy(nn.Module):
    """Layers with ELU, then a head for the mean, tanh of it, and one for the deviation, between 0.1 and 2.1."""

    def __init__(self, inputs: int, action_size: int, width: int, layers: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(mlp([inputs, *[width] * layers], elu, xavier), elu())
        self.mean, self.std = (mlp([width, action_size], init=xavier) for _ in range(2))

    def forward(self, features: Tensor) -> TruncatedNormal:
        hidden = self.trunk(features)
        return TruncatedNormal(torch.tanh(self.mean(hidden)), 2 * torch.sigmoid(self.std(hidden) / 2) + LEAST_STD)
