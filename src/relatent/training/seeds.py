"""Random streams of a run. A stream's seed is a function of what it is for, so that nothing but the stream of updates
has to be saved to continue a run exactly."""

from enum import IntEnum

import numpy as np
import torch


class Stream(IntEnum):
    """What random numbers are drawn for."""

    INITIALISATION = 0
    UPDATES = 1
    TRAINING_EPISODE = 2
    TRAINING_ACTIONS = 3
    EVALUATION_EPISODE = 4
    EVALUATION_ACTIONS = 5
    PROBE = 6


def derive(seed: int, stream: Stream, *position: int) -> int:
    """A 32-bit seed for one stream of a run at a position, such as an episode's number."""
    return int(np.random.SeedSequence([seed, stream, *position]).generate_state(1)[0])


def generator(seed: int, stream: Stream, *position: int, device: str = "cpu") -> torch.Generator:
    """A generator for one stream of a run at a position. Devices draw different numbers from the same seed."""
    return torch.Generator(device).manual_seed(derive(seed, stream, *position))
