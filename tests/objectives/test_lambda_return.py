"""Returns of all lengths at once, against golden values and sums of each length's own."""

import pytest
import torch

from relatent.objectives.lambda_return import lambda_returns
from tests.agents.tiny import waves

REWARDS, VALUES = (torch.tensor(numbers, dtype=torch.float64) for numbers in ([1, 2, 3], [10, 11, 12, 13]))


def test_golden_values() -> None:
    returns = lambda_returns(REWARDS, VALUES, 0.99, 0.95)
    assert returns.tolist() == pytest.approx([18.02181077, 17.519735, 15.87], abs=5e-9)
    discounts = torch.tensor([1, 0.99, 0.99**2], dtype=torch.float64)
    assert float(-(discounts * returns).mean()) == pytest.approx(-16.97351181, abs=5e-9)


@pytest.mark.parametrize(("steps", "gamma", "lambda_weight"), [(1, 0.9, 0.3), (3, 0.99, 0.95), (5, 0.7, 0.6)])
def test_a_weighted_mean_of_the_returns_of_each_length(steps: int, gamma: float, lambda_weight: float) -> None:
    rewards, values = waves((steps, 2, 3), 0.3), waves((steps + 1, 2, 3), 0.6)
    found = lambda_returns(rewards, values, gamma, lambda_weight)
    assert found.shape == (steps, 2, 3)
    for start in range(steps):
        longest, expected, weights = steps - start, torch.zeros(2, 3, dtype=torch.float64), 0.0
        for length in range(1, longest + 1):
            weight = lambda_weight ** (length - 1) * (1.0 if length == longest else 1 - lambda_weight)
            gained = sum(gamma**k * rewards[start + k] for k in range(length))
            expected += weight * (gained + gamma**length * values[start + length])
            weights += weight
        assert weights == pytest.approx(1)
        torch.testing.assert_close(found[start], expected, rtol=1e-12, atol=1e-13)


def test_the_longest_return_alone_and_the_shortest_alone() -> None:
    longest, shortest = (lambda_returns(REWARDS, VALUES, 0.5, weight) for weight in (1.0, 0.0))
    assert longest.tolist() == [1 + 1 + 0.75 + 13 / 8, 2 + 1.5 + 13 / 4, 3 + 13 / 2]
    assert shortest.tolist() == [1 + 11 / 2, 2 + 12 / 2, 3 + 13 / 2]
