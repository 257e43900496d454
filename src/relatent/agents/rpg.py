"""Reparameterised policy gradient: a latent variable policy, trained through a latent world model (Huang et al. 2023).

An episode draws z once and acts by π(a|s, z). The ELBO of Eq 2 becomes the reward r + r', with

    r' = -α log π(a|s, z) + β log p(z|s, a)

An update goes: novelty network, world model and critics (Eq 4), then at every second one the policy through imagined
rollouts (Eq 3), α, and p(z|s, a). Without z it is model-based SAC, by the same lines.

The published curves come from haosulab/RPG@a7dc920, which differs from the paper in what it minimises; each difference
is a hyperparameter here, and docs/rpg.md lists them.
"""

from collections.abc import Hashable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.batch import Segments, Starts, WorldBatch
from relatent.nets.imagination import Rollout, imagine
from relatent.nets.latent_variable import LATENTS, Latent
from relatent.nets.latent_world import LatentWorld, two_layers
from relatent.nets.learner import move_towards
from relatent.nets.noise import gumbel, normal
from relatent.nets.policies import POLICIES
from relatent.objectives.novelty import NoveltyLearner
from relatent.objectives.rollout_value import length_weights, rollout_value
from relatent.objectives.schedules import two_segments


@dataclass(frozen=True)
class Hyper:
    width: int
    """Units of each hidden layer and of the recurrent state."""
    state: int
    """Numbers in a latent state s."""
    latent: Literal["gaussian", "categorical", "none"]
    """Kind of z; without any the agent is model-based SAC."""
    latent_size: int
    """Dimensions or categories of z."""
    posterior_std: float
    """Fixed deviation of p(z|s, a); of a Gaussian z."""
    policy: Literal["gaussian", "mixture", "soft_mixture", "flow"]
    """Family of π(a|s, z)."""
    policy_std: float
    """Factor of the policy's deviation, which is at first this large."""
    batch: int
    """Segments in one update; as many observations for the novelty network."""
    horizon: int
    """Steps in a segment and in an imagined rollout."""
    lr: float
    """Adam's learning rate, of everything."""
    clip_norm: float
    """Largest norm of the gradient of the world model and of the policies."""
    gamma: float
    """Discount of one agent step."""
    tau: float
    """How far the target world moves towards the world at each policy update."""
    update_after: int
    """Transitions in replay that must be exceeded before the world model learns."""
    update_every: int
    """Agent steps, over all environments, for each update."""
    replay: int
    """Transitions kept; the oldest make room for new ones."""
    init_alpha: float
    """Temperature before the first update. Target entropy is -|A|."""
    beta: float
    """Weight of log p(z|s, a) in the reward."""
    novelty: float
    """Weight of the novelty bonus in the reward; 0 is without."""
    novelty_width: int
    """Units of the novelty network's layers and its outputs."""
    novelty_memory: int
    """Newest observations that the novelty network learns from."""
    reward_scale: float
    """Factor of the environment's reward: one over the temperature of Sec 3."""
    reward_ramp: tuple[float, ...]
    """(share, first, second): that factor rises to its share over the first updates, then to all; () has no ramp."""
    state_weight: float
    """Of the predicted states' error, a mean over their dimensions (L1 of Eq 4)."""
    reward_weight: float
    """Of the predicted rewards' squared error (L2 of Eq 4)."""
    value_weight: float
    """Of the critics' squared error, a mean over both (L3 of Eq 4)."""
    critic: Literal["state_value", "action_value"]
    """V(s', z) added to the predicted reward, or Q(s, a, z)."""
    length_decay: float
    """Rollouts of 1, 2, .. steps are averaged with weights that fall by this factor; 0 takes the longest alone."""
    target_entropy_bonus: bool
    """Whether the critics' targets contain the policy's entropy."""
    target_encoder: bool
    """Whether predicted states are compared with the target world's encoding or with the world's own."""
    actor_critic: Literal["first", "smaller"]
    """Which of both critics the policy climbs."""
    latent_alpha: float
    """Temperature of π(z|s) of a categorical z, a softmax of learnt values."""
    latent_every: int
    """Updates for each one of π(z|s) of a categorical z."""


