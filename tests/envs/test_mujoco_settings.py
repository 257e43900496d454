"""Settings of gym's locomotion tasks: noise on what is seen, actions beyond the robot's bounds."""

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from relatent.envs import make as make_env
from relatent.envs.mujoco import make
from relatent.specs import expand
from relatent.specs.errors import RelatentError
from relatent.specs.models import Budget, Paper
from relatent.specs.suites import Env

NOISE = {"kind": "gaussian", "level": 0.1}
BOUNDS = {"half_cheetah": 1.0, "walker2d": 1.0, "hopper": 1.0, "ant": 1.0, "humanoid": 0.4, "humanoid_truncated": 0.4}
COSTS = {  # of control, in gym
    "half_cheetah": 0.1,
    "walker2d": 1e-3,
    "hopper": 1e-3,
    "ant": 0.5,
    "humanoid": 0.1,
    "humanoid_truncated": 0.1,
}


def play(env: Any, seed: int, steps: int = 60) -> tuple[np.ndarray, list[Any]]:
    """Observations, and all else that the steps give."""
    draw = np.random.default_rng(seed)
    seen, rest = [env.reset(seed=seed)[0]], []
    for _ in range(steps):
        observation, *others = env.step(draw.uniform(-1, 1, env.action_space.shape))
        seen.append(observation)
        rest.append(others)
    return np.array(seen), rest


@pytest.mark.parametrize("level", [0.001, 0.01, 0.1, 1.0])  # those of ALM's Figure 17
def test_noise_is_gaussian_and_independent(level: float) -> None:
    noisy, plain = make("half_cheetah", noise={"kind": "gaussian", "level": level}), make("half_cheetah")
    draws = np.array([play(noisy, seed)[0].astype(np.float64) - play(plain, seed)[0] for seed in range(20)])
    draws /= level  # (20, 61, 17)
    n = draws.size
    rounding = 1e-5 / level  # of float32
    assert abs(draws.mean()) < 4 / np.sqrt(n) + rounding
    assert abs(draws.var() - 1) < 4 * np.sqrt(2 / n) + rounding
    assert abs(np.mean(draws**4) / 3 - 1) < 4 * np.sqrt(96 / 9 / n) + rounding
    # from one step, one number and one episode to the next
    for left, right in (
        (draws[:, 1:], draws[:, :-1]),
        (draws[..., 1:], draws[..., :-1]),
        (draws[1:], draws[:-1]),
    ):
        assert abs(np.mean(left * right)) < 4 / np.sqrt(left.size) + rounding


@pytest.mark.parametrize("task", ["half_cheetah", "hopper", "ant", "humanoid_truncated", "cheetah_back"])
def test_noise_is_on_what_is_seen_alone(task: str) -> None:
    """Rewards, ends and states are those without noise, bit for bit."""
    noisy, plain = make(task, noise=NOISE), make(task)
    seen, rest = play(noisy, 3, 12)
    clean, same = play(plain, 3, 12)
    assert rest == same
    assert (seen != clean).mean() > 0.99
    for name in ("qpos", "qvel"):
        np.testing.assert_array_equal(getattr(noisy.simulator.data, name), getattr(plain.simulator.data, name))


def test_a_seed_decides_the_noise_whatever_came_before() -> None:
    fresh, used = make("half_cheetah", noise=NOISE), make("half_cheetah", noise=NOISE)
    first, _ = play(fresh, 7)
    other, _ = play(used, 8)
    assert (other != first).all()
    np.testing.assert_array_equal(play(used, 7)[0], first)


@pytest.mark.parametrize("task", BOUNDS)
@pytest.mark.parametrize("clip_actions", [True, False])
def test_actions_are_stretched_to_the_robots_bounds(task: str, clip_actions: bool) -> None:
    env = make(task, clip_actions=clip_actions)
    env.reset(seed=0)
    action = np.linspace(-2, 2, env.action_space.shape[0])
    env.step(action)
    expected = BOUNDS[task] * (np.clip(action, -1, 1) if clip_actions else action)
    np.testing.assert_allclose(env.simulator.data.ctrl, expected, rtol=1e-6)


