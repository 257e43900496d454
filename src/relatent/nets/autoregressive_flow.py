"""A policy of affine autoregressive layers: each coordinate is scaled and shifted by what those before it were.

Four layers on a standard normal, then tanh, as the flow of RPG's Figure 8 (haosulab/RPG@a7dc920, which builds it from a
library's layers). Sampling takes one pass; only the density of what was sampled is known cheaply, which suffices.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.distributions import tanh_log_det
from relatent.nets.latent_world import two_layers
from relatent.nets.noise import normal

LAYERS, UNITS, CONTEXT = 4, 128, 128
LOG_SCALE_MIN, LOG_SCALE_MAX = -5.0, 3.0


class Masked(nn.Linear):
    """A linear layer some of whose weights are held at zero."""

    mask: Tensor

    def __init__(self, inputs: Tensor, outputs: Tensor, allowed: Callable[[Tensor, Tensor], Tensor]) -> None:
        """`inputs` and `outputs` are the units' degrees; `allowed` says which outputs may read which inputs."""
        super().__init__(len(inputs), len(outputs))
        self.register_buffer("mask", allowed(outputs[:, None], inputs[None, :]).float(), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return F.linear(inputs, self.weight * self.mask, self.bias)


class AffineAutoregression(nn.Module):
    """y_d = shift(x_<d, context) + exp(log_scale(x_<d, context)) x_d."""

    def __init__(self, size: int, context: int) -> None:
        super().__init__()
        places = torch.arange(1, size + 1)
        # Context has degree 0: everything may read it. A hidden unit of degree m reads coordinates up to m.
        seen, hidden = torch.cat([places, torch.zeros(context)]), torch.arange(UNITS) % max(size, 1)
        self.first = Masked(seen, hidden, torch.ge)
        self.second = Masked(hidden, hidden, torch.ge)
        self.last = Masked(hidden, places.repeat(2), torch.gt)

    def forward(self, inputs: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (..., size), and the logarithm of how much they stretch volume, (...)."""
        features = F.relu(self.first(torch.cat([inputs, context], dim=-1)))
        shift, log_scale = self.last(F.relu(self.second(features))).chunk(2, -1)
        log_scale = log_scale.clamp(LOG_SCALE_MIN, LOG_SCALE_MAX)
        return shift + log_scale.exp() * inputs, log_scale.sum(-1)


class TanhFlow(nn.Module):
    """The policy, with the methods of those in tanh_policy."""

    def __init__(self, inputs: int, action_size: int, width: int, std_scale: float) -> None:
        del std_scale  # of Gaussians
        super().__init__()
        self.noise_size = action_size
        self.context = two_layers(inputs, CONTEXT, width)
        self.layers = nn.ModuleList(AffineAutoregression(action_size, CONTEXT) for _ in range(LAYERS))

    def draw_noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return normal((*shape, self.noise_size), generator)

    def forward(self, inputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        context, value = self.context(inputs), noise
        log_prob = -0.5 * (noise.square() + math.log(2 * math.pi)).sum(-1)
        for layer in self.layers:
            value, stretched = layer(value, context)
            log_prob = log_prob - stretched
        return torch.tanh(value), log_prob - tanh_log_det(value)
