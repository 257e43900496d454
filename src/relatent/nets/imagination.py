"""Acting in a latent world, through which a policy is differentiated. # RPG, Sec 4.3.1"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from relatent.nets.latent_world import LatentWorld


class Rollout(NamedTuple):
    """Imagined steps along a leading axis: `horizon` of them, and one action more where noise for it was given."""

    states: Tensor
    actions: Tensor
    log_probs: Tensor
    rewards: Tensor
    """Of the first `horizon` actions, as the world predicts them."""
    next_states: Tensor
    """What they lead to."""


def imagine(
    world: LatentWorld,
    policy: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    state: Tensor,
    latent: Tensor,
    noise: Tensor,
    horizon: int,
) -> Rollout:
    """Act from states (..., state_size) with z (..., latent_size), an action for each row of `noise`."""
    hidden, states, actions, log_probs, embeddings, next_states = world.begin(state), [], [], [], [], []
    for number, draws in enumerate(noise):
        action, log_prob = policy(torch.cat([state, latent], dim=-1), draws)
        states.append(state)
        actions.append(action)
        log_probs.append(log_prob)
        if number < horizon:
            embeddings.append(world.embed(action))
            hidden, state = world.step(hidden, embeddings[-1])
            next_states.append(state)
    reached = torch.stack(next_states)
    rewards = world.reward(torch.stack(embeddings), reached)
    return Rollout(torch.stack(states), torch.stack(actions), torch.stack(log_probs), rewards, reached)
