"""Policies whose actions and log-densities are functions of noise, for world models that are differentiated through.

Each maps (inputs, noise) to an action in (-1, 1) and its log-density; `noise_size` numbers a decision, drawn by
`draw_noise`. After haosulab/RPG@a7dc920, whose deviations carry a factor of 0.4.
"""

import math

import torch
from torch import Tensor, nn

from relatent.nets.distributions import LOG_STD_MAX, LOG_STD_MIN, Gaussian, tanh_log_det
from relatent.nets.latent_world import two_layers
from relatent.nets.noise import gumbel, normal

COMPONENTS = 12


def bounded(log_std: Tensor) -> Tensor:
    """Within SAC's range, with the gradient of what is not bounded."""
    return log_std + (log_std.clamp(LOG_STD_MIN, LOG_STD_MAX) - log_std).detach()


class TanhGaussian(nn.Module):
    """tanh of a Gaussian whose deviation is `std_scale` exp(l)."""

    def __init__(self, inputs: int, action_size: int, width: int, std_scale: float) -> None:
        super().__init__()
        self.noise_size, self.shift = action_size, math.log(std_scale)
        self.net = two_layers(inputs, 2 * action_size, width)

    def draw_noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return normal((*shape, self.noise_size), generator)

    def forward(self, inputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.net(inputs).chunk(2, -1)
        policy = Gaussian(mean, bounded(log_std) + self.shift)
        pre_tanh = policy.sample(noise)
        return torch.tanh(pre_tanh), policy.log_prob(pre_tanh) - tanh_log_det(pre_tanh)


class TanhMixture(nn.Module):
    """Twelve tanh-Gaussians. The action is one component's, drawn by its logit and without a gradient to it, and the
    log-density is the mixture's."""

    def __init__(self, inputs: int, action_size: int, width: int, std_scale: float) -> None:
        super().__init__()
        self.action_size = action_size
        self.noise_size = COMPONENTS * (action_size + 1)
        self.shift = math.log(std_scale)
        self.net = two_layers(inputs, COMPONENTS * (2 * action_size + 1), width)

    def draw_noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """A normal number for each component's coordinates, then a Gumbel number for each component."""
        normals = normal((*shape, COMPONENTS * self.action_size), generator)
        return torch.cat([normals, gumbel((*shape, COMPONENTS), generator)], dim=-1)

    def forward(self, inputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        components, logits, pre_tanh, gumbels = self.components(inputs, noise)
        log_share = logits.log_softmax(-1)
        chosen = (log_share + gumbels).argmax(-1)[..., None, None].expand(*gumbels.shape[:-1], 1, self.action_size)
        drawn = pre_tanh.gather(-2, chosen)
        log_prob = torch.logsumexp(log_share + components.log_prob(drawn), dim=-1)
        return torch.tanh(drawn).squeeze(-2), log_prob - tanh_log_det(drawn.squeeze(-2))

    def components(self, inputs: Tensor, noise: Tensor) -> tuple[Gaussian, Tensor, Tensor, Tensor]:
        """The Gaussians, their logits, a sample of each before tanh, and Gumbel draws."""
        mean, log_std, logits = self.net(inputs).split([COMPONENTS * self.action_size] * 2 + [COMPONENTS], -1)
        by_component = (*mean.shape[:-1], COMPONENTS, self.action_size)
        components = Gaussian(mean.reshape(by_component), bounded(log_std.reshape(by_component)) + self.shift)
        normals, gumbels = noise.split([COMPONENTS * self.action_size, COMPONENTS], -1)
        return components, logits, components.sample(normals.reshape(by_component)), gumbels


class SoftMixture(TanhMixture):
    """The mixture as the official code computes it: the components' actions, summed with weights of a Gumbel softmax,
    and their log-densities and logits, summed alike, which is no density."""

    def forward(self, inputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        components, logits, pre_tanh, gumbels = self.components(inputs, noise)
        weight = (logits + gumbels).softmax(-1)
        log_prob = components.log_prob(pre_tanh) - tanh_log_det(pre_tanh)
        action = (weight[..., None] * torch.tanh(pre_tanh)).sum(-2)
        return action, (weight * (log_prob + logits)).sum(-1)
