"""Locomotion tasks of gym, with the rewards and terminations of its version 2, and a cheetah that must run backward.

    half_cheetah          HalfCheetah-v2           17 numbers,  6 actions    RPG Figure 12, ALM
    walker2d              Walker2d-v2              17 numbers,  6 actions    ALM
    hopper                Hopper-v2                11 numbers,  3 actions    ALM
    ant                   Ant-v2                  111 numbers,  8 actions    ALM
    ant_truncated         AntTruncatedObs-v2       27 numbers,  8 actions    ALM
    humanoid              Humanoid-v2             376 numbers, 17 actions    RPG Figure 12, ALM
    humanoid_truncated    HumanoidTruncatedObs-v2  45 numbers, 17 actions    ALM
    cheetah_back          ours                     30 numbers,  6 actions    RPG Figure 11

gymnasium's version 4 is used: its models of these robots are those of version 2, and so are its rewards and
terminations but for contact forces. Ant-v4 charges and observes them when it is asked to. Humanoid-v4 left out their
cost, min(5e-7 Σ cfrc_ext², 10), which is subtracted here again. (Version 5 charges both, but gives no reward for being
alive in the last step of a fall, drops constant observations, and gives Walker2d's right foot another friction.)
Contact forces are those that MuJoCo computes, as version 2 had them with MuJoCo 1.50; with MuJoCo 2.0 it saw zeros.
The truncated tasks are the same ones, seen without the contact forces (Ant) and all behind the velocities (Humanoid).

Actions in [-1, 1] are stretched to the robot's own bounds, [-0.4, 0.4] for Humanoid. What is beyond them is clipped;
with `clip_actions: false` it is given to gym as it is: MuJoCo clamps the force, but the cost is that of the whole
action. So ALM's code evaluates (RajGhugare19/alm@3b70f5b): its means span [-1, 1], here [-2.5, 2.5] for Humanoid. An
episode is cut off after 1000 steps; Walker2d, Hopper, Ant and Humanoid terminate when they fall.

`noise: {kind: gaussian, level: 0.1}` adds an independent N(0, level²) to every number seen, in all of a run's
environments (ALM Figure 17; RajGhugare19/alm@8605d94). States, rewards and terminations are undisturbed.

The paper's Cheetah Back (section 5.2) gives "a sparse reward of 1" to a HalfCheetah-v3 that "moves backward for a
certain distance"; neither that distance, nor how long an episode is, nor what the agent sees is published, so all three
are ours. The reward of a step is 1 while the torso is at x <= -20 m, else 0, and success is that of the last step.
Uniformly random actions end at -4.5 m on average, with a standard deviation of 4.1 m, and none of 100 such episodes
comes farther than -14 m; 20 m in an episode's 50 s are a slow walk. The torso's x is the object of the object-centric
exploration: the observation is 0.05 times HalfCheetah's 17 numbers, then the encoding of x / 20 m.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.mujoco.ant_v4 import AntEnv
from gymnasium.envs.mujoco.half_cheetah_v4 import HalfCheetahEnv
from gymnasium.envs.mujoco.hopper_v4 import HopperEnv
from gymnasium.envs.mujoco.humanoid_v4 import HumanoidEnv
from gymnasium.envs.mujoco.mujoco_env import MujocoEnv
from gymnasium.envs.mujoco.walker2d_v4 import Walker2dEnv

from relatent.envs.picture import Picture
from relatent.envs.positional import encode
from relatent.specs.errors import RelatentError

STEPS = 1000  # of an episode, where nothing ends it earlier
DISTANCE = 20.0  # metres that cheetah_back has to move backward
SCALE = 0.05  # of what is seen beside the encoded object, as in the official code's Adroit and Meta-World


def own_reward(simulator: MujocoEnv, reward: float) -> float:
    """What gymnasium gives."""
    del simulator
    return reward


def less_contact_cost(simulator: MujocoEnv, reward: float) -> float:
    """Humanoid-v2's reward from Humanoid-v4's."""
    return reward - min(5e-7 * float(np.square(simulator.data.cfrc_ext).sum()), 10.0)


def is_back(simulator: MujocoEnv, reward: float = 0.0) -> float:
    """1 where the torso is at least DISTANCE behind the origin, else 0."""
    del reward
    return float(simulator.data.qpos[0] <= -DISTANCE)


@dataclass(frozen=True)
class Task:
    """What makes a task of one of gymnasium's robots."""

    robot: Callable[[], Any]  # a MujocoEnv, or what has its reset, step, model and data (np_random: for noise)
    reward: Callable[[MujocoEnv, float], float] = own_reward  # of the simulator after a step, gymnasium's own reward
    success: Callable[[MujocoEnv], float] | None = None  # None: a task that is not solved or unsolved
    seen: int | None = None  # the first so many of gymnasium's numbers; None: all
    sees_x: bool = False  # the torso's x is seen, and is the object that is encoded


