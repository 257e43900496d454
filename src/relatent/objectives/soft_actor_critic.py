"""Soft actor-critic with a learned temperature (Haarnoja et al. 2018), which several agents are or contain.

One update goes: critic, actor with the updated critic, temperature, target network.
"""

from copy import deepcopy
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.batch import Batch
from relatent.nets.distributions import Gaussian, tanh_log_det
from relatent.nets.learner import Learner, move_towards
from relatent.nets.mlp import TwinQ, xavier
from relatent.nets.noise import normal, normal_if


class Noise(NamedTuple):
    """Standard normal draws of one update, each (B, action_size)."""

    next_action: Any = ()
    action: Any = ()


class SoftPolicy(Learner):
    """A learner that acts by a policy under tanh whose entropy a temperature holds near a target. The policy is a
    Gaussian unless an agent samples its own kind."""

    target_entropy: float | Tensor

    def make_policy(self, actor: nn.Module, action_size: int, init_alpha: float, target_entropy: float) -> None:
        self.action_size, self.target_entropy = action_size, target_entropy
        self.actor = actor
        self.log_alpha = nn.Parameter(torch.tensor(init_alpha).log())

    def policy(self, observation: Tensor) -> Gaussian:
        """Of actions before tanh."""
        return self.actor(observation)

    def choose(self, observation: Tensor, belief: Any, noise: Any) -> tuple[Tensor, Any]:
        """A sample of the policy; tanh of its mean where the noise is zero."""
        return torch.tanh(self.policy(observation).sample(noise)), belief

    def draw_action_noise(self, explore: bool, generator: torch.Generator) -> Any:
        return normal_if(explore, (self.action_size,), generator)

    def sample_action(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """A reparameterised action and its log-density, of shapes (B, action_size) and (B,)."""
        policy = self.policy(observation)
        pre_tanh = policy.sample(noise)
        return torch.tanh(pre_tanh), policy.log_prob(pre_tanh) - tanh_log_det(pre_tanh)

    def alpha_loss(self, log_prob: Tensor) -> Tensor:
        """Raises the temperature while entropy lies below its target: -log α (log π + target entropy)."""
        return -(self.log_alpha * (log_prob + self.target_entropy)).mean()


class SoftActorCritic(SoftPolicy):
    """Soft actor-critic; its hyperparameters include γ and τ."""

    def make_networks(self, observation_size: int, action_size: int, width: int, layers: int) -> None:
        """Both critics and their targets; `make_policy` comes first."""
        self.critic = TwinQ(observation_size, action_size, width, layers, init=xavier)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)

    def optimise_all(self, actor_lr: float, critic_lr: float, alpha_lr: float) -> None:
        self.optimise("actor", self.actor.parameters(), actor_lr)
        self.optimise("critic", self.critic.parameters(), critic_lr)
        self.optimise("alpha", [self.log_alpha], alpha_lr)

    def learn(self, batch: Any, noise: Any) -> dict[str, Tensor]:
        metrics = self.learn_critic(batch, noise)
        actor_loss, log_prob = self.minimise("actor", self.actor_loss, batch, noise)
        self.minimise("alpha", self.alpha_loss, log_prob)
        move_towards(self.target_critic, self.critic, self.hyper.tau)
        alpha, entropy = self.log_alpha.detach().exp(), -log_prob.mean(-1)
        return metrics | {"actor_loss": actor_loss, "alpha": alpha, "entropy": entropy}

    def learn_critic(self, batch: Batch, noise: Any) -> dict[str, Tensor]:
        return {"critic_loss": self.minimise("critic", self.critic_loss, batch, noise)}

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Any:
        shape = (batch_size, self.action_size)
        return Noise(normal(shape, generator), normal(shape, generator))

    def critic_loss(self, batch: Batch, noise: Any) -> Tensor:
        """Both Q-functions' squared error to the soft Bellman target, r + γ (min Q̄(x', a') - α log π(a'|x'))."""
        with torch.no_grad():
            next_action, next_log_prob = self.sample_action(batch.next_observation, noise.next_action)
            next_value = torch.minimum(*self.target_critic(batch.next_observation, next_action))
            next_value = next_value - self.log_alpha.exp() * next_log_prob
            target = batch.reward + self.hyper.gamma * (1 - batch.terminated) * next_value
        first, second = self.critic(batch.observation, batch.action)
        return F.mse_loss(first, target) + F.mse_loss(second, target)

    def actor_loss(self, batch: Batch, noise: Any) -> tuple[Tensor, Tensor]:
        """α log π(a|x) - min Q(x, a), and log π(a|x) of each transition."""
        action, log_prob = self.sample_action(batch.observation, noise.action)
        value = torch.minimum(*self.critic(batch.observation, action))
        return (self.log_alpha.detach().exp() * log_prob - value).mean(), log_prob
