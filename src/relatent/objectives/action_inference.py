"""Inference of actions by a Gaussian q that climbs an agent's bound (Marino & Yue 2019, Algorithm 1 and Sec 3.3).

The bound of a law q of actions u is E_q[g(u)] with g = log p(O | u) + log p_a(u) - log q(u), and q* ∝ p_a p(O | .) is
best. One iteration goes a share η of the way there, log q <- (1 - η) log q + η log q* + const, a step of mirror ascent:
samples of q are weighed by exp(η g), and a Gaussian takes over their mean and deviation. Where log p(O | .) is
quadratic, and samples are many, the bound rises with every iteration.

Without a prior, g = log p(O | u), it is q <- q p(O | .)^η, which ends in the best u alone.

Actions are tanh(u). As |d tanh / du| cancels from divergences, those of u are those of actions.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from numpy.polynomial.hermite import hermgauss
from torch import Tensor

from relatent.nets.distributions import Gaussian, tanh_log_det

WIDEST = math.log(2.0)  # log-deviation
NODES = 32  # of quadrature


def infer(
    gain: Callable[[Tensor, Gaussian], Tensor], start: Gaussian, noise: Iterable[Tensor], rate: float, least_std: float
) -> Gaussian:
    """Improve a law (K, A) once for each of `noise` (N, K, A), by `gain` (N,) of samples (N, K, A) of a law."""
    law = start
    for draws in noise:
        samples = law.sample(draws)
        weights = (rate * gain(samples, law)).softmax(0)[:, None, None]
        mean = (weights * samples).sum(0)
        variance = (weights * (samples - mean).square()).sum(0)
        law = Gaussian(mean, 0.5 * variance.clamp(min=least_std**2).log().clamp(max=2 * WIDEST))
    return law


class Uniform(NamedTuple):
    """The law of u where tanh(u) is uniform on [-1, 1]^A; `like` is (..., A). # Levine 2018's prior"""

    like: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """From standard normal `noise`."""
        return torch.atanh(torch.erf(noise / math.sqrt(2)).clamp(-1 + 1e-6, 1 - 1e-6)).expand_as(self.like)

    def log_prob(self, value: Tensor) -> Tensor:
        return tanh_log_det(value) - value.shape[-1] * math.log(2)


def expected_log_prob(of: Gaussian | Uniform, under: Gaussian) -> Tensor:
    """E[log p(u)] for u ~ `under`, summed over the last axis; for a uniform law by quadrature, to about 1e-4."""
    if isinstance(of, Gaussian):
        spread = (2 * (under.log_std - of.log_std)).exp()
        return of.log_prob(under.mean) - 0.5 * spread.sum(-1)
    places, weights = (torch.from_numpy(part).to(under.mean) for part in hermgauss(NODES))
    offsets = math.sqrt(2) * places.reshape(-1, *[1] * under.mean.dim())
    values = of.log_prob(under.mean + offsets * under.log_std.exp())  # of every coordinate at its own node
    return torch.tensordot(weights / math.sqrt(math.pi), values, 1)
