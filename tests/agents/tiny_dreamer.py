"""Dreamers small enough to check by hand, in float64, and what they imagine in numpy. Sizes and data are those of
tests.agents.tiny_latent_sac."""

from typing import Any, NamedTuple

import numpy as np

from relatent.agents.dreamer import Dreamer, Hyper, Noise
from relatent.nets.rssm import State
from tests.agents.tiny import waves
from tests.agents.tiny_latent_sac import OBSERVATION, PAPER, WORLD, policy, waving, wavy
from tests.nets.tiny_world import ACTION, BATCH, DETER, LENGTH, STOCH, Array, dense, prior, recur

HORIZON, LAMBDA = 3, 0.7
HYPER: dict[str, Any] = WORLD | {
    "horizon": HORIZON,
    "lambda_weight": LAMBDA,
    "actor_lr": 8e-5,
    "value_lr": 8e-5,
}


def build(**changes: Any) -> Dreamer:
    """A float32 agent as the trainer builds it."""
    return Dreamer(OBSERVATION, ACTION, Hyper(**{**HYPER, **changes}))


def official() -> Dreamer:
    """Of the official code's sizes, for pictures of side 64 and six actions."""
    return Dreamer((3, 64, 64), 6, Hyper(**{**HYPER, **PAPER, "horizon": 15}))


def precise(phase: float = 0.0, **changes: Any) -> Dreamer:
    return wavy(build(**changes), phase)


def noise(phase: float = 0.7) -> Noise:
    shapes = {
        "filter": (BATCH, LENGTH, STOCH),
        "state": (BATCH, LENGTH, HORIZON, STOCH),
        "action": (BATCH, LENGTH, HORIZON, ACTION),
    }
    return Noise(*waving(shapes, phase))


def states(phase: float = 0.2) -> State:
    """To imagine from, (BATCH, LENGTH, size)."""
    return State(waves((BATCH, LENGTH, STOCH), phase), waves((BATCH, LENGTH, DETER), phase + 1))


class Path(NamedTuple):
    """From one state: features of s_0 to s_H, and rewards and values of s_1 to s_H."""

    features: list[Array]
    rewards: list[float]
    values: list[float]


def walk(agent: Dreamer, stoch: Array, deter: Array, states: Array, actions: Array) -> Path:
    """Step by step, with draws (H, size)."""
    found = Path([np.concatenate([stoch, deter])], [], [])
    for of_state, of_action in zip(states, actions, strict=True):
        mean, std = policy(agent, found.features[-1])
        deter = recur(agent.world.rssm, stoch, deter, np.tanh(mean + std * of_action))
        mean, std = prior(agent.world.rssm, deter)
        stoch = mean + std * of_state
        found.features.append(np.concatenate([stoch, deter]))
        found.rewards.append(float(dense(agent.world.reward, found.features[-1])[0]))
        found.values.append(float(dense(agent.value, found.features[-1])[0]))
    return found


def plain_return(path: Path, start: int, gamma: float, weight: float) -> float:
    """From s_start: the mean of the returns of all lengths, the longest of which has all the weight that is left."""
    longest, total = len(path.rewards) - start, 0.0
    for length in range(1, longest + 1):
        share = weight ** (length - 1) * (1.0 if length == longest else 1 - weight)
        gained = sum(gamma**k * path.rewards[start + k] for k in range(length))
        total += share * (gained + gamma**length * path.values[start + length - 1])
    return total
