"""Randomised ensembled double Q-learning (Chen et al. 2021, Algorithm 1), with SAC-AVG as one of its two targets.

Ten critics, each of which learns in twenty updates an agent step from the smaller value of two target critics that are
drawn anew for each update; SAC-AVG takes the mean of all ten instead. The policy and the temperature learn once after
the twenty, from the mean of all critics and the last one's batch. Networks and the target's switch are those of
watchernyu/REDQ@11bf30d, the official code, which ALM's paper ran (Sec 5.2).

The twenty are one `update` here: replay does not change between them, so their batches are drawn as one and cut, and a
CUDA graph holds all of it. A spec's counts of updates are therefore of agent steps.

Two differences to that code: the policy learns from critics that have done the last of the twenty steps, as Algorithm 1
has it and the code, which computes the loss before that step, has not; and the temperature is its own logarithm's from
the start, where the code multiplies by 0.2 in the first twenty steps.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from relatent.nets.batch import Batch, Played
from relatent.nets.distributions import GaussianHead
from relatent.nets.division import cut, divided
from relatent.nets.learner import move_towards
from relatent.nets.mlp import xavier
from relatent.nets.noise import normal
from relatent.nets.q_ensemble import QEnsemble
from relatent.objectives.soft_actor_critic import SoftPolicy
from relatent.objectives.value_bias import value_bias


@dataclass(frozen=True)
class Hyper:
    width: int
    """Units of each hidden layer, in actor and critics."""
    layers: int
    """Hidden layers, in actor and critics."""
    critics: int
    """Q-functions N."""
    target: Literal["subset", "average"]
    """The smallest value of a random subset of the target critics, REDQ; or the mean of all of them, SAC-AVG."""
    subset: int
    """Target critics M of which the smallest value is taken; unused where `target` is the average."""
    critic_updates: int
    """Steps of the critics in one update, G, each with a batch of its own."""
    batch: int
    """Transitions in each step of the critics; the policy learns from the last one's."""
    actor_lr: float
    """Adam's learning rate for the policy."""
    critic_lr: float
    """Adam's learning rate for all Q-functions."""
    alpha_lr: float
    """Adam's learning rate for the logarithm of the temperature."""
    gamma: float
    """Discount of one agent step."""
    tau: float
    """How far the target critics move towards the critics after each of their steps."""
    init_alpha: float
    """Temperature before the first update."""
    target_entropy: float
    """Entropy of the policy that the temperature is to reach, in nats of actions in [-1, 1]."""
    update_after: int
    """Environment frames before the first update."""
    replay: int
    """Transitions kept; the oldest make room for new ones."""


class Noise(NamedTuple):
    """Draws of one update."""

    next_actions: tuple[Tensor, ...]
    """Standard normal, (B, action_size) for each step of the critics."""
    subsets: tuple[Tensor, ...]
    """Numbers of different critics, (M,) for each step of the critics."""
    action: Tensor
    """Standard normal, (B, action_size)."""


class REDQ(SoftPolicy):
    """The agent."""

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper = hyper
        sizes = observation_size, action_size, hyper.width, hyper.layers
        self.make_policy(GaussianHead(*sizes, init=xavier), action_size, hyper.init_alpha, hyper.target_entropy)
        self.critic = QEnsemble(hyper.critics, *sizes, init=xavier)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)
        self.optimise("actor", self.actor.parameters(), hyper.actor_lr)
        self.optimise("critic", self.critic.parameters(), hyper.critic_lr)
        self.optimise("alpha", [self.log_alpha], hyper.alpha_lr)

    def watch(
        self, name: str, episodes: Sequence[Played], generator: torch.Generator
    ) -> Mapping[str, float | np.ndarray]:
        """`bias`: of the mean of all critics, as Chen et al. (Sec 3.2) and ALM's App E measure it."""
        if name != "bias":
            return super().watch(name, episodes, generator)
        return value_bias(episodes, self.hyper.gamma, self.value_estimate, generator.device)

    @torch.no_grad()
    def value_estimate(self, observation: Tensor, action: Tensor) -> Tensor:
        """What the agent takes a given action to be worth, (B,)."""
        return self.critic(observation, action).mean(0)

    # One update

    def draw_update(self, replay: Any, generator: torch.Generator) -> tuple[tuple[Batch, ...], Noise]:
        steps, batch_size = self.hyper.critic_updates, self.hyper.batch
        batches = divided(replay.sample(steps * batch_size, generator), steps)
        self.updates += 1
        return batches, self.draw_noise(batch_size, generator)

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Noise:
        hyper, size = self.hyper, self.action_size
        steps = hyper.critic_updates
        # The places of the largest of N uniform draws are a uniform subset: its members differ.
        scores = torch.rand((steps, hyper.critics), generator=generator, device=generator.device)
        return Noise(
            cut(normal((steps * batch_size, size), generator), steps),
            scores.topk(hyper.subset, dim=-1).indices.unbind(),
            normal((batch_size, size), generator),
        )

    def learn(self, batch: tuple[Batch, ...], noise: Noise) -> dict[str, Tensor]:
        for transitions, next_action, subset in zip(batch, noise.next_actions, noise.subsets, strict=True):
            critic_loss = self.minimise("critic", self.critic_loss, transitions, next_action, subset)
            move_towards(self.target_critic, self.critic, self.hyper.tau)
        actor_loss, log_prob = self.minimise("actor", self.actor_loss, batch[-1].observation, noise.action)
        self.minimise("alpha", self.alpha_loss, log_prob)
        return {
            "critic_loss": critic_loss,
            "actor_loss": actor_loss,
            "alpha": self.log_alpha.detach().exp(),
            "entropy": -log_prob.mean(-1),
        }

    def critic_loss(self, batch: Batch, noise: Tensor, subset: Tensor) -> Tensor:
        """The squared error of every critic to one target, summed over critics. # Algorithm 1, lines 7-9"""
        with torch.no_grad():
            target = self.target_value(batch, noise, subset)
        return (self.critic(batch.observation, batch.action) - target).square().mean(-1).sum()

    def target_value(self, batch: Batch, noise: Tensor, subset: Tensor) -> Tensor:
        """r + γ (V̄(x') - α log π(a'|x')), where V̄ is min over the subset or the mean of all; (B,). # line 7"""
        next_action, next_log_prob = self.sample_action(batch.next_observation, noise)
        if self.hyper.target == "subset":
            next_value = self.target_critic(batch.next_observation, next_action, subset).amin(0)
        else:
            next_value = self.target_critic(batch.next_observation, next_action).mean(0)
        next_value = next_value - self.log_alpha.exp() * next_log_prob
        return batch.reward + self.hyper.gamma * (1 - batch.terminated) * next_value

    def actor_loss(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """α log π(a|x) - mean of all Q(x, a), and log π(a|x) of each observation. # line 11"""
        action, log_prob = self.sample_action(observation, noise)
        value = self.critic(observation, action).mean(0)
        return (self.log_alpha.detach().exp() * log_prob - value).mean(), log_prob
