"""Stochastic latent actor-critic (Lee et al. 2020): SAC whose critic reads z_t of a latent variable model of sequences.

The model learns from runs of 9 observations and their rewards (Eq 6). Critics are given a sample of z at the last two
of these; the actor is given no z, which it would have to infer first, but the features of the last 8 pictures and the 7
actions between. Neither sends the model a gradient. As in alexlee-gk/slac@14a366e, an update's latents and features are
the model's before its own step, and its 32 sequences are the first of the 256 that actor and critics get. First the
model learns alone, a hundred thousand updates from what random actions led to.

At an episode's first decisions the history is filled with its first picture, and zeros for actions. The official replay
has sequences that begin in the episode before, which are filled alike. A sequence lies within an episode here; one that
begins its episode is moved back by 0 to 7 rows for actor and critics, so that these histories occur. They do so more
rarely: of an episode, each of the first 8 transitions is drawn an eighth as often as any later one.

An agent that acts keeps the features of the pictures it saw and not the pictures, as the official code does, to compute
all of them anew at each decision: those of a picture are of the model as it was when the agent saw it, at most 7
decisions ago. Without updates between, as when it is judged, they are the same.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from relatent.nets.batch import Batch
from relatent.nets.distributions import Gaussian, GaussianHead
from relatent.nets.mlp import TwinQ, xavier
from relatent.nets.noise import normal
from relatent.nets.sequences import Sequences
from relatent.nets.slac_model import SlacModel
from relatent.objectives.slac_elbo import slac_terms
from relatent.objectives.soft_actor_critic import SoftActorCritic


@dataclass(frozen=True)
class Hyper:
    depth: int
    """Channels of the compressor's first convolution; features, and units of the model's hidden layers, are 8 times as
    many."""
    latent1: int
    """Numbers in z¹."""
    latent2: int
    """Numbers in z²."""
    image_variance: float
    """Of each number of a picture given z, in squares of [0, 1]."""
    width: int
    """Units of each hidden layer, in actor and critics."""
    layers: int
    """Hidden layers, in actor and critics."""
    length: int
    """Transitions in a sequence, and pictures that the actor is given."""
    model_batch: int
    """Sequences that the model learns from in one update."""
    batch: int
    """Sequences whose last transitions actor and critics learn from in one update."""
    model_lr: float
    """Adam's learning rate for the model."""
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
    first_updates: int
    """Updates of the model alone, all at once before the first of actor and critics."""
    replay: int
    """Agent steps kept, in whole episodes; the oldest make room for new ones."""


class Belief(NamedTuple):
    """What an agent remembers after a decision."""

    features: Tensor  # (length, features), the present picture's last
    actions: Tensor  # (length - 1, action_size), the present one last


class Seen(NamedTuple):
    """What is known at a time."""

    history: Tensor  # (B, length * features + (length - 1) * action_size), for the actor
    latent: Tensor  # (B, z¹ + z²), for critics


class Given(NamedTuple):
    """For one update."""

    model: Sequences  # model_batch of them
    acting: Any = ()  # Sequences, `batch` of them, moved back; nothing while the model learns alone


class Noise(NamedTuple):
    """Standard normal draws of one update."""

    filter: Tensor  # (B, length + 1, z¹ + z²)
    next_action: Any = ()  # (B, action_size), as the next
    action: Any = ()