@pytest.mark.parametrize("task", BOUNDS)
def test_actions_beyond_the_bounds_move_no_more_and_cost_more(task: str) -> None:
    """MuJoCo clamps the forces; gym charges the whole action."""
    clipped, whole = make(task), make(task, clip_actions=False)
    action = np.linspace(-2.5, 2.5, clipped.action_space.shape[0])
    beyond = float(np.sum((BOUNDS[task] * action) ** 2) - np.sum((BOUNDS[task] * np.clip(action, -1, 1)) ** 2))
    for env in (clipped, whole):
        env.reset(seed=1)
    for _ in range(5):
        seen, reward, *ends = clipped.step(action)
        same, less, *too = whole.step(action)
        np.testing.assert_array_equal(seen, same)
        assert ends == too
        assert reward - less == pytest.approx(COSTS[task] * beyond, rel=1e-9)


@pytest.mark.parametrize("task", BOUNDS)
def test_actions_within_the_bounds_are_not_touched(task: str) -> None:
    seen, rest = play(make(task), 2, 10)
    same, too = play(make(task, clip_actions=False), 2, 10)
    np.testing.assert_array_equal(seen, same)
    assert rest == too


def resolved(env: dict[str, Any], vary: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """What runs on half_cheetah in this entry of a paper's file would have as their environment."""
    paper = Paper.model_validate(
        {
            "paper": "toy",
            "title": "Toy",
            "source": {"arxiv": "0000.00000"},
            "x_label": "steps",
            "training": {"frames": 10, "random_frames": 0, "eval_every": 5, "eval_episodes": 1},
            "seeds": [0],
            "resources": {"gpu": 0, "cpus": 1, "mem_mb": 1, "runtime": 1},
            "envs": {"gym": env},
            "tasks": {"all": {"env": "gym", "names": ["half_cheetah"], **({"vary": vary} if vary else {})}},
            "shared": {},
            "algorithms": {},
            "figures": {},
        }
    )
    return [task.env for task in expand.tasks(paper, Budget(), "all")]


def test_a_papers_file_varies_the_noise() -> None:
    levels = {"weak": 0.001, "strong": 1.0}
    vary = {"noise": {name: {"kind": "gaussian", "level": level} for name, level in levels.items()}}
    envs = resolved({"suite": "mujoco"}, vary)
    assert [env["noise"]["level"] for env in envs] == [0.001, 1.0]
    for env in envs:
        assert make_env(env).noise == env["noise"]["level"]  # type: ignore[attr-defined]


def test_what_is_usual_is_not_in_a_spec() -> None:
    """So that runs from before the settings stay the same runs."""
    usual = [{"suite": "mujoco", "octaves": 0, "task": "half_cheetah"}]
    assert resolved({"suite": "mujoco", "octaves": 0}) == usual
    assert resolved({"suite": "mujoco", "octaves": 0, "clip_actions": True}) == usual
    assert resolved({"suite": "mujoco", "octaves": 0, "clip_actions": False}) == [{**usual[0], "clip_actions": False}]


@pytest.mark.parametrize(
    "env",
    [
        {"suite": "mujoco", "noise": {"kind": "missing", "level": 0.1}},
        {"suite": "mujoco", "noise": {"kind": "gaussian", "level": 0.0}},
        {"suite": "mbbl", "noise": NOISE},
        {"suite": "mbbl", "octaves": 0},
        {"suite": "ant_push", "noise": NOISE},
        {"suite": "ant_push", "clip_actions": False},
    ],
)
def test_settings_that_mean_nothing_are_refused(env: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Env).validate_python(env)


def test_missing_pixels_of_a_state_are_one_line() -> None:
    with pytest.raises(RelatentError, match="noise of hopper: expected kind gaussian, found missing"):
        make("hopper", noise={"kind": "missing", "level": 0.1})
