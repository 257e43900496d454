"""Pictures of environments whose scene is drawn anew in every episode."""

import numpy as np
import pytest

from relatent.envs import make


@pytest.mark.parametrize(("suite", "task"), [("adroit", "door"), ("metaworld", "basketball")])
def test_a_picture_is_of_the_scene(suite: str, task: str) -> None:
    env = make({"suite": suite, "task": task, "octaves": 6})
    pictures = []
    for seed in (1, 2):
        env.reset(seed=seed)
        pictures.append(env.render())
    assert (pictures[0].dtype, pictures[0].shape[2]) == (np.uint8, 3)
    assert pictures[0].std() > 10
    assert (pictures[0] != pictures[1]).any()
