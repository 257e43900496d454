"""Bias and variance of every estimator of the marginal entropy where the truth is known (figure smac_entropy).

The policy is linear and Gaussian in d dimensions,

    s ~ N(0, I),   a = g s + σ ε,   hence   a ~ N(0, (g² + σ²) I),

so that its entropy and the entropy's gradient are known in closed form:

    H = d/2 log(2πe (g² + σ²)),   ∂H/∂g = d g / (g² + σ²),   ∂H/∂log σ = d σ² / (g² + σ²).

Gradients are those of one sample's estimate by the parameters (g, log σ) at g = 1, reparameterised: through the action
and through all particles, as training takes them. Estimates with different K share their first particles, so that
curves over K are paired.

What `run` records, one entry for every (estimator, K, d), all of equal length; there are no rows in returns.csv
    estimator_index     position in `estimators` of the hyperparameters
    particles           K, latent states drawn beside the one that made the action; elbo uses one whatever K
    dimension           d
    true_entropy        H in nats
    bias, bias_se       mean of the estimated entropy - H, and its standard error
    variance            of one sample's estimate
    gradient_bias       norm of (mean of the estimated gradient - gradient of H)
    gradient_bias_se    root of the summed squared standard errors of the gradient's components: what gradient_bias is
                        about when there is no bias
    gradient_variance   of one sample's gradient, summed over its components
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relatent.objectives.marginal_entropy import ESTIMATORS, extra_particles

CHUNK = 2000  # samples held in memory at once


@dataclass(frozen=True)
class Hyper:
    estimators: tuple[str, ...]
    """Names of estimators in relatent.objectives.marginal_entropy."""
    particles: tuple[int, ...]
    """Numbers K of latent states beside the one that made the action; powers of two."""
    dimensions: tuple[int, ...]
    """Dimensions d of latent state and action."""
    sigma: float
    """Standard deviation of the action given the latent state."""
    samples: int
    """Independent estimates that means and variances are taken over."""


def true_entropy(dimension: int, sigma: float) -> float:
    """H in nats."""
    return 0.5 * dimension * math.log(2 * math.pi * math.e * (1 + sigma**2))


def true_gradient(dimension: int, sigma: float) -> Tensor:
    """(∂H/∂g, ∂H/∂log σ)."""
    return dimension * torch.tensor([1.0, sigma**2], dtype=torch.float64) / (1 + sigma**2)


def component_log_probs(latent: Tensor, noise: Tensor, sigma: float) -> tuple[Tensor, list[Tensor]]:
    """log π(a|s^k) and its derivatives by g and log σ at g = 1, each (n, K+1), for a = g s^0 + σ ε.

    Latent states have shape (n, K+1, d), noise ε (n, d). With z_k = (a - g s^k)/σ = ε + g (s^0 - s^k)/σ, the derivative
    of log π = -|z|²/2 - d log σ - d/2 log 2π by g is -z·(s^0 - s^k)/σ, and by log σ it is z·(s^0 - s^k)/σ - d.
    """
    dimension = latent.shape[-1]
    offset = (latent[:, :1] - latent) / sigma
    standardised = noise[:, None] + offset
    log_probs = -0.5 * standardised.square().sum(-1) - dimension * math.log(sigma * math.sqrt(2 * math.pi))
    along = (standardised * offset).sum(-1)
    return log_probs, [-along, along - dimension]


def entropy_estimates(estimator: Callable[[Tensor], Tensor], log_probs: Tensor, derivatives: list[Tensor]) -> Tensor:
    """Entropy and its derivatives by both parameters, one column a sample: shape (3, n)."""
    leaf = log_probs.detach().requires_grad_()
    log_marginal = estimator(leaf)
    (weights,) = torch.autograd.grad(log_marginal.sum(), leaf)
    return -torch.stack([log_marginal.detach(), *((weights * derivative).sum(-1) for derivative in derivatives)])


def run(spec: dict[str, Any], record: Any) -> None:
    """Estimate means and variances and record what the module's text lists."""
    hyper = Hyper(**spec["hyper"])
    cases = [(name, particles) for name in hyper.estimators for particles in hyper.particles]
    for name, particles in cases:
        extra_particles(name, particles)  # raises on a name or a number that cannot be
    generator = torch.Generator().manual_seed(spec["seed"])
    rows: list[dict[str, float]] = []
    for done, dimension in enumerate(hyper.dimensions):
        record.progress(done, len(hyper.dimensions))
        moments = sample_moments(hyper, cases, dimension, generator)
        for (name, particles), (mean, variance) in zip(cases, moments, strict=True):
            standard_error = (variance / hyper.samples).sqrt()
            rows.append(
                {
                    "estimator_index": hyper.estimators.index(name),
                    "particles": particles,
                    "dimension": dimension,
                    "true_entropy": true_entropy(dimension, hyper.sigma),
                    "bias": float(mean[0]) - true_entropy(dimension, hyper.sigma),
                    "bias_se": float(standard_error[0]),
                    "variance": float(variance[0]),
                    "gradient_bias": float((mean[1:] - true_gradient(dimension, hyper.sigma)).norm()),
                    "gradient_bias_se": float(standard_error[1:].norm()),
                    "gradient_variance": float(variance[1:].sum()),
                }
            )
    for key in rows[0]:
        record.arrays(**{key: torch.tensor([row[key] for row in rows], dtype=torch.float64).numpy()})


def sample_moments(
    hyper: Hyper, cases: list[tuple[str, int]], dimension: int, generator: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """Mean and variance of (entropy, ∂/∂g, ∂/∂log σ), each (3,), for every (estimator, K)."""
    moments = [RunningMoments() for _ in cases]
    for start in range(0, hyper.samples, CHUNK):
        count = min(CHUNK, hyper.samples - start)
        shape = (count, 1 + max(hyper.particles), dimension)
        latent = torch.randn(shape, generator=generator, dtype=torch.float64)
        noise = torch.randn((count, dimension), generator=generator, dtype=torch.float64)
        log_probs, derivatives = component_log_probs(latent, noise, hyper.sigma)
        for (name, particles), moment in zip(cases, moments, strict=True):
            used = slice(0, particles + 1)
            of_used = [derivative[:, used] for derivative in derivatives]
            moment.add(entropy_estimates(ESTIMATORS[name], log_probs[:, used], of_used))
    return [(moment.mean, moment.squares / (moment.count - 1)) for moment in moments]


class RunningMoments:
    """Mean and summed squared deviations over chunks (Chan et al. 1979), free of cancellation."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros(3, dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """Include `values` of shape (3, n)."""
        new, before = values.shape[1], self.count
        mean = values.mean(1)
        shift = mean - self.mean
        self.count += new
        self.mean = self.mean + shift * new / self.count
        self.squares = self.squares + (values - mean[:, None]).square().sum(1) + shift**2 * before * new / self.count
