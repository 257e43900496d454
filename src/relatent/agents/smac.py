"""Stochastic marginal actor-critic without a world model (Zhang et al. 2023, Algorithm 1).

SAC whose policy has a latent variable: s ~ q(s|x), a ~ π(a|s) (Eq 5). The density of an action is an integral over s
(Eq 8), which K more samples of s estimate (Eq 11, 12); it replaces SAC's wherever that stands: in the critic's target
(Eq 23), the actor's loss (Eq 24) and the temperature's. No official code exists for this form of the algorithm; nets of
q(s|x) follow a left-over of it in the official repository, all else follows SAC.
"""

import math
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.batch import Batch
from relatent.nets.distributions import Gaussian, GaussianHead, tanh_log_det
from relatent.nets.learner import Learner, move_towards
from relatent.nets.mlp import TwinQ, orthogonal, xavier
from relatent.nets.noise import normal, normal_if
from relatent.objectives.conditional_entropy import conditional_entropy_penalty
from relatent.objectives.log_mean_exp import log_mean_exp
from relatent.objectives.marginal_entropy import ESTIMATORS, extra_particles

# The left-over does not bound q's log-standard deviation. Maximising an upper bound of the entropy (Figure 3) then
# drives it up until some action's density overflows float32, within a thousand updates. The bound is ours.
LATENT_LOG_STD_RANGE = (-math.inf, 10.0)

PROBE_STATES, PROBE_ACTIONS, PROBE_PARTICLES, PROBE_CHUNK = 8, 16, 100_000, 10_000


@dataclass(frozen=True)
class Hyper:
    width: int
    """Units of each hidden layer, in q(s|x) and π(a|s)."""
    critic_width: int
    """Units of each hidden layer of the critics."""
    layers: int
    """Hidden layers of each network."""
    batch: int
    """Transitions in one update."""
    actor_lr: float
    """Adam's learning rate for q(s|x) and π(a|s)."""
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
    latent: int
    """Size of the latent variable s."""
    particles: int
    """K: samples of s beside the one that made the action."""
    entropy: Literal["nested", "mlmc", "mlmc_literal", "elbo", "iwae"]
    """Estimator of the marginal log-density: Eq 11, Eq 12 in the official code, Eq 12 as printed, Eq 9, Figure 3."""
    conditional_entropy: float
    """β of Eq 26, the weight of the conditional entropy that the actor's loss adds."""
    conditional_entropy_scale: Literal["absolute", "alpha"]
    """Whether β is the weight itself (Eq 26) or is multiplied by the temperature (official code)."""


class ActionNoise(NamedTuple):
    """Standard normal draws for one action; those of the action are zero when the agent is judged."""

    latent: Tensor  # (latent,)
    action: Tensor  # (action_size,)


class PolicyNoise(NamedTuple):
    """Standard normal draws for one action per state and K + 1 latents."""

    latent: Tensor  # (B, K + 1, latent)
    action: Tensor  # (B, action_size)


class Noise(NamedTuple):
    """All draws of one update."""

    next: PolicyNoise
    current: PolicyNoise


class Sample(NamedTuple):
    """Actions with their log-densities."""

    action: Tensor  # (B, action_size), tanh of the next
    pre_tanh: Tensor
    marginal: Tensor  # (B,), an estimate of log π(a|x)
    conditional: Tensor  # (B, K + 1), log π(a|s^k)


