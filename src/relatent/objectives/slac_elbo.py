"""SLAC's bound of what its model finds likely of a sequence (Lee et al. 2020, Eq 6, with rewards as the code has them).

    log p(x_≤T, r_≤T | a_<T)  >=  E_q Σ_t [ log p(x_t | z_t) + log p(r_t | z_{t-1}, a_{t-1}, z_t)
                                            - KL(q(z¹_t | x_t, z²_{t-1}, a_{t-1}) || p(z¹_t | z²_{t-1}, a_{t-1})) ]

No reward is judged where nothing led to it: at a sequence's first row, and where an episode begins. What is trained is
the bound's mean over sequences, a sum over steps, as in alexlee-gk/slac@14a366e.
"""

import math
from typing import NamedTuple

from torch import Tensor

from relatent.nets.aligned_latent import divergence
from relatent.nets.distributions import Gaussian
from relatent.nets.image import unit
from relatent.nets.sequences import Sequences
from relatent.nets.slac_model import SlacModel


class Terms(NamedTuple):
    """Of each sequence at one sample of q, summed over its steps; in nats, (...)."""

    observation: Tensor
    reward: Tensor
    divergence: Tensor

    @property
    def bound(self) -> Tensor:
        """# Eq 6"""
        return self.observation + self.reward - self.divergence


def fixed_log_prob(mean: Tensor, value: Tensor, variance: float) -> Tensor:
    """Log-density of images (..., 3, side, side) under Gaussians of one variance, (...)."""
    squares = (value - mean).square() / variance + math.log(2 * math.pi * variance)
    return -0.5 * squares.sum((-3, -2, -1))


def slac_terms(model: SlacModel, batch: Sequences, noise: Tensor, image_variance: float) -> Terms:
    """The bound's three sums; `noise` is (B, T, z¹ + z²)."""
    found = model.filter(model.compress(batch.observation), batch.action, batch.first, noise)
    image = model.decode(found.latents)
    law = model.rewarded(found.latents, batch.action)
    reward = Gaussian(law.mean, law.std.log()).log_prob(batch.reward[..., 1:, None])
    return Terms(
        fixed_log_prob(image, unit(batch.observation, image.dtype), image_variance).sum(-1),
        (reward * (1 - batch.first[..., 1:])).sum(-1),
        divergence(found.posterior, found.prior).sum(-1),
    )
