"""SAC with stochastic value gradients, SAC-SVG(H) (Amos et al. 2021), ALM's closest relative (ALM, Sec 5).

Beside SAC's actor and critics three networks learn from replay: recurrent dynamics along segments of H steps, a step's
reward, and whether it ends in a terminal state. Critics and temperature learn as SAC's do, and so does the policy for
10,000 steps. Then it climbs the gradient of an imagined rollout's soft value, through the dynamics.

H counts the dynamics' steps, as the papers do. A rollout has H + 1 actions, the last of which is worth what the critics
say. The official code's `horizon` counts actions: with 3 it trains SAC-SVG(2), on segments of three observations.

One update goes as in facebookresearch/svg (svg/agent.py): dynamics four times, critics, policy, temperature, reward,
termination, target critics. All networks see observations normalised by the statistics of the moment. How a rollout's
steps count where it may end is that code's, which has the first step's factor once too often (`survival`).

Ours: a segment may reach an episode's end, after which it is masked and no step counts; that code draws segments only
that stay away from it. Predicted steps have equal weight. The schedule of the target entropy stays at its last value
once its steps are spent.
"""

from collections.abc import Hashable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.batch import Batch, Segments
from relatent.nets.distributions import Gaussian
from relatent.nets.division import divided
from relatent.nets.learner import move_towards
from relatent.nets.mlp import TwinQ, mlp, orthogonal
from relatent.nets.noise import normal
from relatent.nets.observation_statistics import ObservationStatistics
from relatent.nets.recurrent_dynamics import RecurrentDynamics
from relatent.objectives.soft_actor_critic import SoftPolicy

LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0  # of the policy, reached where tanh is -1 and 1


@dataclass(frozen=True)
class Hyper:
    width: int
    """Units of each hidden layer, in actor and critics."""
    layers: int
    """Hidden layers, in actor and critics."""
    model_width: int
    """Units of each layer of dynamics, reward and termination; two hidden layers, and two recurrent ones."""
    horizon: int
    """Steps H of the dynamics, in segments and in the policy's rollouts."""
    batch: int
    """Transitions in one update of everything but the dynamics."""
    segments: int
    """Segments in one update of the dynamics."""
    model_updates: int
    """Updates of the dynamics in one update, each with segments of its own."""
    actor_lr: float
    """Adam's learning rate for the policy."""
    critic_lr: float
    """Adam's learning rate for both Q-functions."""
    alpha_lr: float
    """Adam's learning rate for the logarithm of the temperature."""
    model_lr: float
    """Adam's learning rate for dynamics, reward and termination."""
    model_clip_norm: float
    """Largest norm of the dynamics' gradient."""
    gamma: float
    """Discount of one agent step."""
    tau: float
    """How far the target critic moves towards the critic at each update."""
    init_alpha: float
    """Temperature before the first update."""
    first_entropy: float
    """Entropy of the policy that the temperature is to reach at the start, in nats of actions in [-1, 1]."""
    last_entropy: float
    """Entropy that it is to reach at the end."""
    entropy_power: float
    """Of the share of steps that are left, by which the target goes from first to last."""
    entropy_steps: int
    """Environment frames until the target has its last value."""
    warm_up: int
    """Environment frames before the policy learns through the dynamics."""
    update_after: int
    """Environment frames before the first update."""
    replay: int
    """Transitions kept; the oldest make room for new ones."""


class Data(NamedTuple):
    """What one update is given; observations are normalised."""

    segments: tuple[Segments, ...]
    """For each update of the dynamics."""
    transitions: Batch


class Noise(NamedTuple):
    """Standard normal draws of one update."""

    next_action: Tensor  # (B, action_size)
    actions: Tensor  # (H + 1, B, action_size); of the policy's first action before it learns through the dynamics


