"""A bound of what a world model finds likely of a sequence of observations and rewards (SMAC, Eq 4 and Eq 20 to 22).

    log p(x_≤T, r_≤T | a_≤T)  >=  E_q Σ_t [ log p(x_t | s_t) + log p(r_t | s_t)                                # Eq 22
                                            - KL(q(s_t | s_{t-1}, a_{t-1}, x_t) || p(s_t | s_{t-1}, a_{t-1})) ]

What is missing is KL(q(s_≤T) || p(s_≤T | x_≤T, r_≤T)): nothing where q(s_t | s_{t-1}, ..) is Bayes' rule told all
observations and rewards from t on; something where it is told x_t alone, as here, and later ones say more of s_t.
Neither is q told r_t. What is trained is the bound's mean over steps and sequences, with the divergence no longer asked
to fall below some free nats.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from relatent.nets.learner import detached
from relatent.nets.rssm import Filtered, State, WorldModel
from relatent.nets.sequences import Sequences


class Evidence(NamedTuple):
    """At one sample of q. Log-densities in nats, (B, T)."""

    observation: Tensor
    reward: Tensor
    filtered: Filtered
    embedded: Tensor  # (B, T, embed_size)


class ModelLoss(NamedTuple):
    """What is minimised, and what there is to see of it."""

    loss: Tensor
    states: State
    """s_t, (B, T, size), with their graph."""
    observation: Tensor
    """log p(x_t | s_t), mean over steps and sequences."""
    reward: Tensor
    divergence: Tensor
    """In nats, mean, whatever is free of it."""
    embedded: Tensor
    """What was filtered, (B, T, embed_size), with its graph."""


def unit_log_prob(mean: Tensor, value: Tensor) -> Tensor:
    """Log-density of Gaussians of unit variance, summed over all axes but the first two."""
    return -0.5 * ((value - mean).square() + math.log(2 * math.pi)).flatten(2).sum(-1)


def evidence(world: WorldModel, batch: Sequences, noise: Tensor) -> Evidence:
    """Filter sequences, and judge what the states say of them; `noise` is (B, T, stoch_size)."""
    embedded = world.encode(batch.observation)
    filtered = world.rssm.filter(embedded, batch.action, batch.first, noise)
    features = filtered.states.features
    image = world.decode(features)
    observation = unit_log_prob(image, world.target(batch.observation, image.dtype))
    reward = unit_log_prob(world.reward(features), batch.reward.unsqueeze(-1))
    return Evidence(observation, reward, filtered, embedded)


def sequence_elbo(world: WorldModel, batch: Sequences, noise: Tensor) -> Tensor:
    """The bound at one sample of q, in nats, (B,). # Eq 22"""
    found = evidence(world, batch, noise)
    divergence = world.rssm.divergence(found.filtered.posterior, found.filtered.prior)
    return (found.observation + found.reward - divergence).sum(-1)


def model_loss(
    world: WorldModel, batch: Sequences, noise: Tensor, free_nats: float, balance: float | None
) -> ModelLoss:
    """What SMAC minimises for `balance` None; DreamerV2 balances."""
    found = evidence(world, batch, noise)
    posterior, prior = found.filtered.posterior, found.filtered.prior
    floored = free_divergence(world.rssm.divergence, posterior, prior, free_nats, balance)
    observation, reward = found.observation.mean(), found.reward.mean()
    divergence = world.rssm.divergence(*detached((posterior, prior))).mean()
    loss = floored - observation - reward
    return ModelLoss(loss, found.filtered.states, observation, reward, divergence, found.embedded)


def free_divergence(
    divergence: Callable[[Any, Any], Tensor], posterior: Any, prior: Any, free_nats: float, balance: float | None
) -> Tensor:
    """max(mean KL(q || p), free nats); with no gradient where the free nats are not used up.

    With a balance its gradient is shared out: `balance` of it moves the prior to the posterior, the rest the posterior
    to the prior (Hafner et al. 2021, Algorithm 2). At one half both have half of the gradient that None gives them.
    """
    if balance is None:
        return divergence(posterior, prior).mean().clamp(min=free_nats)
    of_prior = divergence(detached(posterior), prior).mean().clamp(min=free_nats)
    of_posterior = divergence(posterior, detached(prior)).mean().clamp(min=free_nats)
    return torch.lerp(of_posterior, of_prior, balance)
