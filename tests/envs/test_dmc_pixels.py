"""DeepMind Control tasks from pixels: which camera, which way up, how lossy; the task is the one with states."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dm_control import suite
from gymnasium import Env

from relatent.envs import dmc_pixels, make
from relatent.envs.dmc import split
from relatent.envs.dmc_pixels import DMCPixels
from relatent.envs.pixel_noise import NoisyPixels
from relatent.specs import suites as specs
from relatent.specs.errors import RelatentError
from relatent.specs.expand import tasks
from relatent.specs.loading import check, read_yaml
from relatent.specs.models import Budgets, Paper

ROOT = Path(__file__).resolve().parents[2]


def task(name: str, action_repeat: int = 2, **settings: Any) -> Env:
    return make({"suite": "dmc", "task": name, "action_repeat": action_repeat, "pixels": 64, **settings})


CAMERAS = {"finger_spin": 0, "quadruped_walk": 2}


@pytest.mark.parametrize(("name", "camera"), CAMERAS.items())
def test_pictures_are_dm_controls_own_from_the_tasks_camera(name: str, camera: int) -> None:
    """At default quality to the last bit; otherwise within a tenth of a level on average."""
    own = suite.load(*split(name), task_kwargs={"random": 4})
    own.reset()
    bounds = own.action_spec()
    action = np.random.default_rng(0).uniform(-1, 1, bounds.shape)
    for _ in range(16):
        own.step(bounds.minimum + (action + 1) / 2 * (bounds.maximum - bounds.minimum))
    expected = own.physics.render(64, 64, camera_id=camera).transpose(2, 0, 1)
    pictures = {}
    for quality in ("default", "near_lossless"):
        env = task(name, action_repeat=16, quality=quality)
        first, _ = env.reset(seed=4)
        shown = env.render()
        pictures[quality] = env.step(action)[0]
        np.testing.assert_array_equal(shown.transpose(2, 0, 1), first)  # not drawn over by the next one
        assert (first != pictures[quality]).any()
        assert (first.shape, first.dtype, first.flags.c_contiguous) == ((3, 64, 64), np.uint8, True)
        np.testing.assert_array_equal(env.render().transpose(2, 0, 1), pictures[quality])
    assert expected.std() > 10
    np.testing.assert_array_equal(pictures["default"], expected)
    assert np.abs(pictures["near_lossless"] - expected.astype(float)).mean() < 0.1


def test_a_buffer_of_the_pictures_own_size_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is lost is lost to shadows, whose map is smaller."""
    env, default = task("finger_spin"), task("finger_spin", quality="default")
    opened = [one.unwrapped.env.physics.contexts.mujoco.ptr for one in (env, default)]  # type: ignore[attr-defined]
    assert [(one.offWidth, one.offHeight, one.shadowSize) for one in opened] == [(64, 64, 512), (640, 480, 2048)]
    monkeypatch.setattr(dmc_pixels, "SHADOWS", 2048)
    same = task("finger_spin")
    first, second = (one.reset(seed=0)[0] for one in (same, default))
    np.testing.assert_array_equal(first, second)


def test_up_is_up_and_right_is_right() -> None:
    """Where a ball that is put somewhere is seen, by its colour and by what is seen where it is not."""
    env = task("ball_in_cup_catch")
    env.reset(seed=0)
    physics = env.unwrapped.env.physics  # type: ignore[attr-defined]

    def orange(x: float, z: float) -> np.ndarray:
        physics.named.data.qpos["ball_x"], physics.named.data.qpos["ball_z"] = x, z
        physics.forward()
        picture = env.render().astype(int)  # type: ignore[union-attr]
        return picture[..., 0] - picture[..., 2] > 60

    nothing = orange(0.0, -50.0)
    low, high, right = (np.argwhere(orange(*place) & ~nothing) for place in ((0, -0.1), (0, 0.1), (0.1, -0.1)))
    (row, column), up, aside = low.mean(axis=0), high.mean(axis=0), right.mean(axis=0)
    assert (up[0] < row - 5, abs(up[1] - column) < 1) == (True, True)
    assert (aside[1] > column + 3, abs(aside[0] - row) < 1) == (True, True)


