"""Biases of estimates whose error is known, of episodes whose returns have a closed form."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from relatent.nets.batch import Played
from relatent.objectives.value_bias import discounted_returns, value_bias

GAMMA = 0.99


def episode(steps: int, reward: float = 1.0, number: int = 0) -> Played:
    """Of a constant reward; a step is seen as its number, and the episode's is done."""
    seen = np.stack([np.arange(steps), np.full(steps, steps)], 1).astype(np.float32)
    return Played(seen, np.full((steps, 1), number, np.float32), np.full(steps, reward, np.float32))


def true_return(observation: Tensor) -> Tensor:
    """Of a reward of 1 to the end of the episode."""
    left = (observation[:, 1] - observation[:, 0]).double()
    return (1 - GAMMA**left) / (1 - GAMMA)


def bias(episodes: list[Played], estimate: object) -> dict[str, float]:
    return value_bias(episodes, GAMMA, estimate, torch.device("cpu"))  # type: ignore[arg-type]


def test_discounted_returns_are_sums_to_the_episodes_end() -> None:
    rewards = np.array([1.0, -2.0, 0.5, 4.0], np.float32)
    expected = [sum(0.5**k * float(rewards[t + k]) for k in range(4 - t)) for t in range(4)]
    assert discounted_returns(rewards, 0.5).tolist() == expected
    constant = discounted_returns(np.ones(1000, np.float32), GAMMA)
    assert constant.dtype == np.float64
    expected = [(1 - GAMMA ** (1000 - t)) / (1 - GAMMA) for t in range(1000)]
    assert constant.tolist() == pytest.approx(expected, rel=1e-10)


def test_an_estimate_without_error_has_no_bias() -> None:
    """Also where an episode is terminated earlier than another."""
    found = bias([episode(1000), episode(200)], lambda seen, _: true_return(seen))
    assert found == pytest.approx({"mean": 0.0, "deviation": 0.0}, abs=1e-12)


@pytest.mark.parametrize("error", [5.0, -5.0])
def test_an_estimates_error_is_divided_by_its_own_return(error: float) -> None:
    """By 10 at least; too much hope is positive."""
    found = bias([episode(1000), episode(20)], lambda seen, _: true_return(seen) + error)
    returns = [(1 - GAMMA ** (1000 - t)) / (1 - GAMMA) for t in range(350)]
    returns += [(1 - GAMMA ** (20 - t)) / (1 - GAMMA) for t in range(20)]
    assert min(returns) < 10 < max(returns)
    errors = [error / max(one, 10.0) for one in returns]
    mean = sum(errors) / len(errors)
    deviation = math.sqrt(sum((one - mean) ** 2 for one in errors) / len(errors))
    assert found == pytest.approx({"mean": mean, "deviation": deviation}, rel=1e-9)
    assert all(type(one) is float for one in found.values())


def test_negative_returns_count_by_their_size() -> None:
    found = bias([episode(1000, -1.0)], lambda seen, _: -true_return(seen) + 5.0)
    errors = [5 * (1 - GAMMA) / (1 - GAMMA ** (1000 - t)) for t in range(350)]
    assert found["mean"] == pytest.approx(sum(errors) / 350, rel=1e-9)


def test_the_first_350_decisions_of_each_episode_are_asked_with_what_was_done() -> None:
    asked = []

    def estimate(seen: Tensor, done: Tensor) -> Tensor:
        asked.append((seen, done))
        return torch.zeros(len(seen))

    bias([episode(1000, number=3), episode(20, number=4), episode(351, number=5)], estimate)
    ((seen, done),) = asked
    assert seen[:, 0].tolist() == [*range(350), *range(20), *range(350)]
    assert done[:, 0].tolist() == [3] * 350 + [4] * 20 + [5] * 350


def test_returns_go_on_beyond_the_decisions_that_count() -> None:
    """An estimate of zero is biased by -1 where all returns are above 10: of the whole episode, not of 350 steps."""
    late = episode(1000)
    late.rewards[:350] = 0.0
    found = bias([late], lambda seen, _: torch.zeros(len(seen)))
    returns = [GAMMA ** (350 - t) * (1 - GAMMA**650) / (1 - GAMMA) for t in range(350)]
    assert found["mean"] == pytest.approx(-sum(one / max(one, 10) for one in returns) / 350, rel=1e-6)
