"""DeepMind Control tasks as gymnasium environments with state observations.

Observations are the task's arrays in the order the task gives them, flattened to float32 (a gymnasium Dict space would
sort the names and permute quadruped and humanoid). An agent step repeats its action for `action_repeat` frames and sums
their rewards. Every suite task ends after 1000 frames by its time limit, which is truncation, not termination.
"""

from typing import Any

import gymnasium
import mujoco
import numpy as np
from dm_control import suite

from relatent.envs import gl
from relatent.specs.errors import RelatentError

FRAME = 84  # pixels


def split(task: str) -> tuple[str, str]:
    """Domain and task of a name: `cartpole_swingup_sparse` is (cartpole, swingup_sparse), `ball_in_cup_catch` is
    (ball_in_cup, catch)."""
    for domain, name in suite.ALL_TASKS:
        if f"{domain}_{name}" == task:
            return domain, name
    raise RelatentError(f"dm_control has no task {task!r}")


class DMC(gymnasium.Env):
    """One task of the suite. `reset` takes a seed each time, which alone decides the episode's initial state."""

    def __init__(self, task: str, action_repeat: int) -> None:
        self.env = suite.load(*split(task))
        self.action_repeat = action_repeat
        actions = self.env.action_spec()
        self.low, self.high = actions.minimum.astype(np.float64), actions.maximum.astype(np.float64)
        size = sum(int(np.prod(spec.shape)) for spec in self.env.observation_spec().values())
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, actions.shape, np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        del options
        if seed is not None:
            # dm_control seeds a task when it is built; its random state is all that a reset draws from.
            self.env.task.random.seed(seed)
        try:
            return flatten(self.env.reset().observation), {}
        except (mujoco.FatalError, RuntimeError) as error:
            if "opengl" in str(error).lower():
                raise RelatentError(f"this task {gl.NEEDED} ({error})") from None
            raise

    def render(self) -> np.ndarray:
        """The scene as the task's first camera sees it: uint8, FRAME x FRAME x 3, red, green and blue."""
        try:
            return self.env.physics.render(FRAME, FRAME, camera_id=0)
        except (mujoco.FatalError, RuntimeError) as error:
            if "opengl" in str(error).lower():
                raise RelatentError(f"a picture {gl.NEEDED} ({error})") from None
            raise

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        # A suite task takes actions within its own bounds, [-1, 1] in all but a few.
        scaled = self.low + (np.clip(action, -1.0, 1.0) + 1.0) * 0.5 * (self.high - self.low)
        reward = 0.0
        for _ in range(self.action_repeat):
            timestep = self.env.step(scaled)
            reward += timestep.reward
            if timestep.last():
                break
        ended = timestep.last()
        terminated = ended and timestep.discount == 0.0
        return flatten(timestep.observation), float(reward), bool(terminated), bool(ended and not terminated), {}


def flatten(observation: dict[str, Any]) -> np.ndarray:
    """One float32 vector of an observation's arrays, in the order the task gives them."""
    return np.concatenate([np.ravel(value) for value in observation.values()]).astype(np.float32)


def make(task: str, action_repeat: int) -> DMC:
    return DMC(task, action_repeat)
