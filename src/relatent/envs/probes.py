"""Environments whose values are known exactly, to find what an agent gets wrong (one number seen, one done).

Each isolates one thing: a wrong value points at the part that is broken. x is the observation, a the action, γ the
discount of one agent step. Q is the same for every action unless it says otherwise, so that any policy will do.

    constant_reward     r = 1, then terminated                          Q = 1                     the critic's loss
    observation_reward  x is -1 or 1, r = x, then terminated            Q = x                     what the critic sees
    delayed_reward      x = -1 then 1, r = 0 then 1, then terminated    Q(-1) = γ, Q(1) = 1       discounting
    action_reward       x is -1 or 1, r = 1 - (a - x/2)², terminated    best action x/2, Q = r    the actor's loss
    terminated          x = -1 then 1, r = 1, then terminated           Q(-1) = 1 + γ, Q(1) = 1   termination
    truncated           the same, but cut off by a time limit           Q = 1/(1 - γ)             bootstrapping

The observation after an episode's last step is one of the task's own, so that an agent that bootstraps where it must
not (or does not where it must) finds another value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from relatent.specs.errors import RelatentError


@dataclass(frozen=True)
class Rules:
    """What a probe does."""

    starts: tuple[float, ...]  # first observations, equally likely
    steps: int  # of an episode; each turns x into -x
    terminates: bool  # or is cut off by a time limit
    reward: Callable[[float, float], float]  # of x, a
    value: Callable[[float, float, float], float]  # Q of x, a, γ; for every policy


PROBES = {
    "constant_reward": Rules((1.0,), 1, True, lambda _x, _a: 1.0, lambda _x, _a, _gamma: 1.0),
    "observation_reward": Rules((-1.0, 1.0), 1, True, lambda x, _a: x, lambda x, _a, _gamma: x),
    "delayed_reward": Rules((-1.0,), 2, True, lambda x, _a: float(x > 0), lambda x, _a, gamma: 1.0 if x > 0 else gamma),
    "action_reward": Rules(
        (-1.0, 1.0), 1, True, lambda x, a: 1 - (a - x / 2) ** 2, lambda x, a, _gamma: 1 - (a - x / 2) ** 2
    ),
    "terminated": Rules((-1.0,), 2, True, lambda _x, _a: 1.0, lambda x, _a, gamma: 1.0 if x > 0 else 1 + gamma),
    "truncated": Rules((-1.0,), 2, False, lambda _x, _a: 1.0, lambda _x, _a, gamma: 1 / (1 - gamma)),
}


class Probe(gymnasium.Env):
    """One of the probes. An agent step repeats its action for `action_repeat` frames and sums their rewards."""

    def __init__(self, rules: Rules, action_repeat: int) -> None:
        self.rules, self.action_repeat = rules, action_repeat
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.x, self.step_number = rules.starts[0], 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed, options=options)
        self.x, self.step_number = float(self.np_random.choice(self.rules.starts)), 0
        return self.observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        reward, ended = 0.0, False
        for _ in range(self.action_repeat):
            reward += self.rules.reward(self.x, float(action[0]))
            self.x, self.step_number = -self.x, self.step_number + 1
            ended = self.step_number == self.rules.steps
            if ended:
                break
        return self.observation(), reward, ended and self.rules.terminates, ended and not self.rules.terminates, {}

    def observation(self) -> np.ndarray:
        return np.array([self.x], np.float32)


def make(task: str, action_repeat: int = 1) -> Probe:
    if task not in PROBES:
        raise RelatentError(f"there is no probe {task!r}, expected one of {', '.join(PROBES)}")
    return Probe(PROBES[task], action_repeat)
