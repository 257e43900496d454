"""DeepMind Control tasks: sizes, order of observations, frames, time limits, seeds."""

import os
import subprocess
import sys

import numpy as np
import pytest
from dm_control import suite

from relatent.envs import make
from relatent.envs.dmc import split
from relatent.specs.errors import RelatentError

SIZES = {  # observation and action sizes
    "ball_in_cup_catch": (8, 2),
    "cartpole_swingup": (5, 1),
    "cartpole_swingup_sparse": (5, 1),
    "cheetah_run": (17, 6),
    "finger_spin": (9, 2),
    "hopper_hop": (15, 4),
    "humanoid_run": (67, 21),
    "quadruped_escape": (101, 12),
    "quadruped_walk": (78, 12),
    "reacher_easy": (6, 2),
    "walker_walk": (24, 6),
}


@pytest.mark.parametrize(("task", "sizes"), SIZES.items())
def test_sizes(task: str, sizes: tuple[int, int]) -> None:
    env = make({"suite": "dmc", "task": task, "action_repeat": 1})
    observation, _ = env.reset(seed=0)
    assert (env.observation_space.shape, env.action_space.shape) == ((sizes[0],), (sizes[1],))
    assert (observation.shape, observation.dtype) == ((sizes[0],), np.float32)
    assert (env.action_space.low == -1).all()
    assert (env.action_space.high == 1).all()


@pytest.mark.parametrize("task", ["humanoid_run", "quadruped_walk"])
def test_observations_keep_the_tasks_own_order(task: str) -> None:
    """gymnasium's Dict space would sort the names, which permutes these two."""
    env = make({"suite": "dmc", "task": task, "action_repeat": 1})
    observation, _ = env.reset(seed=5)
    raw = suite.load(*split(task), task_kwargs={"random": 5})
    arrays = raw.reset().observation
    assert list(arrays) != sorted(arrays)
    expected = np.concatenate([np.ravel(array) for array in arrays.values()])
    np.testing.assert_array_equal(observation, expected.astype(np.float32))


def episode(env, seed: int, steps: int = 30) -> list[bytes]:
    """The observations of the first steps under actions that a seed decides."""
    actions = np.random.default_rng(seed)
    seen = [env.reset(seed=seed)[0].tobytes()]
    for _ in range(steps):
        seen.append(env.step(actions.uniform(-1, 1, env.action_space.shape))[0].tobytes())
    return seen


@pytest.mark.parametrize(
    "task",
    ["ball_in_cup_catch", "cartpole_swingup", "finger_turn_hard", "humanoid_run", "quadruped_escape", "reacher_easy"],
)
def test_a_seed_decides_the_whole_episode_whatever_came_before(task: str) -> None:
    fresh, used = (make({"suite": "dmc", "task": task, "action_repeat": 1}) for _ in range(2))
    steps = 5 if task == "quadruped_escape" else 30
    first = episode(fresh, 7, steps)
    other = episode(used, 8, steps)
    assert first != other
    assert episode(used, 7, steps) == first


@pytest.mark.parametrize("repeat", [1, 2, 4])
def test_the_time_limit_truncates_after_a_thousand_frames(repeat: int) -> None:
    env = make({"suite": "dmc", "task": "cartpole_swingup", "action_repeat": repeat})
    env.reset(seed=0)
    ends = [env.step(np.zeros(1))[2:4] for _ in range(1000 // repeat)]
    assert ends == [(False, False)] * (len(ends) - 1) + [(False, True)]


def test_rewards_of_repeated_frames_are_summed() -> None:
    single, double = (make({"suite": "dmc", "task": "reacher_easy", "action_repeat": n}) for n in (1, 2))
    single.reset(seed=3)
    double.reset(seed=3)
    action = np.array([0.3, -0.2])
    for _ in range(50):
        both = [single.step(action) for _ in range(2)]
        observation, reward, *_ = double.step(action)
        assert reward == both[0][1] + both[1][1]
        np.testing.assert_array_equal(observation, both[1][0])


def test_a_picture_is_of_the_scene_and_a_seed_decides_it() -> None:
    env = make({"suite": "dmc", "task": "cheetah_run", "action_repeat": 4})
    pictures = []
    for seed in (1, 2, 1):
        env.reset(seed=seed)
        env.step(np.ones(6))
        pictures.append(env.render())
    assert (pictures[0].shape, pictures[0].dtype) == ((84, 84, 3), np.uint8)
    assert pictures[0].std() > 10
    assert (pictures[0] != pictures[1]).any()
    np.testing.assert_array_equal(pictures[0], pictures[2])


def test_an_unknown_task_is_one_line() -> None:
    with pytest.raises(RelatentError, match="no task 'wlaker_run'"):
        make({"suite": "dmc", "task": "wlaker_run", "action_repeat": 1})


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_actions_are_rescaled_to_the_tasks_own_bounds(sign: float) -> None:
    """All common tasks but quadruped's take [-1, 1]; a quadruped leg takes [-1, 1], [-1, 1.1] and [-0.8, 0.8]."""
    env = make({"suite": "dmc", "task": "quadruped_walk", "action_repeat": 1})
    bounds = env.unwrapped.env.action_spec()
    env.reset(seed=0)
    env.step(np.full(12, sign, np.float32))
    expected = bounds.maximum if sign > 0 else bounds.minimum
    assert not np.allclose(np.abs(expected), 1)
    np.testing.assert_allclose(env.unwrapped.env.physics.data.ctrl, expected, rtol=1e-6)


def test_an_unscaled_tasks_actions_arrive_as_they_are() -> None:
    env = make({"suite": "dmc", "task": "cheetah_run", "action_repeat": 1})
    env.reset(seed=0)
    action = np.linspace(-1, 1, 6).astype(np.float32)
    env.step(action)
    np.testing.assert_allclose(env.unwrapped.env.physics.data.ctrl, action, atol=1e-7)


@pytest.mark.parametrize(("needs", "what"), [("terrain.reset(seed=0)", "this task"), ("state.render()", "a picture")])
def test_without_opengl_only_what_needs_it_is_refused_and_in_one_line(needs: str, what: str) -> None:
    code = """
from relatent.envs import make
state = make({"suite": "dmc", "task": "cartpole_swingup", "action_repeat": 1})
state.reset(seed=0)
terrain = make({"suite": "dmc", "task": "quadruped_escape", "action_repeat": 1})
try:
    NEEDS
except Exception as error:
    print(type(error).__name__, error)
"""
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment["MUJOCO_GL"] = "glfw"  # which needs a display
    completed = subprocess.run(
        [sys.executable, "-c", code.replace("NEEDS", needs)], env=environment, capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.startswith(f"RelatentError {what} needs an OpenGL context")
    assert completed.stdout.count("\n") == 1
