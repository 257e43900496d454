"""A policy whose mean stays where tanh can tell numbers apart: its formula, its sizes and its first deviation."""

import math

import numpy as np
import pytest
import torch

from relatent.nets.limited_policy import LimitedPolicy
from tests.agents.checks import assert_gradients_agree
from tests.agents.tiny import number, waves
from tests.nets.tiny_world import dense, wavy

INPUTS, ACTION = 3, 2
OFFICIAL, INTENDED = 4.0, math.log(math.exp(5) - 1)  # log(exp(5 - 1)), where log(exp(5) - 1) was meant


def policy(raw_std: float = 0.3) -> LimitedPolicy:
    return wavy(LimitedPolicy(INPUTS, ACTION, 4, raw_std))


@pytest.mark.parametrize("raw_std", [0.3, -2.0, OFFICIAL])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_it_is_what_the_weights_say(raw_std: float, scale: float) -> None:
    made, features = policy(raw_std), scale * waves((2, 5, INPUTS), 0.4)
    found = made(features)
    assert found.mean.shape == found.log_std.shape == (2, 5, ACTION)
    for place in np.ndindex(2, 5):
        raw = dense(made.net, features[place].numpy())
        mean = [5 * math.tanh(one / 5) for one in raw[:ACTION]]
        std = [math.log(1 + math.exp(one + raw_std)) + 1e-4 for one in raw[ACTION:]]
        assert found.mean[place].tolist() == pytest.approx(mean, rel=1e-12)
        assert found.log_std[place].exp().tolist() == pytest.approx(std, rel=1e-12)


@pytest.mark.parametrize(("raw_std", "std"), [(OFFICIAL, 4.018249927917809), (INTENDED, 5.0001)])
def test_the_deviation_of_a_policy_that_says_nothing(raw_std: float, std: float) -> None:
    """4.018 in zdhNarsil/Stochastic-Marginal-Actor-Critic@31d1f56, 5 in danijar/dreamer@56d4d44."""
    made = policy(raw_std)
    with torch.no_grad():
        for parameter in made.net[-1].parameters():
            parameter.zero_()
    found = made(waves((7, INPUTS), 0.4))
    assert found.log_std.exp().flatten().tolist() == pytest.approx([std] * 7 * ACTION, rel=1e-12)
    assert not found.mean.any()


@pytest.mark.parametrize(("raw_std", "std"), [(OFFICIAL, 4.018), (INTENDED, 5.0)])
def test_the_deviation_of_an_untrained_policy(raw_std: float, std: float) -> None:
    """PyTorch's own weights of the last layer give less than a third of what tells the two apart."""
    torch.manual_seed(0)
    with torch.no_grad():
        found = LimitedPolicy(230, 6, 300, raw_std)(torch.randn(1000, 230))
    assert float((found.log_std.exp() - std).abs().max()) < 0.33
    assert float(found.mean.abs().max()) < 0.33


def test_means_stay_below_five_and_deviations_above_zero() -> None:
    """However large the network's outputs are; a small mean is let through."""
    made = policy()
    for size, mean, std in (
        (1e-6, 1e-6, math.log(1 + math.exp(0.3)) + 1e-4),
        (1e3, 5.0, 1000.3001),
        (-1e3, -5.0, 1e-4),
    ):
        with torch.no_grad():
            made.net[-1].weight.zero_()
            made.net[-1].bias.fill_(size)
        found = made(waves((INPUTS,), 0.4))
        assert found.mean.tolist() == pytest.approx([mean] * ACTION, rel=1e-9)
        assert found.log_std.exp().tolist() == pytest.approx([std] * ACTION, rel=1e-5)


@pytest.mark.parametrize(("action", "total"), [(1, 340_802), (6, 343_812), (12, 347_424)])
def test_sizes_of_the_papers_experiments(action: int, total: int) -> None:
    """Four hidden layers of 300, and two numbers for each of an action's."""
    made = LimitedPolicy(230, action, 300, OFFICIAL)
    by_layers = 230 * 300 + 300 + 3 * (300 * 300 + 300) + 300 * 2 * action + 2 * action
    assert sum(parameter.numel() for parameter in made.parameters()) == by_layers == total


def test_gradients_are_finite_differences() -> None:
    made, features, pre_tanh = policy(), waves((5, INPUTS), 0.4), waves((5, ACTION), 0.6)
    assert_gradients_agree(lambda: made(features).log_prob(pre_tanh).mean(), list(made.parameters()))
    assert_gradients_agree(lambda: made(features).sample(pre_tanh).square().mean(), list(made.parameters()))
    assert number(made(features).log_prob(pre_tanh).mean()) < 0
