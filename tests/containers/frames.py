"""Pictures of a task under seeded random actions: python tests/containers/frames.py OUT.npy, with src on PYTHONPATH."""

import os
import sys
from pathlib import Path

import numpy as np

from relatent.envs import make

COUNT = 20


def frames(task: str, seed: int) -> np.ndarray:
    """COUNT pictures of the start of an episode, COUNT x height x width x 3."""
    env = make({"suite": "dmc", "task": task, "action_repeat": 4})
    actions = np.random.default_rng(seed)
    env.reset(seed=seed)
    pictures = []
    for _ in range(COUNT):
        env.step(actions.uniform(-1, 1, env.action_space.shape))
        pictures.append(env.render())
    return np.stack(pictures)


if __name__ == "__main__":
    pictures = frames("cheetah_run", seed=3)
    with Path(sys.argv[1]).open("wb") as file:  # a .npy file holds nothing but its array, so that equal means equal
        np.save(file, pictures)
    print(pictures.shape, pictures.dtype, f"{pictures.mean():.1f}", os.environ.get("MUJOCO_GL"))
