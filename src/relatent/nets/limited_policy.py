"""A policy under tanh whose mean stays near the numbers that tanh can tell apart (Hafner et al. 2020, App A)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.distributions import Gaussian
from relatent.nets.latent_world import elu
from relatent.nets.mlp import mlp

LARGEST_MEAN = 5.0  # before tanh, approached smoothly
LEAST_STD = 1e-4
HIDDEN_LAYERS = 4


class LimitedPolicy(nn.Module):
    """A Gaussian before tanh, (..., action_size), given features (..., inputs). `raw_std` is added to what the
    deviation's softplus reads, so that an untrained policy's is about softplus(raw_std)."""

    def __init__(self, inputs: int, action_size: int, width: int, raw_std: float) -> None:
        super().__init__()
        self.raw_std = raw_std
        self.net = mlp([inputs, *[width] * HIDDEN_LAYERS, 2 * action_size], activation=elu)

    def forward(self, features: Tensor) -> Gaussian:
        mean, raw = self.net(features).chunk(2, -1)
        std = F.softplus(raw + self.raw_std) + LEAST_STD
        return Gaussian(LARGEST_MEAN * torch.tanh(mean / LARGEST_MEAN), std.log())
