"""Known terminations, at their bounds and against what the simulators say."""

from typing import Any

import numpy as np
import pytest
import torch

from relatent.envs.mujoco import make
from relatent.objectives.termination import TERMINATIONS

NAN, INF = float("nan"), float("inf")


def ends(name: str, *seen: float) -> bool:
    """Of an observation that begins with these numbers and goes on with zeros."""
    return bool(TERMINATIONS[name](torch.tensor([*seen, *[0.0] * (6 - len(seen))], dtype=torch.float64)))


@pytest.mark.parametrize(
    ("name", "seen", "expected"),
    [
        ("never", (-5.0, NAN, INF), False),
        ("hopper", (0.7,), True),
        ("hopper", (0.700001,), False),
        ("hopper", (1.25, 0.2), True),
        ("hopper", (1.25, -0.2), True),
        ("hopper", (1.25, 0.199999), False),
        ("hopper", (1.25, -0.199999), False),
        ("hopper", (1.25, 0.0, 100.0), True),
        ("hopper", (1.25, 0.0, 0.0, 0.0, -100.0), True),
        ("hopper", (1.25, 0.0, 99.999, -99.999), False),
        ("hopper", (150.0,), False),  # how high it may jump is not bounded
        ("hopper", (1.25, 0.0, NAN), True),
        ("hopper", (INF,), True),
        ("walker2d", (0.8,), True),
        ("walker2d", (0.800001,), False),
        ("walker2d", (2.0,), True),
        ("walker2d", (1.999999,), False),
        ("walker2d", (1.2, 1.0), True),
        ("walker2d", (1.2, -1.0), True),
        ("walker2d", (1.2, 0.999999), False),
        ("walker2d", (1.2, -0.999999), False),
        ("walker2d", (1.2, NAN), True),
        ("walker2d", (1.2, 0.0, 1e9), False),
        ("ant", (0.199999,), True),
        ("ant", (0.2,), False),
        ("ant", (1.0,), False),
        ("ant", (1.000001,), True),
        ("ant", (0.6, 0.0, 1e9), False),
        ("ant", (0.6, 0.0, 0.0, NAN), True),
        ("ant", (0.6, -INF), True),
        ("humanoid", (0.999999,), True),
        ("humanoid", (1.0,), False),
        ("humanoid", (2.0,), False),
        ("humanoid", (2.000001,), True),
        ("humanoid", (NAN,), True),
    ],
)
def test_at_the_bounds(name: str, seen: tuple[float, ...], expected: bool) -> None:
    assert ends(name, *seen) is expected


def test_any_number_of_axes() -> None:
    observations = torch.tensor([[[0.5, 0.0], [1.0, 0.0]], [[1.0, 0.3], [1.0, NAN]], [[1.5, 0.0], [2.5, 0.0]]])
    assert TERMINATIONS["hopper"](observations).tolist() == [[True, False], [True, True], [False, False]]
    assert TERMINATIONS["never"](observations).tolist() == [[False, False]] * 3


def disturb(simulator: Any, height: float, angle: float | None, draws: np.random.Generator) -> None:
    """Put the torso at a height and, in the plane, an angle; all else is near where an episode begins."""
    position, velocity = simulator.init_qpos.copy(), simulator.init_qvel.copy()
    position += draws.uniform(-0.05, 0.05, position.shape)
    velocity += draws.normal(size=velocity.shape)
    if angle is None:
        position[2] = height
    else:
        position[1:3] = height, angle
    simulator.set_state(position, velocity)


@pytest.mark.parametrize(
    ("task", "name", "heights", "angles"),
    [
        ("hopper", "hopper", (0.65, 1.25), (-0.25, 0.25)),
        ("walker2d", "walker2d", (0.7, 2.1), (-1.1, 1.1)),
        ("ant_truncated", "ant", (0.1, 1.1), None),
        ("ant", "ant", (0.1, 1.1), None),
        ("humanoid_truncated", "humanoid", (0.9, 2.1), None),
        ("humanoid", "humanoid", (0.9, 2.1), None),
    ],
)
def test_the_simulator_says_so_too(task: str, name: str, heights: Any, angles: Any) -> None:
    """In states on both sides of every bound, of what an agent sees there in float32."""
    env, draws, outcomes = make(task), np.random.default_rng(0), []
    env.reset(seed=0)
    for _ in range(60):
        disturb(env.simulator, draws.uniform(*heights), draws.uniform(*angles) if angles else None, draws)
        seen = torch.from_numpy(env.observation(env.simulator._get_obs()))
        outcomes.append(bool(env.simulator.terminated))
        assert bool(TERMINATIONS[name](seen)) is outcomes[-1]
    assert 6 <= sum(outcomes) <= 54


def test_hopper_ends_where_a_joint_has_turned_too_far() -> None:
    env, draws = make("hopper"), np.random.default_rng(0)
    env.reset(seed=0)
    for turned in (-99.0, -101.0, 99.0, 101.0):
        disturb(env.simulator, 1.2, 0.0, draws)
        position = env.simulator.data.qpos.copy()
        position[4] = turned
        env.simulator.set_state(position, env.simulator.data.qvel.copy())
        seen = torch.from_numpy(env.observation(env.simulator._get_obs()))
        assert bool(env.simulator.terminated) is bool(TERMINATIONS["hopper"](seen)) is (abs(turned) > 100)


def test_half_cheetahs_episodes_never_end() -> None:
    env = make("half_cheetah")
    env.reset(seed=0)
    disturb(env.simulator, -3.0, 3.0, np.random.default_rng(0))
    _, _, terminated, _, _ = env.step(np.zeros(6))
    assert not terminated
