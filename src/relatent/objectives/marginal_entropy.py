"""Estimates of log π(a|h) = log E_{s~q(·|h)} π(a|s) for a policy with a latent variable (SMAC, Sec 3.2).

Every estimator is a function of the component log-densities `log_probs` = log π(a|s^k), of shape (..., K+1), and
returns shape (...). All s^k are independent samples of q(·|h), and the action was drawn from π(·|s^0): particle 0 is a
sample of the posterior p(s|a, h), particles 1..K are samples of the prior. The entropy's estimate is minus the value.

    nested        entropy too low, rises to the truth with K; at most H(π(·|s)) + log(K+1)     Eq 11
    mlmc          the same expectation as nested, larger variance                              Eq 12, official code
    mlmc_literal  the same expectation as nested, larger variance still                        Eq 12, as printed
    iwae          entropy too high, falls to the truth with K                                  Figure 3
    elbo          entropy too high by an amount without limit                                  Eq 9

Which particles a sum includes decides its direction: with the one that generated the action it bounds the entropy from
below, without it from above. Maximising an upper bound maximises its error (Sec 3.2.1).

Densities may be taken before a squashing function such as tanh: its Jacobian is one and the same for all particles and
is to be subtracted once from the value returned here.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from relatent.objectives.log_mean_exp import log_mean_exp
from relatent.specs.errors import SpecError, unknown


def nested(log_probs: Tensor) -> Tensor:
    """log (1/(K+1)) Σ_{k=0..K} π(a|s^k). # Eq 11"""
    return log_mean_exp(log_probs)


def mlmc(log_probs: Tensor) -> Tensor:
    """Antithetic multi-level Monte Carlo as the official code has it: level 0 is the mean over all K particles. # Eq 12

    All levels share one set of particles, so this is `nested` plus a term of mean zero that is uncorrelated with it:
    the expectation is equal and the variance cannot be smaller. Averaging over the particles' order gives `nested`.
    """
    source, others = log_probs[..., :1], log_probs[..., 1:]
    level_0 = torch.logaddexp(source, others).mean(-1) - math.log(2)
    return telescope(log_probs, level_0)


def mlmc_literal(log_probs: Tensor) -> Tensor:
    """Antithetic multi-level Monte Carlo as printed: level 0 is the estimate from the first particle. # Eq 12"""
    return telescope(log_probs, nested(log_probs[..., :2]))


def elbo(log_probs: Tensor) -> Tensor:
    """log π(a|s^1): the evidence lower bound of log π(a|h) with q̃(s|a, h) = q(s|h). # Eq 9"""
    return log_probs[..., 1]


def iwae(log_probs: Tensor) -> Tensor:
    """log (1/K) Σ_{k=1..K} π(a|s^k): the importance-weighted bound, without the particle that made the action."""
    return log_mean_exp(log_probs[..., 1:])


def telescope(log_probs: Tensor, level_0: Tensor) -> Tensor:
    """C_0 + Σ_{l=1..L} [C_l - ½ (C_{l-1} + D_l)] for K = 2^L particles beside s^0. # Eq 12

    C_l is the nested estimate from the first 2^l particles and D_l the one from the second half of these; the first
    half is level l-1's own set. `level_0` stands for C_0 wherever it occurs. Particle 0 is in every term.
    """
    source, others = log_probs[..., :1], log_probs[..., 1:]
    particles = others.shape[-1]
    require_power_of_two(particles)
    total = coarse = level_0
    for level in range(1, particles.bit_length()):
        half = 2 ** (level - 1)
        fine = nested(torch.cat([source, others[..., : 2 * half]], dim=-1))
        antithetic = nested(torch.cat([source, others[..., half : 2 * half]], dim=-1))
        total = total + fine - 0.5 * (coarse + antithetic)
        coarse = fine
    return total


def require_power_of_two(particles: int) -> None:
    """Eq 12 halves the particles down to one. The official code rounds their number up instead of refusing it."""
    if particles < 1 or particles & (particles - 1):
        raise SpecError(f"particles: mlmc halves them down to one, expected 1, 2, 4, 8, 16, ..., got {particles}")


ESTIMATORS: dict[str, Callable[[Tensor], Tensor]] = {
    "nested": nested,
    "mlmc": mlmc,
    "mlmc_literal": mlmc_literal,
    "elbo": elbo,
    "iwae": iwae,
}


def extra_particles(estimator: str, particles: int) -> int:
    """How many latent states to draw beside s^0 for an estimator whose K is `particles`."""
    if estimator not in ESTIMATORS:
        raise SpecError(unknown("entropy estimator", estimator, ESTIMATORS))
    if particles < 1:
        raise SpecError(f"particles: expected at least 1, got {particles}")
    if estimator in ("mlmc", "mlmc_literal"):
        require_power_of_two(particles)
    return 1 if estimator == "elbo" else particles
