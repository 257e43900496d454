from collections.abc import Iterator
from itertools import product

import pytest
import torch

from relatent.objectives.rollout_value import length_weights, rollout_value
from tests.agents.tiny import waves

PUBLISHED = torch.tensor([0.34354, 0.33323, 0.32323], dtype=torch.float64)


@pytest.fixture(autouse=True)
def _precise() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_weights_fall_by_the_factor_and_sum_to_one() -> None:
    weights = length_weights(3, 0.97)
    torch.testing.assert_close(weights, PUBLISHED, rtol=0, atol=5e-6)
    torch.testing.assert_close(weights[1:] / weights[:-1], torch.full((2,), 0.97), rtol=1e-14, atol=0)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-15)
    assert length_weights(4, None).tolist() == [0, 0, 0, 1]
    assert length_weights(1, 0.97).tolist() == [1]


@pytest.mark.parametrize("decay", [0.97, None, 1.0])
def test_a_reward_of_one_forever_is_worth_a_hundred(decay: float | None) -> None:
    """Whatever the length, where the critic knows it: 1/(1 - 0.99)."""
    for length in (1, 2, 3):
        found = rollout_value(torch.ones(3), torch.full((3,), 100.0), 0.99, torch.eye(3)[length - 1])
        assert float(found) == pytest.approx(100, rel=1e-15)
    found = rollout_value(torch.ones(3), torch.full((3,), 100.0), 0.99, length_weights(3, decay))
    assert float(found) == pytest.approx(100, rel=1e-15)


def test_without_a_future_it_is_the_first_gain() -> None:
    gains = torch.tensor([0.7, 5.0, -3.0])
    found = rollout_value(gains, torch.full((3,), 9.0), 0.0, length_weights(3, 0.97))
    assert float(found) == pytest.approx(0.7, rel=1e-15)


def test_the_longest_alone_is_equation_3() -> None:
    gains, bootstraps = torch.tensor([2.0, 3.0, 5.0]), torch.tensor([7.0, 11.0, 13.0])
    found = rollout_value(gains, bootstraps, 0.5, length_weights(3, None))
    assert float(found) == 2 + 0.5 * 3 + 0.25 * 5 + 0.125 * 13


def test_each_length_by_hand() -> None:
    gains, bootstraps = torch.tensor([2.0, 3.0, 5.0]), torch.tensor([7.0, 11.0, 13.0])
    by_hand = [2 + 0.5 * 7, 2 + 0.5 * 3 + 0.25 * 11, 2 + 0.5 * 3 + 0.25 * 5 + 0.125 * 13]
    for length, expected in enumerate(by_hand):
        assert float(rollout_value(gains, bootstraps, 0.5, torch.eye(3)[length])) == expected
    mixed = rollout_value(gains, bootstraps, 0.5, torch.tensor([0.25, 0.25, 0.5]))
    assert float(mixed) == 0.25 * by_hand[0] + 0.25 * by_hand[1] + 0.5 * by_hand[2]


@pytest.mark.parametrize("shape", [(), (4,), (4, 2)])
def test_axes_of_critics_come_before_steps_and_batches_after(shape: tuple[int, ...]) -> None:
    gains, bootstraps, weights = waves((3, *shape), 0.1), waves((2, 3, *shape), 0.2), length_weights(3, 0.97)
    found = rollout_value(gains, bootstraps, 0.9, weights)
    assert found.shape == (2, *shape)
    for critic in range(2):
        for place in product(*map(range, shape)):
            where = (slice(None), *place)
            alone = rollout_value(gains[where], bootstraps[critic][where], 0.9, weights)
            assert float(found[(critic, *place)]) == pytest.approx(float(alone), rel=1e-14)


def test_it_keeps_the_kind_of_its_gains() -> None:
    found = rollout_value(torch.ones(3).float(), torch.ones(2, 3).float(), 0.9, length_weights(3, 0.97))
    assert found.dtype == torch.float32
