"""What a plan believes of episodes' lengths, against the environments."""

import numpy as np
import pytest

from relatent.envs import make
from relatent.specs.suites import EPISODE_FRAMES, SUITE_TASKS, USUAL_EPISODE_FRAMES

OCTAVES = {"cabinet_sparse": 6, "cabinet_dense": 0, "ant_push": 0, "half_cheetah": 0, "ant": 0, "ant_truncated": 0}
FALLING = ("walker2d", "hopper", "humanoid", "humanoid_truncated")  # when they do nothing, and then they end
CASES = [
    (suite, task)
    for suite in ("maze", "block_push", "ant_push", "cabinet", "adroit", "metaworld", "mujoco")
    for task in SUITE_TASKS[suite]
    if task not in (*FALLING, "one_block_pixels")  # which needs OpenGL, and whose task is two_blocks'
]


@pytest.mark.parametrize(("suite", "task"), CASES)
def test_an_episode_of_nothing_ends_at_the_stated_time(suite: str, task: str) -> None:
    octaves = {"octaves": OCTAVES.get(task, 6)}
    env = make({"suite": suite, "task": task, **octaves})
    observation, _ = env.reset(seed=3)
    assert observation.shape == env.observation_space.shape
    frames, ended = 0, False
    while not ended:
        _, _, terminated, ended, _ = env.step(np.zeros(env.action_space.shape, np.float32))  # type: ignore[arg-type]
        assert not terminated
        frames += 1
    assert frames == EPISODE_FRAMES.get(task, USUAL_EPISODE_FRAMES)
