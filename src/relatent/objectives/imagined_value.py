"""What a policy is worth in a world model's imagination (Hafner et al. 2020, Sec 3).

From a state s_0 the policy and the model's prior lead H steps on, without anything being seen:

    a_k ~ π(a | s_k)     s_{k+1} ~ p(s | s_k, a_k)     r_{k+1} = E p(r | s_{k+1})     v_k = v(s_k)
    V_k = r_{k+1} + γ [(1 - λ) v_{k+1} + λ V_{k+1}],   V_H = v_H                                        # Eq 5, 6

A return is differentiable in the actions, through all states that they lead to. Policy and value learn from

    max_π Σ_k γ^k V_k         min_v Σ_k γ^k (v_k - V_k)² / 2         k = 0 .. H - 1                     # Eq 7, 8

in the mean over steps, with everything else held fixed. γ^k is what the official codes add to the equations. A reward
belongs to the state before it, and s_0 counts, as in zdhNarsil/Stochastic-Marginal-Actor-Critic@31d1f56; in the paper
and in danijar/dreamer@56d4d44 a state's value begins with its own reward, and s_0 does not count.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.distributions import Gaussian
from relatent.nets.rssm import State, WorldModel
from relatent.objectives.lambda_return import lambda_returns


class Imagined(NamedTuple):
    """Of s_0 to s_{H-1}."""

    features: Tensor  # (..., H, size)
    returns: Tensor  # V_k, (..., H)


def imagine(
    world: WorldModel,
    act: Callable[[Tensor, int], Tensor],
    value: nn.Module,
    start: State,
    noise: Tensor,
    gamma: float,
    lambda_weight: float,
) -> Imagined:
    """Follow from states (..., size) by draws (..., H, stoch_size). `act` gives actions for the features of s_k, which
    it is given as numbers, and k; `value` is v, (..., 1)."""
    after, _ = world.rssm.imagine(start, lambda state, k: act(state.features.detach(), k), noise)
    features = after.features
    rewards, values = (head(features).squeeze(-1) for head in (world.reward, value))
    values = F.pad(values, (1, 0))  # v_0 is part of no return
    returns = lambda_returns(rewards.movedim(-1, 0), values.movedim(-1, 0), gamma, lambda_weight)
    before = torch.cat([start.features.unsqueeze(-2), features[..., :-1, :]], dim=-2)
    return Imagined(before, returns.movedim(0, -1))


def policy_loss(returns: Tensor, gamma: float) -> Tensor:
    """Of returns (..., H). # Eq 7"""
    return -(fading(returns, gamma) * returns).mean()


def value_loss(value: nn.Module, imagined: Imagined, gamma: float) -> Tensor:
    """Minus the log-density of returns, as numbers, under Gaussians of unit variance around v. # Eq 8"""
    features, returns = (part.detach() for part in imagined)
    mean = value(features)
    log_prob = Gaussian(mean, torch.zeros_like(mean)).log_prob(returns.unsqueeze(-1))
    return -(fading(returns, gamma) * log_prob).mean()


def fading(returns: Tensor, gamma: float) -> Tensor:
    """γ^k, (H,)."""
    return gamma ** torch.arange(returns.shape[-1], dtype=returns.dtype, device=returns.device)
