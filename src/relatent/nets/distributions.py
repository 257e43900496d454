"""Diagonal Gaussians and their image under tanh, written on samples of standard normal noise.

Densities are evaluated at the pre-tanh value u, never at the action a = tanh(u): inverting tanh loses all precision
once |u| exceeds about 7 in float32, which happens often early in training.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.mlp import mlp, relu

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0  # range of log-standard deviations in SAC's reference code


class Gaussian(NamedTuple):
    """A diagonal Gaussian over the last axis."""

    mean: Tensor
    log_std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """The reparameterised sample for standard normal `noise`."""
        return self.mean + self.log_std.exp() * noise

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density summed over the last axis; shapes broadcast."""
        standardised = (value - self.mean) * torch.exp(-self.log_std)
        return (-0.5 * standardised.square() - self.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)


def tanh_log_det(pre_tanh: Tensor) -> Tensor:
    """log |d tanh(u) / du| summed over the last axis, 2 (log 2 - u - softplus(-2u)): no overflow for any u."""
    return (2 * (math.log(2) - pre_tanh - F.softplus(-2 * pre_tanh))).sum(-1)


class GaussianHead(nn.Module):
    """A trunk of ReLU layers with separate linear heads for mean and log-standard deviation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        layers: int,
        init: Callable[[nn.Linear], None] | None = None,
        log_std_range: tuple[float, float] | None = (LOG_STD_MIN, LOG_STD_MAX),
    ) -> None:
        super().__init__()
        self.trunk = nn.Sequential(mlp([inputs, *[width] * layers], init=init), relu())
        self.mean, self.log_std = nn.Linear(width, outputs), nn.Linear(width, outputs)
        self.log_std_range = log_std_range
        if init is not None:
            init(self.mean)
            init(self.log_std)

    def forward(self, inputs: Tensor) -> Gaussian:
        features = self.trunk(inputs)
        log_std = self.log_std(features)
        if self.log_std_range is not None:
            log_std = log_std.clamp(*self.log_std_range)
        return Gaussian(self.mean(features), log_std)
