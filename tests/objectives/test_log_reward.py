"""Logarithms of rewards: where they are taken, golden values, and where there is none."""

import math

import pytest
import torch

from relatent.objectives.log_reward import Where, log_transformed


def one(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@pytest.mark.parametrize(
    ("where", "here", "value"),
    [
        ("none", "representation", 3.0),
        ("none", "actor", 3.0),
        ("representation", "representation", math.log(3)),
        ("representation", "actor", 3.0),
        ("everywhere", "representation", math.log(3)),
        ("everywhere", "actor", math.log(3)),
        ("scaled", "representation", 50 * (math.log(53) - math.log(50))),
        ("scaled", "actor", 50 * (math.log(53) - math.log(50))),
    ],
)
def test_where_it_is_taken(where: Where, here: str, value: float) -> None:
    assert float(log_transformed(one(3), where, here, 50.0)) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("reward", "shown"), [(10, 9.995), (100, 99.50)])
def test_with_the_papers_scale_it_is_nearly_the_reward(reward: float, shown: float) -> None:
    """Figure 6: the difference is r²/(2a), less a third-order term."""
    found = float(log_transformed(one(reward), "scaled", "actor", 1e4))
    assert found == pytest.approx(shown, abs=5e-3)
    assert reward - found == pytest.approx(reward**2 / 2e4 - reward**3 / 3e8, rel=1e-4)
    assert found == pytest.approx(1e4 * (math.log(reward + 1e4) - math.log(1e4)), abs=1e-10)


def test_the_difference_of_a_reward_of_100() -> None:
    assert 100 - float(log_transformed(one(100), "scaled", "actor", 1e4)) == pytest.approx(0.4967, abs=5e-5)


@pytest.mark.parametrize(("where", "edge"), [("everywhere", 0.0), ("scaled", -50.0)])
def test_where_there_is_no_logarithm_it_is_finite_and_has_no_gradient(where: Where, edge: float) -> None:
    values = one(edge - 3, edge, edge + 2).requires_grad_()
    found = log_transformed(values, where, "actor", 50.0)
    least = math.log(1e-6) * (50 if where == "scaled" else 1)
    assert found[:2].tolist() == pytest.approx([least, least], rel=1e-9)
    (gradient,) = torch.autograd.grad(found.sum(), values)
    assert gradient.tolist() == pytest.approx([0, 0, 0.5 * (50 if where == "scaled" else 1)], rel=1e-9)
