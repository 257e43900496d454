"""gym's robots with the rewards and terminations of mbbl, the benchmark of Wang et al. (2019), also used by POPLIN.

ALM's Table 1 quotes results of these tasks beside its own of gym's version 2 (relatent.envs.mujoco), whose rewards are
others. v is the velocity of the root along x, h its height, both of the state in which the action a was chosen (gym
takes the distance covered by the action), E tells that this state is no fallen one, C is Σ cfrc_ext² of it.

    task                    mbbl's name, in the paper               reward                                         ends
    mbbl_cheetah            gym_cheetah, HalfCheetah                v - 0.1 |a|²                                   no
    mbbl_walker2d           gym_walker2d, Walker2D                  v - 3 (h - 1.3)² - 0.1 |a|² + 1                no
    mbbl_walker2d_et        gym_fwalker2d, Walker2D-ET              v - 3 (h - 1.3)² - 0.1 |a|² + E                yes
    mbbl_hopper             gym_hopper, Hopper                      v - 3 (h - 1.3)² - 0.1 |a|² + 1                no
    mbbl_hopper_et          gym_fhopper, Hopper-ET                  v - 3 (h - 1.3)² - 0.1 |a|² + E                yes
    mbbl_ant                gym_ant, Ant                            v - 3 (h - 0.57)² - 0.1 |a|² + 1               no
    mbbl_ant_et             gym_fant, Ant-ET                        v - 3 (h - 0.57)² - 0.1 |a|² + E               yes
    mbbl_humanoid_et        gym_humanoid, Humanoid-ET               v/0.06 - 0.1 |a|² + 5 E - min(5e-7 C, 10)      yes
    mbbl_slim_humanoid      gym_nostopslimhumanoid, SlimHumanoid    v/0.06 - 0.1 |a|² + 5 E                        no
    mbbl_slim_humanoid_et   gym_slimhumanoid, SlimHumanoid-ET       v/0.06 - 0.1 |a|² + 5 E                        yes

What ends, ends in the first fallen state, by gym's thresholds but without its limits on other coordinates; 1000 steps
truncate. Seen are the positions but the root's x (and y) and the velocities, which gym clips for Walker2d and Hopper at
±10 and mbbl does not; in mbbl_humanoid_et, all of Humanoid-v2's 376 numbers. The rules are those of
WilsonWangTHU/mbbl@b43cd01, env/gym_env, which POPLIN runs as they are (WilsonWangTHU/POPLIN@53d50db, dmbrl/config).

Actions have gym's bounds. mbbl's own agents act in [-1, 1] in Humanoid too, whose bounds are ±0.4: MuJoCo clamps the
force, but |a|² is that of the whole action.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import mujoco
import numpy as np
from gymnasium.envs.mujoco.ant_v4 import AntEnv
from gymnasium.envs.mujoco.half_cheetah_v4 import HalfCheetahEnv
from gymnasium.envs.mujoco.hopper_v4 import HopperEnv
from gymnasium.envs.mujoco.humanoid_v4 import HumanoidEnv
from gymnasium.envs.mujoco.mujoco_env import MujocoEnv
from gymnasium.envs.mujoco.walker2d_v4 import Walker2dEnv

from relatent.envs.mujoco import Locomotion, Task
from relatent.specs.errors import RelatentError

CONTROL_COST = 0.1
HEIGHT_COST = 3.0


def walker_is_up(data: mujoco.MjData) -> bool:
    return bool(0.8 < data.qpos[1] < 2.0 and abs(data.qpos[2]) < 1.0)


def hopper_is_up(data: mujoco.MjData) -> bool:
    return bool(data.qpos[1] > 0.7 and abs(data.qpos[2]) < 0.2)


def ant_is_up(data: mujoco.MjData) -> bool:
    return bool(0.2 <= data.qpos[2] <= 1.0)


def humanoid_is_up(data: mujoco.MjData) -> bool:
    return bool(1.0 <= data.qpos[2] <= 2.0)


def never_falls(data: mujoco.MjData) -> bool:
    del data
    return True


@dataclass(frozen=True)
class Rules:
    """What is rewarded and what ends an episode."""

    robot: Callable[[], MujocoEnv]
    unseen: int  # positions of the root before its height, which are not seen
    bonus: float  # of a step from a state that is no fallen one
    is_up: Callable[[mujoco.MjData], bool] = never_falls
    ends: bool = False  # with the first fallen state
    height: float | None = None  # that is best; None: all are equal
    speed: float = 1.0  # weight of the velocity
    contacts: bool = False  # cost, and are seen


WALKER = Rules(Walker2dEnv, 1, bonus=1.0, height=1.3)
HOPPER = Rules(HopperEnv, 1, bonus=1.0, height=1.3)
ANT = Rules(AntEnv, 2, bonus=1.0, height=0.57)
SLIM_HUMANOID = Rules(HumanoidEnv, 2, bonus=5.0, is_up=humanoid_is_up, speed=0.25 / 0.015)
RULES = {
    "mbbl_cheetah": Rules(HalfCheetahEnv, 1, bonus=0.0),
    "mbbl_walker2d": WALKER,
    "mbbl_walker2d_et": replace(WALKER, is_up=walker_is_up, ends=True),
    "mbbl_hopper": HOPPER,
    "mbbl_hopper_et": replace(HOPPER, is_up=hopper_is_up, ends=True),
    "mbbl_ant": ANT,
    "mbbl_ant_et": replace(ANT, is_up=ant_is_up, ends=True),
    "mbbl_humanoid_et": replace(SLIM_HUMANOID, ends=True, contacts=True),
    "mbbl_slim_humanoid": SLIM_HUMANOID,
    "mbbl_slim_humanoid_et": replace(SLIM_HUMANOID, ends=True),
}


class Robot:
    """A robot of gymnasium under other rules. `step` takes an action within the robot's own bounds."""

    def __init__(self, rules: Rules) -> None:
        self.rules, self.simulator = rules, rules.robot()
        self.model, self.data = self.simulator.model, self.simulator.data

    def reset(self, *, seed: int | None) -> tuple[np.ndarray, dict]:
        raw, _ = self.simulator.reset(seed=seed)
        return self.seen(raw), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        reward = self.reward(action)
        raw = self.simulator.step(action)[0]
        return self.seen(raw), reward, self.rules.ends and not self.rules.is_up(self.data), False, {}

    def reward(self, action: np.ndarray) -> float:
        """Of an action in the present state."""
        rules, data = self.rules, self.data
        reward = rules.speed * data.qvel[0] - CONTROL_COST * np.square(action).sum()
        reward += rules.bonus * rules.is_up(data)
        if rules.height is not None:
            reward -= HEIGHT_COST * (data.qpos[rules.unseen] - rules.height) ** 2
        if rules.contacts:
            reward -= min(5e-7 * np.square(data.cfrc_ext).sum(), 10.0)
        return float(reward)

    def seen(self, raw: np.ndarray) -> np.ndarray:
        """`raw` is gymnasium's observation of the present state."""
        if self.rules.contacts:
            return raw
        return np.concatenate([self.data.qpos[self.rules.unseen :], self.data.qvel])


def make(task: str) -> Locomotion:
    if task not in RULES:
        raise RelatentError(f"there is no mbbl task {task!r}, expected one of {', '.join(RULES)}")
    return Locomotion(Task(partial(Robot, RULES[task])))
