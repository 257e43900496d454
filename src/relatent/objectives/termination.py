"""Where episodes of MuJoCo's robots end, as functions of what is seen next (gym's version 2; jannerm/mbpo, static).

Observations (..., observation_size) begin with the torso's height; in Hopper's and Walker2d's its angle comes next.
What is not a number ends an episode, too.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def never(observation: Tensor) -> Tensor:
    return torch.zeros_like(observation[..., 0], dtype=torch.bool)


def hopper(observation: Tensor) -> Tensor:
    """Falls, or leaves the range of what is simulated. The official code does not bound the latter from below."""
    height, angle = observation[..., 0], observation[..., 1]
    within = (observation[..., 1:].abs() < 100).all(-1)
    return ~(observation.isfinite().all(-1) & within & (height > 0.7) & (angle.abs() < 0.2))


def walker2d(observation: Tensor) -> Tensor:
    height, angle = observation[..., 0], observation[..., 1]
    return ~((height > 0.8) & (height < 2.0) & (angle.abs() < 1.0))


def ant(observation: Tensor) -> Tensor:
    height = observation[..., 0]
    return ~(observation.isfinite().all(-1) & (height >= 0.2) & (height <= 1.0))


def humanoid(observation: Tensor) -> Tensor:
    height = observation[..., 0]
    return ~((height >= 1.0) & (height <= 2.0))


TERMINATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "never": never,
    "hopper": hopper,
    "walker2d": walker2d,
    "ant": ant,
    "humanoid": humanoid,
}
"""By the name that YAML gives them."""
