"""s ~ N(0, I), a = g s + σ ε: a latent policy with closed forms. Written apart from the package's own."""

import math

import torch
from torch import Tensor


def entropy(dimension: int, gain: float = 1.0, sigma: float = 0.5) -> float:
    return dimension / 2 * math.log(2 * math.pi * math.e * (gain**2 + sigma**2))


def conditional_entropy(dimension: int, sigma: float = 0.5) -> float:
    return dimension / 2 * math.log(2 * math.pi * math.e * sigma**2)


def log_probs(latent: Tensor, noise: Tensor, gain: Tensor, sigma: Tensor) -> Tensor:
    """log π(a|s^k) of shape (n, K+1), for one gain and one sigma a sample, each (n,)."""
    means = gain[:, None, None] * latent
    action = means[:, :1] + sigma[:, None, None] * noise[:, None]
    return torch.distributions.Normal(means, sigma[:, None, None]).log_prob(action).sum(-1)


def draw(samples: int, particles: int, dimension: int, seed: int) -> tuple[Tensor, Tensor]:
    """Latent states (n, K+1, d) and noise (n, d)."""
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn((samples, particles + 1, dimension), generator=generator, dtype=torch.float64)
    return latent, torch.randn((samples, dimension), generator=generator, dtype=torch.float64)


def sample(samples: int, particles: int, dimension: int, seed: int, sigma: float = 0.5) -> Tensor:
    """log π(a|s^k) of shape (n, K+1), in chunks to bound memory."""
    chunks = []
    for start in range(0, samples, 20_000):
        count = min(20_000, samples - start)
        latent, noise = draw(count, particles, dimension, seed * 1000 + start // 20_000)
        ones = torch.ones(count, dtype=torch.float64)
        chunks.append(log_probs(latent, noise, ones, sigma * ones))
    return torch.cat(chunks)


def standard_error(values: Tensor) -> float:
    return float(values.std()) / math.sqrt(len(values))
