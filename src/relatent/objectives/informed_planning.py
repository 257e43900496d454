"""What a plan is worth when it is also paid for what will be seen: Marino & Yue's Eq 10, for a point among noises.

The agent's model is a point whose noises depend on where it is, and are alike in all of its d directions:

    p_a(z_τ | z_{τ-1}, a_{τ-1})  =  N(z_{τ-1} + stride a_{τ-1}, q I),    q = motion(z_{τ-1})
    p_a(x_τ | z_τ)               =  N(z_τ, r I),                         r = sight(z_τ)
    r_τ                          =  -|z_τ - goal|²

Hence a Gaussian belief stays alike in all directions, and one variance says all. Of a sequence of actions

    Σ_τ E[r_τ] + β I_τ                                                                                       # Eq 10

has reward and information in closed form along the rollout of means m_τ, the noises taken at the means as an extended
Kalman filter does. With constant noises that is exact; else it leaves out, to first order in q, ¼ q |∇r / r|² nats a
direction, which the size of the observation's noise says by itself. The information I_τ = E[log p_a(x_τ|z_τ) -
log p_a(x_τ|..)] has two readings, by what is given before x_τ:

    latents  ..  =  z_<τ, as Eq 10 has it:                d/2 log(1 + q / r)
    beliefs  ..  =  x_<τ, the belief's variance v kept:   d/2 log(1 + (v + q) / r),   then 1/v = 1/(v + q) + 1/r
             whose sum over τ is all that the observations say of the states.

Both rise where r falls, and both rise where q rises. Time leads: actions (H, ..., d), means (H + 1, ..., d), of which
the first is now. Float64, in nats.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Terrain(NamedTuple):
    """The model."""

    motion: Callable[[Tensor], Tensor]
    """q, from z (..., d): the variance of motion in each direction, (...)."""
    sight: Callable[[Tensor], Tensor]
    """r, of observations."""
    goal: Tensor
    """(d,)"""
    stride: float
    """How far an action of length one leads."""


class Belief(NamedTuple):
    """N(mean, variance I)."""

    mean: Tensor
    """(..., d)"""
    variance: Tensor
    """(...)"""

    def advanced(self, terrain: Terrain, action: Tensor) -> "Belief":
        """Before the next observation."""
        return Belief(self.mean + terrain.stride * action, self.variance + terrain.motion(self.mean))

    def corrected(self, terrain: Terrain, observation: Tensor) -> "Belief":
        """After it, its noise taken at the mean."""
        noise = terrain.sight(self.mean)
        gain = self.variance / (self.variance + noise)
        return Belief(self.mean + gain[..., None] * (observation - self.mean), gain * noise)


def rollout(terrain: Terrain, start: Tensor, actions: Tensor) -> Tensor:
    """The means (H + 1, ..., d) that lead from `start` (..., d)."""
    steps = terrain.stride * actions.cumsum(0)
    return torch.cat([start.expand_as(steps[:1]), start + steps])


def expected_reward(terrain: Terrain, means: Tensor, variance: Tensor) -> Tensor:
    """Σ_τ E[r_τ] from a belief of `variance`, (...): nothing that is seen on the way changes the actions."""
    spread = variance + terrain.motion(means[:-1]).cumsum(0)
    return -((means[1:] - terrain.goal).square().sum(-1) + means.shape[-1] * spread).sum(0)


def latent_information(terrain: Terrain, means: Tensor, _variance: Tensor) -> Tensor:
    """Each I(x_τ ; z_τ | z_<τ), (H, ...)."""
    return means.shape[-1] / 2 * torch.log1p(terrain.motion(means[:-1]) / terrain.sight(means[1:]))


def belief_information(terrain: Terrain, means: Tensor, variance: Tensor) -> Tensor:
    """Each I(x_τ ; z_τ | x_<τ), (H, ...), from a belief of `variance`."""
    found = []
    for motion, sight in zip(terrain.motion(means[:-1]), terrain.sight(means[1:]), strict=True):
        before = variance + motion
        found.append(means.shape[-1] / 2 * torch.log1p(before / sight))
        variance = before * sight / (before + sight)
    return torch.stack(found)


INFORMATION = {"latents": latent_information, "beliefs": belief_information}
"""The readings of Eq 10's second term."""


def worth(terrain: Terrain, belief: Belief, actions: Tensor, beta: float, reading: str) -> Tensor:
    """Of actions (H, ..., d) from a belief, (...). # Eq 10"""
    means = rollout(terrain, belief.mean, actions)
    informed = INFORMATION[reading](terrain, means, belief.variance).sum(0)
    return expected_reward(terrain, means, belief.variance) + beta * informed
