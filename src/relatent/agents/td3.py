"""Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018), the baseline of SMAC's Figures 4 and 10.

SMAC's paper follows sfujim/TD3 but for the learning rate, 3e-4, and the width, 400 (App C). One update goes: critic
with smoothed target actions; every `policy_delay`-th update also actor and both targets.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.batch import Batch
from relatent.nets.learner import Learner, move_towards
from relatent.nets.mlp import TwinQ, mlp
from relatent.nets.noise import normal, normal_if


@dataclass(frozen=True)
class Hyper:
    width: int
    """Units of each hidden layer, in actor and critics."""
    layers: int
    """Hidden layers, in actor and critics."""
    batch: int
    """Transitions in one update."""
    actor_lr: float
    """Adam's learning rate for the policy."""
    critic_lr: float
    """Adam's learning rate for both Q-functions."""
    gamma: float
    """Discount of one agent step."""
    tau: float
    """How far the targets move at each of their updates."""
    exploration_noise: float
    """Standard deviation of the normal noise added to actions while exploring."""
    target_noise: float
    """Standard deviation of the normal noise added to target actions."""
    target_noise_clip: float
    """Largest absolute value of the target actions' noise."""
    policy_delay: int
    """Critic updates per update of actor and targets."""
    update_after: int
    """Environment frames before the first update."""
    replay: int
    """Transitions kept; the oldest make room for new ones."""


class Noise(NamedTuple):
    """Standard normal draws of one update, (B, action_size)."""

    next_action: Tensor


class TD3(Learner):
    """The agent. Layers start as PyTorch initialises them, as in the reference code."""

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper, self.action_size = hyper, action_size
        self.actor = nn.Sequential(mlp([observation_size, *[hyper.width] * hyper.layers, action_size]), nn.Tanh())
        self.critic = TwinQ(observation_size, action_size, hyper.width, hyper.layers)
        self.target_actor = deepcopy(self.actor).requires_grad_(False)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)
        self.period = hyper.policy_delay
        self.optimise("actor", self.actor.parameters(), hyper.actor_lr)
        self.optimise("critic", self.critic.parameters(), hyper.critic_lr)

    def choose(self, observation: Tensor, belief: Any, noise: Tensor) -> tuple[Tensor, Any]:
        """The policy's action, with noise to explore."""
        return (self.actor(observation) + self.hyper.exploration_noise * noise).clamp(-1, 1), belief

    def draw_action_noise(self, explore: bool, generator: torch.Generator) -> Tensor:
        return normal_if(explore, (self.action_size,), generator)

    def learn(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        metrics = {"critic_loss": self.minimise("critic", self.critic_loss, batch, noise)}
        if self.updates % self.hyper.policy_delay == 0:
            self.minimise("actor", self.actor_loss, batch)
            move_towards(self.target_critic, self.critic, self.hyper.tau)
            move_towards(self.target_actor, self.actor, self.hyper.tau)
        return metrics

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Noise:
        return Noise(normal((batch_size, self.action_size), generator))

    def critic_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Both Q-functions' squared error to r + γ min Q̄(x', π̄(x') + clipped noise)."""
        with torch.no_grad():
            limit = self.hyper.target_noise_clip
            smoothing = (self.hyper.target_noise * noise.next_action).clamp(-limit, limit)
            next_action = (self.target_actor(batch.next_observation) + smoothing).clamp(-1, 1)
            next_value = torch.minimum(*self.target_critic(batch.next_observation, next_action))
            target = batch.reward + self.hyper.gamma * (1 - batch.terminated) * next_value
        first, second = self.critic(batch.observation, batch.action)
        return F.mse_loss(first, target) + F.mse_loss(second, target)

    def actor_loss(self, batch: Batch) -> Tensor:
        """-Q_1(x, π(x))."""
        first, _ = self.critic(batch.observation, self.actor(batch.observation))
        return -first.mean()
