"""MBPO agents small enough to check by hand, and what they remember."""

from typing import Any

import torch

from relatent.agents.mbpo import MBPO, Hyper
from relatent.training.replay import Replay
from tests.agents.tiny import waves
from tests.training.specs import filled

OBSERVATION, ACTION = 3, 2
SAC: dict[str, Any] = {
    "width": 6,
    "layers": 2,
    "batch": 5,
    "actor_lr": 3e-4,
    "critic_lr": 3e-4,
    "alpha_lr": 3e-4,
    "gamma": 0.9,
    "tau": 0.1,
    "init_alpha": 0.5,
    "update_after": 10,
    "replay": 99,
}
HYPER: dict[str, Any] = {
    **SAC,
    "target_entropy": -1.5,
    "updates_per_step": 2,
    "networks": 4,
    "elites": 2,
    "model_width": 6,
    "model_decay": (2.5e-5, 5e-5, 1e-4),
    "model_lr": 1e-3,
    "model_batch": 8,
    "model_every": 3,
    "model_epochs": 3,
    "patience": 5,
    "holdout": 0.2,
    "most_held": 5_000,
    "rollouts": 12,
    "rollout_schedule": (1, 3, 1, 3),
    "epoch": 6,
    "retain_epochs": 1,
    "real_share": 0.25,
    "termination": "never",
}


def build(**changes: Any) -> MBPO:
    torch.manual_seed(3)
    return MBPO(OBSERVATION, ACTION, Hyper(**{**HYPER, **changes}))


def memory() -> Replay:
    return filled(99, [9, 20, 6], OBSERVATION, ACTION)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def precise(**changes: Any) -> MBPO:
    """In float64, of parameters that depend on no library's random numbers."""
    agent = build(**changes).double()
    with torch.no_grad():
        for index, parameter in enumerate(agent.parameters()):
            parameter.copy_(0.8 * waves(tuple(parameter.shape), index))
        agent.model.max_log_var.fill_(0.5)
        agent.model.min_log_var.fill_(-3.0)
    return agent
