"""What is measured of ALM while it trains. An `agent` is one with encoder, model, reward, classifier, critic and policy
over z, as relatent.agents.alm has them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relatent.nets.aligned_latent import divergence
from relatent.nets.batch import Batch, Played
from relatent.nets.noise import normal
from relatent.objectives.open_loop import open_loop


@torch.no_grad()
def collapse(agent: Any, batch: Batch, generator: torch.Generator) -> dict[str, float]:
    """Whether z still tells states apart: the variance of its mean over states, the divergence of a prediction from
    what is encoded then, and the log odds of predictions, a policy's intrinsic reward. # Figure 7, left"""
    action, encoded = agent.hyper.action_limit * batch.action, agent.encoder(batch.observation)
    latent = encoded.sample(normal(tuple(encoded.mean.shape), generator))
    predicted = agent.model(latent, action)
    following = predicted.sample(normal(tuple(latent.shape), generator))
    return {
        "variance": float(encoded.mean.var(0, correction=0).mean()),
        "divergence": float(divergence(predicted, agent.target_encoder(batch.next_observation)).mean()),
        "odds": float(agent.classifier.log_odds(latent, action, following).mean()),
    }


def latent_open_loop(agent: Any, episodes: Sequence[Played], device: torch.device) -> dict[str, np.ndarray]:
    """How far the model's mean predictions go along played episodes. # Figure 7, right"""

    def encode(observation: Tensor) -> Tensor:
        return agent.encoder(observation).mean

    def step(latent: Tensor, action: Tensor) -> Tensor:
        return agent.model(latent, agent.hyper.action_limit * action).mean

    return open_loop(episodes, encode, step, device)


@torch.no_grad()
def k_step_bound(agent: Any, generator: torch.Generator, observation: Tensor, action: Tensor) -> Tensor:
    """The policy's bound (Eq 8) from states and actions in [-1, 1] on, (N,): K sampled steps with mean actions after
    the given one, as RajGhugare19/alm@3b70f5b estimates it; the critic alone where nothing is encoded."""
    hyper, action = agent.hyper, agent.hyper.action_limit * action
    steps = hyper.horizon if agent.encodes else 0
    draws = normal((steps + 1, len(action), agent.latent_size), generator)
    latent, total = agent.target_encoder(observation).sample(draws[0]), torch.zeros_like(action[:, 0])
    for step in range(steps):
        following = agent.model(latent, action).sample(draws[step + 1])
        odds = agent.classifier.log_odds(latent, action, following)
        total = total + hyper.gamma**step * (agent.reward(latent, action)[0] + hyper.classifier_weight * odds)
        latent, action = following, agent.actor.distribution(following).mean
    return total + hyper.gamma**steps * agent.critic.smaller(latent, action)
