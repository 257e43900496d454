"""SAC-SVG agents small enough to check by hand, in float64, and data for them."""

import math
from typing import Any

import torch

from relatent.agents.sac_svg import SACSVG, Data, Hyper, Noise
from relatent.nets.batch import Segments
from tests.agents.tiny import ACTION, BATCH, OBSERVATION, batch, waves

HORIZON, MODEL_UPDATES, GAMMA, ALPHA = 2, 3, 0.9, 0.5
HYPER: dict[str, Any] = {
    "width": 6,
    "layers": 3,
    "model_width": 5,
    "horizon": HORIZON,
    "batch": BATCH,
    "segments": 4,
    "model_updates": MODEL_UPDATES,
    "actor_lr": 3e-4,
    "critic_lr": 3e-4,
    "alpha_lr": 3e-4,
    "model_lr": 1e-3,
    "model_clip_norm": 1.0,
    "gamma": GAMMA,
    "tau": 0.1,
    "init_alpha": ALPHA,
    "first_entropy": 1.0,
    "last_entropy": -3.0,
    "entropy_power": 0.5,
    "entropy_steps": 200,
    "warm_up": 20,
    "update_after": 10,
    "replay": 99,
}


def build(observation_size: int = OBSERVATION, action_size: int = ACTION, **changes: Any) -> SACSVG:
    return SACSVG(observation_size, action_size, Hyper(**{**HYPER, **changes}))


def precise(phase: float = 0.0, **changes: Any) -> SACSVG:
    """In float64, of parameters that depend on no library's random numbers, with statistics and a target entropy of
    its own."""
    agent = build(**changes).double()
    with torch.no_grad():
        for index, (key, parameter) in enumerate(agent.named_parameters()):
            if key == "log_alpha":
                parameter.fill_(math.log(ALPHA))
            else:
                parameter.copy_(0.8 * waves(tuple(parameter.shape), phase + index))
    agent.statistics.count(2 * waves((7, OBSERVATION), phase + 0.3))
    agent.target_entropy.fill_(-1.5 - 0.1 * phase)
    return agent


MASK = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]], dtype=torch.float64)
TERMINATED = torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=torch.float64)


def segments(phase: float = 0.5, length: int = HORIZON) -> Segments:
    """The second one ends in a terminal state after two steps, the third by a time limit after one."""
    return Segments(
        waves((4, length + 1, OBSERVATION), phase),
        waves((4, length, ACTION), phase + 1),
        torch.zeros(4, 0, dtype=torch.float64),
        waves((4, length), phase + 2),
        TERMINATED[:, :length],
        MASK[:, :length],
    )


def noise(phase: float = 0.7, horizon: int = HORIZON) -> Noise:
    return Noise(1.5 * waves((BATCH, ACTION), phase), 1.5 * waves((horizon + 1, BATCH, ACTION), phase + 1))


def given(phase: float = 0.5) -> tuple[Data, Noise]:
    """Data and noise of one update."""
    data = Data(tuple(segments(phase + 0.3 * number) for number in range(MODEL_UPDATES)), batch(phase))
    return data, noise(phase + 0.2)
