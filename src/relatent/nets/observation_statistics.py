"""Observations brought to mean 0 and deviation 1, by the statistics of everything that replay was ever given.

facebookresearch/svg (svg/replay_buffer.py) normalises all that it feeds to a network so, with the statistics of the
moment and a deviation held within [0.1, 10]. An agent holds them, so that they travel with its other buffers; replay
knows nothing of them. Ours: they are exact, where that code takes the first observation for zero and makes the mean by
its n-th part too large.
"""

from typing import Any

import torch
from torch import Tensor, nn

from relatent.specs.errors import RelatentError

LEAST_STD, LARGEST_STD = 0.1, 10.0


class ObservationStatistics(nn.Module):
    """Mean and deviation of observations that an action was taken at; 0 and 1 before two of them are known.

    Sums are in float64: increments to those of a million observations would be lost in float32.
    """

    mean: Tensor
    squares: Tensor
    std: Tensor

    def __init__(self, observation_size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(observation_size, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(observation_size, dtype=torch.float64))  # of distances to the mean
        self.register_buffer("std", torch.ones(observation_size, dtype=torch.float64))
        self.known = 0  # transitions since replay's start that are counted

    def normalised(self, observation: Tensor) -> Tensor:
        """Observations (..., observation_size) in units of their deviation."""
        return (observation - self.mean.to(observation.dtype)) / self.std.to(observation.dtype)

    def catch_up(self, replay: Any) -> None:
        """Count all transitions that came since the last call.

        Raises RelatentError where replay has forgotten one of them already.
        """
        if self.known < replay.transitions - len(replay):
            raise RelatentError(f"replay of {replay.capacity} transitions: too small for those before the first update")
        if self.known < replay.transitions:
            places = torch.arange(self.known, replay.transitions, device=self.mean.device) % replay.capacity
            self.count(replay.segments(places, 1).observation[:, 0])

    @torch.no_grad()
    def count(self, observations: Tensor) -> None:
        """Let observations (N, observation_size) into mean and deviation."""
        observations = observations.to(self.mean.dtype)
        total = self.known + len(observations)
        center = observations.mean(0)
        distance, share = center - self.mean, len(observations) / total
        self.squares.add_((observations - center).square().sum(0) + self.known * share * distance.square())
        self.mean.add_(share * distance)
        self.known = total
        if total > 1:
            self.std.copy_((self.squares / (total - 1)).sqrt().clamp(LEAST_STD, LARGEST_STD))

    def get_extra_state(self) -> int:
        """Stored by PyTorch beside the buffers."""
        return self.known

    def set_extra_state(self, state: int) -> None:
        """Restore what `get_extra_state` returned."""
        self.known = state
