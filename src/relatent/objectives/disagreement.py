"""How much predictions of what comes next disagree, the reward of Plan2Explore (Sekar et al. 2020, Sec 3).

Networks that begin with other weights and see the same data agree where there is much of it, whatever noise remains in
what they predict: each tends to its mean. The standard deviation between them is a measure of what is not known yet,
and may be had in imagination, before anything is seen.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.mlp import mlp, xavier
from relatent.nets.q_ensemble import StackedLinear


class Predictors(nn.Module):
    """Perceptrons of one size that differ in their weights, computed as one."""

    def __init__(self, members: int, inputs: int, outputs: int, width: int, layers: int) -> None:
        super().__init__()
        nets = [mlp([inputs, *[width] * layers, outputs], init=xavier) for _ in range(members)]
        linear = [[layer for layer in net if isinstance(layer, nn.Linear)] for net in nets]
        self.members = members
        self.layers = nn.ModuleList(StackedLinear(list(same)) for same in zip(*linear, strict=True))

    def forward(self, inputs: Tensor) -> Tensor:
        """Means (members, ..., outputs) that they predict from the same inputs (..., size)."""
        rows = inputs.flatten(0, -2)
        hidden = rows.expand(self.members, *rows.shape)
        *before, last = self.layers
        for layer in before:
            hidden = F.elu(layer(hidden), inplace=True)
        return last(hidden).unflatten(1, inputs.shape[:-1])


def prediction_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """Minus the log-density of targets (..., size) under Gaussians of unit variance around predictions (members, ...,
    size); the mean over what is predicted, the sum over members, so that each learns as if it were alone."""
    log_prob = -0.5 * ((targets - predictions).square() + math.log(2 * math.pi)).sum(-1)
    return -log_prob.flatten(1).mean(1).sum()


def disagreement(predictions: Tensor) -> Tensor:
    """The standard deviation between members, of predictions (members, ..., size), in the mean over what is predicted,
    (...). Zero, with a gradient of zero, where they are equal."""
    return torch.std(predictions, dim=0, correction=0).mean(-1)
