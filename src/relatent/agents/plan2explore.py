"""Plan2Explore: DreamerV2 whose data are collected by a second policy, which plans to see what is not known yet (Sekar
et al. 2020). RPG's Figure 7 calls it DreamerV2(P2E).

Ten networks predict the next z from a state's features and the action that led there; how much they disagree is the
reward of the second policy, which learns in imagination just as the task's does. The task's policy acts when the agent
is judged. The reward head learns from features without shaping them, so that nothing of a task is in the world model.
As in danijar/dreamerv2@6124db4, its settings `dmc` and `plan2explore`.

The paper's networks are told the action that is taken next. In that code, from which RPG's curves come, it is the one
before: what is predicted is the next state's mean over what the policies do.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from relatent.nets.rssm import State
from relatent.nets.sequences import Sequences
from relatent.objectives.categorical_dreamer import Behaviour, CategoricalDreamer, Imagination
from relatent.objectives.disagreement import Predictors, disagreement, prediction_loss
from relatent.objectives.imagined_value import Imagined, value_loss
from relatent.objectives.world_learner import world_metrics


@dataclass(frozen=True)
class Hyper:
    deter: int
    """Numbers in h_t, and units of every hidden layer around it."""
    stoch: int
    """Categorical variables in z_t."""
    classes: int
    """Values of each."""
    depth: int
    """Channels of the image encoder's first convolution; vectors have none."""
    width: int
    """Units of each hidden layer in actors, critics, predictors and reward head, and in encoder and decoder of
    vectors."""
    layers: int
    """Their hidden layers."""
    predictors: int
    """Networks that may disagree."""
    batch: int
    """Sequences in one update."""
    length: int
    """Observations in a sequence."""
    horizon: int
    """Imagined steps from each of them."""
    lambda_weight: float
    """λ, how much a return of k + 1 steps counts beside one of k."""
    model_lr: float
    """Adam's learning rate for the world model."""
    actor_lr: float
    """Adam's learning rate for both policies."""
    critic_lr: float
    """Adam's learning rate for both values."""
    predictor_lr: float
    """Adam's learning rate for the predictors."""
    adam_eps: float
    """What Adam adds to its denominator."""
    weight_decay: float
    """What every parameter loses of itself in an update."""
    clip_norm: float
    """Largest norm of the gradient of each of these."""
    free_nats: float
    """Divergence below which the world model is not asked for less."""
    balance: float
    """How much of its gradient moves the prior; the rest moves the posterior."""
    gamma: float
    """Discount of one agent step."""
    entropy: float
    """Weight of the policies' entropy."""
    target_every: int
    """Updates after which the slow critics become the critics."""
    update_after: int
    """Frames from which on there are updates."""
    pretrain: int
    """Updates more at the first time of updating."""
    update_every: int
    """Frames from one time of updating to the next."""
    updates: int
    """Updates at each such time."""
    replay: int
    """Agent steps kept, in whole episodes; the oldest make room for new ones."""


class Noise(NamedTuple):
    """Draws of one update."""

    filter: Tensor  # (B, L, stoch * classes), Gumbel
    task: Imagination
    exploration: Imagination


class Aside(nn.Module):
    """A head that learns from features and sends them no gradient."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, features: Tensor) -> Tensor:
        return self.net(features.detach())


class Plan2Explore(CategoricalDreamer):
    """The agent."""

    def __init__(self, observation_shape: tuple[int, ...], action_size: int, hyper: Any) -> None:
        super().__init__(observation_shape, action_size, hyper)
        self.exploration = self.make_behaviour("explorer", "explorer_critic")
        rssm = self.world.rssm
        inputs = rssm.feature_size + action_size
        self.predictors = Predictors(hyper.predictors, inputs, rssm.stoch_size, hyper.width, hyper.layers)
        self.optimise_decayed("predictors", self.predictors, hyper.predictor_lr)

    def reward_head(self, net: nn.Module) -> nn.Module:
        return Aside(net)

    @property
    def explorer(self) -> Behaviour:
        return self.exploration

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Noise:
        filter_noise = self.draw_filter_noise(batch_size, generator)
        return Noise(filter_noise, *(self.draw_imagination(batch_size, generator) for _ in range(2)))

    def learn(self, batch: Sequences, noise: Noise) -> dict[str, Tensor]:
        found = self.minimise("world", self.world_loss, batch, noise.filter)
        states = found.states
        learnt = self.learn_task(states, noise)
        predictor_loss = self.minimise("predictors", self.predictor_loss, states, batch.action)
        explorer_loss, imagined, _ = self.minimise("explorer", self.explorer_loss, states, noise.exploration)
        explorer_critic_loss = self.minimise("explorer_critic", self.explorer_critic_loss, imagined)
        self.slow_down(self.exploration)
        return {
            **world_metrics(found),
            **learnt,
            "predictor_loss": predictor_loss,
            "explorer_loss": explorer_loss,
            "explorer_critic_loss": explorer_critic_loss,
            "explorer_return": imagined.returns.mean((-3, -2, -1)),
        }

    def predictor_loss(self, states: State, actions: Tensor) -> Tensor:
        """Of the next z, along sequences (B, L, size) of states, as numbers, and actions that led to them."""
        inputs = torch.cat([states.features, actions], dim=-1)
        return prediction_loss(self.predictors(inputs[..., :-1, :]), states.stoch[..., 1:, :])

    def explorer_loss(self, states: State, noise: Imagination) -> tuple[Tensor, Imagined, Tensor]:
        return self.behaviour_loss(self.exploration, self.novelty, states, noise)

    def explorer_critic_loss(self, imagined: Imagined) -> Tensor:
        return value_loss(self.exploration.critic, imagined, self.hyper.gamma)

    def novelty(self, features: Tensor, actions: Tensor) -> Tensor:
        """How much is not known of what follows a state."""
        return disagreement(self.predictors(torch.cat([features, actions], dim=-1)))

    def task_reward(self, features: Tensor, actions: Tensor) -> Tensor:
        del actions
        return self.world.reward.net(features).squeeze(-1)  # type: ignore[operator]
