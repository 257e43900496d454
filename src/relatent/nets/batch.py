"""What an agent is given to learn from."""

from typing import Any, NamedTuple

import numpy as np
from torch import Tensor


class Batch(NamedTuple):
    """Transitions drawn from replay; B of them, float32 but for pictures, which are (B, *shape) of bytes.

    `terminated` is 1 where the episode ended in a terminal state, so that its value is zero; an episode cut off by a
    time limit is not terminated and its last state is bootstrapped as any other.
    """

    observation: Tensor  # (B, observation_size)
    action: Tensor  # (B, action_size), in [-1, 1]
    reward: Tensor  # (B,)
    next_observation: Tensor  # (B, observation_size)
    terminated: Tensor  # (B,), 0 or 1


class Segments(NamedTuple):
    """B runs of L consecutive steps drawn from replay, float32 but for pictures. `mask` is 1 up to an episode's last
    step and 0 after it, where all else belongs to another episode."""

    observation: Tensor  # (B, L + 1, observation_size)
    action: Tensor  # (B, L, action_size), in [-1, 1]
    kept: Tensor  # (B, kept_size), what the agent kept with the first step
    reward: Tensor  # (B, L)
    terminated: Tensor  # (B, L), 0 or 1
    mask: Tensor  # (B, L), 0 or 1


class Starts(NamedTuple):
    """Where imagined rollouts begin."""

    observation: Tensor  # (B, observation_size)
    latent: Tensor  # (B, latent_size), what the policy was given there


class WorldBatch(NamedTuple):
    """What one update of a world model and of a policy within it is given; a field that it does not need is ()."""

    seen: Any = ()  # observations for a novelty network, (B, observation_size)
    segments: Any = ()  # Segments
    starts: Any = ()  # Starts, anywhere
    beginnings: Any = ()  # Starts, of episodes


class Played(NamedTuple):
    """An episode of an evaluation, of T decisions."""

    observations: np.ndarray
    """(T, observation_size), those that decisions were made at."""
    actions: np.ndarray
    """(T, action_size), as the agent chose them."""
    rewards: np.ndarray
    """(T,)."""
