"""SLAC's bound against numpy loops, and its gradient."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from relatent.nets.sequences import Sequences
from relatent.nets.slac_model import SlacModel
from relatent.objectives.slac_elbo import Terms, fixed_log_prob, slac_terms
from tests.agents.checks import assert_gradients_agree
from tests.agents.tiny import number, waves
from tests.agents.tiny_slac import (
    BATCH,
    FIRST,
    ONE,
    ROWS,
    VARIANCE,
    compress,
    decode,
    filter_noise,
    filter_one,
    law,
    model,
    sequences,
)

KINKLESS = 2.0  # phase of the weights


def log_normal(value: Any, mean: Any, variance: Any) -> float:
    return float(np.sum(-0.5 * (value - mean) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance)))


def plain_terms(net: SlacModel, data: Sequences, noise: Tensor) -> np.ndarray:
    """Observation, reward and divergence of each sequence, (3, B)."""
    sums = np.zeros((3, BATCH))
    for row in range(BATCH):
        seen, action, reward, _, first = (part[row].numpy() for part in data)
        features = np.stack([compress(net.compress, one) for one in seen])
        found = filter_one(net, features, action, first, noise[row].numpy())
        both = [np.concatenate(pair) for pair in zip(found.one, found.two, strict=True)]
        for step in range(ROWS):
            sums[0, row] += log_normal(seen[step] / 255, decode(net.decode, both[step]), VARIANCE)
            (mean, std), (other, spread) = found.posterior[step], found.prior[step]
            trace, distance = (std**2 / spread**2).sum(), ((other - mean) ** 2 / spread**2).sum()
            sums[2, row] += 0.5 * (trace + distance - ONE + np.log(np.prod(spread**2) / np.prod(std**2)))
            if step and not first[step]:
                expected, deviation = law(net.reward, both[step - 1], action[step], both[step])
                sums[1, row] += log_normal(reward[step], expected, deviation**2)
    return sums


def test_the_bound_is_what_the_weights_say() -> None:
    net, data, noise = model(), sequences(), filter_noise()
    found, expected = slac_terms(net, data, noise, VARIANCE), plain_terms(net, data, noise)
    for term, plain in zip(found, expected, strict=True):
        np.testing.assert_allclose(term.detach().numpy(), plain, rtol=1e-10)
    np.testing.assert_allclose(found.bound.detach().numpy(), expected[0] + expected[1] - expected[2], rtol=1e-10)


def test_rewards_where_nothing_led_are_not_judged() -> None:
    net, data, noise = model(), sequences(), filter_noise()
    changed = data.reward + 3.0 * ((FIRST == 1) | (torch.arange(ROWS) == 0))
    before, after = (
        slac_terms(net, data._replace(reward=reward), noise, VARIANCE) for reward in (data.reward, changed)
    )
    assert torch.equal(before.reward, after.reward)
    judged = slac_terms(net, data._replace(reward=data.reward + 1.0), noise, VARIANCE).reward
    assert (judged - before.reward).abs().min() > 1e-3


@pytest.mark.parametrize("variance", [0.1, 1.0, 2.5])
def test_the_pictures_density(variance: float) -> None:
    mean, value = waves((2, 5, 3, 4, 4), 0.1), waves((2, 5, 3, 4, 4), 0.2)
    expected = torch.distributions.Normal(mean, math.sqrt(variance)).log_prob(value).sum((-3, -2, -1))
    torch.testing.assert_close(fixed_log_prob(mean, value, variance), expected, rtol=1e-12, atol=0)


def test_a_posterior_that_is_the_prior_has_no_divergence() -> None:
    """Where the networks of both are the same and read no picture."""
    net = model()
    with torch.no_grad():
        for parameter in net.infer_initial.parameters():
            parameter.zero_()
        net.infer_initial.net[-1].bias[ONE:] = math.log(math.expm1(1 - 1e-5))
        for number_, mine in enumerate(net.infer.net):
            if isinstance(mine, nn.Linear):
                other = net.predict.net[number_]
                mine.weight.copy_(torch.nn.functional.pad(other.weight, (mine.in_features - other.in_features, 0)))
                mine.bias.copy_(other.bias)
    found = slac_terms(net, sequences(), filter_noise(), VARIANCE)
    assert found.divergence.abs().max() < 1e-13
    assert slac_terms(model(), sequences(), filter_noise(), VARIANCE).divergence.min() > 0.1


def test_gradients_are_finite_differences() -> None:
    """At weights where none of some thirty thousand leaky ReLUs changes its side within the step."""
    net, data, noise = model(KINKLESS), sequences(), filter_noise()
    assert_gradients_agree(lambda: slac_terms(net, data, noise, VARIANCE).bound.mean(), list(net.parameters()))


def test_terms_add_up() -> None:
    one, two, three = (torch.tensor(value) for value in (2.0, 3.0, 7.0))
    assert number(Terms(one, two, three).bound) == -2.0
