"""A policy over z whose mean is tanh of a network and whose actions are held within bounds, with the gradient of those
that are not (ALM, App D; RajGhugare19/alm@3b70f5b)."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from relatent.nets.aligned_latent import Latent, bounded_std
from relatent.nets.latent_world import two_layers

EDGE = 1e-6  # distance that actions keep from their bounds
OWN_STD = (math.exp(-5.0), math.exp(2.0))  # range of a deviation that the policy learns


class BoundedPolicy(nn.Module):
    """π(a|z). Its noise has the deviation `std`, which a schedule sets, and a limit of `noise_clip` while learning; or,
    where it `learns_std`, a deviation of its own and no limit. The mean spans [-1, 1] whatever the bound `limit` is."""

    std: Tensor

    def __init__(
        self,
        latent_size: int,
        action_size: int,
        width: int,
        learns_std: bool,
        first_std: float,
        noise_clip: float,
        limit: float,
    ) -> None:
        super().__init__()
        self.learns_std, self.noise_clip, self.limit = learns_std, noise_clip, limit
        self.net = two_layers(latent_size, (1 + learns_std) * action_size, width)
        self.register_buffer("std", torch.tensor(first_std))

    def distribution(self, latent: Tensor) -> Latent:
        """Of actions before they are held within the bounds."""
        outputs = self.net(latent)
        if not self.learns_std:
            return Latent(torch.tanh(outputs), self.std)
        mean, raw = outputs.chunk(2, -1)
        return Latent(torch.tanh(mean), bounded_std(raw, *OWN_STD))

    def explore(self, latent: Tensor, noise: Tensor, limit: Tensor) -> Tensor:
        """An action within `limit`, which is infinite for evaluation's, in units of the bound."""
        return held(self.distribution(latent).sample(noise), limit) / self.limit

    def forward(self, latent: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """An action to learn from, (..., action_size), and log π where the policy has a deviation of its own, else 0;
        the density is that of the action before it is held, (...)."""
        mean, std = self.distribution(latent)
        if not self.learns_std:
            clipped = (std * noise).clamp(-self.noise_clip, self.noise_clip)
            return held(mean + clipped, self.limit - EDGE), torch.zeros_like(mean[..., 0])
        log_prob = (-0.5 * noise.square() - std.log() - 0.5 * math.log(2 * math.pi)).sum(-1)
        return held(mean + std * noise, self.limit - EDGE), log_prob


def held(action: Tensor, limit: Any) -> Tensor:
    """Actions within [-limit, limit], with the gradient of those that are not; `limit` is a number or a scalar."""
    return action + (action.clamp(-limit, limit) - action).detach()
