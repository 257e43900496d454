"""Soft actor-critic with a novelty bonus: SAC(R), and without the bonus SAC, of RPG's Figures 6, 7 and 12.

RPG's paper takes SAC with its authors' hyperparameters, one update in five agent steps, and the bonus that RPG has
(App D); the official code lacks this baseline. Ours is that an update goes as RPG's: the novelty network as soon as
there is a batch of observations, then critic, actor, temperature and target network once replay holds enough. The bonus
is that of the observation which a transition led to, computed when the transition is drawn.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from relatent.nets.batch import Batch
from relatent.nets.distributions import GaussianHead
from relatent.nets.mlp import xavier
from relatent.objectives.novelty import NoveltyLearner
from relatent.objectives.soft_actor_critic import Noise, SoftActorCritic

LAYERS = 2  # hidden ones, in actor and critics


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


class SACNovelty(NoveltyLearner, SoftActorCritic):
    """The agent."""

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper = hyper
        sizes = observation_size, action_size, hyper.width, LAYERS
        self.make_policy(GaussianHead(*sizes, init=xavier), action_size, hyper.init_alpha, -float(action_size))
        self.make_networks(*sizes)
        self.optimise_all(hyper.lr, hyper.lr, hyper.lr)
        self.optimise_novelty(observation_size, hyper.lr)

    def draw_update(self, replay: Any, generator: torch.Generator) -> tuple[Drawn, Noise]:
        hyper = self.hyper
        seen = self.draw_seen(replay, generator)
        if len(replay) <= hyper.update_after:
            return Drawn(seen), Noise()
        self.updates += 1
        return Drawn(seen, replay.sample(hyper.batch, generator)), self.draw_noise(hyper.batch, generator)

    def phase(self) -> int:
        return int(self.updates > 0)

    def learn(self, batch: Drawn, noise: Noise) -> dict[str, Tensor]:
        metrics = self.learn_novelty(batch.seen)
        if not isinstance(batch.transitions, Batch):
            return {}
        return metrics | super().learn(batch.transitions, noise)

    def learn_critic(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        critic_loss, bonus = self.minimise("critic", self.rewarded_critic_loss, batch, noise)
        return {"critic_loss": critic_loss, "bonus": bonus}

    def rewarded_critic_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """The critics' loss where the bonus is part of the reward, and the bonus's mean."""
        bonus = self.novelty_bonus(batch.next_observation)
        rewarded = batch._replace(reward=batch.reward + self.hyper.novelty * bonus)
        return self.critic_loss(rewarded, noise), bonus.mean()
