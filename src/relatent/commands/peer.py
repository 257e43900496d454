"""Stable-Baselines3's SAC at given sizes, to be timed beside ours. A development extra: `make peer` installs it."""

import importlib.util
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from relatent.specs.errors import RelatentError


class Nothing(gymnasium.Env):
    """Sizes only."""

    def __init__(self, observation_size: int, action_size: int) -> None:
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (observation_size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (action_size,), np.float32)


def require_peer() -> None:
    """Raises RelatentError where it is not installed."""
    if importlib.util.find_spec("stable_baselines3") is None:
        raise RelatentError("bench: --peer needs stable-baselines3; `make peer` installs it")


def peer_sac(
    observation_size: int, action_size: int, hyper: dict[str, Any], transitions: int, device: str
) -> Callable[[], Any]:
    """A function that does one update of the peer, from a full replay of random numbers."""
    require_peer()
    from stable_baselines3 import SAC
    from stable_baselines3.common.logger import Logger

    agent = SAC(
        "MlpPolicy",
        Nothing(observation_size, action_size),
        learning_rate=hyper["critic_lr"],
        batch_size=hyper["batch"],
        buffer_size=transitions,
        policy_kwargs={"net_arch": [hyper["width"]] * hyper["layers"]},
        device=device,
    )
    agent.set_logger(Logger(None, []))
    random, buffer = np.random.default_rng(0), agent.replay_buffer
    assert buffer is not None
    for name in ("observations", "next_observations", "actions", "rewards"):
        array = getattr(buffer, name)
        array[...] = random.standard_normal(array.shape).clip(-1, 1)
    buffer.full = True
    return lambda: agent.train(gradient_steps=1, batch_size=hyper["batch"])
