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
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from relatent.nets.batch import Segments, Starts, WorldBatch
from relatent.nets.latent_policy import LATENT_POLICIES
from relatent.nets.latent_variable import LATENTS
from relatent.nets.latent_world import LatentWorld
from relatent.nets.learner import move_towards
from relatent.nets.observation import Observation
from relatent.nets.policies import POLICIES
from relatent.objectives.latent_rollouts import LatentRollouts
from relatent.objectives.planned_action import draw_plan_noise, planned_action
from relatent.objectives.rollout_value import length_weights
from relatent.objectives.schedules import check_span, two_segments
from relatent.specs.errors import RelatentError


@dataclass(frozen=True)
class Hyper:
    width: int
    """Units of each hidden layer and of the recurrent state."""
    state: int
    """Numbers in a latent state s."""
    latent: Literal["gaussian", "learnt_gaussian", "categorical", "none"]
    """Kind of z, and whether π(z|s) is learnt; without any the agent is model-based SAC."""
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
    latent_entropy_decay: tuple[float, ...] = ()
    """(first, last) in agent steps: the weight of a learnt Gaussian π(z|s)'s entropy falls to zero; () keeps it."""
    picture_channels: int = 0
    """Of each convolution that sees pictures; vectors have none."""
    plan_iterations: int = 0
    """Of a search for a plan, by which the agent acts; with none it acts by its policy."""
    plan_samples: int = 0
    """Plans drawn in each iteration."""
    plan_policy_share: float = 0.0
    """Plans of the policy that take part, as a share of those drawn."""
    plan_elites: int = 0
    """Best plans of an iteration."""
    plan_temperature: float = 0.0
    """Factor of values in the elites' weights."""
    plan_momentum: float = 0.0
    """What a plan's mean keeps of itself in an iteration."""
    plan_min_std: float = 0.0
    """Least deviation of a plan."""


class Noise(NamedTuple):
    """Draws of one update; a field that it does not need is ()."""

    target: Any = ()
    """Of the policy in rollouts from every next observation of a segment, (steps, B, L, noise_size)."""
    actor: Any = ()
    """Of the policy in rollouts from anywhere, (steps, B, noise_size)."""
    beginnings: Any = ()
    """Of the policy in rollouts from where episodes begin, (steps, B, noise_size)."""
    latent: Any = ()
    """Of a learnt Gaussian z there, (B, size of z)."""


def starts(segments: Segments) -> Starts:
    """Where segments begin, and the z of then."""
    return Starts(segments.observation[:, 0], segments.kept)


class RPG(LatentRollouts):
    """The agent."""

    period = 2
    sees_pictures = True

    def __init__(self, observation: Observation, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        if hyper.plan_iterations and hyper.critic == "action_value":
            raise RelatentError("plan_iterations: a plan ends in a state, expected critic: state_value")
        check_span("latent_entropy_decay", hyper.latent_entropy_decay)
        self.hyper, self.action_size = hyper, action_size
        inputs = hyper.state + action_size
        self.latent = LATENTS[hyper.latent](hyper.latent_size, inputs, hyper.width, hyper.posterior_std)
        self.kept_size = self.latent.size
        seen_by_policy = hyper.state + self.latent.size
        seen_by_critic = seen_by_policy + (action_size if hyper.critic == "action_value" else 0)
        sizes = action_size, hyper.state, hyper.width, seen_by_critic, hyper.picture_channels
        self.world = LatentWorld(observation, *sizes)
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
        latent_policy = LATENT_POLICIES[hyper.latent]
        self.latent_policy = latent_policy(hyper.state, hyper.latent_size, hyper.width, hyper.latent_alpha)
        if hyper.latent in ("categorical", "learnt_gaussian"):
            self.optimise("latent_policy", self.latent_policy.parameters(), hyper.lr, hyper.clip_norm)
        self.optimise_novelty(observation, hyper.lr, hyper.picture_channels)

    # Acting: z is drawn once an episode. The official code evaluates with the same random policy that it trains.

    def choose(self, observation: Tensor, belief: Any, noise: tuple[Any, Tensor]) -> tuple[Tensor, Tensor]:
        state = self.world.encode(observation)
        for_action, for_latent = noise
        latent = self.latent.draw(self.latent_policy(state, for_latent)) if belief is None else belief
        if self.hyper.plan_iterations:
            value = partial(self.value, self.world, entropy_bonus=False)
            return planned_action(self.world, self.policy, value, state, latent, for_action, self.hyper), latent
        return self.policy(torch.cat([state, latent], dim=-1), for_action)[0], latent

    def draw_action_noise(self, explore: bool, generator: torch.Generator) -> tuple[Any, Tensor]:
        del explore
        for_action = (
            draw_plan_noise(self.policy, self.action_size, self.hyper, generator)
            if self.hyper.plan_iterations
            else self.policy.draw_noise((), generator)
        )
        return for_action, self.latent_policy.draw_noise((self.latent.size,), generator)

    def keep(self, belief: Tensor | None) -> np.ndarray | None:
        """z. A random action has the constant where z is one, and none where z is drawn with the agent's first."""
        if belief is None:
            return self.latent.draw(torch.zeros(self.latent.size)).numpy() if self.hyper.latent == "none" else None
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
            if hyper.latent == "learnt_gaussian":
                noise = noise._replace(latent=self.latent_policy.draw_noise((hyper.batch, self.latent.size), generator))
        return batch, noise

    def phase(self) -> Hashable:
        return self.updates > 0, self.policy_is_due(), self.latent_is_due()

    def policy_is_due(self) -> bool:
        return self.updates % self.period == 1

    def latent_is_due(self) -> bool:
        if self.hyper.latent == "categorical":
            return (self.updates - 1) % self.hyper.latent_every == 0
        return self.hyper.latent == "learnt_gaussian" and self.policy_is_due()

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
            if self.hyper.latent == "categorical":
                self.minimise("latent_policy", self.latent_values_loss, batch.beginnings, noise.beginnings)
            else:
                self.minimise("latent_policy", self.latent_loss, batch.beginnings, noise.beginnings, noise.latent)
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
        value, rollout = self.climbed(state, starts.latent, noise)
        steps = slice(self.hyper.horizon)
        return -value.mean(), -rollout.log_probs[steps].mean(), (rollout.states[steps], rollout.actions[steps])

    def alpha_loss(self, entropy: Tensor) -> Tensor:
        """Lowers α while the policy's entropy exceeds its target."""
        return self.log_alpha.exp() * (entropy - self.target_entropy)
