"""What a DeepMind Control task shows of its state: without velocities, and with noise."""

from typing import Any

import numpy as np
import pytest

from relatent.envs import make
from relatent.specs.errors import RelatentError
from relatent.specs.suites import DMC

NOISE = {"kind": "gaussian", "level": 0.05}


def env(task: str = "cartpole_swingup", **settings: Any) -> Any:
    return make({"suite": "dmc", "task": task, "action_repeat": 2, **settings})


def steps(one: Any, seed: int = 3, number: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Observations and rewards under the same actions."""
    seen, rewards = [one.reset(seed=seed)[0]], []
    for step in range(number):
        observation, reward, *_ = one.step(np.array([np.sin(step)], np.float32))
        seen.append(observation)
        rewards.append(reward)
    return np.array(seen), np.array(rewards)


@pytest.mark.parametrize(("task", "left"), [("cartpole_swingup", 3), ("pendulum_swingup", 2)])
def test_without_velocities_the_rest_is_seen_as_before(task: str, left: int) -> None:
    whole, rewards = steps(env(task))
    hidden, same = steps(env(task, hide_velocities=True))
    assert hidden.shape[1] == left < whole.shape[1]
    assert np.array_equal(hidden, whole[:, :left])
    assert np.array_equal(rewards, same)
    assert env(task, hide_velocities=True).observation_space.shape == (left,)


def test_noise_is_added_to_what_is_seen_and_to_nothing_else() -> None:
    whole, rewards = steps(env(hide_velocities=True), number=400)
    noisy, same = steps(env(hide_velocities=True, noise=NOISE), number=400)
    assert np.array_equal(rewards, same)
    error = noisy - whole
    assert error.std() == pytest.approx(0.05, rel=0.06)  # of 1203 numbers: a deviation of 2 %
    assert abs(error.mean()) < 0.006
    assert np.abs(np.corrcoef(error.T) - np.eye(3)).max() < 0.2
    assert abs(np.corrcoef(error[:-1, 0], error[1:, 0])[0, 1]) < 0.2


def test_noise_is_that_of_the_episodes_seed() -> None:
    first, again, other = (steps(env(noise=NOISE), seed=seed, number=5)[0] for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[1:], other[1:])


def test_what_cannot_be_shown_is_refused_in_one_line() -> None:
    with pytest.raises(RelatentError, match="expected kind gaussian, found missing"):
        env(noise={"kind": "missing", "level": 0.1})
    with pytest.raises(RelatentError, match="swimmer_swimmer6 has no velocities to hide, it shows joints, to_target"):
        env("swimmer_swimmer6", hide_velocities=True)


def test_velocities_that_are_shown_are_no_part_of_a_spec() -> None:
    """So that runs from before there was a choice are the same runs."""
    base = {"suite": "dmc", "action_repeat": 1}
    assert DMC.model_validate(base).model_dump(exclude_none=True) == base
    hidden = DMC.model_validate({**base, "hide_velocities": True, "noise": NOISE}).model_dump(exclude_none=True)
    assert hidden == {**base, "hide_velocities": True, "noise": NOISE}
