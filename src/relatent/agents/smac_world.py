"""Stochastic marginal actor-critic with a world model (Zhang et al. 2023, Sec 3 and 5.2, App B.2).

Latent-SAC whose policy and Q-function are those of the history h_t: π(a|h) = E_{s ~ q(s|h)} π(a|s) and, as rewards are
log-likelihoods, Q(h, a) = log E_{s ~ q(s|h)} exp Q(s, a) (Eq 13). Samples of q(s_t|h_t) beside the world model's own,
which is s^0 and makes the action, come from filtering the same sequences K times anew. With K = 0 it is Latent-SAC.

    log π̂(a|h)    from π(a|s^0), .., π(a|s^K), a ~ π(.|s^0)                                                  Eq 11, 12
    Q̃(h, a)       log-mean-exp over particles of the smaller Q; not divided by the temperature                   Eq 14
    actor          α log π̂(a|h) - Q̃(h, a)                                                                  Eq 15, 24
    critics        squared error of Q(s^k, a_t) to r + γ [min Q̄(s'^k, a'^k) - α log π(a'^k|s'^k)], every k        Eq 25
    temperature    by log π̂(a|h)

Particles carry no gradient, to the world model or otherwise. Eq 23 has log π̂ in the target, of one action for all
particles: `target_entropy: marginal`. zdhNarsil/Stochastic-Marginal-Actor-Critic@31d1f56 has each particle's own.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from relatent.nets.batch import Batch
from relatent.nets.distributions import Gaussian, tanh_log_det
from relatent.nets.noise import normal
from relatent.nets.rssm import State
from relatent.nets.sequences import Sequences
from relatent.objectives.conditional_entropy import conditional_entropy_penalty
from relatent.objectives.latent_actor_critic import LatentActorCritic
from relatent.objectives.marginal_entropy import ESTIMATORS, extra_particles
from relatent.objectives.marginal_q import marginal_q
from relatent.objectives.sequence_elbo import ModelLoss
from relatent.specs.errors import RelatentError


@dataclass(frozen=True)
class Hyper:
    deter: int
    """Numbers in h_t, and units of every hidden layer around it."""
    stoch: int
    """Numbers in z_t."""
    depth: int
    """Channels of the encoder's first convolution."""
    width: int
    """Units of each hidden layer in reward head, actor and critics."""
    batch: int
    """Sequences in one update."""
    length: int
    """Observations in a sequence."""
    model_lr: float
    """Adam's learning rate for the world model."""
    actor_lr: float
    """Adam's learning rate for the policy."""
    critic_lr: float
    """Adam's learning rate for both Q-functions."""
    alpha_lr: float
    """Adam's learning rate for the logarithm of the temperature."""
    clip_norm: float
    """Largest norm of the gradient of world model, actor and critics, each."""
    free_nats: float
    """Divergence below which the world model is not asked for less."""
    gamma: float
    """Discount of one agent step."""
    tau: float
    """How far the target critic moves towards the critic at each update."""
    init_alpha: float
    """Temperature before the first update."""
    raw_std: float
    """Added to what the softplus of the policy's deviation reads."""
    exploration_noise: float
    """Deviation of the noise upon a training action."""
    update_after: int
    """Frames from which on there are updates."""
    update_every: int
    """Frames from one time of updating to the next."""
    updates: int
    """Updates at each such time."""
    replay: int
    """Agent steps kept, in whole episodes; the oldest make room for new ones."""
    particles: int
    """K: samples of s_t by filtering anew, beside the one that acts."""
    entropy: Literal["nested", "mlmc", "mlmc_literal"]
    """Estimator of the marginal log-density: Eq 11, Eq 12 in the official code, Eq 12 as printed."""
    q_particles: Literal["all", "others"]
    """Over which Q is marginalised: with s^0 as in the official code, or without (Eq 14)."""
    target_entropy: Literal["conditional", "marginal"]
    """In the critics' target: that of each particle's action as in the official code (Eq 25), or of Eq 23."""
    conditional_entropy: float
    """What the actor's loss adds of the conditional entropy, in units of the temperature (Eq 26)."""


class Noise(NamedTuple):
    """Standard normal draws of one update."""

    filter: Tensor  # (B, L, stoch), of s^0
    particles: Tensor  # (K, B, L, stoch)
    next_action: Tensor  # (K + 1, B, L - 1, action_size), or (1, ..) where all particles judge one action
    action: Tensor  # (B, L, action_size)


