"""An agent whose model is linear and Gaussian, so that every density of Marino & Yue's Eq 6 to 10 is known.

    p_a(z_t | z_{t-1}, a_{t-1})  =  N(A z_{t-1} + B a_{t-1}, Q)                 dynamics
    p_a(x_t | z_t)               =  N(C z_t, R)                                 emission
    p_a(x_t | z_{t-1}, a_{t-1})  =  N(C m, C Q C' + R),  m = A z + B a          marginal
    p_a(z_t | z_{t-1}, a_{t-1}, x_t)                                            encoder, by Bayes' rule        # Eq 7

The objective conditions on the sampled z_{t-1}; `filtered` and `kalman` sum it out instead. Float64; batches lead.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Gaussian(NamedTuple):
    """mean (..., d) and covariance (..., d, d)."""

    mean: Tensor
    covariance: Tensor

    def log_prob(self, value: Tensor) -> Tensor:
        """In nats, (...)."""
        root = torch.linalg.cholesky(self.covariance)
        off = torch.linalg.solve_triangular(root, (value - self.mean).unsqueeze(-1), upper=False).squeeze(-1)
        volume = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return -0.5 * (off.square().sum(-1) + value.shape[-1] * math.log(2 * math.pi)) - volume

    def sample(self, noise: Tensor) -> Tensor:
        """From standard normal `noise` (..., d)."""
        return self.mean + (torch.linalg.cholesky(self.covariance) @ noise.unsqueeze(-1)).squeeze(-1)

    def divergence(self, other: "Gaussian") -> Tensor:
        """KL(self || other), (...)."""
        root = torch.linalg.cholesky(other.covariance)
        off = (other.mean - self.mean).unsqueeze(-1)
        inner = torch.cholesky_solve(self.covariance.expand_as(other.covariance), root)
        distance = (off.mT @ torch.cholesky_solve(off, root)).squeeze(-1).squeeze(-1)
        volumes = torch.linalg.slogdet(other.covariance)[1] - torch.linalg.slogdet(self.covariance)[1]
        trace = inner.diagonal(dim1=-2, dim2=-1).sum(-1)
        return 0.5 * (trace + distance - self.mean.shape[-1] + volumes)


class LinearGaussian(NamedTuple):
    """A (z, z), B (z, a), C (x, z), Q (z, z), R (x, x)."""

    transition: Tensor
    control: Tensor
    emission: Tensor
    process: Tensor
    noise: Tensor

    def dynamics(self, latent: Tensor, action: Tensor) -> Gaussian:
        """p_a(z' | z, a), from z (..., z) and a (..., a)."""
        return Gaussian(latent @ self.transition.mT + action @ self.control.mT, self.process)

    def emitted(self, latent: Tensor) -> Gaussian:
        """p_a(x | z)."""
        return Gaussian(latent @ self.emission.mT, self.noise)

    def predicted(self, prior: Gaussian) -> Gaussian:
        """p_a(x) under a law of z."""
        spread = self.emission @ prior.covariance @ self.emission.mT + self.noise
        return Gaussian(prior.mean @ self.emission.mT, spread)

    def gain(self, prior: Gaussian) -> Tensor:
        """Kalman's, (..., z, x)."""
        marginal = self.predicted(prior).covariance
        return torch.linalg.solve(marginal, self.emission @ prior.covariance).mT

    def corrected(self, prior: Gaussian, observation: Tensor) -> Gaussian:
        """p_a(z | x) for a law of z and x (..., x). # Eq 7"""
        gain = self.gain(prior)
        off = observation - prior.mean @ self.emission.mT
        mean = prior.mean + (gain @ off.unsqueeze(-1)).squeeze(-1)
        keep = torch.eye(prior.mean.shape[-1], dtype=gain.dtype) - gain @ self.emission
        # Joseph's form stays symmetric and positive.
        covariance = keep @ prior.covariance @ keep.mT + gain @ self.noise @ gain.mT
        return Gaussian(mean, covariance)

    def advanced(self, belief: Gaussian, action: Tensor) -> Gaussian:
        """The law of the next z where that of z is `belief`."""
        mean = self.dynamics(belief.mean, action).mean
        return Gaussian(mean, self.transition @ belief.covariance @ self.transition.mT + self.process)


def mutual_information(emission: Tensor, process: Tensor, noise: Tensor) -> Tensor:
    """I(x_t ; z_t | z_{t-1}) = ½ log det(I + R⁻¹ C Q C') in nats, the mean of T4 - T5 under p_a. # Eq 10"""
    spread = emission @ process @ emission.mT
    return 0.5 * (torch.linalg.slogdet(spread + noise)[1] - torch.linalg.slogdet(noise)[1])


def kalman(
    model: LinearGaussian, start: Gaussian, observations: Tensor, actions: Tensor
) -> tuple[Sequence[Gaussian], Tensor]:
    """The filter's beliefs after each of `observations` (..., T, x), and log p_a(x_1..x_T | a_1..a_{T-1}) (...).

    `start` is the law of z_1; `actions` (..., T - 1, a), entry t leading from z_t to z_{t+1}.
    """
    beliefs: list[Gaussian] = []
    prior, total = start, torch.zeros(observations.shape[:-2], dtype=observations.dtype)
    for t in range(observations.shape[-2]):
        if t:
            prior = model.advanced(beliefs[-1], actions[..., t - 1, :])
        total = total + model.predicted(prior).log_prob(observations[..., t, :])
        beliefs.append(model.corrected(prior, observations[..., t, :]))
    return beliefs, total
