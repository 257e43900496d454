"""Soft actor-critic on the states of a recurrent world model (SMAC, Sec 5.2; Wang et al. 2022).

The world model learns from sequences; one sample of s_t at each of their steps is what actor and critics are given in
place of an observation, with the rewards that were received. They send the world model no gradient. As in
zdhNarsil/Stochastic-Marginal-Actor-Critic@31d1f56, an actor learns at all steps of a sequence, critics at all but one.
"""

from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor

from relatent.nets.batch import Batch
from relatent.nets.latent_world import elu
from relatent.nets.learner import move_towards
from relatent.nets.limited_policy import LimitedPolicy
from relatent.nets.mlp import TwinQ, orthogonal
from relatent.nets.noise import normal
from relatent.nets.sequences import Sequences
from relatent.objectives.sequence_elbo import ModelLoss
from relatent.objectives.soft_actor_critic import SoftActorCritic
from relatent.objectives.world_learner import WorldLearner, world_metrics

CRITIC_LAYERS = 3


class Noise(NamedTuple):
    """Standard normal draws of one update."""

    filter: Tensor  # (B, L, stoch)
    next_action: Tensor  # (B, L - 1, action_size)
    action: Tensor  # (B, L, action_size)


class LatentActorCritic(WorldLearner, SoftActorCritic):
    """An agent for which one sample of s_t is all there is to know. Target entropy is -|A|."""

    hyper: Any

    def __init__(self, observation_shape: tuple[int, ...], action_size: int, hyper: Any) -> None:
        super().__init__()
        self.hyper = hyper
        self.make_world(observation_shape, action_size)
        features, width = self.world.rssm.feature_size, hyper.width
        actor = LimitedPolicy(features, action_size, width, hyper.raw_std)
        self.make_policy(actor, action_size, hyper.init_alpha, -float(action_size))
        self.critic = TwinQ(features, action_size, width, CRITIC_LAYERS, orthogonal, elu)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)
        self.optimise("actor", self.actor.parameters(), hyper.actor_lr, hyper.clip_norm)
        self.optimise("critic", self.critic.parameters(), hyper.critic_lr, hyper.clip_norm)
        self.optimise("alpha", [self.log_alpha], hyper.alpha_lr)

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Any:
        steps = self.hyper.length
        return Noise(
            self.draw_filter_noise(batch_size, generator),
            normal((batch_size, steps - 1, self.action_size), generator),
            normal((batch_size, steps, self.action_size), generator),
        )

    def learn(self, batch: Sequences, noise: Any) -> dict[str, Tensor]:
        found, features = self.learn_world(batch, noise)
        transitions = between(batch, features)
        critic_gradients, critic_loss = self.differentiate("critic", self.critic_loss, transitions, noise)
        everywhere = transitions._replace(observation=features)
        actor_gradients, (actor_loss, log_prob) = self.differentiate("actor", self.actor_loss, everywhere, noise)
        self.descend("critic", critic_gradients)
        self.descend("actor", actor_gradients)
        self.minimise("alpha", self.alpha_loss, log_prob)
        move_towards(self.target_critic, self.critic, self.hyper.tau)
        return {
            **world_metrics(found),
            "critic_loss": critic_loss,
            "actor_loss": actor_loss,
            "alpha": self.log_alpha.detach().exp(),
            "entropy": -log_prob.mean((-2, -1)),
        }

    def learn_world(self, batch: Sequences, noise: Any) -> tuple[ModelLoss, Tensor]:
        """One step of the world model; what it minimised, and the features of s_t before the step, (B, L, size)."""
        found = self.minimise("world", self.world_loss, batch, noise.filter)
        return found, found.states.features


def between(batch: Sequences, features: Tensor) -> Batch:
    """The transitions within sequences, of features (..., B, L, size): what stands beside an observation led to it."""
    return Batch(
        features[..., :-1, :],
        batch.action[..., 1:, :],
        batch.reward[..., 1:],
        features[..., 1:, :],
        batch.terminated[..., 1:],
    )