class Noise(NamedTuple):
    """Draws of one update; a field that it does not need is ()."""

    target: Any = ()
    """Of the policy in rollouts from every next observation of a segment, (steps, B, L, noise_size)."""
    actor: Any = ()
    """Of the policy in rollouts from anywhere, (steps, B, noise_size)."""
    beginnings: Any = ()
    """Of the policy in rollouts from where episodes begin, (steps, B, noise_size)."""


def starts(segments: Segments) -> Starts:
    """Where segments begin, and the z of then."""
    return Starts(segments.observation[:, 0], segments.kept)


class RPG(NoveltyLearner):
    """The agent."""

    period = 2
    weights: Tensor
    progress: Tensor

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper, self.action_size = hyper, action_size
        inputs = hyper.state + action_size
        self.latent: Latent = LATENTS[hyper.latent](hyper.latent_size, inputs, hyper.width, hyper.posterior_std)
        self.kept_size = self.latent.size
        seen_by_policy = hyper.state + self.latent.size
        seen_by_critic = seen_by_policy + (action_size if hyper.critic == "action_value" else 0)
        self.world = LatentWorld(observation_size, action_size, hyper.state, hyper.width, seen_by_critic)
        self.target_world = deepcopy(self.world).requires_grad_(False)
        self.policy = POLICIES[hyper.policy](seen_by_policy, action_size, hyper.width, hyper.policy_std)
        self.log_alpha = nn.Parameter(torch.zeros(()))  # relative to init_alpha
        self.target_entropy = -float(action_size)
        self.register_buffer("weights", length_weights(hyper.horizon, hyper.length_decay or None), persistent=False)
        self.register_buffer("progress", torch.zeros(()))  # updates done, where a loss may read them
        self.optimise("world", self.world.parameters(), hyper.lr, hyper.clip_norm)
        self.optimise("policy", self.policy.parameters(), hyper.lr, hyper.clip_norm)
        self.optimise("alpha", [self.log_alpha], hyper.lr)
        if hyper.latent != "none":
            self.optimise("posterior", self.latent.parameters(), hyper.lr)
        if hyper.latent == "categorical":
            self.latent_values = two_layers(hyper.state, hyper.latent_size, hyper.width)
            self.optimise("latent_values", self.latent_values.parameters(), hyper.lr, hyper.clip_norm)
        self.optimise_novelty(observation_size, hyper.lr)

    # Acting: z is drawn once an episode. The official code evaluates with the same random policy that it trains.

    def choose(self, observation: Tensor, belief: Any, noise: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        state = self.world.encode(observation)
        for_action, for_latent = noise
        if belief is None and self.hyper.latent == "categorical":
            for_latent = for_latent + self.latent_values(state) / self.hyper.latent_alpha
        latent = self.latent.draw(for_latent) if belief is None else belief
        return self.policy(torch.cat([state, latent], dim=-1), for_action)[0], latent

    def draw_action_noise(self, explore: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        del explore
        draw = gumbel if self.hyper.latent == "categorical" else normal
        return self.policy.draw_noise((), generator), draw((self.latent.size,), generator)

    def keep(self, belief: Tensor) -> np.ndarray:
        return belief.cpu().numpy()

    # Learning: the novelty network as soon as a batch was seen, all else once replay holds `update_after` transitions.

    def draw_update(self, replay: Any, generator: torch.Generator) -> tuple[WorldBatch, Noise]:
        hyper = self.hyper
        seen = self.draw_seen(replay, generator)
        if len(replay) <= hyper.update_after:
            return WorldBatch(seen), Noise()
        self.updates += 1
        segments = replay.sample_segments(hyper.batch, hyper.horizon, generator)
        steps = hyper.horizon + (hyper.critic == "action_value")
        target = self.policy.draw_noise((steps, hyper.batch, hyper.horizon), generator)
        batch, noise = WorldBatch(seen, segments), Noise(target)
        if self.policy_is_due():
            anywhere = starts(replay.sample_segments(hyper.batch, 1, generator))
            batch = batch._replace(starts=anywhere)
            noise = noise._replace(actor=self.policy.draw_noise((steps, hyper.batch), generator))
        if self.latent_is_due():
            beginnings = starts(replay.sample_beginnings(hyper.batch, generator))
            batch = batch._replace(beginnings=beginnings)
            noise = noise._replace(beginnings=self.policy.draw_noise((steps, hyper.batch), generator))
        return batch, noise

    def phase(self) -> Hashable:
        return self.updates > 0, self.policy_is_due(), self.latent_is_due()

    def policy_is_due(self) -> bool:
        return self.updates % self.period == 1

    def latent_is_due(self) -> bool:
        return self.hyper.latent == "categorical" and (self.updates - 1) % self.hyper.latent_every == 0

    def learn(self, batch: WorldBatch, noise: Noise) -> dict[str, Tensor]:
        metrics = self.learn_novelty(batch.seen)
        if not isinstance(batch.segments, Segments):
            return {}
        _, parts = self.minimise("world", self.world_loss, batch.segments, noise.target)
        self.progress.add_(1)
        metrics |= parts
        if self.policy_is_due():
            value_loss, entropy, rollout = self.minimise("policy", self.policy_loss, batch.starts, noise.actor)
            self.minimise("alpha", self.alpha_loss, entropy)
            metrics |= {"policy_loss": value_loss, "entropy": entropy, "alpha": self.alpha().detach()}
            if self.hyper.latent != "none":
                cross_entropy = self.minimise("posterior", self.posterior_loss, batch.starts.latent, *rollout)
                metrics["latent_cross_entropy"] = cross_entropy
        if self.latent_is_due():
            self.minimise("latent_values", self.latent_values_loss, batch.beginnings, noise.beginnings)
        if not self.policy_is_due():
            move_towards(self.target_world, self.world, self.hyper.tau)
        return metrics

    # Losses

    def world_loss(self, segments: Segments, noise: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Errors of predicted states, rewards and values along the stored actions. # Eq 4"""
        hyper, world = self.hyper, self.world
        following = segments.observation[:, 1:]
        latent = segments.kept[:, None].expand(-1, hyper.horizon, -1)
        with torch.no_grad():
            reward = hyper.reward_scale * segments.reward
            if hyper.reward_ramp:
                reward = two_segments(self.progress, *hyper.reward_ramp) * reward
            reward = reward + hyper.novelty * self.novelty_bonus(following)
            encoded = self.target_world.encode(following)
            rollout = self.imagine(self.target_world, encoded, latent, noise)
            value = self.value(self.target_world, rollout, latent, hyper.target_entropy_bonus).amin(0)
            value = value * (1 - segments.terminated)
            expected_state = encoded if hyper.target_encoder else world.encode(following)
        states, next_states, rewards = world.follow(segments.observation[:, 0], segments.action)
        if hyper.critic == "state_value":
            values, expected_value = world.values(next_states, latent), value
        else:
            values = world.values(states, latent, segments.action)
            expected_value = reward + hyper.gamma * value
        errors = {
            "state_loss": (next_states - expected_state).square().mean(-1),
            "reward_loss": (rewards - reward).square(),
            "value_loss": (values - expected_value).square().mean(0),
        }
        parts = {name: (segments.mask * error).sum(1).mean() / hyper.horizon for name, error in errors.items()}
        loss = (
            hyper.state_weight * parts["state_loss"]
            + hyper.reward_weight * parts["reward_loss"]
            + hyper.value_weight * parts["value_loss"]
        )
        return loss, {**parts, "value": (segments.mask * value).sum() / segments.mask.sum()}

    def policy_loss(self, starts: Starts, noise: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Minus the rollouts' mean value, the policy's entropy on them, and their states and actions. # Eq 3"""
        with torch.no_grad():
            state = self.world.encode(starts.observation)
        rollout = self.imagine(self.world, state, starts.latent, noise)
        values = self.value(self.world, rollout, starts.latent, entropy_bonus=True)
        value = values[0] if self.hyper.actor_critic == "first" else values.amin(0)
        steps = slice(self.hyper.horizon)
        return -value.mean(), -rollout.log_probs[steps].mean(), (rollout.states[steps], rollout.actions[steps])

    def alpha_loss(self, entropy: Tensor) -> Tensor:
        """Lowers α while the policy's entropy exceeds its target."""
        return self.log_alpha.exp() * (entropy - self.target_entropy)

    def posterior_loss(self, latent: Tensor, states: Tensor, actions: Tensor) -> Tensor:
        """E[-log p(z|s, a)] on imagined steps."""
        return -self.latent.log_posterior(latent, states, actions).mean()

    def latent_values_loss(self, starts: Starts, noise: Tensor) -> Tensor:
        """Squared error of the values that π(z|s) is a softmax of, at the z that was drawn."""
        hyper = self.hyper
        with torch.no_grad():
            state = self.world.encode(starts.observation)
            rollout = self.imagine(self.world, state, starts.latent, noise)
            latents = starts.latent.expand(len(rollout.actions), *starts.latent.shape)
            if hyper.critic == "state_value":
                values = rollout.rewards + hyper.gamma * self.world.values(rollout.next_states, latents)
            else:
                values = self.world.values(rollout.states, latents, rollout.actions)[:, : hyper.horizon]
            value = values.amin(0) + self.bonus(rollout, latents, entropy_bonus=True)[: hyper.horizon]
            states = rollout.states[: hyper.horizon]
        return F.mse_loss((self.latent_values(states) * starts.latent).sum(-1), value)

    # Imagination

    def alpha(self) -> Tensor:
        """The temperature."""
        return self.hyper.init_alpha * self.log_alpha.exp()

    def imagine(self, world: LatentWorld, state: Tensor, latent: Tensor, noise: Tensor) -> Rollout:
        """Act in a world. A critic of actions needs one action more than there are steps."""
        return imagine(world, self.policy, state, latent, noise, self.hyper.horizon)

    def value(self, world: LatentWorld, rollout: Rollout, latent: Tensor, entropy_bonus: bool) -> Tensor:
        """Both critics' estimates of where a rollout began, (2, ...). # Eq 3"""
        hyper = self.hyper
        latents = latent.expand(len(rollout.actions), *latent.shape)
        bonus = self.bonus(rollout, latents, entropy_bonus)
        if hyper.critic == "state_value":
            bootstraps = world.values(rollout.next_states, latents)
        else:
            values = world.values(rollout.states, latents, rollout.actions)
            bootstraps = (values + bonus)[:, 1:]
        gains = rollout.rewards + bonus[: hyper.horizon]
        return rollout_value(gains, bootstraps, hyper.gamma, self.weights)

    def bonus(self, rollout: Rollout, latents: Tensor, entropy_bonus: bool) -> Tensor:
        """r' of every imagined action."""
        bonus = self.hyper.beta * self.latent.log_posterior(latents, rollout.states, rollout.actions)
        return bonus - self.alpha().detach() * rollout.log_probs if entropy_bonus else bonus

    def probe(self, name: str, replay: Any, generator: torch.Generator) -> dict[str, float]:
        """`latent`: on imagined steps, the cross entropy of p(z|s, a) and the bound of I(z; s, a) from it, in nats."""
        if name != "latent":
            return super().probe(name, replay, generator)
        with torch.no_grad():
            other = replay.sample_segments(self.hyper.batch, 1, generator)
            noise = self.policy.draw_noise((self.hyper.horizon, self.hyper.batch), generator)
            rollout = self.imagine(self.world, self.world.encode(other.observation[:, 0]), other.kept, noise)
            steps = slice(self.hyper.horizon)
            cross_entropy = self.posterior_loss(other.kept, rollout.states[steps], rollout.actions[steps])
            information = self.latent.information(cross_entropy)
        return {"cross_entropy": float(cross_entropy), "information": float(information)}
