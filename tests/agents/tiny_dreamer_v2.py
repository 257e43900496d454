"""DreamerV2 and Plan2Explore agents small enough to check by hand, in float64, data for them, and losses whose stopped
parts are held."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from relatent.agents import dreamer_v2, plan2explore
from relatent.nets.sequences import Sequences
from relatent.training.episodes import EpisodeReplay
from tests.agents.tiny import replaced, waves
from tests.nets.tiny_world import images

BATCH, LENGTH, HORIZON, ACTION, SIDE = 2, 4, 3, 2, 16
SHAPES = {"vectors": (5,), "images": (3, SIDE, SIDE)}

HYPER: dict[str, Any] = {
    "deter": 4,
    "stoch": 2,
    "classes": 3,
    "depth": 2,
    "width": 7,
    "layers": 2,
    "batch": BATCH,
    "length": LENGTH,
    "horizon": HORIZON,
    "lambda_weight": 0.8,
    "model_lr": 1e-3,
    "actor_lr": 2e-3,
    "critic_lr": 3e-3,
    "adam_eps": 1e-5,
    "weight_decay": 0.0,
    "clip_norm": 100.0,
    "free_nats": 0.01,
    "balance": 0.8,
    "gamma": 0.9,
    "entropy": 0.3,
    "target_every": 3,
    "update_after": 20,
    "pretrain": 2,
    "update_every": 5,
    "updates": 1,
    "replay": 200,
}
MORE = {"predictors": 3, "predictor_lr": 4e-3}
KINDS = ("task", "explorer")
"""Whether data are collected by the task's policy, or by another."""


def build(kind: str = "task", seen: str = "vectors", **changes: Any) -> Any:
    """A float32 agent as the trainer builds it."""
    if kind == "task":
        return dreamer_v2.DreamerV2(SHAPES[seen], ACTION, dreamer_v2.Hyper(**HYPER | changes))
    return plan2explore.Plan2Explore(SHAPES[seen], ACTION, plan2explore.Hyper(**HYPER | MORE | changes))


def precise(kind: str = "task", seen: str = "vectors", phase: float = 0.0, **changes: Any) -> Any:
    """A float64 agent whose parameters are `waves`, those of norms about 1."""
    agent = build(kind, seen, **changes).double()
    with torch.no_grad():
        for number, (name, parameter) in enumerate(agent.named_parameters()):
            scale = 0.3 if parameter.dim() == 4 else 0.7  # so that no image saturates the next layer
            parameter.copy_(scale * waves(tuple(parameter.shape), phase + number))
            if name.endswith("norm.weight"):
                parameter.add_(1.0)
    return agent


def data(seen: str = "vectors", phase: float = 0.5) -> Sequences:
    """The second sequence begins in the midst of an episode."""
    shape = (BATCH, LENGTH, *SHAPES[seen])
    observation = images((BATCH, LENGTH), SIDE, phase) if seen == "images" else waves(shape, phase)
    first = torch.zeros(BATCH, LENGTH, dtype=torch.float64)
    first[0, 0] = 1.0
    action, reward = waves((BATCH, LENGTH, ACTION), phase + 1), 2 * waves((BATCH, LENGTH), phase + 2)
    return Sequences(observation, action, reward, torch.zeros_like(first), first)


def noise(agent: Any, phase: float = 0.7) -> Any:
    return replaced(agent.draw_noise(BATCH, torch.Generator().manual_seed(0)), phase)


def action_noise(agent: Any, explore: bool, phase: float = 0.2) -> Any:
    draws = agent.draw_action_noise(explore, torch.Generator().manual_seed(0))
    return replaced(draws, phase)._replace(explore=draws.explore)


def memory(seen: str = "vectors", steps: int = 60) -> EpisodeReplay:
    """Episodes of ten steps of random numbers."""
    shape, draws = SHAPES[seen], np.random.default_rng(0)
    kind: type = np.uint8 if seen == "images" else np.float32
    replay = EpisodeReplay(200, shape, kind, ACTION)
    for step in range(steps):
        here, following = (100 * draws.random((2, *shape))).astype(kind)
        action = draws.uniform(-1, 1, ACTION).astype(np.float32)
        replay.add(here, action, float(draws.random()), following, False, step % 10 == 9)
    return replay


class Held:
    """A loss whose stopped parts keep the numbers that they have when it is first computed, so that its finite
    differences are the gradient that passes them by; what is stopped is what was detached, in this order."""

    def __init__(self, loss: Callable[[], Tensor]) -> None:
        self.loss = loss
        self.kept: list[Tensor] = []

    def __call__(self) -> Tensor:
        detach, later = Tensor.detach, iter(self.kept) if self.kept else None

        def held(tensor: Tensor) -> Tensor:
            if later is not None:
                return next(later)
            self.kept.append(detach(tensor).clone())
            return self.kept[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Tensor, "detach", held)
            value = self.loss()
        assert self.kept, "nothing is stopped"
        assert later is None or next(later, None) is None
        return value


def same_parameters(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(mine, yours) for mine, yours in zip(one.parameters(), other.parameters(), strict=True))


def states_of(agent: Any, batch: Any, draws: Any) -> Any:
    """As numbers."""
    states = agent.world_loss(batch, draws.filter).states
    return type(states)(*(part.detach() for part in states))


def loss(agent: Any, part: str, seen: str = "vectors") -> Any:
    """A function that gives what the optimiser of this name minimises."""
    batch, draws = data(seen), noise(agent)
    if part == "world":
        return lambda: agent.world_loss(batch, draws.filter).loss
    states = states_of(agent, batch, draws)
    if part == "predictors":
        return lambda: agent.predictor_loss(states, batch.action)
    name, imagination = ("actor", draws.task) if part in ("actor", "critic") else ("explorer", draws.exploration)
    if part == name:
        return lambda: getattr(agent, f"{name}_loss")(states, imagination)[0]
    imagined = getattr(agent, f"{name}_loss")(states, imagination)[1]
    return lambda: getattr(agent, f"{part}_loss")(imagined)