class SMAC(Learner):
    """The agent. Target entropy is -|A|."""

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper, self.action_size = hyper, action_size
        self.particles = 1 + extra_particles(hyper.entropy, hyper.particles)
        self.inference = GaussianHead(
            observation_size, hyper.latent, hyper.width, hyper.layers, orthogonal, LATENT_LOG_STD_RANGE
        )  # q(s|x)
        self.policy = GaussianHead(hyper.latent, action_size, hyper.width, hyper.layers, init=xavier)  # π(a|s)
        self.critic = TwinQ(observation_size, action_size, hyper.critic_width, hyper.layers, init=xavier)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)
        self.log_alpha = nn.Parameter(torch.tensor(hyper.init_alpha).log())
        self.target_entropy = -float(action_size)
        self.optimise("actor", [*self.inference.parameters(), *self.policy.parameters()], hyper.actor_lr)
        self.optimise("critic", self.critic.parameters(), hyper.critic_lr)
        self.optimise("alpha", [self.log_alpha], hyper.alpha_lr)

    def choose(self, observation: Tensor, belief: Any, noise: ActionNoise) -> tuple[Tensor, Any]:
        """s ~ q(s|x), then a ~ π(a|s) to explore, tanh of its mean to be judged by. # Algorithm 1, line 3"""
        latent = self.inference(observation).sample(noise.latent)
        return torch.tanh(self.policy(latent).sample(noise.action)), belief

    def draw_action_noise(self, explore: bool, generator: torch.Generator) -> ActionNoise:
        latent = normal((self.hyper.latent,), generator)
        return ActionNoise(latent, normal_if(explore, (self.action_size,), generator))

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
        def draw() -> PolicyNoise:
            latent = normal((batch_size, self.particles, self.hyper.latent), generator)
            return PolicyNoise(latent, normal((batch_size, self.action_size), generator))

        return Noise(draw(), draw())

    def sample_action(self, observation: Tensor, noise: PolicyNoise) -> Sample:
        """A reparameterised action made by s^0, and its density under s^0 and K more latents. # Eq 5, 11

        The tanh's Jacobian is the same for all particles and is subtracted once, from densities taken before it.
        Gradients reach q(s|x) through every particle.
        """
        inference = self.inference(observation)
        latent = Gaussian(inference.mean.unsqueeze(-2), inference.log_std.unsqueeze(-2)).sample(noise.latent)
        policy = self.policy(latent)
        pre_tanh = Gaussian(policy.mean[..., 0, :], policy.log_std[..., 0, :]).sample(noise.action)
        log_probs = policy.log_prob(pre_tanh.unsqueeze(-2))
        log_det = tanh_log_det(pre_tanh)
        marginal = ESTIMATORS[self.hyper.entropy](log_probs) - log_det
        return Sample(torch.tanh(pre_tanh), pre_tanh, marginal, log_probs - log_det.unsqueeze(-1))

    def critic_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Both Q-functions' squared error to r + γ (min Q̄(x', a') + α H̃(π(·|x'))). # Eq 23

        Printed, Eq 23 has the entropy outside of γ; Eq 2 has it inside, as here.
        """
        with torch.no_grad():
            following = self.sample_action(batch.next_observation, noise.next)
            next_value = torch.minimum(*self.target_critic(batch.next_observation, following.action))
            next_value = next_value - self.log_alpha.exp() * following.marginal
            target = batch.reward + self.hyper.gamma * (1 - batch.terminated) * next_value
        first, second = self.critic(batch.observation, batch.action)
        return F.mse_loss(first, target) + F.mse_loss(second, target)

    def actor_loss(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """-min Q(x, a) - α H̃(π(·|x)) + β H(π(·|s)), and the estimate of log π(a|x). # Eq 15, 24, 26"""
        sample = self.sample_action(batch.observation, noise.current)
        value = torch.minimum(*self.critic(batch.observation, sample.action))
        alpha = self.log_alpha.detach().exp()
        loss = alpha * sample.marginal - value
        if self.hyper.conditional_entropy:
            loss = loss + conditional_entropy_penalty(
                sample.conditional, self.hyper.conditional_entropy, self.hyper.conditional_entropy_scale, alpha
            )
        return loss.mean(), sample.marginal

    def alpha_loss(self, log_prob: Tensor) -> Tensor:
        """Raises the temperature while the marginal entropy lies below its target."""
        return -(self.log_alpha * (log_prob + self.target_entropy)).mean()

    @torch.no_grad()
    def probe(self, name: str, replay: Any, generator: torch.Generator) -> dict[str, float]:
        """`marginal_entropy`: what the agent's estimator says of its entropy, and bounds of the truth. # Figure 3

        The mean over a few replayed states and actions, in nats. `lower` and `upper` come from 100,000 samples of s,
        with and without the one that made the action, between which the entropy lies in expectation.
        """
        assert name == "marginal_entropy"
        estimate = lower = upper = 0.0
        for state in replay.sample(PROBE_STATES, generator).observation:
            repeated = state.expand(PROBE_ACTIONS, -1)
            sample = self.sample_action(repeated, self.draw_noise(PROBE_ACTIONS, generator).current)
            inference = self.inference(state)
            chunks = []
            for _ in range(PROBE_PARTICLES // PROBE_CHUNK):
                latent = inference.sample(normal((PROBE_CHUNK, self.hyper.latent), generator))
                chunks.append(self.policy(latent).log_prob(sample.pre_tanh.unsqueeze(1)))
            others = torch.cat(chunks, -1) - tanh_log_det(sample.pre_tanh).unsqueeze(-1)
            estimate -= float(sample.marginal.mean()) / PROBE_STATES
            upper -= float(log_mean_exp(others).mean()) / PROBE_STATES
            lower -= float(log_mean_exp(torch.cat([sample.conditional[:, :1], others], -1)).mean()) / PROBE_STATES
        return {"estimate": estimate, "lower": lower, "upper": upper}
