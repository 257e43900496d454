"""The latent variable z of a reparameterised policy, and p(z|s, a), which reads it from what was done. # RPG, Eq 2

Three kinds with the same methods: a Gaussian, a one-hot category, and none at all, which is a constant. π(z|s), which
may be learnt, is in latent_policy.py. The posterior's deviation is fixed, so its log-density is, up to a constant, a
squared error: with 1/sqrt(2 pi) the constant is zero and the density's largest value one (haosulab/RPG@a7dc920).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.latent_world import two_layers

EVEN = 0.2  # share of the categorical posterior that is spread evenly, so that no category is impossible


class GaussianLatent(nn.Module):
    """z of real numbers; p(z|s, a) is a Gaussian with a learnt mean and the deviation `std`."""

    def __init__(self, size: int, inputs: int, width: int, std: float) -> None:
        super().__init__()
        self.size, self.std = size, std
        self.mean = two_layers(inputs, size, width, init=None)

    def draw(self, noise: Tensor) -> Tensor:
        """z (..., size): what π(z|s) made of standard normal noise."""
        return noise

    def log_posterior(self, latent: Tensor, state: Tensor, action: Tensor) -> Tensor:
        """log p(z|s, a), (...)."""
        error = (latent - self.mean(torch.cat([state, action], dim=-1))).square().sum(-1)
        return -0.5 * error / self.std**2 - self.size * math.log(self.std * math.sqrt(2 * math.pi))

    def information(self, cross_entropy: Tensor) -> Tensor:
        """A lower bound of I(z; s, a) in nats from E[-log p(z|s, a)], for a z of N(0, I): H(z) minus the cross entropy
        of the same means with the deviation that fits them best, (d/2) log(d / E|z - mean|²)."""
        error = (cross_entropy - self.size * math.log(self.std * math.sqrt(2 * math.pi))) * 2 * self.std**2
        return 0.5 * self.size * torch.log(self.size / error)


class CategoricalLatent(nn.Module):
    """z one of `size` categories, one-hot; p(z|s, a) is a softmax, a fifth of it even."""

    def __init__(self, size: int, inputs: int, width: int, std: float) -> None:
        del std
        super().__init__()
        self.size = size
        self.logits = two_layers(inputs, size, width, init=None)

    def draw(self, noise: Tensor) -> Tensor:
        """z (..., size): the category of the largest of `noise`, which is a logit plus a Gumbel draw each."""
        return F.one_hot(noise.argmax(-1), self.size).to(noise)

    def log_posterior(self, latent: Tensor, state: Tensor, action: Tensor) -> Tensor:
        """log p(z|s, a), (...)."""
        share = self.logits(torch.cat([state, action], dim=-1)).softmax(-1)
        return torch.log(((1 - EVEN) * share + EVEN / self.size).mul(latent).sum(-1))

    def information(self, cross_entropy: Tensor) -> Tensor:
        """A lower bound of I(z; s, a) in nats where all categories are equally likely."""
        return math.log(self.size) - cross_entropy


class NoLatent(nn.Module):
    """z is a constant, so that it says nothing and costs nothing."""

    def __init__(self, size: int, inputs: int, width: int, std: float) -> None:
        del size, inputs, width, std
        super().__init__()
        self.size = 1

    def draw(self, noise: Tensor) -> Tensor:
        """One, whatever the noise."""
        return torch.ones_like(noise)

    def log_posterior(self, latent: Tensor, state: Tensor, action: Tensor) -> Tensor:
        """Zero: a constant is always read rightly."""
        del latent, action
        return torch.zeros_like(state[..., 0])

    def information(self, cross_entropy: Tensor) -> Tensor:
        """None."""
        return torch.zeros_like(cross_entropy)


Latent = GaussianLatent | CategoricalLatent | NoLatent
LATENTS: dict[str, type[Latent]] = {
    "gaussian": GaussianLatent,
    "learnt_gaussian": GaussianLatent,
    "categorical": CategoricalLatent,
    "none": NoLatent,
}
