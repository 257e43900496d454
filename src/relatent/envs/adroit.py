"""Adroit's Door and Hammer with sparse rewards: a hand opens a door, or drives in a nail (RPG, appendix C).

The models are those of gymnasium-robotics, element for element those of mj_envs, which the paper used and which cannot
run today; see docs/environments.md. What differs is done here: when a task is solved is read from the simulator, by the
paper's code's thresholds, and the reward is that code's (haosulab/RPG@a7dc920, envs/modem).

                                     door                       hammer
    solved                           hinge opened >= 1 rad      nail's head within 0.02 m of its goal
    different in every episode       where the door is          how high the nail is
    actions                          28 (the paper says 26)     26
    decisions in an episode          100                        125

One decision is held for two simulator steps of 10 ms. Its reward is the mean of their two flags (0, 0.5 or 1), its
success is the second flag. Time limits truncate; nothing terminates.

The observation is 0.05 times what is seen of hand and objects, then the encoding of the objects that matter: for the
door the hinge's angle, the handle's position and the palm's relative to it (the paper names palm, latch and door); for
the hammer the positions of palm, hammer and nail, which are also in the first part. Without octaves it is what the
simulator's own task observes, as it is (39 and 46 numbers).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from farama_notifications import notifications

# On import, gymnasium-robotics would print a notice on dense rewards, which are not used here.
notifications.pop("gymnasium_robotics", None)

from gymnasium.envs.mujoco.mujoco_env import MujocoEnv  # noqa: E402
from gymnasium_robotics.envs.adroit_hand import AdroitHandDoorEnv, AdroitHandHammerEnv  # noqa: E402

from relatent.envs.picture import Picture  # noqa: E402
from relatent.envs.positional import encode  # noqa: E402
from relatent.specs.errors import RelatentError  # noqa: E402

REPEAT = 2  # simulator steps of one decision
SCALE = 0.05  # of what is seen beside the encoded objects
OPENED = 1.0  # radians; gymnasium-robotics and mj_envs: 1.35
DRIVEN = 0.02  # metres; gymnasium-robotics and mj_envs: less than 0.01


def site(simulator: MujocoEnv, name: str) -> np.ndarray:
    """World position (3,) of a site of the model."""
    return simulator.data.site(name).xpos


def door_opened(simulator: MujocoEnv) -> bool:
    return bool(simulator.data.joint("door_hinge").qpos[0] >= OPENED)


def nail_driven(simulator: MujocoEnv) -> bool:
    return bool(np.linalg.norm(site(simulator, "S_target") - site(simulator, "nail_goal")) <= DRIVEN)


def door_parts(simulator: MujocoEnv, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is scaled (30): the hand's joints but the first, the palm; and what is encoded (7)."""
    palm, handle = site(simulator, "S_grasp"), site(simulator, "S_handle")
    hinge = simulator.data.joint("door_hinge").qpos
    return np.concatenate([raw[:27], palm]), np.concatenate([hinge, handle, palm - handle])


def hammer_parts(simulator: MujocoEnv, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is scaled (55): the objects, then all that the simulator's own task observes; and what is encoded (9)."""
    objects = np.concatenate([site(simulator, name) for name in ("S_grasp", "tool", "S_target")])
    return np.concatenate([objects, raw]), objects


@dataclass(frozen=True)
class Task:
    simulator: Callable[..., MujocoEnv]
    solved: Callable[[MujocoEnv], bool]
    parts: Callable[[MujocoEnv, np.ndarray], tuple[np.ndarray, np.ndarray]]  # of the task's own observation
    horizon: int  # decisions


TASKS = {
    "door": Task(AdroitHandDoorEnv, door_opened, door_parts, 100),
    "hammer": Task(AdroitHandHammerEnv, nail_driven, hammer_parts, 125),
}


class Adroit(gymnasium.Env):
    """One of the tasks. `reset` takes a seed each time, which alone decides the episode."""

    def __init__(self, task: Task, octaves: int) -> None:
        self.task, self.octaves, self.decisions = task, octaves, 0
        self.simulator = task.simulator(reward_type="sparse")
        self.picture = Picture(self.simulator.model, "fixed")
        raw, _ = self.simulator.reset(seed=0)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, self.observation(raw).shape, np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, self.simulator.action_space.shape, np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        del options
        self.decisions = 0
        raw, _ = self.simulator.reset(seed=seed)
        return self.observation(raw), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        action = np.asarray(action, np.float64)  # the simulator clips it and stretches it to its actuators' ranges
        solved = []
        for _ in range(REPEAT):
            raw = self.simulator.step(action)[0]
            solved.append(self.task.solved(self.simulator))
        self.decisions += 1
        truncated = self.decisions == self.task.horizon
        return self.observation(raw), float(np.mean(solved)), False, truncated, {"success": float(solved[-1])}

    def observation(self, raw: np.ndarray) -> np.ndarray:
        """Float32 vector of the task's own observation `raw` and the simulator's state."""
        if self.octaves == 0:
            return raw.astype(np.float32)
        plain, objects = self.task.parts(self.simulator, raw)
        return np.concatenate([SCALE * plain, encode(objects, self.octaves)]).astype(np.float32)

    def render(self) -> np.ndarray:
        return self.picture.take(self.simulator.data)


def make(task: str, octaves: int) -> Adroit:
    if task not in TASKS:
        raise RelatentError(f"there is no Adroit task {task!r}, expected one of {', '.join(TASKS)}")
    return Adroit(TASKS[task], octaves)
