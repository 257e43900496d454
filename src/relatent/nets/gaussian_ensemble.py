"""An ensemble of networks that each predict a diagonal Gaussian (Chua et al. 2018, Sec 4), as jannerm/mbpo has it.

All networks are one batched module: a layer's weights are (networks, inputs, outputs). What they are given is
standardised by the mean and deviation of the data that they were last fitted to; what they predict is not. Both ends of
the range of log-variances are learned, one pair for each output, which all networks have in common.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FIRST_MAX_LOG_VAR, FIRST_MIN_LOG_VAR = 0.5, -10.0
BOUND_WEIGHT = 0.01  # of the pull on both ends of the range towards each other
LEAST_STD = 1e-12  # below it, an input is taken for constant and only centred


class GaussianEnsemble(nn.Module):
    """`networks` networks with SiLU layers of `width` units; one layer for each of `decays`, the last one linear."""

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: int, outputs: int, width: int, networks: int, decays: tuple[float, ...]) -> None:
        super().__init__()
        self.decays = decays
        sizes = list(pairwise([inputs, *[width] * (len(decays) - 1), 2 * outputs]))
        self.weights = nn.ParameterList(torch.empty(networks, *size) for size in sizes)
        self.biases = nn.ParameterList(torch.zeros(networks, 1, following) for _, following in sizes)
        for weight in self.weights:
            std = 0.5 * weight.shape[1] ** -0.5
            nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
        self.max_log_var = nn.Parameter(torch.full((outputs,), FIRST_MAX_LOG_VAR))
        self.min_log_var = nn.Parameter(torch.full((outputs,), FIRST_MIN_LOG_VAR))
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))

    def __len__(self) -> int:
        return len(self.weights[0])

    @torch.no_grad()
    def standardise(self, inputs: Tensor) -> None:
        """Take mean and deviation of these inputs (N, inputs) for those of all inputs from now on."""
        std = inputs.std(0, correction=0)
        self.mean.copy_(inputs.mean(0))
        self.std.copy_(torch.where(std < LEAST_STD, torch.ones_like(std), std))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (networks, B, outputs) that each network predicts from inputs of its own, (networks, B,
        inputs)."""
        return self.through(slice(None), inputs)

    def through(self, chosen: slice, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The same of some of the networks."""
        hidden = (inputs - self.mean) / self.std
        *before, last = zip(self.weights, self.biases, strict=True)
        for weight, bias in before:
            hidden = F.silu(torch.baddbmm(bias[chosen], hidden, weight[chosen]))
        mean, raw = torch.baddbmm(last[1][chosen], hidden, last[0][chosen]).chunk(2, -1)
        log_var = self.max_log_var - F.softplus(self.max_log_var - raw)
        return mean, self.min_log_var + F.softplus(log_var - self.min_log_var)

    def predict(self, inputs: Tensor, networks: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, outputs) of inputs (B, inputs), each predicted by the one network that `networks`
        (B,) names."""
        mean, log_var = (inputs.new_empty(len(inputs), len(self.max_log_var)) for _ in range(2))
        for number in range(len(self)):
            rows = (networks == number).nonzero().squeeze(-1)
            own = self.through(slice(number, number + 1), inputs[rows][None])
            mean[rows], log_var[rows] = own[0][0], own[1][0]
        return mean, log_var

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """What the networks are fitted by, from batches of their own (networks, B, ...): twice the negative
        log-likelihood without its constant, a mean over rows and outputs and a sum over networks; half the squared
        weights, times their layer's decay; and the width of the range of log-variances."""
        mean, log_var = self(inputs)
        likelihood = ((mean - targets).square() * torch.exp(-log_var) + log_var).mean((-2, -1)).sum()
        pairs = zip(self.decays, self.weights, strict=True)
        decay = torch.stack([0.5 * rate * weight.square().sum() for rate, weight in pairs]).sum()
        return likelihood + decay + BOUND_WEIGHT * (self.max_log_var - self.min_log_var).sum()

    @torch.no_grad()
    def errors(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Each network's mean squared error on the same rows (B, ...), (networks,)."""
        mean, _ = self(inputs.expand(len(self), *inputs.shape))
        return (mean - targets).square().mean((-2, -1))
