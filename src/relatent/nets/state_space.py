"""A learned model of what is seen, with a latent state that is inferred (Marino & Yue 2019, Eq 2, 7 and 8).

    p_a(z_t | z_{t-1}, a_{t-1})      diagonal Gaussian, its mean a step from z_{t-1}       dynamics
    p_a(x_t | z_t)                   Gaussian around C z_t + c, of independent noise       emission
    p_a(r_t | z_t)                   Gaussian around a network
    q(z_t | z_{t-1}, a_{t-1}, x_t)   diagonal Gaussian                                     inference

Only the mean of x is linear in z, which is ours: the marginal p_a(x_t | z_{t-1}, a_{t-1}) of Eq 8 and the information
I(x_t ; z_t | z_{t-1}) of Eq 10 are then closed forms of a network's outputs instead of estimates. The rewards' are not,
so that both are of x alone.

q begins as the dynamics' prediction and is improved by a network that sees by how much it errs, some steps long
(variational filtering, Marino et al. 2018; one step in joelouismarino/variational_rl@de405de). Before the first
observation of an episode or a segment z and a are zero.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.distributions import Gaussian
from relatent.nets.mlp import mlp

LOWEST, HIGHEST = math.log(0.01), math.log(2.0)  # of log-deviations of z
FIRST_NOISE = math.log(0.3)  # log-deviation of x and r before anything is learnt
LEAST_NOISE = math.log(0.02)


class Path(NamedTuple):
    """Along sequences of T observations: (B, T, ..)."""

    latent: Tensor
    """Samples of q."""
    posterior: Gaussian
    predicted: Gaussian
    """By the dynamics, from the latent before."""


def bounded(raw: Tensor) -> Tensor:
    """A log-deviation of z."""
    return LOWEST + (HIGHEST - LOWEST) * torch.sigmoid(raw)


class StateSpace(nn.Module):
    """The model, and q."""

    def __init__(self, observation_size: int, action_size: int, latent_size: int, width: int, steps: int) -> None:
        super().__init__()
        self.latent_size, self.action_size, self.steps = latent_size, action_size, steps
        self.transition = mlp([latent_size + action_size, width, width, 2 * latent_size])
        self.emission = nn.Linear(latent_size, observation_size)
        self.rewards = mlp([latent_size, width, width, 1])
        self.noise = nn.Parameter(torch.full((observation_size + 1,), FIRST_NOISE))  # of x, then of r
        self.correction = mlp([3 * latent_size + observation_size, width, 2 * latent_size])

    def inference_parameters(self) -> list[nn.Parameter]:
        """Those of q alone; all others are p_a's."""
        return list(self.correction.parameters())

    # p_a

    def dynamics(self, latent: Tensor, action: Tensor) -> Gaussian:
        """p_a(z' | z, a)."""
        change, raw = self.transition(torch.cat([latent, action], dim=-1)).chunk(2, -1)
        return Gaussian(latent + change, bounded(raw))

    def emitted(self, latent: Tensor) -> Gaussian:
        """p_a(x | z)."""
        return Gaussian(self.emission(latent), self.noises()[:-1])

    def rewarded(self, latent: Tensor) -> Gaussian:
        """p_a(r | z), (..., 1)."""
        return Gaussian(self.rewards(latent), self.noises()[-1:])

    def noises(self) -> Tensor:
        """Log-deviations of x and r, of which the least is approached smoothly."""
        return LEAST_NOISE + F.softplus(self.noise - LEAST_NOISE)

    def marginal(self, predicted: Gaussian, observation: Tensor) -> Tensor:
        """log p_a(x_t | z_{t-1}, a_{t-1}), (...). # Eq 8"""
        root = torch.linalg.cholesky(self.spread(predicted))
        off = observation - self.emission(predicted.mean)
        standardised = torch.linalg.solve_triangular(root, off.unsqueeze(-1), upper=False).squeeze(-1)
        volume = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return -0.5 * standardised.square().sum(-1) - volume - 0.5 * off.shape[-1] * math.log(2 * math.pi)

    def information(self, predicted: Gaussian) -> Tensor:
        """I(x_t ; z_t | z_{t-1}, a_{t-1}) in nats, the mean of log p_a(x | z) - log p_a(x | z_<) under p_a. # Eq 10"""
        return 0.5 * torch.logdet(self.spread(predicted)) - self.noises()[:-1].sum()

    def spread(self, predicted: Gaussian) -> Tensor:
        """Covariance of x_t given z_{t-1} and a_{t-1}, C Q C' + R."""
        scaled = self.emission.weight * predicted.log_std.exp().unsqueeze(-2)
        return scaled @ scaled.mT + torch.diag_embed((2 * self.noises()[:-1]).exp())

    # q

    def infer(self, predicted: Gaussian, observation: Tensor) -> Gaussian:
        """q(z_t | z_{t-1}, a_{t-1}, x_t). # Algorithm 1, internal state inference"""
        posterior = predicted
        for _ in range(self.steps):
            seen = (observation - self.emission(posterior.mean)) * torch.exp(-self.noises()[:-1])
            moved = (posterior.mean - predicted.mean) * torch.exp(-predicted.log_std)
            inputs = torch.cat([posterior.mean, posterior.log_std, moved, seen], dim=-1)
            change, raw = self.correction(inputs).chunk(2, -1)
            posterior = Gaussian(posterior.mean + change, bounded(raw))
        return posterior

    def follow(self, observations: Tensor, actions: Tensor, noise: Tensor) -> Path:
        """Infer along x (B, T, observation_size) and the actions between them (B, T - 1, action_size), from `noise`
        (B, T, latent_size)."""
        latent, action = self.nothing(observations[:, 0])
        latents, posteriors, predictions = [], [], []
        for step in range(observations.shape[1]):
            predicted = self.dynamics(latent, action if step == 0 else actions[:, step - 1])
            posterior = self.infer(predicted, observations[:, step])
            latent = posterior.sample(noise[:, step])
            latents.append(latent)
            posteriors.append(posterior)
            predictions.append(predicted)
        return Path(torch.stack(latents, dim=1), stacked(posteriors), stacked(predictions))

    def nothing(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """z and a before anything is seen, for observations `like` these."""
        return tuple(like.new_zeros(*like.shape[:-1], size) for size in (self.latent_size, self.action_size))  # type: ignore[return-value]


def stacked(gaussians: list[Gaussian]) -> Gaussian:
    """Along a second axis, of time."""
    mean, log_std = (torch.stack(parts, dim=1) for parts in zip(*gaussians, strict=True))
    return Gaussian(mean, log_std)
