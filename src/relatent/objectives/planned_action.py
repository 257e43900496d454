"""Acting by a search in the latent world, instead of by the policy that is learnt there: the CEM of RPG's Figure 8E.

A plan is worth what Eq 3 says of its actions, without the entropy of a policy that did not choose them. Plans of the
policy take part. The search is that of TD-MPC (planning.py); around it, things are as in haosulab/RPG@6627ebe,
rpg/cem.py, from which the paper's curve comes:

- What is executed is one of the sequences drawn last, plus noise. That code draws an elite by its weight, as TD-MPC
  does, but then takes its number for a place among all sequences. As these are drawn alike, every place is as good.
- A search begins at zero. That code means to begin where the last plan goes on, but does so in an episode's first step
  only, where it moves the plan of the episode before by one coordinate of the actions; this is left out.
- Evaluations act as training does, last noise included. That code can plan without it and never does.

Ours: the action is clamped before it is stored, there only by the environment; each environment has its own noise,
where five share one draw there.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from relatent.nets.imagination import Rollout, imagine
from relatent.nets.latent_world import LatentWorld
from relatent.nets.noise import normal
from relatent.objectives.planning import search

Policy = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Action and log-density of (state, z) and noise."""
Value = Callable[[Rollout, Tensor], Tensor]
"""Both critics' values, (2, N), of where rollouts of N plans began, and of z (N, latent_size)."""


class PlanNoise(NamedTuple):
    """Draws of one action."""

    plans: Tensor  # (iterations, horizon, samples, action_size)
    guesses: Tensor  # (horizon, guesses, noise_size), of the policy's plans
    explore: Tensor  # (action_size,)


def draw_plan_noise(policy: Any, action_size: int, hyper: Any, generator: torch.Generator) -> PlanNoise:
    """For a search with the settings `plan_...` of `hyper`."""
    guesses = int(hyper.plan_policy_share * hyper.plan_samples)
    return PlanNoise(
        normal((hyper.plan_iterations, hyper.horizon, hyper.plan_samples, action_size), generator),
        policy.draw_noise((hyper.horizon, guesses), generator),
        normal((action_size,), generator),
    )


def planned_action(
    world: LatentWorld, policy: Policy, value: Value, state: Tensor, latent: Tensor, noise: PlanNoise, hyper: Any
) -> Tensor:
    """An action (action_size,) in a state (state_size,) with z (latent_size,)."""
    start = torch.zeros_like(noise.plans[0, :, 0])
    plan = search(
        lambda plans, _: plan_values(world, value, state, latent, plans),
        start,
        act_from(world, policy, state, latent, noise.guesses)[0].actions,
        ((draws, draws) for draws in noise.plans),
        torch.full_like(start, hyper.plan_min_std),
        hyper.plan_elites,
        hyper.plan_temperature,
        hyper.plan_momentum,
    )
    return (plan.sequences[0, 0] + plan.std[0] * noise.explore).clamp(-1, 1)


def plan_values(world: LatentWorld, value: Value, state: Tensor, latent: Tensor, plans: Tensor) -> Tensor:
    """What the first critic says of plans (horizon, N, action_size), (N,)."""
    return value(*act_from(world, as_planned, state, latent, plans))[0]


def act_from(
    world: LatentWorld, policy: Policy, state: Tensor, latent: Tensor, noise: Tensor
) -> tuple[Rollout, Tensor]:
    """N rollouts from one state with one z, noise (horizon, N, ...); and z for each of them, (N, latent_size)."""
    horizon, count = noise.shape[:2]
    latents = latent.expand(count, -1)
    return imagine(world, policy, state.expand(count, -1), latents, noise, horizon), latents


def as_planned(_: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    """A policy whose noise is its action."""
    return action, torch.zeros_like(action[..., 0])
