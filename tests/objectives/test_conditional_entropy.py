"""SMAC's regulariser, Eq 26."""

import pytest
import torch

from relatent.objectives.conditional_entropy import conditional_entropy_penalty

from . import linear_gaussian
from .linear_gaussian import standard_error


def test_scales() -> None:
    log_probs, alpha = torch.tensor([[2.0, -7.0], [-1.0, 5.0]]), torch.tensor(0.25)
    absolute = conditional_entropy_penalty(log_probs, 0.5, "absolute", alpha)
    relative = conditional_entropy_penalty(log_probs, 0.5, "alpha", alpha)
    assert absolute.tolist() == [-1.0, 0.5]
    assert relative.tolist() == [-0.25, 0.125]


def test_temperature_receives_no_gradient() -> None:
    alpha = torch.tensor(0.25, requires_grad=True)
    log_probs = torch.tensor([[2.0, -7.0]], requires_grad=True)
    penalty = conditional_entropy_penalty(log_probs, 0.5, "alpha", alpha)
    gradients = torch.autograd.grad(penalty.sum(), (log_probs, alpha), allow_unused=True)
    assert gradients[0].tolist() == [[-0.125, 0.0]]
    assert gradients[1] is None


@pytest.mark.parametrize("dimension", [1, 3])
def test_mean_is_the_conditional_entropy(dimension: int) -> None:
    log_probs = linear_gaussian.sample(50_000, 1, dimension, seed=3)
    penalty = conditional_entropy_penalty(log_probs, 2.0, "absolute", torch.tensor(1.0))
    assert abs(float(penalty.mean()) - 2 * linear_gaussian.conditional_entropy(dimension)) < 4 * standard_error(penalty)
