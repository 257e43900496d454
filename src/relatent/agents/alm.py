"""Aligned latent models (Ghugare et al. 2023): encoder, latent model and policy trained by one lower bound on returns.

An update goes as in RajGhugare19/alm@3b70f5b: encoder and model (Eq 7) on sequences; then, on one batch of transitions,
reward and classifier (Eq 11, 9), critic (Eq 10) and policy (Eq 8); then both targets. Where paper and code differ a
hyperparameter chooses; docs/alm.md lists them. Inside of the agent actions are in the environment's own units, of
which `action_limit` is the bound: the policy's mean spans [-1, 1] whatever the bound is, as in that code.

Sequences are drawn uniformly from those that no episode's end cuts; the code's may straddle a time limit, 0.3 % do.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.aligned_latent import Classifier, Heads, LatentModel, divergence, make_encoder
from relatent.nets.batch import Batch, Played, Segments
from relatent.nets.bounded_policy import EDGE, BoundedPolicy
from relatent.nets.latent_world import two_layers
from relatent.nets.learner import Learner, move_towards
from relatent.nets.noise import normal, normal_if
from relatent.objectives.lambda_return import lambda_returns
from relatent.objectives.latent_probes import collapse, k_step_bound, latent_open_loop
from relatent.objectives.log_reward import log_transformed
from relatent.objectives.planning import linear
from relatent.objectives.value_bias import value_bias
from relatent.specs.errors import RelatentError


@dataclass(frozen=True)
class Hyper:
    width: int
    """Units of each of two hidden layers, of all networks but the model."""
    model_width: int
    """Units of each of the model's two hidden layers."""
    latent_size: int
    """Numbers in z, unless z is the observation."""
    horizon: int
    """Steps of a sequence and of an imagined rollout (K)."""
    batch: int
    """Sequences, and transitions, in one update."""
    lr: float
    """Adam's learning rate, of all networks."""
    clip_norm: float
    """Largest norm of the gradient, of each of the four groups of networks."""
    gamma: float
    """Discount of one agent step."""
    lambda_weight: float
    """λ of the imagined returns; 1 is the K-step return alone."""
    tau: float
    """How far the targets of encoder and critic move after each update."""
    first_std: float
    """Standard deviation of the policy's noise before the first update."""
    last_std: float
    """The same after `std_steps` updates."""
    std_steps: int
    """Updates in which it falls."""
    noise_clip: float
    """Largest absolute value of that noise while learning; exploring has no such limit."""
    action_limit: float
    """The environment's bound of an action."""
    classifier_weight: float
    """Of the log odds in the policy's reward (c)."""
    classifier: Literal["mlp", "linear"]
    """The classifier's network."""
    pairing: Literal["independent", "same"]
    """Whether a predicted z' comes from a draw of z of its own or from the one that the classifier sees."""
    kl: bool
    """Whether encoder and model are trained on the divergence of Eq 7."""
    representation_value: Literal["both", "reward", "none"]
    """What of rewards and Q-function encoder and model are trained on."""
    representation_discount: bool
    """Whether Eq 7's terms are discounted."""
    encoder: Literal["gaussian", "identity", "identity_fixed", "none"]
    """e(z|s); identity is s with learnt noise, identity_fixed s with a deviation of 0.1, none is s and no model."""
    representation: Literal["aligned", "reconstruction", "critic_too", "critic_only"]
    """What trains the encoder: Eq 7; reconstructing s; Eq 7 and the heads' errors; the heads' errors."""
    actor: Literal["imagined", "td3"]
    """What the policy climbs: Eq 8, or the critic at z."""
    actor_starts: Literal["all", "first"]
    """Whether Eq 8 is a mean over an imagined rollout's K steps as starts, or of its first alone."""
    first_activation: Literal["tanh", "elu"]
    """After the normalised layer of reward and critic."""
    log_reward: Literal["none", "representation", "everywhere", "scaled"]
    """Where logarithms of rewards and values are taken; scaled is a (log(y + a) - log a), everywhere."""
    log_scale: float
    """a of the scaled logarithm."""
    reward_shift: float
    """Added to every reward that is learnt."""
    entropy: bool
    """Whether the policy learns its deviation, and rewards have its entropy as SAC's."""
    init_alpha: float
    """Temperature of that entropy before the first update."""
    alpha_lr: float
    """Adam's learning rate for the temperature."""
    update_after: int
    """Environment frames before the first update."""
    replay: int
    """Transitions kept; the oldest make room for new ones."""


class ActionNoise(NamedTuple):
    """Draws of one action."""

    latent: Tensor  # (latent_size,)
    action: Tensor  # (action_size,), zeros where nothing is explored
    limit: Tensor  # (), of the action; infinite where nothing is explored