AntWithForces = partial(AntEnv, use_contact_forces=True)
TASKS = {
    "half_cheetah": Task(HalfCheetahEnv),
    "walker2d": Task(Walker2dEnv),
    "hopper": Task(HopperEnv),
    "ant": Task(AntWithForces),
    "ant_truncated": Task(AntWithForces, seen=27),
    "humanoid": Task(HumanoidEnv, less_contact_cost),
    "humanoid_truncated": Task(HumanoidEnv, less_contact_cost, seen=45),
    "cheetah_back": Task(HalfCheetahEnv, is_back, success=is_back, sees_x=True),
}


class Locomotion(gymnasium.Env):
    """One of the tasks. `reset` takes a seed each time, which alone decides the initial state and the noise."""

    def __init__(self, task: Task, octaves: int = 0, noise: float = 0.0, clip_actions: bool = True) -> None:
        self.task, self.octaves, self.noise, self.clip_actions = task, octaves, noise, clip_actions
        self.step_number = 0
        self.simulator: Any = task.robot()
        self.picture = Picture(self.simulator.model, "track")
        self.low, self.high = self.simulator.model.actuator_ctrlrange.T
        raw, _ = self.simulator.reset(seed=0)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, self.observation(raw).shape, np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, self.low.shape, np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        del options
        self.step_number = 0
        raw, _ = self.simulator.reset(seed=seed)
        return self.observation(raw), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        unit = np.asarray(action, np.float64)
        if self.clip_actions:
            unit = np.clip(unit, -1.0, 1.0)
        raw, own, terminated, _, _ = self.simulator.step(self.low + (unit + 1.0) * 0.5 * (self.high - self.low))
        self.step_number += 1
        truncated = self.step_number == STEPS and not terminated
        reward = self.task.reward(self.simulator, float(own))
        info = {"success": self.task.success(self.simulator)} if self.task.success else {}
        return self.observation(raw), reward, bool(terminated), truncated, info

    def observation(self, raw: np.ndarray) -> np.ndarray:
        """Float32 vector of what is seen and the noise on it. Noise follows what a reset has drawn, in its stream."""
        seen = self.noiseless(raw)
        if self.noise:
            seen = seen + self.noise * self.simulator.np_random.standard_normal(seen.shape)
        return seen.astype(np.float32)

    def noiseless(self, raw: np.ndarray) -> np.ndarray:
        """gymnasium's observation or its beginning; where x is seen, x before it (no octaves), or its encoding behind
        the scaled observation."""
        if not self.task.sees_x:
            return raw[: self.task.seen]
        x = self.simulator.data.qpos[:1]
        if self.octaves == 0:
            return np.concatenate([x, raw])
        return np.concatenate([SCALE * raw, encode(x / DISTANCE, self.octaves)])

    def render(self) -> np.ndarray:
        return self.picture.take(self.simulator.data)


def make(task: str, octaves: int = 0, noise: dict[str, Any] | None = None, clip_actions: bool = True) -> Locomotion:
    if task not in TASKS:
        raise RelatentError(f"there is no MuJoCo task {task!r}, expected one of {', '.join(TASKS)}")
    if octaves and not TASKS[task].sees_x:
        raise RelatentError(f"{task} has no object to encode, expected octaves: 0, found {octaves}")
    if noise and noise["kind"] != "gaussian":
        raise RelatentError(f"noise of {task}: expected kind gaussian, found {noise['kind']}")
    return Locomotion(TASKS[task], octaves, noise["level"] if noise else 0.0, clip_actions)
