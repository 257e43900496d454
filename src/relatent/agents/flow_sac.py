"""SAC whose policy is a normalizing flow: Flow2 and Flow4 of SMAC's Figure 11.

a = tanh(f(z, x)) with z ~ N(0, I) and f a RealNVP of two or four blocks (App C, after Haarnoja et al. 2018a and Ward et
al. 2019). The paper states that they have about two and four times SAC's parameters, which holds for one network per
block that gives both scale and shift; widths, masks, base and initialisation are not stated.
Everything else is SAC.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.batch import Batch
from relatent.nets.distributions import Gaussian, tanh_log_det
from relatent.nets.flows import RealNVP
from relatent.nets.learner import Learner, move_towards
from relatent.nets.mlp import TwinQ, xavier
from relatent.nets.noise import normal, normal_if


@dataclass(frozen=True)
class Hyper:
    width: int
    """Units of each hidden layer, in the blocks' networks and the critics."""
    layers: int
    """Hidden layers, in the blocks' networks and the critics."""
    batch: int
    """Transitions in one update."""
    actor_lr: float
    """Adam's learning rate for the policy."""
    critic_lr: float
    """Adam's learning rate for both Q-functions."""
    alpha_lr: float
    """Adam's learning rate for the logarithm of the temperature."""
    gamma: float
    """Discount of one agent step."""
    tau: float
    """How far the target critic moves towards the critic at each update."""
    init_alpha: float
    """Temperature before the first update."""
    update_after: int
    """Environment frames before the first update."""
    replay: int
    """Transitions kept; the oldest make room for new ones."""
    blocks: int
    """Coupling blocks of the policy."""
    log_scale_bound: float
    """Largest absolute value of a block's log-scale."""


class Noise(NamedTuple):
    """Standard normal draws of one update, each (B, action_size)."""

    next_action: Tensor
    action: Tensor


class FlowSAC(Learner):
    """The agent. Target entropy is -|A|."""

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper, self.action_size = hyper, action_size
        self.actor = RealNVP(
            observation_size, action_size, hyper.width, hyper.layers, hyper.blocks, hyper.log_scale_bound
        )
        self.critic = TwinQ(observation_size, action_size, hyper.width, hyper.layers, init=xavier)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)
        self.log_alpha = nn.Parameter(torch.tensor(hyper.init_alpha).log())
        self.target_entropy = -float(action_size)
        self.optimise("actor", self.actor.parameters(), hyper.actor_lr)
        self.optimise("critic", self.critic.parameters(), hyper.critic_lr)
        self.optimise("alpha", [self.log_alpha], hyper.alpha_lr)

    def choose(self, observation: Tensor, belief: Any, noise: Tensor) -> tuple[Tensor, Any]:
        """The image of a draw under the flow; the agent is judged by that of z = 0."""
        return torch.tanh(self.actor(observation, noise)[0]), belief

    def draw_action_noise(self, explore: bool, generator: torch.Generator) -> Tensor:
        return normal_if(explore, (self.action_size,), generator)

    def learn(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        critic_loss = self.minimise("critic", self.critic_loss, batch, noise)
        actor_loss, log_prob = self.minimise("actor", self.actor_loss, batch, noise)
        self.minimise("alpha", self.alpha_loss, log_prob)
        move_towards(self.target_critic, self.critic, self.hyper.tau)
        return {
            "critic_loss": critic_loss,
            "actor_loss": actor_loss,
            "alpha": self.log_alpha.detach().exp(),
            "entropy": -log_prob.mean(-1),
        }

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Noise:
        shape = (batch_size, self.action_size)
        return Noise(normal(shape, generator), normal(shape, generator))

    def sample_action(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """A reparameterised action and its log-density, of shapes (B, action_size) and (B,)."""
        pre_tanh, log_det = self.actor(observation, noise)
        base = Gaussian(torch.zeros_like(noise), torch.zeros_like(noise)).log_prob(noise)
        return torch.tanh(pre_tanh), base - log_det - tanh_log_det(pre_tanh)

    def critic_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Both Q-functions' squared error to the soft Bellman target, r + γ (min Q̄(x', a') - α log π(a'|x')). # Eq 2"""
        with torch.no_grad():
            next_action, next_log_prob = self.sample_action(batch.next_observation, noise.next_action)
            next_value = torch.minimum(*self.target_critic(batch.next_observation, next_action))
            next_value = next_value - self.log_alpha.exp() * next_log_prob
            target = batch.reward + self.hyper.gamma * (1 - batch.terminated) * next_value
        first, second = self.critic(batch.observation, batch.action)
        return F.mse_loss(first, target) + F.mse_loss(second, target)

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """α log π(a|x) - min Q(x, a), and log π(a|x) of each transition. # Eq 3"""
        action, log_prob = self.sample_action(batch.observation, noise.action)
        value = torch.minimum(*self.critic(batch.observation, action))
        return (self.log_alpha.detach().exp() * log_prob - value).mean(), log_prob

    def alpha_loss(self, log_prob: Tensor) -> Tensor:
        """Raises the temperature while entropy lies below its target: -log α (log π + target entropy)."""
        return -(self.log_alpha * (log_prob + self.target_entropy)).mean()
