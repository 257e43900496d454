"""MBPO (Janner et al. 2019, Alg 2), a baseline of ALM's Figures 3 and 9, after jannerm/mbpo.

An ensemble of Gaussian networks learns (s, a) -> (r, s' - s) from all transitions in replay. Every `model_every` agent
steps it is fitted anew, starting from its last weights, and the policy then acts in it: from observations drawn from
replay, `k` steps or until the known condition of termination holds, every step predicted by another one of the elites.
Soft actor-critic learns from what is imagined so, and from a small share of real transitions.

Both fitting and imagining look at data, and so are part of drawing an update; `learn` is soft actor-critic's. Where the
official code takes critic, actor and temperature one step at once, ours are one after the other, as in SAC's own file.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from relatent.nets.batch import Batch
from relatent.nets.distributions import GaussianHead
from relatent.nets.ensemble_fit import Fitting, fit
from relatent.nets.gaussian_ensemble import GaussianEnsemble
from relatent.nets.imagined import Imagined
from relatent.nets.mlp import xavier
from relatent.nets.noise import normal
from relatent.objectives.soft_actor_critic import Noise, SoftActorCritic
from relatent.objectives.termination import TERMINATIONS
from relatent.specs.errors import RelatentError


@dataclass(frozen=True)
class Hyper:
    width: int
    """Units of each hidden layer, in actor and critics."""
    layers: int
    """Hidden layers, in actor and critics."""
    batch: int
    """Transitions in one update, real and imagined ones."""
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
    target_entropy: float
    """Of the policy."""
    updates_per_step: int
    """Updates of actor and critics for each agent step."""
    update_after: int
    """Environment frames before the first update, and before the ensemble is first fitted."""
    replay: int
    """Transitions kept; the oldest make room for new ones."""
    networks: int
    """Of the ensemble."""
    elites: int
    """Networks with the smallest errors on the holdout, which predict what is imagined."""
    model_width: int
    """Units of each hidden layer of the ensemble's networks."""
    model_decay: tuple[float, ...]
    """Weight decay of each layer of the ensemble's networks, of which there are as many."""
    model_lr: float
    """Adam's learning rate for the ensemble."""
    model_batch: int
    """Transitions in one step of fitting, for each network."""
    model_every: int
    """Agent steps from one fit to the next."""
    model_epochs: int
    """Most epochs of one fit; 0 is no limit."""
    patience: int
    """Epochs without a better network that a fit goes on for."""
    holdout: float
    """Share of the transitions in replay that a fit is judged by."""
    most_held: int
    """Most transitions that it is judged by."""
    rollouts: int
    """Observations that imagining starts from, after each fit."""
    rollout_schedule: tuple[int, ...]
    """Steps that are imagined: from the first epoch to the second, they go from the third number to the fourth."""
    epoch: int
    """Agent steps in an epoch of this schedule, and in one of those that imagined transitions are kept for."""
    retain_epochs: int
    """Epochs whose imagined transitions are kept."""
    real_share: float
    """Share of real transitions in a batch."""
    termination: Literal["never", "hopper", "walker2d", "ant", "humanoid"]
    """Where the task's episodes end."""