class Believed(NamedTuple):
    """What the world model minimised, and its particles."""

    loss: Tensor
    found: ModelLoss
    others: State
    """s^1 .. s^K, (K, B, L, size)."""


class SMACWorld(LatentActorCritic):
    """The agent. Target entropy is -|A|."""

    def __init__(self, observation_shape: tuple[int, ...], action_size: int, hyper: Hyper) -> None:
        if hyper.particles:
            extra_particles(hyper.entropy, hyper.particles)  # raises where the estimator cannot use so many
        elif hyper.q_particles == "others":
            raise RelatentError("smac_world: q_particles: others leaves none of 0 particles, expected all")
        super().__init__(observation_shape, action_size, hyper)

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Noise:
        hyper, size = self.hyper, self.action_size
        judged = 1 + hyper.particles if hyper.target_entropy == "conditional" else 1
        return Noise(
            self.draw_filter_noise(batch_size, generator),
            self.draw_filter_noise(batch_size, generator, hyper.particles),
            normal((judged, batch_size, hyper.length - 1, size), generator),
            normal((batch_size, hyper.length, size), generator),
        )

    def learn_world(self, batch: Sequences, noise: Noise) -> tuple[ModelLoss, Tensor]:
        """The same, with the features of all particles, (K + 1, B, L, size)."""
        _, found, others = self.minimise("world", self.believe, batch, noise)
        return found, torch.cat([found.states.features.unsqueeze(-4), others.features], dim=-4)

    def believe(self, batch: Sequences, noise: Noise) -> Believed:
        """The world model's loss, and K filterings more with the same parameters."""
        found = self.world_loss(batch, noise.filter)
        others = self.world.rssm.refilter(found.embedded, batch.action, batch.first, noise.particles)
        return Believed(found.loss, found, others)

    # Of features (K + 1, ..., size)

    def marginal(self, log_probs: Tensor) -> Tensor:
        """log π̂(a|h) before tanh, (...), from log π(a|s^k), (K + 1, ...). # Eq 11, 12"""
        estimate = ESTIMATORS[self.hyper.entropy if self.hyper.particles else "nested"]
        return estimate(log_probs.movedim(0, -1))

    def marginal_value(self, features: Tensor, action: Tensor) -> Tensor:
        """Q̃(h, a) of an action (..., action_size), (...). # Eq 14"""
        values = torch.minimum(*self.critic(features, action.expand(len(features), *action.shape)))
        return marginal_q((values if self.hyper.q_particles == "all" else values[1:]).movedim(0, -1))

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """α log π̂(a|h) - Q̃(h, a), and log π̂ of every step. # Eq 15, 24, 26"""
        policy = self.policy(batch.observation)
        pre_tanh = Gaussian(policy.mean[0], policy.log_std[0]).sample(noise.action)
        action = torch.tanh(pre_tanh)
        log_probs, log_det = policy.log_prob(pre_tanh), tanh_log_det(pre_tanh)
        log_prob, alpha = self.marginal(log_probs) - log_det, self.log_alpha.detach().exp()
        loss = alpha * log_prob - self.marginal_value(batch.observation, action)
        if self.hyper.conditional_entropy:
            conditional = (log_probs[:1] - log_det).movedim(0, -1)
            loss = loss + conditional_entropy_penalty(conditional, self.hyper.conditional_entropy, "alpha", alpha)
        return loss.mean(), log_prob

    def critic_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Squared errors of both Q-functions at every particle, their mean. # Eq 23, 25"""
        with torch.no_grad():
            log_prob, value = self.judge(batch.next_observation, noise.next_action)
            next_value = value - self.log_alpha.exp() * log_prob
            target = batch.reward + self.hyper.gamma * (1 - batch.terminated) * next_value
        action = batch.action.expand(len(target), *batch.action.shape)
        first, second = self.critic(batch.observation, action)
        return F.mse_loss(first, target) + F.mse_loss(second, target)

    def judge(self, features: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """log π of next actions and min Q̄(s^k, a), which broadcast to (K + 1, ...)."""
        policy = self.policy(features)
        if self.hyper.target_entropy == "conditional":
            pre_tanh = policy.sample(noise)
            log_prob = policy.log_prob(pre_tanh)
        else:
            pre_tanh = Gaussian(policy.mean[:1], policy.log_std[:1]).sample(noise)
            log_prob = self.marginal(policy.log_prob(pre_tanh)).unsqueeze(0)
        action = torch.tanh(pre_tanh).expand(*features.shape[:-1], -1)
        return log_prob - tanh_log_det(pre_tanh), torch.minimum(*self.target_critic(features, action))
