"""SAC whose policy is a mixture of Gaussians: MOE5 and MOE10 of SMAC's Figure 11.

Probabilistic mixture of experts (Ren et al. 2021) as in quantumiracle/Popular-RL-Algorithms (pmoe_sac.py, by one of
its authors), without that code's reward normalisation and its ±3e-3 initial heads, with SMAC's sizes and rates. The
likeliest component acts when the agent is judged (ours; that code draws one). Sampling a component has no gradient,
so the paper's estimator is biased: only the component that the critic likes best at each state is trained, by its own
log-density instead of the mixture's, and the mixing weights are pulled towards choosing it.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.batch import Batch
from relatent.nets.distributions import Gaussian, GaussianHead, tanh_log_det
from relatent.nets.mlp import xavier
from relatent.nets.noise import gumbel, normal, normal_if
from relatent.objectives.soft_actor_critic import SoftActorCritic


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
    experts: int
    """Components of the mixture."""


class ActionNoise(NamedTuple):
    """All draws of one action; zeros when the agent is judged."""

    expert: Tensor  # (experts,), Gumbel
    action: Tensor  # (action_size,), standard normal


class Noise(NamedTuple):
    """All draws of one update."""

    next_expert: Tensor  # (B, experts), Gumbel: the largest logit plus noise is a draw from the softmax
    next_action: Tensor  # (B, action_size), standard normal
    action: Tensor  # (B, experts, action_size), standard normal


class Experts(nn.Module):
    """Component Gaussians on a shared trunk, and mixing logits that are linear in the observation."""

    def __init__(self, observation_size: int, action_size: int, width: int, layers: int, experts: int) -> None:
        super().__init__()
        self.shape = (experts, action_size)
        self.components = GaussianHead(observation_size, experts * action_size, width, layers, init=xavier)
        self.mixing = nn.Linear(observation_size, experts)

    def forward(self, observation: Tensor) -> tuple[Gaussian, Tensor]:
        """Components of shape (..., experts, action_size) and logits of shape (..., experts)."""
        flat = self.components(observation)
        components = Gaussian(flat.mean.unflatten(-1, self.shape), flat.log_std.unflatten(-1, self.shape))
        return components, self.mixing(observation)


class PMOE(SoftActorCritic):
    """The agent. Target entropy is -|A|."""

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper = hyper
        sizes = observation_size, action_size, hyper.width, hyper.layers
        self.make_policy(Experts(*sizes, hyper.experts), action_size, hyper.init_alpha, -float(action_size))
        self.make_networks(*sizes)
        self.optimise_all(hyper.actor_lr, hyper.critic_lr, hyper.alpha_lr)

    def choose(self, observation: Tensor, belief: Any, noise: ActionNoise) -> tuple[Tensor, Any]:
        """A sample of the mixture; tanh of the likeliest component's mean where the noise is zero."""
        components, logits = self.actor(observation.unsqueeze(0))
        chosen = (logits + noise.expert).argmax(-1)
        component = Gaussian(pick(components.mean, chosen), pick(components.log_std, chosen))
        return torch.tanh(component.sample(noise.action)).squeeze(0), belief

    def draw_action_noise(self, explore: bool, generator: torch.Generator) -> ActionNoise:
        shape = (self.hyper.experts,)
        expert = gumbel(shape, generator) if explore else torch.zeros(shape, device=generator.device)
        return ActionNoise(expert, normal_if(explore, (self.action_size,), generator))

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Noise:
        shape = (batch_size, self.hyper.experts, self.action_size)
        return Noise(
            gumbel(shape[:2], generator),
            normal((batch_size, self.action_size), generator),
            normal(shape, generator),
        )

    def critic_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Both Q-functions' squared error to the soft Bellman target for a component drawn from the mixture."""
        with torch.no_grad():
            components, logits = self.actor(batch.next_observation)
            chosen = (logits + noise.next_expert).argmax(-1)
            component = Gaussian(pick(components.mean, chosen), pick(components.log_std, chosen))
            pre_tanh = component.sample(noise.next_action)
            next_log_prob = component.log_prob(pre_tanh) - tanh_log_det(pre_tanh)
            next_value = torch.minimum(*self.target_critic(batch.next_observation, torch.tanh(pre_tanh)))
            next_value = next_value - self.log_alpha.exp() * next_log_prob
            target = batch.reward + self.hyper.gamma * (1 - batch.terminated) * next_value
        first, second = self.critic(batch.observation, batch.action)
        return F.mse_loss(first, target) + F.mse_loss(second, target)

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """α log π_k(a_k|x) - min Q(x, a_k) of the best component k at each state, plus the squared error of the mixing
        weights to choosing it; and log π_k."""
        components, logits = self.actor(batch.observation)
        pre_tanh = components.sample(noise.action)
        with torch.no_grad():
            observation = batch.observation.unsqueeze(-2).expand(-1, self.hyper.experts, -1)
            best = torch.minimum(*self.critic(observation, torch.tanh(pre_tanh))).argmax(-1)
        component = Gaussian(pick(components.mean, best), pick(components.log_std, best))
        chosen = pick(pre_tanh, best)
        log_prob = component.log_prob(chosen) - tanh_log_det(chosen)
        value = torch.minimum(*self.critic(batch.observation, torch.tanh(chosen)))
        one_hot = (best.unsqueeze(-1) == torch.arange(self.hyper.experts, device=best.device)).to(logits.dtype)
        frequency = F.mse_loss(logits.softmax(-1), one_hot)
        return (self.log_alpha.detach().exp() * log_prob - value).mean() + frequency, log_prob


def pick(values: Tensor, index: Tensor) -> Tensor:
    """Of values (B, experts, n), those of one expert per row: (B, n)."""
    return values[torch.arange(len(index), device=index.device), index]
