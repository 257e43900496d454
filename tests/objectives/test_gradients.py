"""Gradients of the entropy estimators against formulas, finite differences and closed forms; and where they lead."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from relatent.nets.distributions import LOG_STD_MAX, LOG_STD_MIN, Gaussian
from relatent.objectives.marginal_entropy import ESTIMATORS

from . import linear_gaussian
from .linear_gaussian import standard_error


def softmax_over(log_weights: np.ndarray, members: list[int]) -> np.ndarray:
    """Gradient of log mean exp over `members` by all log-weights."""
    gradient = np.zeros(len(log_weights))
    gradient[members] = np.exp(log_weights[members]) / np.exp(log_weights[members]).sum()
    return gradient


def analytic_gradient(name: str, log_weights: np.ndarray) -> np.ndarray:
    """The estimators' gradients, assembled from sets of particles that are written out by hand for K = 4."""
    of = {members: softmax_over(log_weights, list(members)) for members in
          [(0, 1), (0, 2), (0, 3), (0, 4), (0, 1, 2), (0, 3, 4), (0, 1, 2, 3, 4), (1, 2, 3, 4), (1,)]}  # fmt: skip
    if name in ("mlmc", "mlmc_literal"):
        level_0 = of[0, 1] if name == "mlmc_literal" else (of[0, 1] + of[0, 2] + of[0, 3] + of[0, 4]) / 4
        level_1 = of[0, 1, 2] - (level_0 + of[0, 2]) / 2
        level_2 = of[0, 1, 2, 3, 4] - (of[0, 1, 2] + of[0, 3, 4]) / 2
        return level_0 + level_1 + level_2
    return of[{"nested": (0, 1, 2, 3, 4), "iwae": (1, 2, 3, 4), "elbo": (1,)}[name]]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_gradient_is_made_of_softmax_weights(name: str) -> None:
    weights = torch.tensor([0.0, -1.0, 0.5, 2.0, -3.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(ESTIMATORS[name](weights), weights)
    np.testing.assert_allclose(gradient.numpy(), analytic_gradient(name, weights.detach().numpy()), atol=1e-14)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_gradient_through_the_policy_matches_finite_differences(name: str) -> None:
    """With common random numbers, through the action and through every particle."""
    latent, noise = linear_gaussian.draw(5, 8, 2, seed=0)

    def estimate(gain: Tensor, log_sigma: Tensor) -> Tensor:
        return ESTIMATORS[name](linear_gaussian.log_probs(latent, noise, gain, log_sigma.exp()))

    ones = torch.ones(5, dtype=torch.float64)
    assert torch.autograd.gradcheck(estimate, ((1.1 * ones).requires_grad_(), (-0.7 * ones).requires_grad_()))


def entropy_gradients(name: str, particles: int, samples: int) -> Tensor:
    """(2, n): each sample's derivative of the estimated entropy by g and log σ at g = 1, σ = 0.5 in one dimension."""
    latent, noise = linear_gaussian.draw(samples, particles, 1, seed=7)
    gain = torch.ones(samples, dtype=torch.float64, requires_grad=True)
    log_sigma = torch.full((samples,), math.log(0.5), dtype=torch.float64, requires_grad=True)
    value = -ESTIMATORS[name](linear_gaussian.log_probs(latent, noise, gain, log_sigma.exp()))
    return torch.stack(torch.autograd.grad(value.sum(), (gain, log_sigma)))


def test_nested_gradient_tends_to_that_of_the_entropy() -> None:
    """∂H/∂g = g/(g²+σ²) = 0.8 and ∂H/∂log σ = σ²/(g²+σ²) = 0.2."""
    few, many = entropy_gradients("nested", 8, 4000), entropy_gradients("nested", 1024, 4000)
    for truth, near, far in zip((0.8, 0.2), many, few, strict=True):
        assert abs(float(near.mean()) - truth) < 4 * standard_error(near)
        assert abs(float(far.mean()) - truth) > 4 * standard_error(far)


@pytest.mark.parametrize("name", ["mlmc", "mlmc_literal"])
def test_mlmc_gradient_has_nesteds_mean_and_no_smaller_variance(name: str) -> None:
    plain, levels = entropy_gradients("nested", 8, 100_000), entropy_gradients(name, 8, 100_000)
    for one, other in zip(plain, levels, strict=True):
        assert abs(float((other - one).mean())) < 4 * standard_error(other - one)
        assert float(other.var()) >= float(one.var())


def maximise_entropy(name: str) -> tuple[float, float]:
    """The estimate and log σ after Adam raised the estimated entropy of a = s + σ ε in two dimensions by σ alone."""
    generator = torch.Generator().manual_seed(0)
    parameter = torch.tensor(math.log(0.5), requires_grad=True)
    optimiser = torch.optim.Adam([parameter], lr=0.1)
    for _ in range(300):
        latent = torch.randn((256, 33, 2), generator=generator)
        log_std = parameter.clamp(LOG_STD_MIN, LOG_STD_MAX).expand_as(latent)
        action = Gaussian(latent[:, :1], log_std[:, :1]).sample(torch.randn((256, 1, 2), generator=generator))
        entropy = -ESTIMATORS[name](Gaussian(latent, log_std).log_prob(action)).mean()
        optimiser.zero_grad()
        (-entropy).backward()
        optimiser.step()
    return float(entropy.detach()), float(log_std[0, 0, 0].detach())


def test_maximising_the_elbos_entropy_hits_the_plateau_of_the_clamp() -> None:
    """E|s^1 - s^0|² / (2 e^{-40}) = 2 d / (2 e^{-40}) = 4.7e17, the scale of Figure 3, while the true entropy falls."""
    estimate, log_std = maximise_entropy("elbo")
    assert log_std == LOG_STD_MIN
    assert estimate == pytest.approx(2 * math.exp(40), rel=0.3)
    assert linear_gaussian.entropy(2, sigma=math.exp(log_std)) < linear_gaussian.entropy(2, sigma=0.5)


def test_maximising_iwaes_entropy_explodes_too() -> None:
    estimate, log_std = maximise_entropy("iwae")
    assert log_std == LOG_STD_MIN
    assert estimate > 1e14


@pytest.mark.parametrize("name", ["nested", "mlmc"])
def test_maximising_a_lower_bound_raises_the_true_entropy(name: str) -> None:
    estimate, log_std = maximise_entropy(name)
    assert log_std == LOG_STD_MAX
    assert estimate == pytest.approx(linear_gaussian.entropy(2, sigma=math.exp(2)), abs=0.3)
