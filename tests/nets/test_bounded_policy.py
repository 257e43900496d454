"""The policy whose actions are held within bounds: what it does, and the gradient of what it does."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from relatent.nets.bounded_policy import BoundedPolicy, held
from tests.agents.tiny import number
from tests.agents.tiny_alm import linears


def one(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def constant(*outputs: float, learns_std: bool = False, std: float = 0.5, limit: float = 0.9) -> Any:
    """A policy whose network has these outputs for every z."""
    policy = BoundedPolicy(2, len(outputs) // (1 + learns_std), 3, learns_std, std, 0.3, limit).double()
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.zero_()
        linears(policy)[-1][1].copy_(one(*outputs))
    return policy


Z = torch.zeros(2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("output", "noise", "action"),
    [
        (0.4, 0.0, math.tanh(0.4)),
        (0.4, 0.2, math.tanh(0.4) + 0.1),
        (0.4, 0.8, math.tanh(0.4) + 0.3),  # 0.4 is more noise than there may be
        (0.4, -0.8, math.tanh(0.4) - 0.3),
        (1.0, 0.5, 0.9 - 1e-6),
        (-1.0, -0.5, -0.9 + 1e-6),
        (1.0, -0.5, math.tanh(1.0) - 0.25),
        (9.0, -0.1, 0.9 - 1e-6),  # a mean beyond the bound, which is smaller than one
    ],
)
def test_an_action_to_learn_from(output: float, noise: float, action: float) -> None:
    """Its noise is limited, then it is held within the bounds; the gradient is that of the mean in any case."""
    policy = constant(output)
    found, log_prob = policy(Z, one(noise))
    assert number(found) == pytest.approx(action, abs=1e-14)
    assert number(log_prob) == 0
    (gradient,) = torch.autograd.grad(found.sum(), linears(policy)[-1][1])
    assert number(gradient) == pytest.approx(1 / math.cosh(output) ** 2, rel=1e-12)


@pytest.mark.parametrize(
    ("output", "noise", "limit", "action"),
    [
        (0.4, 0.8, 0.9, math.tanh(0.4) + 0.4),  # exploring has no limit of noise
        (0.4, -4.0, 0.9, -0.9),
        (1.0, 0.5, 0.9, 0.9),
        (1.0, 0.0, math.inf, math.tanh(1.0)),
        (9.0, 0.0, math.inf, 1.0),
    ],
)
def test_an_action_to_explore_or_evaluate_is_in_units_of_the_bound(
    output: float, noise: float, limit: float, action: float
) -> None:
    found = constant(output).explore(Z, one(noise), torch.tensor(limit, dtype=torch.float64))
    assert number(found) == pytest.approx(action / 0.9, abs=1e-7)


def test_each_number_of_an_action_has_its_own_mean_and_noise() -> None:
    found, _ = constant(0.1, -0.2, 0.3)(Z.expand(4, 2), one(0.1, 0.2, -0.3).expand(4, 3))
    expected = [math.tanh(0.1) + 0.05, math.tanh(-0.2) + 0.1, math.tanh(0.3) - 0.15]
    assert found[2].tolist() == pytest.approx(expected, rel=1e-12)


def test_a_deviation_of_its_own_and_the_density_of_the_action_before_it_is_held() -> None:
    """No limit of the noise; log π is that of a Gaussian whose deviation lies between e^-5 and about e^2."""
    low, high, raw = math.exp(-5), math.exp(2), (0.2, -1.0)
    stds = [low + math.log1p(math.exp(high - math.log1p(math.exp(high - r)) - low)) for r in raw]
    policy, noise = constant(0.4, -0.3, *raw, learns_std=True, std=0.0), one(1.2, -0.1)
    before = one(math.tanh(0.4) + stds[0] * 1.2, math.tanh(-0.3) - stds[1] * 0.1)
    action, log_prob = policy(Z, noise)
    assert before[0] > 0.9 > before[1].abs()
    assert action.tolist() == pytest.approx([0.9 - 1e-6, number(before[1])], rel=1e-12)
    expected = Normal(one(math.tanh(0.4), math.tanh(-0.3)), one(*stds)).log_prob(before).sum()
    assert number(log_prob) == pytest.approx(number(expected), rel=1e-12)
    for end, std in ((-60.0, low), (60.0, high)):
        found = constant(0.0, end, learns_std=True).distribution(Z).std
        assert number(found) == pytest.approx(std, rel=1e-3)


def test_the_schedules_deviation_travels_with_the_policy() -> None:
    policy = constant(0.4)
    policy.std.fill_(0.25)
    other = constant(0.4)
    other.load_state_dict(policy.state_dict())
    assert number(other(Z, one(1.0))[0]) == pytest.approx(math.tanh(0.4) + 0.25, rel=1e-12)


def test_what_is_held_has_the_gradient_of_what_is_not() -> None:
    action = one(-3, -0.2, 0.2, 3).requires_grad_()
    kept = held(action, 0.5)
    assert kept.tolist() == [-0.5, -0.2, 0.2, 0.5]
    (gradient,) = torch.autograd.grad((kept * one(1, 2, 3, 4)).sum(), action)
    assert gradient.tolist() == [1, 2, 3, 4]