class Given(NamedTuple):
    """What one update is given; actions in the environment's units."""

    segments: Segments
    transitions: Batch


class Noise(NamedTuple):
    """Standard normal draws of one update."""

    start: Tensor  # (B, latent_size), as all but paths and actions
    path: Tensor  # (horizon, B, latent_size)
    last_action: Tensor  # (B, action_size)
    shown: Tensor  # z of reward and classifier
    origin: Tensor  # z that a predicted z' comes from
    predicted: Tensor
    encoded: Tensor
    valued: Tensor  # z of the critic
    following: Tensor
    next_action: Tensor  # (B, action_size)
    imagined: Tensor  # z that imagined rollouts start from
    imagined_path: Tensor  # (horizon, B, latent_size)
    actions: Tensor  # (horizon + 1, B, action_size)


class ALM(Learner):
    """The agent."""

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper, self.action_size = hyper, action_size
        self.latent_size = hyper.latent_size if hyper.encoder == "gaussian" else observation_size
        self.encodes, self.learns_heads = hyper.encoder != "none", hyper.representation.startswith("critic")
        refuse(hyper)
        sizes = self.latent_size, action_size
        self.encoder = make_encoder(hyper.encoder, observation_size, self.latent_size, hyper.width)
        self.target_encoder = deepcopy(self.encoder).requires_grad_(False)
        self.model = LatentModel(*sizes, hyper.model_width)
        self.reward = Heads(1, *sizes, hyper.width, hyper.first_activation)
        self.classifier = Classifier(*sizes, hyper.width, hyper.classifier == "linear")
        self.critic = Heads(2, *sizes, hyper.width, hyper.first_activation)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)
        noise = hyper.first_std, hyper.noise_clip
        self.actor = BoundedPolicy(*sizes, hyper.width, hyper.entropy, *noise, hyper.action_limit)
        if hyper.representation == "reconstruction":
            self.decoder = two_layers(self.latent_size, observation_size, hyper.width)
        self.log_alpha = nn.Parameter(torch.tensor(hyper.init_alpha).log())
        self.optimise_all()

    def optimise_all(self) -> None:
        """Four groups, as in the code; the encoder is where what trains it is."""
        hyper, encoder = self.hyper, [p for p in self.encoder.parameters() if p.requires_grad]
        world = [*self.model.parameters(), *([] if hyper.representation == "critic_only" else encoder)]
        if hyper.representation == "reconstruction":
            world += self.decoder.parameters()
        if self.encodes:
            self.optimise("world", world, hyper.lr, hyper.clip_norm)
            heads = [*self.reward.parameters(), *self.classifier.parameters()]
            self.optimise("heads", heads, hyper.lr, hyper.clip_norm)
        if self.learns_heads:
            self.optimise("encoder", encoder, hyper.lr, hyper.clip_norm)
        self.optimise("critic", self.critic.parameters(), hyper.lr, hyper.clip_norm)
        self.optimise("actor", self.actor.parameters(), hyper.lr, hyper.clip_norm)
        if hyper.entropy:
            self.optimise("alpha", [self.log_alpha], hyper.alpha_lr)

    # Acting

    def choose(self, observation: Tensor, belief: Any, noise: ActionNoise) -> tuple[Tensor, Any]:
        """An action of a sampled z. The mean that evaluations take may lie outside of the bounds, as in the code."""
        latent = self.encoder(observation).sample(noise.latent)
        return self.actor.explore(latent, noise.action, noise.limit), belief

    def draw_action_noise(self, explore: bool, generator: torch.Generator) -> ActionNoise:
        limit = self.hyper.action_limit - EDGE if explore else torch.inf
        latent = normal((self.latent_size,), generator)
        return ActionNoise(latent, normal_if(explore, (self.action_size,), generator), torch.tensor(limit))

    # One update

    def draw_update(self, replay: Any, generator: torch.Generator) -> tuple[Given, Noise]:
        hyper, limit = self.hyper, self.hyper.action_limit
        self.updates += 1
        self.actor.std.fill_(linear(hyper.first_std, hyper.last_std, hyper.std_steps, self.updates))
        segments = replay.sample_whole_segments(hyper.batch, hyper.horizon, generator)
        transitions = replay.sample(hyper.batch, generator)
        batch = Given(*(part._replace(action=limit * part.action) for part in (segments, transitions)))
        return batch, self.draw_noise(hyper.batch, generator)

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Noise:
        steps, latent, action = self.hyper.horizon, (batch_size, self.latent_size), (batch_size, self.action_size)
        shapes: dict[str, tuple[int, ...]] = {"last_action": action, "next_action": action}
        shapes |= {"path": (steps, *latent), "imagined_path": (steps, *latent), "actions": (steps + 1, *action)}
        return Noise(*(normal(shapes.get(name, latent), generator) for name in Noise._fields))

    def learn(self, batch: Given, noise: Noise) -> dict[str, Tensor]:
        metrics: dict[str, Tensor] = {}
        transitions = batch.transitions
        if self.encodes:
            loss = self.reconstruction_loss if self.hyper.representation == "reconstruction" else self.aligned_loss
            metrics["world_loss"], parts = self.minimise("world", loss, batch.segments, noise)
            metrics |= parts
            metrics["heads_loss"], parts = self.minimise("heads", self.heads_loss, transitions, noise)
            metrics |= parts
        metrics["critic_loss"] = self.minimise("critic", self.critic_loss, transitions, noise)
        if self.learns_heads:
            metrics["encoder_loss"] = self.minimise("encoder", self.all_heads_loss, transitions, noise)
        metrics["actor_loss"], log_prob = self.minimise("actor", self.actor_loss, transitions, noise)
        if self.hyper.entropy:
            self.minimise("alpha", self.alpha_loss, log_prob)
            metrics |= {"alpha": self.log_alpha.detach().exp(), "entropy": -log_prob.mean(-1)}
        if self.hyper.encoder in ("gaussian", "identity"):
            move_towards(self.target_encoder, self.encoder, self.hyper.tau)
        move_towards(self.target_critic, self.critic, self.hyper.tau)
        return metrics

    def aligned_loss(self, segments: Segments, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        """Minus the bound of encoder and model, a K-step rollout along the actions taken. # Eq 7"""
        hyper, actions = self.hyper, segments.action.unbind(1)
        with torch.no_grad():
            expected = self.target_encoder(segments.observation[:, 1:].transpose(0, 1))
        encoded = self.encoder(segments.observation[:, 0])
        latents, predicted = self.model.follow(encoded.sample(noise.start), actions, noise.path)
        with torch.no_grad():
            last_action, _ = self.actor(latents[-1].detach(), noise.last_action)
        discounts = powers(hyper.gamma if hyper.representation_discount else 1.0, latents[:, 0, 0])
        losses = divergence(predicted, expected)
        rewards = self.transformed(self.reward(latents[:-1], torch.stack(actions))[0], "representation")
        value = self.transformed(self.critic.smaller(latents[-1], last_action), "representation")
        loss = torch.zeros_like(value)
        if hyper.kl:
            loss = loss + (discounts[:-1, None] * losses).sum(0)
        if hyper.representation_value != "none":
            loss = loss - (discounts[:-1, None] * rewards).sum(0)
        if hyper.representation_value == "both":
            loss = loss - discounts[-1] * value
        return loss.mean(), {"divergence": losses.mean(), "latent_std": encoded.std.mean()}

    def reconstruction_loss(self, segments: Segments, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        """The encoder learns to reconstruct, the model to predict what it encodes. # Figure 15"""
        observation = segments.observation
        with torch.no_grad():
            expected = self.encoder(observation[:, 1:].transpose(0, 1))
        encoded = self.encoder(observation[:, 0])
        start = encoded.sample(noise.start)
        _, predicted = self.model.follow(start.detach(), segments.action.unbind(1), noise.path)
        losses = divergence(predicted, expected)
        error = F.mse_loss(self.decoder(start), observation[:, 0])
        return losses.sum(0).mean() + error, {"divergence": losses.mean(), "reconstruction_loss": error}

    def transformed(self, values: Tensor, here: str) -> Tensor:
        """Rewards or values as they enter the bound that is optimised here."""
        return log_transformed(values, self.hyper.log_reward, here, self.hyper.log_scale)

    def read(self, observation: Tensor, noise: Tensor) -> Tensor:
        """z that reward, classifier, critic and policy are trained at: of the target encoder, or of the encoder where
        that is not trained by Eq 7 alone."""
        encoder = self.target_encoder if self.hyper.representation == "aligned" else self.encoder
        return encoder(observation).sample(noise)

    def heads_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        """Of reward (Eq 11) and classifier (Eq 9), of which the first half of the batch sees predictions of z'."""
        latent, half = self.read(batch.observation, noise.shown), len(batch.reward) // 2
        with torch.no_grad():
            own = self.read(batch.observation[:half], noise.origin[:half])
            origin = latent[:half] if self.hyper.pairing == "same" else own
            predicted = self.model(origin, batch.action[:half]).sample(noise.predicted[:half])
            encoded = self.target_encoder(batch.next_observation[half:]).sample(noise.encoded[half:])
        labels = (torch.arange(len(latent), device=latent.device) >= half).long()
        logits = self.classifier(latent, batch.action, torch.cat([predicted, encoded]))
        reward_loss = F.mse_loss(self.reward(latent, batch.action)[0], batch.reward + self.hyper.reward_shift)
        classifier_loss = F.cross_entropy(logits, labels)
        return reward_loss + classifier_loss, {"reward_loss": reward_loss, "classifier_loss": classifier_loss}

    def critic_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Mean squared error of both Q-functions to r + γ min Q̄(z', a'), a' of the policy as it is. # Eq 10"""
        with torch.no_grad():
            following = self.target_encoder(batch.next_observation).sample(noise.following)
            next_action, log_prob = self.actor(following, noise.next_action)
            next_value = self.target_critic.smaller(following, next_action) - self.entropy_cost(log_prob)
            target = batch.reward + self.hyper.reward_shift + self.hyper.gamma * (1 - batch.terminated) * next_value
        values = self.critic(self.read(batch.observation, noise.valued), batch.action)
        return (values - target).square().mean()

    def all_heads_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """What trains the encoder on reward, classifier and critic. # Figures 18 and 19"""
        return self.heads_loss(batch, noise)[0] + self.critic_loss(batch, noise)

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """Minus the bound of the policy (Eq 8), averaged over rollouts of 1 .. K steps (App A.3); and log π of each
        first action. The policy is reached through rewards, log odds and the model alone: what it and the classifier
        see of later latents, and the action that a value is read at, have no gradient."""
        hyper = self.hyper
        with torch.no_grad():
            start = self.read(batch.observation, noise.imagined)
        if hyper.actor == "td3":
            action, log_prob = self.actor(start, noise.actions[0])
            return (self.entropy_cost(log_prob) - self.critic.smaller(start, action)).mean(), log_prob
        states, chosen, log_probs = [start], [], []
        for step, draws in enumerate(noise.actions):
            action, log_prob = self.actor(states[-1].detach(), draws)
            chosen.append(action)
            log_probs.append(log_prob)
            if step < hyper.horizon:
                states.append(self.model(states[-1], action).sample(noise.imagined_path[step]))
        latents, actions, costs = torch.stack(states), torch.stack(chosen), self.entropy_cost(torch.stack(log_probs))
        known = latents[:-1], actions[:-1]
        rewards = self.transformed(self.reward(*known)[0], "actor") - costs[:-1]
        rewards = rewards + hyper.classifier_weight * self.classifier.log_odds(*known, latents[1:].detach())
        values = self.transformed(self.critic.smaller(latents, actions.detach()), "actor") - costs.detach()
        returns = lambda_returns(rewards, values, hyper.gamma, hyper.lambda_weight)
        starts = hyper.horizon if hyper.actor_starts == "all" else 1
        return -(powers(hyper.gamma, returns[:starts, 0])[:, None] * returns[:starts]).mean(), log_probs[0]

    def entropy_cost(self, log_prob: Tensor) -> Tensor:
        """α log π, which is zero without entropy. # Table 5"""
        return self.log_alpha.detach().exp() * log_prob

    def alpha_loss(self, log_prob: Tensor) -> Tensor:
        """Raises the temperature while entropy lies below -|A|."""
        return -(self.log_alpha * (log_prob - self.action_size)).mean()

    # Measured while it trains: objectives/latent_probes.py. Without an encoder there are no latents to measure.

    def probe(self, name: str, replay: Any, generator: torch.Generator) -> dict[str, float]:
        if name != "collapse":
            return super().probe(name, replay, generator)
        return collapse(self, replay.sample(self.hyper.batch, generator), generator) if self.encodes else {}

    def watch(
        self, name: str, episodes: Sequence[Played], generator: torch.Generator
    ) -> Mapping[str, float | np.ndarray]:
        if name == "bias":
            return value_bias(episodes, self.hyper.gamma, partial(k_step_bound, self, generator), generator.device)
        if name != "open_loop":
            return super().watch(name, episodes, generator)
        return latent_open_loop(self, episodes, generator.device) if self.encodes else {}


def refuse(hyper: Hyper) -> None:
    """Raise RelatentError where hyperparameters leave something to learn from nothing."""
    if hyper.encoder == "none" and hyper.actor != "td3":
        raise RelatentError(f"encoder: none has no model to imagine with, expected actor: td3, got {hyper.actor!r}")
    if hyper.representation in ("critic_too", "critic_only") and hyper.encoder in ("identity_fixed", "none"):
        raise RelatentError(
            f"representation: {hyper.representation} trains an encoder, {hyper.encoder!r} has nothing to"
        )
    if hyper.representation != "reconstruction" and not hyper.kl and hyper.representation_value == "none":
        raise RelatentError("kl: false and representation_value: none leave encoder and model nothing to learn from")


def powers(base: float, like: Tensor) -> Tensor:
    """base^0, base^1, .. as many as `like` has numbers."""
    return base ** torch.arange(len(like), dtype=like.dtype, device=like.device)
