"""Eq 10 for a point among noises: golden numbers, the package's Kalman filter, and sums over grids."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import xlogy
from torch import Tensor

from relatent.objectives.informed_planning import (
    Belief,
    Terrain,
    belief_information,
    expected_reward,
    latent_information,
    rollout,
    worth,
)
from relatent.objectives.linear_gaussian import Gaussian, LinearGaussian, kalman, mutual_information

GOAL = torch.tensor([1.0, -0.5], dtype=torch.float64)


def numbers(*values: Any) -> Tensor:
    """One of them as a scalar."""
    return torch.tensor(values if len(values) > 1 else values[0], dtype=torch.float64)


def constant(variance: float) -> Any:
    return lambda position: torch.full_like(position[..., 0], variance)


def plain(motion: float = 0.3, sight: float = 0.2) -> Terrain:
    return Terrain(constant(motion), constant(sight), GOAL, 0.5)


def uneven() -> Terrain:
    """Noises that differ everywhere."""
    return Terrain(
        lambda position: 0.1 + 0.05 * position.square().sum(-1),
        lambda position: torch.exp(0.4 * position[..., 0] - 1),
        GOAL,
        0.5,
    )


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("motion", "sight", "nats"),
    [(0.1, 0.2, 0.2027), (0.3, 0.2, 0.4581), (1.0, 0.2, 0.8959), (0.3, 0.05, 0.9730), (0.3, 1.0, 0.1312)],
)
def test_information_of_one_dimension(motion: float, sight: float, nats: float) -> None:
    terrain = plain(motion, sight)
    means = drawn(3, 1)
    found = latent_information(terrain, means, numbers(0.7)).tolist()
    assert found == pytest.approx([nats] * 2, abs=5e-5)
    assert belief_information(terrain, means, numbers(0.0)).tolist()[0] == found[0]


@pytest.mark.parametrize("change", [0.5, 2.0])
@pytest.mark.parametrize("reading", [latent_information, belief_information])
def test_information_falls_with_noise_of_sight_and_rises_with_noise_of_motion(reading: Any, change: float) -> None:
    means, variance = drawn(4, 2), numbers(0.1)
    before = reading(plain(), means, variance).sum()
    assert (reading(plain(sight=0.2 * change), means, variance).sum() < before) == (change > 1)
    assert (reading(plain(motion=0.3 * change), means, variance).sum() > before) == (change > 1)


def test_latents_are_those_of_the_shared_closed_form() -> None:
    terrain, means = uneven(), drawn(5, 2)
    found = latent_information(terrain, means, numbers(0.0))
    for step, (before, after) in enumerate(pairwise(means)):
        identity = torch.eye(2, dtype=torch.float64)
        expected = mutual_information(identity, terrain.motion(before) * identity, terrain.sight(after) * identity)
        assert float(found[step]) == pytest.approx(float(expected), rel=1e-12)


def test_beliefs_add_up_to_what_all_observations_say_of_all_states() -> None:
    """I(x_1..x_H ; z_1..z_H) = ½ log det Cov(x) / det Cov(x|z), from the joint law of a whole trajectory in 2-D."""
    terrain, means, variance = uneven(), drawn(6, 2), 0.4
    motions, sights = terrain.motion(means[:-1]), terrain.sight(means[1:])
    shared = torch.minimum(torch.arange(5)[:, None], torch.arange(5)[None])
    states = variance + motions.cumsum(0)[shared]
    observations = states + torch.diag(sights)
    expected = torch.linalg.slogdet(observations)[1] - sights.log().sum()  # ½, but in two directions
    assert float(belief_information(terrain, means, numbers(variance)).sum()) == pytest.approx(float(expected))


@pytest.mark.parametrize("width", [0.25, 0.1, 0.025])
def test_noise_taken_at_the_mean_leaves_out_what_its_size_says(width: float) -> None:
    """I(x ; z | z_<) by sums over a grid, where r depends on z itself: it is the closed form and ¼ q (r'/r)²,
    half of q times the information that a Gaussian's variance r(z) has of z, but for a share of the order of q."""
    z, x = np.linspace(-8, 8, 401) * width, np.linspace(-14, 14, 2001)
    law = np.exp(-0.5 * (z / width) ** 2)
    law /= law.sum()
    sight = np.exp(0.4 * z - 1)[:, None]
    given = np.exp(-0.5 * (x - z[:, None]) ** 2 / sight) / np.sqrt(2 * np.pi * sight)
    exact = float((law @ (xlogy(given, given) - xlogy(given, law @ given))).sum() * (x[1] - x[0]))
    terrain = Terrain(constant(width**2), lambda position: torch.exp(0.4 * position[..., 0] - 1), GOAL[:1], 1.0)
    found = float(latent_information(terrain, numbers([[0.0], [0.0]]), numbers(0.0))[0])
    assert found < exact
    assert found + 0.25 * width**2 * 0.4**2 == pytest.approx(exact, rel=0.32 * width**2)


def test_expected_reward_is_that_of_many_walks() -> None:
    """Where noises are constant the closed form is exact."""
    terrain, actions, start = plain(), drawn(3, 2), numbers(0.2, 0.1)
    noise = drawn(4, 400_000, 2, seed=1)
    state = start + 0.6 * noise[0]
    total = torch.zeros(len(state), dtype=torch.float64)
    for action, jolt in zip(actions, noise[1:], strict=True):
        state = state + 0.5 * action + math.sqrt(0.3) * jolt
        total -= (state - GOAL).square().sum(-1)
    means = rollout(terrain, start, actions)
    error = abs(float(expected_reward(terrain, means, numbers(0.36)) - total.mean()))
    assert error < 4 * float(total.std()) / math.sqrt(len(total))


def test_motion_adds_up_from_where_each_step_begins() -> None:
    """Two steps whose first begins at (1, 0) and second at (2, 0), with q = .1 + .05 |z|²."""
    found = expected_reward(uneven(), numbers([1.0, 0.0], [2.0, 0.0], [3.0, 1.0]), numbers(0.4))
    first, second = 0.4 + 0.15, 0.4 + 0.15 + 0.3
    assert float(found) == pytest.approx(-(1 + 0.25) - (4 + 2.25) - 2 * (first + second))


def test_a_plan_by_hand() -> None:
    """From 0 by a single step of (0.5, 0): reward -(0.5² + 0.5²) - 2 (0.4 + 0.3), information log(1 + 0.3 / 0.2)."""
    belief = Belief(numbers(0.0, 0.0), numbers(0.4))
    actions = numbers([[1.0, 0.0]])
    assert float(worth(plain(), belief, actions, 0.0, "latents")) == pytest.approx(-1.9, rel=1e-12)
    for reading, nats in {"latents": math.log(2.5), "beliefs": math.log(4.5)}.items():
        assert float(worth(plain(), belief, actions, 2.0, reading)) == pytest.approx(-1.9 + 2 * nats, rel=1e-12)


def test_many_plans_at_once_are_worth_what_they_are_worth_alone() -> None:
    belief, actions = Belief(drawn(3, 2), drawn(3, seed=1).square()), drawn(4, 3, 2, seed=2)
    for reading in ("latents", "beliefs"):
        together = worth(uneven(), belief, actions, 0.7, reading)
        for place in range(3):
            one = Belief(belief.mean[place], belief.variance[place])
            assert float(worth(uneven(), one, actions[:, place], 0.7, reading)) == pytest.approx(float(together[place]))


@pytest.mark.parametrize("reading", ["latents", "beliefs"])
def test_gradients_against_finite_differences(reading: str) -> None:
    belief, actions = Belief(numbers(0.1, 0.2), numbers(0.3)), drawn(4, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda each: worth(uneven(), belief, each, 0.7, reading), actions)


@pytest.mark.parametrize("reading", ["latents", "beliefs"])
def test_with_constant_noises_no_action_changes_the_information(reading: str) -> None:
    belief, actions = Belief(numbers(0.1, 0.2), numbers(0.3)), drawn(4, 7, 2)
    repeated = Belief(belief.mean.expand(7, 2), belief.variance.expand(7))
    gains = worth(plain(), repeated, actions, 1.0, reading) - worth(plain(), repeated, actions, 0.0, reading)
    assert float(gains.max() - gains.min()) < 1e-13
    assert float(gains[0]) > 1


def test_belief_is_that_of_the_kalman_filter() -> None:
    terrain, observations, actions = plain(), drawn(4, 2), drawn(3, 2, seed=1)
    identity = torch.eye(2, dtype=torch.float64)
    model = LinearGaussian(identity, 0.5 * identity, identity, 0.3 * identity, 0.2 * identity)
    expected, _ = kalman(model, Gaussian(numbers(0.3, 0.4), 0.7 * identity), observations, actions)
    belief = Belief(numbers(0.3, 0.4), numbers(0.7)).corrected(terrain, observations[0])
    for step, action in enumerate(actions):
        belief = belief.advanced(terrain, action).corrected(terrain, observations[step + 1])
        torch.testing.assert_close(belief.mean, expected[step + 1].mean)
        torch.testing.assert_close(belief.variance * identity, expected[step + 1].covariance)


def test_a_belief_takes_each_noise_where_it_is_felt() -> None:
    """Motion where the step begins, sight where it ends."""
    terrain = uneven()
    before = Belief(numbers(1.0, 2.0), numbers(0.3)).advanced(terrain, numbers(2.0, -1.0))
    assert before.mean.tolist() == [2.0, 1.5]
    assert float(before.variance) == pytest.approx(0.3 + 0.1 + 0.05 * 5)
    after = before.corrected(terrain, numbers(0.0, 0.0))
    assert float(1 / after.variance) == pytest.approx(1 / 0.65 + math.exp(1 - 0.8))
