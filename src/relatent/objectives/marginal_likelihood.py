"""Estimates of log p_a(x_t | z_{t-1}, a_{t-1}), the term that Marino & Yue's Eq 8 subtracts, by samples of z_t.

    exact           -                                                   the number itself
    from_dynamics   log 1/n Σ_k p(x | z^k),  z^k ~ p_a(z | z_{t-1}, a)  a lower bound (Burda et al. 2016)
    from_posterior  log 1/n Σ_k p(x, z^k) / q(z^k),  z^k ~ q            a lower bound, at n = 1 the evidence bound
    with_own        log 1/n [p(x | z_t) + Σ_k p(x | z^k)],  z_t the belief's own sample, n - 1 others by dynamics
                                                                        an upper bound where z_t ~ p_a(z | x)

Official code (joelouismarino/variational_rl@de405de) takes log p(x | z^k) by dynamics, averaged outside the logarithm,
which is `from_dynamics` with n = 1; an earlier version of it took `from_posterior`.

Which one is subtracted decides whether the objective stays a bound. With KL = KL(q || p_a(z | x)),

    T3 + T4 - exact             =  -KL                                                          at most 0
    T3 + T4 - from_dynamics     =  -KL + E[log p(x) - estimate], for n = 1 KL(p_a(z) || p_a(z|x))  has no upper bound
    T3 + T4 - from_posterior    =  (estimate at n = 1) - (estimate at n)                        at most 0
    T3 + T4 - with_own         <=  0, because E_q estimate >= log p(x) - KL                     at most 0

so lower bounds on the marginal are harmless where q proposes and harmful where the dynamics do, for every n: where the
dynamics are so wide that none of n samples explains x, the estimate is as low as one likes. Each function is a mean
over nothing: one number for each (z_{t-1}, a, x), a deterministic function of standard normal noise.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from relatent.objectives.linear_gaussian import Gaussian, LinearGaussian
from relatent.objectives.log_mean_exp import log_mean_exp


class Transition(NamedTuple):
    """What a step of the agent is made of; batches lead."""

    latent: Tensor
    """z_{t-1}, (..., k)."""
    action: Tensor
    """a_{t-1}, (..., a)."""
    observation: Tensor
    """x_t, (..., x)."""


def exact(model: LinearGaussian, step: Transition) -> Tensor:
    """log N(x; C m, C Q C' + R), (...)."""
    marginal = model.predicted(model.dynamics(step.latent, step.action))
    return log_density(step.observation - marginal.mean, marginal.covariance)


def from_dynamics(model: LinearGaussian, step: Transition, noise: Tensor) -> Tensor:
    """From noise (..., n, k)."""
    return log_mean_exp(likelihoods(model, step, by_dynamics(model, step, noise)))


def from_posterior(model: LinearGaussian, step: Transition, posterior: Gaussian, noise: Tensor) -> Tensor:
    """From noise (..., n, k) and q(z_t|..) of mean (..., k), one covariance for all. # Burda et al. 2016, Eq 8"""
    prior = model.dynamics(step.latent, step.action)
    latents = shifted(posterior, noise)
    weights = log_density(latents - prior.mean.unsqueeze(-2), prior.covariance)
    weights = weights - log_density(latents - posterior.mean.unsqueeze(-2), posterior.covariance)
    return log_mean_exp(likelihoods(model, step, latents) + weights)


def with_own(model: LinearGaussian, step: Transition, posterior: Gaussian, noise: Tensor) -> Tensor:
    """From noise (..., n, k), whose first makes the belief's own sample, from q(z_t|..) as above."""
    own = shifted(posterior, noise[..., :1, :])
    latents = torch.cat([own, by_dynamics(model, step, noise[..., 1:, :])], -2)
    return log_mean_exp(likelihoods(model, step, latents))


def by_dynamics(model: LinearGaussian, step: Transition, noise: Tensor) -> Tensor:
    """Samples of p_a(z_t | z_{t-1}, a_{t-1}), (..., n, k)."""
    return shifted(model.dynamics(step.latent, step.action), noise)


def shifted(law: Gaussian, noise: Tensor) -> Tensor:
    """Samples (..., n, k) of laws of one covariance."""
    return law.mean.unsqueeze(-2) + noise @ torch.linalg.cholesky(law.covariance).mT


def likelihoods(model: LinearGaussian, step: Transition, latents: Tensor) -> Tensor:
    """log p(x | z^k), (..., n)."""
    return log_density(step.observation.unsqueeze(-2) - latents @ model.emission.mT, model.noise)


def log_density(off: Tensor, covariance: Tensor) -> Tensor:
    """log N(off; 0, covariance) of off (..., d), (...). One covariance for all, so one triangular solve."""
    root = torch.linalg.cholesky(covariance)
    whitened = torch.linalg.solve_triangular(root.mT, off.reshape(-1, off.shape[-1]), upper=True, left=False)
    volume = root.diagonal().log().sum() + 0.5 * off.shape[-1] * math.log(2 * math.pi)
    return -0.5 * whitened.square().sum(-1).reshape(off.shape[:-1]) - volume
