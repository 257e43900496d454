"""Meta-World's Basketball and Stick Pull with sparse rewards (RPG, appendix C): a gripper puts a ball into a basket, or
pulls a thermos flask to a place by its handle with a stick.

The paper used version 2 of these tasks; today's package has version 3, the same tasks on a current MuJoCo. When a task
is solved is Meta-World's own definition, unchanged since:

    basketball    the ball within 0.08 m of a point above the hoop, heights counted twice
    stick_pull    the handle within 0.12 m of the goal, the stick's end through it (0.04 m in y, 0.06 m in z)

The goal is seen. As in haosulab/RPG@a7dc920, it and the objects are elsewhere in every episode, which begins with one
zero action. One decision is held for two simulator steps, and 100 decisions are an episode. (Appendix C's "episode
length is 100, including 2 action repeats" is 200 simulator steps in the code.) A decision's reward and its success are
the flag after the second simulator step. Time limits truncate; nothing terminates.

The observation is 0.05 times Meta-World's 39 numbers (the gripper and the objects now, the same one simulator step
before, the goal), then the encoding of seven numbers about the objects, lengths l in m as sign(l) log(1 + |l| / 0.4):

    basketball    fingertips to ball (3), ball (3), opening of the gripper
    stick_pull    stick to handle (3), stick to fingertips (3), opening of the gripper

Without octaves it is the 39 numbers as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE

from relatent.envs.picture import Picture
from relatent.envs.positional import encode
from relatent.specs.errors import RelatentError

REPEAT = 2  # simulator steps of one decision
HORIZON = 100  # decisions
SCALE = 0.05  # of Meta-World's own observation
UNIT = 0.4  # metres
OPENING, GRASPED, HANDLE = 3, slice(4, 7), slice(11, 14)  # in Meta-World's observation; grasped is ball or stick


def symlog(lengths: np.ndarray) -> np.ndarray:
    return np.sign(lengths) * np.log1p(np.abs(lengths))


def ball_and_fingertips(raw: np.ndarray, fingertips: np.ndarray) -> np.ndarray:
    ball = raw[GRASPED]
    return np.concatenate([symlog((fingertips - ball) / UNIT), symlog(ball / UNIT), raw[[OPENING]]])


def stick_handle_and_fingertips(raw: np.ndarray, fingertips: np.ndarray) -> np.ndarray:
    stick, handle = raw[GRASPED], raw[HANDLE]
    return np.concatenate([symlog((stick - handle) / UNIT), symlog((stick - fingertips) / UNIT), raw[[OPENING]]])


@dataclass(frozen=True)
class Task:
    name: str  # Meta-World's
    objects: Callable[[np.ndarray, np.ndarray], np.ndarray]  # (7,) of its observation and the fingertips' centre


TASKS = {
    "basketball": Task("basketball-v3-goal-observable", ball_and_fingertips),
    "stick_pull": Task("stick-pull-v3-goal-observable", stick_handle_and_fingertips),
}


class MetaWorld(gymnasium.Env):
    """One of the tasks. `reset` takes a seed each time, which alone decides the episode."""

    def __init__(self, task: Task, octaves: int) -> None:
        self.task, self.octaves, self.decisions = task, octaves, 0
        # Without a seed the constructor would draw from NumPy's global stream; with one it leaves it as it was.
        self.simulator: Any = ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE[task.name](seed=0)  # type: ignore[call-arg]
        self.simulator._freeze_rand_vec = False  # else every episode were the first one again
        self.simulator.seeded_rand_vec = True  # draw from the simulator's own stream, not from NumPy's global one
        self.picture = Picture(self.simulator.model, "corner2")
        observation, _ = self.reset(seed=0)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, observation.shape, np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        del options
        self.decisions = 0
        if seed is not None:
            self.simulator.seed(seed)  # Meta-World's reset ignores the seed it is given
        self.simulator.reset()
        return self.observation(self.simulator.step(np.zeros(4))[0]), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        action = np.clip(np.asarray(action, np.float64), -1.0, 1.0)
        for _ in range(REPEAT):
            raw, _, _, _, info = self.simulator.step(action)
        self.decisions += 1
        success = float(info["success"])
        return self.observation(raw), success, False, self.decisions == HORIZON, {"success": success}

    def observation(self, raw: np.ndarray) -> np.ndarray:
        """Float32 vector of Meta-World's observation `raw` and where the fingertips are."""
        if self.octaves == 0:
            return raw.astype(np.float32)
        objects = self.task.objects(raw, self.simulator.tcp_center)
        return np.concatenate([SCALE * raw, encode(objects, self.octaves)]).astype(np.float32)

    def render(self) -> np.ndarray:
        # Meta-World's cameras at the table's corners hang upside down.
        return np.rot90(self.picture.take(self.simulator.data), 2)


def make(task: str, octaves: int) -> MetaWorld:
    if task not in TASKS:
        raise RelatentError(f"there is no Meta-World task {task!r}, expected one of {', '.join(TASKS)}")
    return MetaWorld(TASKS[task], octaves)