class MBPO(SoftActorCritic):
    """The agent."""

    elites: Tensor
    model_error: Tensor
    rollout_length: Tensor

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        if len(hyper.rollout_schedule) != 4:
            raise RelatentError(f"rollout_schedule: expected two epochs and two lengths, got {hyper.rollout_schedule}")
        if hyper.elites > hyper.networks:
            raise RelatentError(f"elites: expected at most all {hyper.networks} networks, got {hyper.elites}")
        if not 1 <= int(hyper.holdout * hyper.update_after) < hyper.update_after:
            raise RelatentError(
                f"update_after: {hyper.update_after} transitions cannot be parted by a holdout of {hyper.holdout}"
            )
        if hyper.model_every > hyper.retain_epochs * hyper.epoch:
            kept = hyper.retain_epochs * hyper.epoch
            raise RelatentError(
                f"model_every: expected at most the {kept} steps that retain_epochs keeps, got {hyper.model_every}"
            )
        super().__init__()
        self.hyper = hyper
        sizes = observation_size, action_size, hyper.width, hyper.layers
        self.make_policy(GaussianHead(*sizes, init=xavier), action_size, hyper.init_alpha, hyper.target_entropy)
        self.make_networks(*sizes)
        self.optimise_all(hyper.actor_lr, hyper.critic_lr, hyper.alpha_lr)
        predicted = observation_size + action_size, 1 + observation_size
        self.model = GaussianEnsemble(*predicted, hyper.model_width, hyper.networks, hyper.model_decay)
        self.optimise("model", self.model.parameters(), hyper.model_lr)
        self.imagined = Imagined(observation_size, action_size)
        self.terminates = TERMINATIONS[hyper.termination]
        self.fitting = Fitting(hyper.model_batch, hyper.holdout, hyper.most_held, hyper.patience, hyper.model_epochs)
        self.register_buffer("elites", torch.arange(hyper.elites))
        self.register_buffer("model_error", torch.zeros(()))  # of the elites on the last holdout
        self.register_buffer("rollout_length", torch.zeros(()))

    def updates_due(self, before: int, after: int) -> int:
        return self.hyper.updates_per_step * super().updates_due(before, after)

    def draw_update(self, replay: Any, generator: torch.Generator) -> tuple[Batch, Noise]:
        """Real transitions, then imagined ones; where a fit is due, after it and after imagining."""
        hyper = self.hyper
        steps, of_step = divmod(self.updates, hyper.updates_per_step)
        if of_step == 0 and steps % hyper.model_every == 0:
            self.fit_model(replay, generator)
            self.imagine(replay, rollout_length(hyper.rollout_schedule, steps // hyper.epoch), generator)
        real = int(hyper.real_share * hyper.batch)
        parts = replay.sample(real, generator), self.imagined.sample(hyper.batch - real, generator)
        batch = Batch(*map(torch.cat, zip(*parts, strict=True)))
        self.updates += 1
        return batch, self.draw_noise(hyper.batch, generator)

    def learn(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        model = {"model_error": self.model_error, "rollout_length": self.rollout_length}
        return {**super().learn(batch, noise), **model}

    def fit_model(self, replay: Any, generator: torch.Generator) -> None:
        """Fit the ensemble to all of replay and choose its elites."""
        steps = replay.segments(torch.arange(len(replay), device=generator.device), 1)
        observation, following = steps.observation.unbind(1)
        inputs = torch.cat([observation, steps.action[:, 0]], dim=-1)
        targets = torch.cat([steps.reward, following - observation], dim=-1)
        errors = fit(self.model, self.optimisers["model"], inputs, targets, self.fitting, generator)
        smallest = errors.sort()
        self.elites.copy_(smallest.indices[: len(self.elites)])
        self.model_error.copy_(smallest.values[: len(self.elites)].mean())

    @torch.no_grad()
    def imagine(self, replay: Any, length: int, generator: torch.Generator) -> None:
        """Act in the model, `length` steps at most, and keep the transitions."""
        hyper, made = self.hyper, []
        observation = replay.sample(hyper.rollouts, generator).observation
        for _ in range(length):
            batch = (len(observation),)
            chosen = torch.randint(len(self.elites), batch, generator=generator, device=generator.device)
            action, _ = self.choose(observation, None, normal((*batch, self.action_size), generator))
            noise = normal((*batch, 1 + observation.shape[-1]), generator)
            made.append(self.predict(observation, action, self.elites[chosen], noise))
            observation = made[-1].next_observation[made[-1].terminated == 0]
            if not len(observation):
                break
        each_epoch = length * hyper.rollouts * hyper.epoch // hyper.model_every
        self.imagined.add(Batch(*map(torch.cat, zip(*made, strict=True))), hyper.retain_epochs * each_epoch)
        self.rollout_length.fill_(length)

    def predict(self, observation: Tensor, action: Tensor, networks: Tensor, noise: Tensor) -> Batch:
        """What the networks (B,) say that actions lead to, for standard normal noise (B, 1 + observation_size)."""
        mean, log_var = self.model.predict(torch.cat([observation, action], dim=-1), networks)
        reward, change = (mean + torch.exp(0.5 * log_var) * noise).split([1, observation.shape[-1]], dim=-1)
        following = observation + change
        terminated = self.terminates(following).to(reward.dtype)
        return Batch(observation, action, reward.squeeze(-1), following, terminated)


def rollout_length(schedule: tuple[int, ...], epoch: int) -> int:
    """Whole steps of a line from the third number, up to the first epoch, to the fourth, from the second one on."""
    first, last, shortest, longest = schedule
    return shortest + (longest - shortest) * min(max(epoch - first, 0), last - first) // (last - first)