class LatentQ(TwinQ):
    """Two Q-functions of (z, action)."""

    def forward(self, seen: Any, action: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(seen.latent, action)


class SLAC(SoftActorCritic):
    """The agent. Target entropy is -|A|."""

    learns_from = "episodes"
    sees_pictures = True

    def __init__(self, observation_shape: tuple[int, ...], action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper = hyper
        self.model = SlacModel(observation_shape[-1], action_size, hyper.depth, (hyper.latent1, hyper.latent2))
        history = hyper.length * self.model.features + (hyper.length - 1) * action_size
        actor = GaussianHead(history, action_size, hyper.width, hyper.layers, init=xavier)
        self.make_policy(actor, action_size, hyper.init_alpha, -float(action_size))
        self.critic = LatentQ(self.model.latent_size, action_size, hyper.width, hyper.layers, init=xavier)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)
        self.optimise("model", self.model.parameters(), hyper.model_lr)
        self.optimise_all(hyper.actor_lr, hyper.critic_lr, hyper.alpha_lr)

    # Acting

    def policy(self, observation: Any) -> Gaussian:
        return self.actor(observation.history)

    def choose(self, observation: Tensor, belief: Any, noise: Tensor) -> tuple[Tensor, Belief]:
        """A sample of the policy, given a picture (3, side, side) of bytes; tanh of its mean where noise is zero."""
        feature = self.model.compress(observation).unsqueeze(0)
        if belief is None:
            features = feature.expand(self.hyper.length, -1)
            actions = noise.new_zeros(self.hyper.length - 1, self.action_size)
        else:
            features, actions = torch.cat([belief.features[1:], feature]), belief.actions
        action = torch.tanh(self.actor(history(features, actions)).sample(noise))
        return action, Belief(features, torch.cat([actions[1:], action.unsqueeze(0)]))

    # Learning

    def phase(self) -> bool:
        """Whether the model learns alone."""
        return self.updates <= self.hyper.first_updates

    def updates_due(self, before: int, after: int) -> int:
        """One in each agent step; at the first of these, those of the model alone before it."""
        due = super().updates_due(before, after)
        return due * (1 + self.hyper.first_updates) if before <= self.hyper.update_after else due

    def draw_update(self, replay: Any, generator: torch.Generator) -> tuple[Given, Noise]:
        hyper, rows = self.hyper, self.hyper.length + 1
        self.updates += 1
        if self.phase():
            model = replay.sample_sequences(hyper.model_batch, rows, generator)
            return Given(model), Noise(self.draw_filter_noise(hyper.model_batch, generator))
        batch = replay.sample_sequences(hyper.batch, rows, generator)
        back = torch.randint(hyper.length, (hyper.batch,), generator=generator, device=generator.device)
        model = Sequences(*(part[: hyper.model_batch] for part in batch))
        return Given(model, moved_back(batch, back.to(batch.first.device))), self.draw_noise(hyper.batch, generator)

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Noise:
        shape = (batch_size, self.action_size)
        drawn = self.draw_filter_noise(batch_size, generator)
        return Noise(drawn, normal(shape, generator), normal(shape, generator))

    def draw_filter_noise(self, batch_size: int, generator: torch.Generator) -> Tensor:
        return normal((batch_size, self.hyper.length + 1, self.model.latent_size), generator)

    def learn(self, batch: Given, noise: Noise) -> dict[str, Tensor]:
        _, metrics, transitions = self.minimise("model", self.model_loss, batch, noise)
        return metrics if self.phase() else metrics | super().learn(transitions, noise)

    def model_loss(self, batch: Given, noise: Noise) -> tuple[Tensor, dict[str, Tensor], Any]:
        """Minus the bound; its terms; and what actor and critics learn from, of the model as it is. # Eq 6"""
        count = batch.model.reward.shape[0]
        terms = slac_terms(self.model, batch.model, noise.filter[:count], self.hyper.image_variance)
        metrics = {f"model_{name}": term.mean() for name, term in terms._asdict().items()}
        return -terms.bound.mean(), metrics, self.transitions(batch.acting, noise.filter) if batch.acting else ()

    @torch.no_grad()
    def transitions(self, batch: Sequences, noise: Tensor) -> Batch:
        """The last one of each sequence."""
        features = self.model.compress(batch.observation)
        latents = self.model.filter(features, batch.action, batch.first, noise).latents
        return Batch(
            Seen(history(features[:, :-1], batch.action[:, 1:-1]), latents[:, -2]),  # type: ignore[arg-type]
            batch.action[:, -1],
            batch.reward[:, -1],
            Seen(history(features[:, 1:], batch.action[:, 2:]), latents[:, -1]),  # type: ignore[arg-type]
            batch.terminated[:, -1],
        )


def history(features: Tensor, actions: Tensor) -> Tensor:
    """What the actor is given, of features (..., length, features) and actions between (..., length - 1, size)."""
    return torch.cat([features.flatten(-2), actions.flatten(-2)], dim=-1)


def moved_back(batch: Sequences, back: Tensor) -> Sequences:
    """Sequences as they are; those that begin an episode, so many rows (B,) of it before its beginning, where its first
    row stands again and again."""
    rows = torch.arange(batch.first.shape[1], device=back.device)
    wanted = (rows - back[:, None] * batch.first[:, :1].long()).clamp(min=0)
    each = torch.arange(len(back), device=back.device)[:, None]
    return Sequences(*(part[each, wanted] for part in batch))
