"""Random network distillation: a bonus for what was seen seldom (RPG, Sec 4.3.2).

A network learns to repeat what a random one says of each observation; where it fails, the observation is new. The error
is made a bonus of mean 0 and variance 1 over all batches but the first hundred that the network learnt from, so the
bonus of the typical observation becomes negative as errors shrink (haosulab/RPG@a7dc920).
"""

from typing import Any

import torch
from torch import Tensor, nn

from relatent.nets.learner import Learner
from relatent.nets.mlp import mlp
from relatent.nets.observation import Observation, seeing

WARM_BATCHES = 100  # before so many, the bonus is the plain error
BONUS_LIMIT = 100.0


class Novelty(nn.Module):
    """Predictor, its random target, and the statistics of errors. Where pictures are seen, the paper has convolutions
    as the encoder's (Sec 5.3); what comes after them, and their initial weights, PyTorch's, are ours."""

    batches: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, observation: Observation, width: int, channels: int = 0) -> None:
        super().__init__()

        def perceptron(inputs: int) -> nn.Module:
            return mlp([inputs, width, width, width], activation=nn.LeakyReLU)

        self.predictor = seeing(observation, channels, perceptron)
        self.target = seeing(observation, channels, perceptron).requires_grad_(False)
        for name in ("batches", "mean", "variance"):
            self.register_buffer(name, torch.zeros(()))

    def error(self, observation: Tensor) -> Tensor:
        """Squared distance between prediction and target, summed over outputs; the observations' leading shape."""
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


class NoveltyLearner(Learner):
    """A learner beside which a novelty network learns from what was seen, unless its weight `hyper.novelty` is zero."""

    novelty: Novelty

    def optimise_novelty(self, observation: Observation, learning_rate: float, channels: int = 0) -> None:
        """Make the network and its optimiser."""
        if self.hyper.novelty:
            self.novelty = Novelty(observation, self.hyper.novelty_width, channels)
            self.optimise("novelty", self.novelty.predictor.parameters(), learning_rate)

    def draw_seen(self, replay: Any, generator: torch.Generator) -> Any:
        """Observations for one update of the network, (B, *their shape); () where there is none."""
        hyper = self.hyper
        return replay.sample_seen(hyper.batch, hyper.novelty_memory, generator) if hyper.novelty else ()

    def learn_novelty(self, seen: Any) -> dict[str, Tensor]:
        """One update of the network from what `draw_seen` drew; returns its metric."""
        if not isinstance(seen, Tensor):
            return {}
        loss, errors = self.minimise("novelty", self.novelty_loss, seen)
        self.novelty.count(errors)
        return {"novelty_loss": loss}

    def novelty_loss(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Mean error of the network, and each observation's."""
        error = self.novelty.error(seen)
        return error.mean(), error.detach()

    def novelty_bonus(self, observation: Tensor) -> Tensor:
        """The bonus of observations before it is weighted; zero without a network."""
        return self.novelty.bonus(observation) if self.hyper.novelty else torch.zeros((), device=observation.device)

    def updates_due(self, before: int, after: int) -> int:
        """One in `update_every` agent steps: of the network once a batch was seen, of all else after `update_after`."""
        enough = self.hyper.batch if self.hyper.novelty else self.hyper.update_after
        return (after // self.hyper.update_every - before // self.hyper.update_every) * (after > enough)