def test_a_picture_is_taken_after_the_repeated_frames_whose_rewards_are_summed() -> None:
    states, single, double = (
        make({"suite": "dmc", "task": "cartpole_swingup", "action_repeat": 2}),
        task("cartpole_swingup", action_repeat=1),
        task("cartpole_swingup", action_repeat=2),
    )
    for env in (states, single, double):
        env.reset(seed=3)
    received = 0.0
    for number in range(8):
        action = np.array([(-1.0) ** (number // 4)])
        both = [single.step(action) for _ in range(2)]
        picture, reward, *_ = double.step(action)
        assert reward == both[0][1] + both[1][1] == states.step(action)[1]
        np.testing.assert_array_equal(picture, both[1][0])
        received += reward
    assert received > 0


def test_the_time_limit_truncates_after_a_thousand_frames() -> None:
    env = task("reacher_easy", action_repeat=125)
    env.reset(seed=0)
    ends = [env.step(np.zeros(2))[2:4] for _ in range(8)]
    assert ends == [(False, False)] * 7 + [(False, True)]


@pytest.mark.parametrize("noise", [None, {"kind": "gaussian", "level": 0.05}, {"kind": "missing", "level": 0.05}])
def test_a_seed_decides_the_whole_episode_whatever_came_before(noise: dict[str, Any] | None) -> None:
    fresh, used = (task("reacher_easy", **({"noise": noise} if noise else {})) for _ in range(2))
    assert isinstance(fresh, NoisyPixels) == bool(noise)

    def episode(env: Env, seed: int) -> list[bytes]:
        return [env.reset(seed=seed)[0].tobytes(), *(env.step(np.ones(2))[0].tobytes() for _ in range(3))]

    first = episode(fresh, 7)
    assert episode(used, 8) != first
    assert episode(used, 7) == first


def test_noise_leaves_scene_and_rewards_alone() -> None:
    clean, missing = task("finger_spin"), task("finger_spin", noise={"kind": "missing", "level": 0.05})
    picture, seen = clean.reset(seed=1)[0], missing.reset(seed=1)[0]
    for _ in range(4):
        assert 0.02 < (seen != picture).mean() < 0.06  # some were black already
        np.testing.assert_array_equal(seen[seen != 0], picture[seen != 0])
        (picture, *mine), (seen, *theirs) = clean.step(np.ones(2)), missing.step(np.ones(2))
        assert mine == theirs


def test_every_environment_of_table_1_can_be_made() -> None:
    paper = check(Paper, read_yaml(ROOT / "config/papers/smac.yaml", ROOT))
    budget = check(Budgets, read_yaml(ROOT / "config/budgets.yaml", ROOT)).budgets["paper"]
    made = [make(one.env) for one in tasks(paper, budget, "noisy")]
    assert len(made) == 12
    assert all(isinstance(env, NoisyPixels) and isinstance(env.env, DMCPixels) for env in made)
    assert {(env.disturb.__name__, env.level) for env in made} == {  # type: ignore[attr-defined]
        (kind, level) for kind in ("gaussian", "missing") for level in (0.01, 0.05)
    }


GAUSSIAN = {"kind": "gaussian", "level": 0.1}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({}, {}),
        ({"quality": "near_lossless"}, {}),
        ({"quality": "default"}, {"quality": "default"}),
        ({"noise": GAUSSIAN}, {"noise": GAUSSIAN}),
        ({"noise": {**GAUSSIAN, "rounding": "down"}}, {"noise": GAUSSIAN}),
        ({"noise": {**GAUSSIAN, "rounding": "nearest"}},) * 2,
    ],
)
def test_what_is_usual_is_left_out_of_specs_so_that_runs_keep_their_names(said: dict, kept: dict) -> None:
    plain = {"suite": "dmc", "action_repeat": 2, "pixels": 64}
    env = specs.DMC.model_validate({**plain, **said}).model_dump(exclude_none=True)
    assert env == {**plain, **kept}
    made = make({**env, "task": "finger_spin"})
    assert getattr(made, "rounding", None) == (said["noise"].get("rounding", "down") if "noise" in said else None)
    shadows = made.unwrapped.env.physics.model.vis.quality.shadowsize  # type: ignore[attr-defined]
    assert shadows == (2048 if "quality" in kept else 512)


def test_pictures_have_no_velocities_to_hide() -> None:
    with pytest.raises(RelatentError, match="finger_spin with pixels shows no velocities"):
        task("finger_spin", hide_velocities=True)


@pytest.mark.parametrize(
    ("library", "printed"), [("glfw", "RelatentError a picture needs an OpenGL context"), (None, "(3, 64, 64)")]
)
def test_a_process_ends_quietly_with_opengl_or_in_one_line_without(library: str | None, printed: str) -> None:
    code = """
from relatent.envs import make
env = make({"suite": "dmc", "task": "pendulum_swingup", "action_repeat": 2, "pixels": 64})
try:
    print(env.reset(seed=0)[0].shape)
except Exception as error:
    print(type(error).__name__, error)
"""
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment |= {"MUJOCO_GL": library} if library else {}
    completed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.startswith(printed)
    assert completed.stdout.count("\n") == 1
    assert library or not completed.stderr
