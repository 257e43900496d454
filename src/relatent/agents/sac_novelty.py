"""Soft actor-critic with a novelty bonus: SAC(R), and without the bonus SAC, of RPG's Figures 6, 7 and 12.

RPG's paper takes SAC with its authors' hyperparameters, one update in five agent steps, and the bonus that RPG has
(App D); the official code lacks this baseline. Ours is that an update goes as RPG's: the novelty network as soon as
there is a batch of observations, then critic, actor, temperature and target network once replay holds enough. The bonus
is that of the observation which a transition led to, computed when the transition is drawn.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.batch import Batch
from relatent.nets.distributions import GaussianHead, tanh_log_det
from relatent.nets.learner import move_towards
from relatent.nets.mlp import TwinQ, xavier
from relatent.nets.noise import normal, normal_if
from relatent.objectives.novelty import NoveltyLearner


@dataclass(frozen=True)
class Hyper:
    width: int
    """Units of each of two hidden layers, in actor and critics."""
    batch: int
    """Transitions in one update; as many observations for the novelty network."""
    lr: float
    """Adam's learning rate, of everything."""
    gamma: float
    """Discount of one agent step."""
    tau: float
    """How far the target critic moves towards the critic at each update."""
    init_alpha: float
    """Temperature before the first update. Target entropy is -|A|."""
    update_after: int
    """Transitions in replay that must be exceeded before actor and critics learn."""
    update_every: int
    """Agent steps, over all environments, for each update."""
    replay: int
    """Transitions kept; the oldest make room for new ones."""
    novelty: float
    """Weight of the novelty bonus in the reward; 0 is without."""
    novelty_width: int
    """Units of the novelty network's layers and its outputs."""
    novelty_memory: int
    """Newest observations that the novelty network learns from."""


class Drawn(NamedTuple):
    """What one update is given; a field that it does not need is ()."""

    seen: Any = ()
    """Observations for the novelty network, (B, observation_size)."""
    transitions: Any = ()


class Noise(NamedTuple):
    """Standard normal draws of one update, each (B, action_size)."""

    next_action: Any = ()
    action: Any = ()


class SACNovelty(NoveltyLearner):
    """The agent."""

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper, self.action_size = hyper, action_size
        self.actor = GaussianHead(observation_size, action_size, hyper.width, 2, init=xavier)
        self.critic = TwinQ(observation_size, action_size, hyper.width, 2, init=xavier)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)
        self.log_alpha = nn.Parameter(torch.tensor(hyper.init_alpha).log())
        self.target_entropy = -float(action_size)
        self.optimise("actor", self.actor.parameters(), hyper.lr)
        self.optimise("critic", self.critic.parameters(), hyper.lr)
        self.optimise("alpha", [self.log_alpha], hyper.lr)
        self.optimise_novelty(observation_size, hyper.lr)

    def choose(self, observation: Tensor, belief: Any, noise: Tensor) -> tuple[Tensor, Any]:
        """A sample of the policy; tanh of its mean where the noise is zero."""
        return torch.tanh(self.actor(observation).sample(noise)), belief

    def draw_action_noise(self, explore: bool, generator: torch.Generator) -> Tensor:
        return normal_if(explore, (self.action_size,), generator)

    def draw_update(self, replay: Any, generator: torch.Generator) -> tuple[Drawn, Noise]:
        hyper = self.hyper
        seen = self.draw_seen(replay, generator)
        if len(replay) <= hyper.update_after:
            return Drawn(seen), Noise()
        self.updates += 1
        return Drawn(seen, replay.sample(hyper.batch, generator)), self.draw_noise(hyper.batch, generator)

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Noise:
        shape = (batch_size, self.action_size)
        return Noise(normal(shape, generator), normal(shape, generator))

    def phase(self) -> int:
        return int(self.updates > 0)

    def learn(self, batch: Drawn, noise: Noise) -> dict[str, Tensor]:
        metrics = self.learn_novelty(batch.seen)
        if not isinstance(batch.transitions, Batch):
            return {}
        critic_loss, bonus = self.minimise("critic", self.critic_loss, batch.transitions, noise)
        actor_loss, log_prob = self.minimise("actor", self.actor_loss, batch.transitions, noise)
        self.minimise("alpha", self.alpha_loss, log_prob)
        move_towards(self.target_critic, self.critic, self.hyper.tau)
        alpha, entropy = self.log_alpha.detach().exp(), -log_prob.mean(-1)
        metrics |= {"critic_loss": critic_loss, "actor_loss": actor_loss, "alpha": alpha, "entropy": entropy}
        return metrics | {"bonus": bonus}

    def sample_action(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """A reparameterised action and its log-density, of shapes (B, action_size) and (B,)."""
        policy = self.actor(observation)
        pre_tanh = policy.sample(noise)
        return torch.tanh(pre_tanh), policy.log_prob(pre_tanh) - tanh_log_det(pre_tanh)

    def critic_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """Both Q-functions' squared error to the soft Bellman target of reward and bonus, and the bonus's mean."""
        with torch.no_grad():
            bonus = self.novelty_bonus(batch.next_observation)
            reward = batch.reward + self.hyper.novelty * bonus
            next_action, next_log_prob = self.sample_action(batch.next_observation, noise.next_action)
            next_value = torch.minimum(*self.target_critic(batch.next_observation, next_action))
            next_value = next_value - self.log_alpha.exp() * next_log_prob
            target = reward + self.hyper.gamma * (1 - batch.terminated) * next_value
        first, second = self.critic(batch.observation, batch.action)
        return F.mse_loss(first, target) + F.mse_loss(second, target), bonus.mean()

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """α log π(a|x) - min Q(x, a), and log π(a|x) of each transition."""
        action, log_prob = self.sample_action(batch.observation, noise.action)
        value = torch.minimum(*self.critic(batch.observation, action))
        return (self.log_alpha.detach().exp() * log_prob - value).mean(), log_prob

    def alpha_loss(self, log_prob: Tensor) -> Tensor:
        """Raises the temperature while entropy lies below its target: -log α (log π + target entropy)."""
        return -(self.log_alpha * (log_prob + self.target_entropy)).mean()
