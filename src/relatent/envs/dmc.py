"""DeepMind Control tasks as gymnasium environments with state observations.

Observations are the task's arrays in the order the task gives them, flattened to float32 (a gymnasium Dict space would
sort the names and permute quadruped and humanoid). An agent step repeats its action for `action_repeat` frames and sums
their rewards. Every suite task ends after 1000 frames by its time limit, which is truncation, not termination.

`hide_velocities: true` leaves out the task's array `velocity`, which an agent then has to infer.
`noise: {kind: gaussian, level: 0.05}` adds an independent N(0, level²) to every number seen, in all of a run's
environments. States, rewards and terminations are undisturbed.
"""

from typing import Any

import gymnasium
import mujoco
import numpy as np
from dm_control import suite

from relatent.envs import gl
from relatent.specs.errors import RelatentError

FRAME = 84  # pixels
VELOCITY = "velocity"  # the name that tasks give to all their velocities


def split(task: str) -> tuple[str, str]:
    """Domain and task of a name: `cartpole_swingup_sparse` is (cartpole, swingup_sparse), `ball_in_cup_catch` is
    (ball_in_cup, catch)."""
    for domain, name in suite.ALL_TASKS:
        if f"{domain}_{name}" == task:
            return domain, name
    raise RelatentError(f"dm_control has no task {task!r}")


class DMC(gymnasium.Env):
    """One task of the suite. `reset` takes a seed each time, which alone decides the initial state and the noise."""

    def __init__(self, task: str, action_repeat: int, hide_velocities: bool = False, noise: float = 0.0) -> None:
        self.env = suite.load(*split(task))
        self.action_repeat, self.noise = action_repeat, noise
        arrays = self.env.observation_spec()
        if hide_velocities and VELOCITY not in arrays:
            raise RelatentError(f"{task} has no velocities to hide, it shows {', '.join(arrays)}")
        self.seen = [name for name in arrays if not (hide_velocities and name == VELOCITY)]
        actions = self.env.action_spec()
        self.low, self.high = actions.minimum.astype(np.float64), actions.maximum.astype(np.float64)
        size = sum(int(np.prod(arrays[name].shape)) for name in self.seen)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, actions.shape, np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        del options
        if seed is not None:
            # dm_control seeds a task when it is built; its random state is all that a reset draws from.
            self.env.task.random.seed(seed)
        try:
            return self.observation(self.env.reset().observation), {}
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
        seen = self.observation(timestep.observation)
        return seen, float(reward), bool(terminated), bool(ended and not terminated), {}

    def observation(self, arrays: dict[str, Any]) -> np.ndarray:
        """One float32 vector of the arrays that are seen, in the order the task gives them, and the noise on it. Noise
        follows what a reset has drawn, in its stream."""
        seen = np.concatenate([np.ravel(arrays[name]) for name in self.seen])
        if self.noise:
            seen = seen + self.noise * self.env.task.random.standard_normal(seen.shape)
        return seen.astype(np.float32)


def make(task: str, action_repeat: int, hide_velocities: bool = False, noise: dict[str, Any] | None = None) -> DMC:
    if noise and noise["kind"] != "gaussian":
        raise RelatentError(f"noise of {task}: expected kind gaussian, found {noise['kind']}")
    return DMC(task, action_repeat, hide_velocities, noise["level"] if noise else 0.0)
