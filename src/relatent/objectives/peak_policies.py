"""Policies on the reward with two peaks, and how far each is from the one that is wanted, exactly (RPG, Figure 2).

Wanted is p*(a) = exp(r(a)/T)/Z, the maximum of J + T H(π) over all policies; that sum is T (log Z - KL(π || p*)).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from relatent.objectives.two_peaks import LEFT, RIGHT, area_below, interval_mass, line, panels, reward


def log_normaliser(temperature: float) -> float:
    """log Z."""
    at, weight = panels([-1.0, *LEFT, *RIGHT, 1.0], 200)
    return float(torch.log(weight @ torch.exp(reward(at) / temperature)))


class Softmax(NamedTuple):
    """The softmax over equal bins that maximises J + T H, its actions uniform within their bin."""

    probability: Tensor
    mean_reward: Tensor
    """(bins,) of each bin."""
    reverse_kl: Tensor


def best_softmax(bins: int, temperature: float) -> Softmax:
    """In closed form: π(bin) in proportion to exp(mean reward / T)."""
    edges = torch.linspace(-1, 1, bins + 1, dtype=torch.float64)
    mean_reward = area_below(edges).diff() * bins / 2
    log_probability = torch.log_softmax(mean_reward / temperature, 0)
    inside = log_probability + math.log(bins / 2) - mean_reward / temperature
    probability = log_probability.exp()
    return Softmax(probability, mean_reward, probability @ inside + log_normaliser(temperature))


def mass_of_bins(probability: Tensor) -> Tensor:
    """(2,) probability of the left peak's support and of the right one's."""
    bins = len(probability)
    edges = torch.linspace(-1, 1, bins + 1, dtype=torch.float64)
    return torch.stack([probability @ edges.clamp(*ends).diff() * bins / 2 for ends in (LEFT, RIGHT)])


class Mixture(NamedTuple):
    """A mixture of tanh-Gaussians; one Gaussian is a mixture of one. Each (components,)."""

    logits: Tensor
    mean: Tensor
    log_std: Tensor

    def components(self, at: Tensor) -> Tensor:
        """log π(z) N(u; mean_z, std_z²) at u (n,): shape (n, components)."""
        normal = -0.5 * ((at[:, None] - self.mean) * torch.exp(-self.log_std)).square() - self.log_std
        return torch.log_softmax(self.logits, 0) + normal - 0.5 * math.log(2 * math.pi)

    def mass_per_peak(self) -> Tensor:
        """(2,) probability of the left peak's support and of the right one's."""
        each = [interval_mass(self.mean, self.log_std.exp(), *ends) for ends in (LEFT, RIGHT)]
        return torch.stack(each) @ torch.softmax(self.logits, 0)


def mean_reward_of(policy: Mixture) -> Tensor:
    """J, by quadrature."""
    at, weight = line()
    return (weight * torch.logsumexp(policy.components(at), -1).exp()) @ reward(at.tanh())


def reverse_kl(policy: Mixture, temperature: float) -> Tensor:
    """KL(π || p*) in nats, by quadrature."""
    at, weight = line()
    action = at.tanh()
    log_density = torch.logsumexp(policy.components(at), -1)
    # log π(a) = log density of u - log da/du; the latter from cosh, which does not cancel as 1 - tanh² does.
    log_ratio = log_density + 2 * torch.log(torch.cosh(at)) - reward(action) / temperature
    return (weight * log_density.exp()) @ log_ratio + log_normaliser(temperature)


def gaussian_at(mean: float, log_std: float) -> Mixture:
    return Mixture(*(torch.tensor([one], dtype=torch.float64) for one in (0.0, mean, log_std)))
