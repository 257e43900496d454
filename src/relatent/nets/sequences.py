"""What a recurrent world model is given to learn from."""

from typing import NamedTuple

from torch import Tensor


class Sequences(NamedTuple):
    """B runs of L consecutive observations of one episode each, drawn from a replay of episodes. What stands beside an
    observation arrived with it; at an episode's first there is no action and no reward, both are 0."""

    observation: Tensor  # (B, L, *observation_shape), as the environment gives it: uint8 for pictures
    action: Tensor  # (B, L, action_size), in [-1, 1], the one that led here; float32 as all that follows
    reward: Tensor  # (B, L)
    terminated: Tensor  # (B, L), 0 or 1: the episode ended here in a terminal state
    first: Tensor  # (B, L), 0 or 1: the episode began here; at a sequence's begin only
