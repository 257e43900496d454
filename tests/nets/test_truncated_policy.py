"""Truncated normal actions against integrals, SciPy, and finite differences."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor, nn
from torch.func import grad, vmap

from relatent.nets.truncated_policy import MARGIN, TruncatedNormal, TruncatedPolicy
from tests.agents.checks import assert_gradients_agree
from tests.agents.tiny import number, waves
from tests.nets.tiny_world import dense, plain_elu, wavy

LAWS = [(0.0, 0.1), (0.0, 2.1), (0.3, 0.5), (-0.999, 0.1), (0.999, 2.1), (-0.6, 1.1)]


def law(mean: float, std: float) -> TruncatedNormal:
    return TruncatedNormal(*(torch.tensor([value], dtype=torch.float64) for value in (mean, std)))


def theirs(mean: float, std: float) -> stats.rv_continuous:
    return stats.truncnorm((-1 - mean) / std, (1 - mean) / std, mean, std)


@pytest.mark.parametrize(("mean", "std"), LAWS)
def test_density_and_entropy(mean: float, std: float) -> None:
    """All of it is within the bounds, and the entropy is the mean of minus its logarithm."""
    mine = law(mean, std)

    def log_prob(value: float) -> float:
        return number(mine.log_prob(torch.tensor([value], dtype=torch.float64)))

    def integral(of: object) -> float:
        return integrate.quad(of, -1, 1, points=[mean], epsabs=1e-12, epsrel=1e-12, limit=200)[0]

    assert integral(lambda x: math.exp(log_prob(x))) == pytest.approx(1.0, abs=1e-10)
    assert integral(lambda x: -math.exp(log_prob(x)) * log_prob(x)) == pytest.approx(number(mine.entropy()), abs=1e-10)
    assert number(mine.entropy()) == pytest.approx(float(theirs(mean, std).entropy()), abs=1e-9)
    for value in (-1.0, -0.3, 0.2, 1.0):
        assert log_prob(value) == pytest.approx(float(theirs(mean, std).logpdf(value)), abs=1e-10)


def test_numbers_of_a_policy_that_has_learnt_nothing() -> None:
    """Golden: mean 0 and deviation 1.1, so that the bounds are at 1 / 1.1 deviations; a uniform law has log 2 nats."""
    assert number(law(0.0, 1.1).entropy()) == pytest.approx(0.6859778, abs=1e-7)
    assert number(law(0.0, 1.1).log_prob(torch.zeros(1))) == pytest.approx(-0.5627887, abs=1e-7)
    assert number(law(0.0, 1e4).entropy()) == pytest.approx(math.log(2), abs=1e-8)


@pytest.mark.parametrize(("mean", "std"), LAWS)
def test_samples_have_the_law(mean: float, std: float) -> None:
    """The draw's quantile becomes the sample's."""
    noise = torch.linspace(-4, 4, 41, dtype=torch.float64)[:, None]
    found = law(mean, std).sample(noise).squeeze(-1).numpy()
    expected = theirs(mean, std).ppf(stats.norm.cdf(noise.squeeze(-1).numpy()))
    np.testing.assert_allclose(found, np.clip(expected, -1 + MARGIN, 1 - MARGIN), rtol=0, atol=1e-9)


def test_samples_of_a_narrow_law_are_the_gaussians() -> None:
    noise = waves((50, 1), 0.3)
    torch.testing.assert_close(law(0.1, 0.1).sample(noise), 0.1 + 0.1 * noise, rtol=0, atol=1e-11)


def test_gradients_of_samples_and_entropies_are_finite_differences() -> None:
    """The implicit one: dF(x) = 0 along the change of mean and deviation."""
    noise, weight = waves((6, 3), 0.4), waves((6, 3), 0.6)
    parameters: list[Tensor] = [nn.Parameter(0.9 * waves((6, 3), 0.1)), nn.Parameter(1.1 + waves((6, 3), 0.2))]

    def loss() -> Tensor:
        made = TruncatedNormal(*parameters)
        return (weight * made.sample(noise)).sum() + made.entropy().sum() + made.log_prob(weight).sum()

    assert_gradients_agree(loss, parameters)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("noise", [-40.0, -6.0, 6.0, 40.0])
def test_extreme_draws_stay_within_the_bounds_with_finite_gradients(noise: float, kind: torch.dtype) -> None:
    mean = torch.tensor([[-1.0, -0.5, 0.0, 0.99, 1.0]], dtype=kind).T.repeat(1, 2).requires_grad_()
    std = torch.tensor([[0.1, 2.1]], dtype=kind).repeat(5, 1).requires_grad_()
    made = TruncatedNormal(mean, std)
    action = made.sample(torch.full((5, 2), noise, dtype=kind))
    assert action.abs().max() < 1
    gradients = torch.autograd.grad(action.sum() + made.entropy().sum() + made.log_prob(action.detach()).sum(), made)
    assert all(part.isfinite().all() for part in gradients)


def test_a_sample_at_a_bound_keeps_the_gradient_that_it_had() -> None:
    """0.99 + 0.1 x 3 lies beyond; cut, x is close to the bound, and moved away from it is not."""
    mean = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    std = torch.tensor([0.1], dtype=torch.float64)
    sample = TruncatedNormal(mean, std).sample(torch.tensor([5.5], dtype=torch.float64))
    assert number(sample) == 1 - MARGIN
    level = 0.5 * stats.norm.cdf(5.5)
    quantile = stats.norm.ppf(level)
    # x = m + s z with F(z) = F((-1 - m) / s) + u (F((1 - m) / s) - F((-1 - m) / s))
    slope = 1 - stats.norm.cdf(5.5) * stats.norm.pdf(0) / stats.norm.pdf(quantile)
    assert number(torch.autograd.grad(sample, mean)[0]) == pytest.approx(slope, rel=1e-4)


def test_a_policy_is_what_its_weights_say() -> None:
    policy, features = wavy(TruncatedPolicy(5, 2, 7, 3)), waves((4, 5), 0.3)
    found = policy(features)
    for row in range(4):
        hidden = plain_elu(dense(policy.trunk, features[row].numpy()))
        mean, raw = dense(policy.mean, hidden), dense(policy.std, hidden)
        np.testing.assert_allclose(found.mean[row].detach().numpy(), np.tanh(mean), rtol=1e-12)
        np.testing.assert_allclose(found.std[row].detach().numpy(), 2 / (1 + np.exp(-raw / 2)) + 0.1, rtol=1e-12)


def test_sizes_and_first_weights() -> None:
    """The official actor for 1224 features, 2 actions: four layers of 400, a head for mean and one for deviation."""
    policy = TruncatedPolicy(1224, 2, 400, 4)
    layers = [module for module in policy.modules() if isinstance(module, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in layers] == [(400, 1224), *[(400, 400)] * 3, (2, 400), (2, 400)]
    for layer in layers:
        bound = math.sqrt(6 / (layer.in_features + layer.out_features))
        assert 0.97 * bound < layer.weight.abs().max() <= bound
        assert not layer.bias.any()


def test_many_at_once() -> None:
    """Under vmap as alone."""
    means, stds, noise = 0.9 * waves((3, 2), 0.1), 1.1 + waves((3, 2), 0.2), waves((3, 2), 0.3)

    def loss(mean: Tensor, std: Tensor, draw: Tensor) -> Tensor:
        made = TruncatedNormal(mean, std)
        return made.sample(draw).sum() + made.entropy()

    found = vmap(grad(loss, argnums=(0, 1)))(means, stds, noise)
    for row in range(3):
        for mine, yours in zip(found, grad(loss, argnums=(0, 1))(means[row], stds[row], noise[row]), strict=True):
            torch.testing.assert_close(mine[row], yours, rtol=1e-12, atol=1e-14)
