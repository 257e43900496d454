"""A linear-Gaussian agent in a linear-Gaussian world: Marino & Yue's Eq 6 and 8 in expectation, without sampling.

The world has one dimension that actions move and many that they do not; all are seen through noise:

    s_{t+1} = m s_t + b a_t + w,    d^i_{t+1} = φ_i d^i_t + w^i,    x_t = (s_t, d_t) + v        r_t = -c (s_t² + ρ a_t²)

The agent has a belief and a policy that are linear too, with parameters of their own beside those of its model:

    q(z_t | z_{t-1}, a_{t-1}, x_t) = N(F z_{t-1} + G a_{t-1} + K x_t, S S'),     q(a_t | z_t) = N(L z_t, σ²)

All means are zero, so second moments are the whole law: `settled` carries them through 2^DOUBLINGS steps from rest, and
each function after it is the mean of one log density per step. Gradients are exact, through the world as well, which
only an experiment can do whose world is known. Tensors are float64 and have a leading axis of n problems; those with
fewer latents or distractors than the widest are padded with latents of N(0, 1) and silent sensors. In nats.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import solve_discrete_are
from torch import Tensor

from relatent.objectives.linear_gaussian import LinearGaussian

DOUBLINGS = 10
"""Moments are those after 2^10 steps; what a decay of 0.98 has not forgotten by then is of size 1e-9."""


class World(NamedTuple):
    """n problems, D distractors at most."""

    decay: float
    """m."""
    control: float
    """b."""
    process: float
    """Variance of w."""
    action_cost: float
    """Of a squared action, beside a squared state."""
    reward_scale: float
    """c, in nats."""
    sensor: Tensor
    """Variances of v, (n, 1 + D), the controlled dimension first; 0 where a sensor is padding."""
    distractor_decay: Tensor
    """φ, (n, D)."""
    distractor_variance: Tensor
    """Of d, settled, (n, D); 0 where padding."""

    def sensors(self) -> Tensor:
        """How many are not padding, (n,)."""
        return (self.sensor > 0).to(self.sensor).sum(-1)


class Belief(NamedTuple):
    """N(F z + G a + K x, S S'), as q(z_t|..) and as a discriminative agent's p_a(z_t|..)."""

    recurrence: Tensor
    """F, (n, k, k)."""
    action: Tensor
    """G, (n, k, 1)."""
    gain: Tensor
    """K, (n, k, 1 + D)."""
    root: Tensor
    """S, (n, k, k), lower triangular."""


class Policy(NamedTuple):
    """N(L z, σ²), as q(a_t|z_t) and as p_a(a_t|z_t)."""

    gain: Tensor
    """L, (n, 1, k)."""
    deviation: Tensor
    """Standard deviation, (n, 1, 1)."""


class Moments(NamedTuple):
    """E[u v'] of the past u = (z_{t-1}, a_{t-1}), the observation x_t and the belief z_t."""

    state: Tensor
    """E s_t², (n,)."""
    task: Tensor
    """E z_t s_t, (n, k)."""
    distractors: Tensor
    """E z_t d_t', (n, k, D)."""
    past: Tensor
    """E u u', (n, k + 1, k + 1)."""
    past_observation: Tensor
    """E u x', (n, k + 1, 1 + D)."""
    observation: Tensor
    """E x x', (n, 1 + D, 1 + D)."""
    latent: Tensor
    """E z z', (n, k, k)."""
    latent_past: Tensor
    """E z u', (n, k, k + 1)."""
    latent_observation: Tensor
    """E z x', (n, k, 1 + D)."""

    def given(self) -> Tensor:
        """E (u, x) (u, x)', of what a belief is made from, (n, k + 2 + D, k + 2 + D)."""
        above = torch.cat([self.past, self.past_observation], -1)
        return torch.cat([above, torch.cat([self.past_observation.mT, self.observation], -1)], -2)


def settled(world: World, belief: Belief, policy: Policy) -> Moments:
    """Second moments of the closed loop, long after a start from zero; huge where the loop is unstable."""
    m, b, latents = world.decay, world.control, belief.gain.shape[-2]
    seen, rest = belief.gain[..., :1], belief.gain[..., 1:]
    nothing = torch.zeros_like(policy.gain[..., :1])
    # The controlled dimension and the belief: c' = W c + N d' + noise.
    fed_back = belief.recurrence + (belief.action + b * seen) @ policy.gain
    top = torch.cat([torch.full_like(nothing, m), b * policy.gain], -1)
    loop = torch.cat([top, torch.cat([m * seen, fed_back], -1)], -2)
    distracted = torch.cat([torch.zeros_like(rest[..., :1, :]), rest], -2)
    noises = [
        torch.cat([torch.full_like(nothing, b), belief.action + b * seen], -2) * policy.deviation,
        torch.cat([torch.ones_like(nothing), seen], -2) * math.sqrt(world.process),
        torch.cat([torch.zeros_like(nothing), seen], -2) * world.sensor[:, None, :1].sqrt(),
        distracted * world.sensor[:, None, 1:].sqrt(),
        torch.cat([torch.zeros_like(policy.gain), belief.root], -2),
    ]
    white = torch.cat(noises, -1)

    # E c d' = W (E c d') Φ + N V, and then E c c', by doubling.
    powers = [loop]
    for _ in range(DOUBLINGS - 1):
        powers.append(powers[-1] @ powers[-1])
    driven = distracted * world.distractor_variance[:, None, :]
    decays, cross = world.distractor_decay[:, None, :], driven
    for power in powers:
        cross = torch.addcmul(cross, power @ cross, decays)
        decays = decays.square()
    coloured = loop @ (cross * world.distractor_decay[:, None, :]) @ distracted.mT
    core = white @ white.mT + driven @ distracted.mT + coloured + coloured.mT
    for power in powers:
        core = torch.baddbmm(core, power @ core, power.mT)

    # (z, a) and what is seen a step later.
    acts = torch.cat([torch.eye(latents, dtype=loop.dtype).expand_as(belief.recurrence), policy.gain], -2)
    past = acts @ core[:, 1:, 1:] @ acts.mT
    past = past + torch.nn.functional.pad(policy.deviation.square(), (latents, 0, latents, 0))
    ahead = m * acts @ core[:, 1:, :1] + b * past[..., -1:]
    drifted = acts @ cross[:, 1:] * world.distractor_decay[:, None, :]
    past_observation = torch.cat([ahead, drifted], -1)
    below = torch.cat([cross[:, :1].mT, torch.diag_embed(world.distractor_variance)], -1)
    states = torch.cat([torch.cat([core[:, :1, :1], cross[:, :1]], -1), below], -2)
    observation = states + torch.diag_embed(world.sensor)
    moved = torch.cat([belief.recurrence, belief.action], -1)
    return Moments(
        state=core[:, 0, 0],
        task=core[:, 1:, 0],
        distractors=cross[:, 1:],
        past=past,
        past_observation=past_observation,
        observation=observation,
        latent=core[:, 1:, 1:],
        latent_past=moved @ past + belief.gain @ past_observation.mT,
        latent_observation=moved @ past_observation + belief.gain @ observation,
    )


# Means of log densities per step, (n,)


def reward(world: World, moments: Moments) -> Tensor:
    """E r. # Eq 3"""
    return -world.reward_scale * (moments.state + world.action_cost * moments.past[:, -1, -1])


def action_log_density(of: Policy, under: Policy, moments: Moments) -> Tensor:
    """E log N(a; L z, σ²) of `of`, where a is drawn by `under`."""
    gap = under.gain - of.gain
    spread = (gap @ moments.latent @ gap.mT + under.deviation.square()) / of.deviation.square()
    return -0.5 * (spread + (2 * math.pi * of.deviation.square()).log()).flatten()


def belief_entropy(belief: Belief) -> Tensor:
    """-E log q(z|..)."""
    volume = belief.root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return volume + 0.5 * belief.root.shape[-1] * math.log(2 * math.pi * math.e)


def encoder_log_density(encoder: Belief, moments: Moments) -> Tensor:
    """E log p_a(z_t | z_{t-1}, a_{t-1}, x_t) of a direct encoder. # Eq 6"""
    means = torch.cat([encoder.recurrence, encoder.action, encoder.gain], -1)
    shared = means @ torch.cat([moments.latent_past, moments.latent_observation], -1).mT
    error = moments.latent - shared - shared.mT + means @ moments.given() @ means.mT
    whitened = torch.linalg.solve_triangular(encoder.root, error, upper=False)
    whitened = torch.linalg.solve_triangular(encoder.root, whitened.mT, upper=False)
    volume = encoder.root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return -0.5 * (trace(whitened) + error.shape[-1] * math.log(2 * math.pi)) - volume


def dynamics_log_density(model: LinearGaussian, moments: Moments) -> Tensor:
    """E log p_a(z_t | z_{t-1}, a_{t-1}); the covariance is diagonal. # Eq 8"""
    means, variance = torch.cat([model.transition, model.control], -1), diagonal(model.process)
    error = diagonal(moments.latent) - 2 * (means * moments.latent_past).sum(-1)
    error = error + (means @ moments.past * means).sum(-1)
    return -0.5 * (error / variance + (2 * math.pi * variance).log()).sum(-1)


def emission_log_density(world: World, model: LinearGaussian, moments: Moments) -> Tensor:
    """E log p_a(x_t | z_t), of the sensors that there are; the covariance is diagonal. # Eq 8, T4"""
    variance = diagonal(model.noise)
    error = diagonal(moments.observation) - 2 * (model.emission * moments.latent_observation.mT).sum(-1)
    error = error + (model.emission @ moments.latent * model.emission).sum(-1)
    return -0.5 * ((error / variance + variance.log()).sum(-1) + world.sensors() * math.log(2 * math.pi))


def marginal_log_density(world: World, model: LinearGaussian, moments: Moments) -> Tensor:
    """E log p_a(x_t | z_{t-1}, a_{t-1}), whose covariance C Q C' + R is inverted by Woodbury's identity. # Eq 8, T5"""
    means = torch.cat([model.transition, model.control], -1)
    noise, process = diagonal(model.noise), diagonal(model.process)
    read = model.emission @ means
    shared = read @ moments.past_observation
    error = moments.observation - shared - shared.mT + read @ moments.past @ read.mT
    weighed = model.emission / noise[..., None]
    precision = torch.diag_embed(1 / process) + model.emission.mT @ weighed
    root = torch.linalg.cholesky(precision)
    whitened = torch.linalg.solve_triangular(root, weighed.mT, upper=False)
    distance = (diagonal(error) / noise).sum(-1) - (whitened @ error * whitened).sum((-2, -1))
    volume = noise.log().sum(-1) + process.log().sum(-1) + 2 * diagonal(root).log().sum(-1)
    return -0.5 * (distance + volume + world.sensors() * math.log(2 * math.pi))


# What a belief holds, and what could be had


def explained_task(moments: Moments) -> Tensor:
    """R² of the controlled dimension by z, (n,)."""
    weights = torch.linalg.solve(moments.latent, moments.task)
    return (moments.task * weights).sum(-1) / moments.state


def explained_distractors(world: World, moments: Moments) -> Tensor:
    """Sum over distractors of their R² by z: how many distractors' worth a belief holds, (n,), at most k."""
    root = torch.linalg.cholesky(moments.latent)
    whitened = torch.linalg.solve_triangular(root, moments.distractors, upper=False)
    variance = world.distractor_variance
    return (whitened.square().sum(-2) / variance.where(variance > 0, torch.ones_like(variance))).sum(-1)


def best_belief(world: World) -> tuple[float, float]:
    """Kalman's gain for the controlled dimension, and the variance that it leaves."""
    noise = float(world.sensor[0, 0])
    before = solve_discrete_are([[world.decay]], [[1.0]], [[world.process]], [[noise]]).item()
    return before / (before + noise), before * noise / (before + noise)


def best_policy(world: World) -> tuple[float, float]:
    """Riccati's gain, and the value that a unit of squared state costs."""
    m, b, cost = world.decay, world.control, world.action_cost
    value = solve_discrete_are([[m]], [[b]], [[1.0]], [[cost]]).item()
    return -m * b * value / (cost + b**2 * value), value


def reward_limits(world: World) -> tuple[float, float]:
    """E r without action, and of the best policy (linear-quadratic-Gaussian control)."""
    gain, value = best_policy(world)
    left = best_belief(world)[1]
    idle = world.process / (1 - world.decay**2)
    best = value * world.process + gain**2 * (world.action_cost + world.control**2 * value) * left
    return -world.reward_scale * idle, -world.reward_scale * best


def least_surprise(world: World) -> Tensor:
    """-E log p(x_t | x_<t, a_<t) of the world itself: what no model can go below, (n,)."""
    ahead = best_belief(world)[1] * world.decay**2 + world.process
    total = torch.full_like(world.sensor[:, 0], gaussian_entropy(ahead + float(world.sensor[0, 0])))
    for n, one in np.ndindex(*world.distractor_variance.shape):
        decay, variance = float(world.distractor_decay[n, one]), float(world.distractor_variance[n, one])
        noise = float(world.sensor[n, one + 1])
        if variance > 0:
            before = solve_discrete_are([[decay]], [[1.0]], [[variance * (1 - decay**2)]], [[noise]]).item()
            total[n] += gaussian_entropy(before + noise)
    return total


def gaussian_entropy(variance: float) -> float:
    return 0.5 * math.log(2 * math.pi * math.e * variance)


def diagonal(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1)


def trace(matrix: Tensor) -> Tensor:
    return diagonal(matrix).sum(-1)
