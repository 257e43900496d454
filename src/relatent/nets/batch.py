"""What an agent is given to learn from."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Transitions drawn from replay; B of them, float32.

    `terminated` is 1 where the episode ended in a terminal state, so that its value is zero; an episode cut off by a
    time limit is not terminated and its last state is bootstrapped as any other.
    """

    observation: Tensor  # (B, observation_size)
    action: Tensor  # (B, action_size), in [-1, 1]
    reward: Tensor  # (B,)
    next_observation: Tensor  # (B, observation_size)
    terminated: Tensor  # (B,), 0 or 1
