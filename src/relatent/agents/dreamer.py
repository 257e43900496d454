"""Dreamer: a policy learnt in the imagination of a recurrent world model (Hafner et al. 2020), SMAC's baseline that
plans (Sec 5.2).

World model, policy's form, exploration and schedule are those of relatent.agents.latent_sac. From every state that the
model infers along a batch of sequences the policy is followed for some steps without anything being seen, and learns by
the gradient of what is imagined, through the model; relatent.objectives.imagined_value has the equations. There is
neither a target network nor a bonus for entropy.

As in zdhNarsil/Stochastic-Marginal-Actor-Critic@31d1f56. Of danijar/dreamer@56d4d44 it differs by 300 units where that
has 400, by 10,000 random frames where that has 5,000 and 100 updates before the first step, by the policy's initial
deviation, and by which state a reward belongs to.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from relatent.nets.latent_world import elu
from relatent.nets.limited_policy import LimitedPolicy
from relatent.nets.mlp import mlp
from relatent.nets.noise import normal
from relatent.nets.rssm import State
from relatent.nets.sequences import Sequences
from relatent.objectives.imagined_value import Imagined, imagine, policy_loss, value_loss
from relatent.objectives.world_learner import WorldLearner, world_metrics

VALUE_LAYERS = 3


@dataclass(frozen=True)
class Hyper:
    deter: int
    """Numbers in h_t, and units of every hidden layer around it."""
    stoch: int
    """Numbers in z_t."""
    depth: int
    """Channels of the encoder's first convolution."""
    width: int
    """Units of each hidden layer in reward head, actor and value."""
    batch: int
    """Sequences in one update."""
    length: int
    """Observations in a sequence."""
    horizon: int
    """Imagined steps from each of them."""
    lambda_weight: float
    """λ, how much a return of k + 1 steps counts beside one of k."""
    model_lr: float
    """Adam's learning rate for the world model."""
    actor_lr: float
    """Adam's learning rate for the policy."""
    value_lr: float
    """Adam's learning rate for the value."""
    clip_norm: float
    """Largest norm of the gradient of world model, actor and value, each."""
    free_nats: float
    """Divergence below which the world model is not asked for less."""
    gamma: float
    """Discount of one agent step."""
    raw_std: float
    """Added to what the softplus of the policy's deviation reads."""
    exploration_noise: float
    """Deviation of the noise upon a training action."""
    update_after: int
    """Frames from which on there are updates."""
    update_every: int
    """Frames from one time of updating to the next."""
    updates: int
    """Updates at each such time."""
    replay: int
    """Agent steps kept, in whole episodes; the oldest make room for new ones."""


class Noise(NamedTuple):
    """Standard normal draws of one update."""

    filter: Tensor  # (B, L, stoch)
    state: Tensor  # (B, L, H, stoch), imagined
    action: Tensor  # (B, L, H, action_size)


class Dreamer(WorldLearner):
    """The agent."""

    def __init__(self, observation_shape: tuple[int, ...], action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper = hyper
        self.make_world(observation_shape, action_size)
        features, width = self.world.rssm.feature_size, hyper.width
        self.actor = LimitedPolicy(features, action_size, width, hyper.raw_std)
        self.value = mlp([features, *[width] * VALUE_LAYERS, 1], activation=elu)
        self.optimise("actor", self.actor.parameters(), hyper.actor_lr, hyper.clip_norm)
        self.optimise("value", self.value.parameters(), hyper.value_lr, hyper.clip_norm)

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Noise:
        hyper = self.hyper
        imagined = batch_size, hyper.length, hyper.horizon
        return Noise(
            self.draw_filter_noise(batch_size, generator),
            normal((*imagined, hyper.stoch), generator),
            normal((*imagined, self.action_size), generator),
        )

    def learn(self, batch: Sequences, noise: Noise) -> dict[str, Tensor]:
        world, found = self.differentiate("world", self.world_loss, batch, noise.filter)
        actor, (actor_loss, imagined) = self.differentiate("actor", self.actor_loss, found.states, noise)
        value, value_loss = self.differentiate("value", self.value_loss, imagined)
        for name, gradients in (("world", world), ("actor", actor), ("value", value)):
            self.descend(name, gradients)
        return {
            **world_metrics(found),
            "actor_loss": actor_loss,
            "value_loss": value_loss,
            "imagined_return": imagined.returns[..., 0].mean((-2, -1)),
        }

    def actor_loss(self, states: State, noise: Any) -> tuple[Tensor, Imagined]:
        """From inferred states (B, L, size), with what the value learns from."""

        def act(features: Tensor, step: int) -> Tensor:
            return torch.tanh(self.actor(features).sample(noise.action[..., step, :]))

        hyper = self.hyper
        imagined = imagine(self.world, act, self.value, states, noise.state, hyper.gamma, hyper.lambda_weight)
        return policy_loss(imagined.returns, hyper.gamma), imagined

    def value_loss(self, imagined: Imagined) -> Tensor:
        return value_loss(self.value, imagined, self.hyper.gamma)
