"""REDQ agents small enough to check by hand, in float64, and data for them."""

import math
from typing import Any

import pytest
import torch

from relatent.agents.redq import REDQ, Hyper, Noise
from relatent.nets.batch import Batch
from tests.agents.tiny import ACTION, BATCH, OBSERVATION, batch, waves

CRITICS, STEPS, GAMMA, ALPHA = 4, 3, 0.9, 0.5
HYPER: dict[str, Any] = {
    "width": 6,
    "layers": 2,
    "critics": CRITICS,
    "target": "subset",
    "subset": 2,
    "critic_updates": STEPS,
    "batch": BATCH,
    "actor_lr": 3e-4,
    "critic_lr": 3e-4,
    "alpha_lr": 3e-4,
    "gamma": GAMMA,
    "tau": 0.1,
    "init_alpha": ALPHA,
    "target_entropy": -3.0,
    "update_after": 0,
    "replay": 99,
}
TARGETS = pytest.mark.parametrize("target", ["subset", "average"])


def build(observation_size: int = OBSERVATION, action_size: int = ACTION, **changes: Any) -> REDQ:
    return REDQ(observation_size, action_size, Hyper(**{**HYPER, **changes}))


def precise(phase: float = 0.0, **changes: Any) -> REDQ:
    """In float64, of parameters that depend on no library's random numbers."""
    agent = build(**changes).double()
    with torch.no_grad():
        for index, (key, parameter) in enumerate(agent.named_parameters()):
            if key == "log_alpha":
                parameter.fill_(math.log(ALPHA))
            else:
                parameter.copy_(0.8 * waves(tuple(parameter.shape), phase + index))
    return agent


def given(phase: float = 0.5) -> tuple[tuple[Batch, ...], Noise]:
    """Batches and noise of one update."""
    draws = [1.5 * waves((BATCH, ACTION), phase + 0.2 * step) for step in range(STEPS + 1)]
    subsets = torch.tensor([[0, 3], [2, 1], [3, 2]])
    return tuple(batch(phase + step) for step in range(STEPS)), Noise(tuple(draws[1:]), subsets.unbind(), draws[0])
