"""Random network distillation: a bonus for what was seen seldom (RPG, Sec 4.3.2).

A network learns to repeat what a random one says of each observation; where it fails, the observation is new. The error
is made a bonus of mean 0 and variance 1 over all batches but the first hundred that the network learnt from, so the
bonus of the typical observation becomes negative as errors shrink (haosulab/RPG@a7dc920).
"""

import torch
from torch import Tensor, nn

from relatent.nets.mlp import mlp

WARM_BATCHES = 100  # before so many, the bonus is the plain error
BONUS_LIMIT = 100.0


class Novelty(nn.Module):
    """Predictor, its random target, and the statistics of errors."""

    batches: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, observation_size: int, width: int) -> None:
        super().__init__()
        sizes = [observation_size, width, width, width]
        self.predictor = mlp(sizes, activation=nn.LeakyReLU)
        self.target = mlp(sizes, activation=nn.LeakyReLU).requires_grad_(False)
        for name in ("batches", "mean", "variance"):
            self.register_buffer(name, torch.zeros(()))

    def error(self, observation: Tensor) -> Tensor:
        """Squared distance between prediction and target, summed over outputs; the batch's shape."""
        with torch.no_grad():
            target = self.target(observation)
        return (self.predictor(observation) - target).square().sum(-1)

    def bonus(self, observation: Tensor) -> Tensor:
        """The normalised error, within ±100; the batch's shape. Not differentiable."""
        with torch.no_grad():
            error = self.error(observation)
            normal = (error - self.mean) / self.variance.clamp(min=1e-12).sqrt()
            return torch.where(self.batches > WARM_BATCHES, normal, error).clamp(-BONUS_LIMIT, BONUS_LIMIT)

    @torch.no_grad()
    def count(self, errors: Tensor) -> None:
        """Let a training batch's errors (..., B) into mean and variance, each batch after the first hundred with the
        same weight."""
        self.batches.add_(1)
        share = torch.where(self.batches > WARM_BATCHES, 1 / (self.batches - WARM_BATCHES).clamp(min=1), 0.0)
        distance = errors.mean(-1) - self.mean
        within = errors.var(-1, unbiased=False)
        self.variance.copy_((1 - share) * self.variance + share * within + share * (1 - share) * distance.square())
        self.mean.add_(share * distance)