class SACSVG(SoftPolicy):
    """The agent."""

    target_entropy: Tensor

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper, self.action_size = hyper, action_size
        self.statistics = ObservationStatistics(observation_size)
        inputs, width = observation_size + action_size, hyper.model_width
        self.actor = mlp([observation_size, *[hyper.width] * hyper.layers, 2 * action_size], init=orthogonal)
        self.critic = TwinQ(observation_size, action_size, hyper.width, hyper.layers, init=orthogonal)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)
        self.dynamics = RecurrentDynamics(observation_size, action_size, width)
        self.reward, self.termination = mlp([inputs, width, width, 1]), mlp([inputs, width, width, 1])
        self.log_alpha = nn.Parameter(torch.tensor(hyper.init_alpha).log())
        self.register_buffer("target_entropy", torch.tensor(float(hyper.first_entropy)))
        self.optimise("dynamics", self.dynamics.parameters(), hyper.model_lr, hyper.model_clip_norm)
        self.optimise("critic", self.critic.parameters(), hyper.critic_lr)
        self.optimise("actor", self.actor.parameters(), hyper.actor_lr)
        self.optimise("alpha", [self.log_alpha], hyper.alpha_lr)
        self.optimise("reward", self.reward.parameters(), hyper.model_lr)
        self.optimise("termination", self.termination.parameters(), hyper.model_lr)

    # Acting

    def choose(self, observation: Tensor, belief: Any, noise: Any) -> tuple[Tensor, Any]:
        """A sample of the policy at the normalised observation; tanh of its mean where the noise is zero."""
        return super().choose(self.statistics.normalised(observation), belief, noise)

    def policy(self, observation: Tensor) -> Gaussian:
        """The Gaussian of actions before tanh at normalised observations; its log-deviations are bounded by tanh."""
        mean, raw = self.actor(observation).chunk(2, -1)
        return Gaussian(mean, LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (torch.tanh(raw) + 1))

    # Drawing an update: all that depends on time is set here, before `learn`.

    def draw_update(self, replay: Any, generator: torch.Generator) -> tuple[Data, Noise]:
        hyper = self.hyper
        self.updates += 1
        self.statistics.catch_up(replay)
        self.target_entropy.fill_(self.scheduled_entropy(self.steps))
        drawn = replay.sample_segments(hyper.model_updates * hyper.segments, hyper.horizon, generator)
        drawn = drawn._replace(observation=self.statistics.normalised(drawn.observation))
        batch = replay.sample(hyper.batch, generator)
        observation, following = map(self.statistics.normalised, (batch.observation, batch.next_observation))
        batch = batch._replace(observation=observation, next_observation=following)
        return Data(divided(drawn, hyper.model_updates), batch), self.draw_noise(hyper.batch, generator)

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Noise:
        shape = (batch_size, self.action_size)
        return Noise(normal(shape, generator), normal((self.hyper.horizon + 1, *shape), generator))

    @property
    def steps(self) -> int:
        """Environment frames so far, of a single environment whose every frame is a step."""
        return self.hyper.update_after + self.updates

    def scheduled_entropy(self, steps: int) -> float:
        """The target entropy after so many environment frames: last + (first - last) (1 - t/T)^power."""
        hyper = self.hyper
        left = max(0.0, 1 - steps / hyper.entropy_steps)
        return hyper.last_entropy + (hyper.first_entropy - hyper.last_entropy) * left**hyper.entropy_power

    def phase(self) -> Hashable:
        """Whether the policy learns through the dynamics yet."""
        return self.steps >= self.hyper.warm_up

    # One update

    def learn(self, batch: Data, noise: Noise) -> dict[str, Tensor]:
        for segments in batch.segments:
            dynamics_loss = self.minimise("dynamics", self.dynamics_loss, segments)
        critic_loss = self.minimise("critic", self.critic_loss, batch.transitions, noise.next_action)
        loss = self.rollout_loss if self.phase() else self.actor_loss
        actor_loss, log_prob = self.minimise("actor", loss, batch.transitions.observation, noise.actions)
        self.minimise("alpha", self.alpha_loss, log_prob)
        reward_loss = self.minimise("reward", self.reward_loss, batch.transitions)
        termination_loss = self.minimise("termination", self.termination_loss, batch.transitions)
        move_towards(self.target_critic, self.critic, self.hyper.tau)
        return {
            "dynamics_loss": dynamics_loss,
            "critic_loss": critic_loss,
            "actor_loss": actor_loss,
            "reward_loss": reward_loss,
            "termination_loss": termination_loss,
            "alpha": self.log_alpha.detach().exp(),
            "entropy": -log_prob.mean(-1),
        }

    def dynamics_loss(self, segments: Segments) -> Tensor:
        """Squared error of observations that are predicted along a segment's actions from its first observation, a mean
        over steps that were taken and over dimensions."""
        predicted = self.dynamics.follow(segments.observation[:, 0], segments.action)
        error = (predicted - segments.observation[:, 1:]).square().mean(-1)
        return (segments.mask * error).sum() / segments.mask.sum()

    def critic_loss(self, batch: Batch, noise: Tensor) -> Tensor:
        """Both Q-functions' squared error to the soft Bellman target, r + γ (min Q̄(x', a') - α log π(a'|x'))."""
        with torch.no_grad():
            next_action, next_log_prob = self.sample_action(batch.next_observation, noise)
            next_value = torch.minimum(*self.target_critic(batch.next_observation, next_action))
            next_value = next_value - self.log_alpha.exp() * next_log_prob
            target = batch.reward + self.hyper.gamma * (1 - batch.terminated) * next_value
        first, second = self.critic(batch.observation, batch.action)
        return F.mse_loss(first, target) + F.mse_loss(second, target)

    def actor_loss(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """SAC's: α log π(a|x) - min Q(x, a) at the first actions, and log π(a|x) of each observation."""
        action, log_prob = self.sample_action(observation, noise[0])
        value = torch.minimum(*self.critic(observation, action))
        return (self.log_alpha.detach().exp() * log_prob - value).mean(), log_prob

    def rollout_loss(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Minus an imagined rollout's soft value, divided by its H + 1 actions, and log π(a|x) of the first ones.

        The value is Σ_{t<H} γ^t (s_t r_t - α log π_t) + γ^H (s_H min Q(x_H, a_H) - α log π_H), where s is `survival`.
        """
        horizon, memory, states = self.hyper.horizon, self.dynamics.begin(observation), [observation]
        actions, log_probs = [], []
        for step, draws in enumerate(noise.unbind()):
            action, log_prob = self.sample_action(states[-1], draws)
            actions.append(action)
            log_probs.append(log_prob)
            if step < horizon:
                memory, state = self.dynamics.step(memory, states[-1], action)
                states.append(state)
        pairs = torch.cat([torch.stack(states), torch.stack(actions)], dim=-1)
        worth = torch.cat(
            [self.reward(pairs[:-1]).squeeze(-1), torch.minimum(*self.critic(states[-1], actions[-1]))[None]]
        )
        gains = self.survival(pairs) * worth - self.log_alpha.detach().exp() * torch.stack(log_probs)
        discounts = self.hyper.gamma ** torch.arange(horizon + 1, dtype=gains.dtype, device=gains.device)
        return -(discounts[:, None] * gains).sum(0).mean() / (horizon + 1), log_probs[0]

    def survival(self, pairs: Tensor) -> Tensor:
        """By how much each step of a rollout counts, (H + 1, B), from its states and actions (H + 1, B, inputs).

        With c_t the chance that step t does not end the episode, c_0, c_0 c_0, c_0 c_0 c_1, ... as in the official
        code. That step t is reached at all has the chance c_0 ... c_{t-1}, so every step has one c_0 too many.
        """
        goes_on = torch.sigmoid(-self.termination(pairs).squeeze(-1)).unbind()
        factors = [goes_on[0]]
        for chance in goes_on[:-1]:  # not cumprod, whose gradient asks for zeros on the host
            factors.append(factors[-1] * chance)
        return torch.stack(factors)

    def alpha_loss(self, log_prob: Tensor) -> Tensor:
        """Raises the temperature while entropy lies below its target: -α (log π + target entropy)."""
        return -(self.log_alpha.exp() * (log_prob + self.target_entropy)).mean()

    def reward_loss(self, batch: Batch) -> Tensor:
        """Squared error of the predicted rewards."""
        predicted = self.reward(torch.cat([batch.observation, batch.action], dim=-1)).squeeze(-1)
        return F.mse_loss(predicted, batch.reward)

    def termination_loss(self, batch: Batch) -> Tensor:
        """Cross-entropy of the predicted terminations, those that happened weighted to count as much as all others."""
        logits = self.termination(torch.cat([batch.observation, batch.action], dim=-1)).squeeze(-1)
        ended = batch.terminated.sum()
        weight = torch.where(ended > 0, (len(logits) - ended) / ended.clamp(min=1), torch.ones_like(ended))
        return F.binary_cross_entropy_with_logits(logits, batch.terminated, pos_weight=weight)
