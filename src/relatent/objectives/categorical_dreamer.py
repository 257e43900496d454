"""A policy learnt in the imagination of a world model with categorical states (DreamerV2; Hafner et al. 2021).

As danijar/dreamerv2@6124db4 has it for continuous control (its settings `dmc`): from vectors with perceptrons around
the state, from pictures with convolutions. One update goes: the world model, from sequences; the actor, in what the
model, just updated, imagines from every state of them; the critic, from the same. A state's value begins with its own
reward, so that from s_0 to s_H

    V_k = r_k + γ [(1 - λ) v_{k+1} + λ V_{k+1}],   V_H = v_H       v of the slow critic                   # Eq 4
    max_π Σ_k γ^k (V_{k+1} + η H[π(a | s_k)])                      k = 0 .. H - 2                         # Eq 6, ρ = 0
    min_v Σ_k γ^k (v_k - V_k)² / 2                                 k = 0 .. H - 1                         # Eq 5

where V's gradient reaches the actor through the model. There is no discount head, as in those settings: terminal states
end no imagined future, so this is for tasks that a time limit ends. Rewards are not normalised (momentum 1).

Differences to that code: convolutions are those of relatent.nets.image, a sequence that begins within an episode is
told the action before it, and numbers have 32 bits.
"""

from collections.abc import Callable, Hashable
from copy import deepcopy
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.categorical_rssm import CategoricalRSSM
from relatent.nets.image import ImageDecoder, ImageEncoder, scaled
from relatent.nets.latent_world import elu
from relatent.nets.learner import move_towards
from relatent.nets.mlp import mlp, xavier
from relatent.nets.noise import gumbel, normal, normal_if
from relatent.nets.rssm import State, WorldModel
from relatent.nets.sequences import Sequences
from relatent.nets.truncated_policy import TruncatedPolicy
from relatent.objectives.imagined_value import Imagined, policy_loss, value_loss
from relatent.objectives.lambda_return import lambda_returns
from relatent.objectives.sequence_elbo import ModelLoss, model_loss
from relatent.objectives.world_learner import Belief, WorldLearner, world_metrics

Reward = Callable[[Tensor, Tensor], Tensor]
"""Of features (..., size) that actions (..., action_size) led to, (...)."""


class Imagination(NamedTuple):
    """Draws along imagined futures of all states of a batch."""

    state: Tensor  # (B, L, H, stoch * classes), Gumbel
    action: Tensor  # (B, L, H, action_size), standard normal


class Noise(NamedTuple):
    """Draws of one update."""

    filter: Tensor  # (B, L, stoch * classes), Gumbel
    task: Imagination


class ActionNoise(NamedTuple):
    """Draws of one decision."""

    state: Tensor  # (stoch * classes,), Gumbel
    action: Tensor  # (action_size,), standard normal
    explore: Tensor  # 1, or 0 when the agent is judged


class Behaviour(nn.Module):
    """A policy and what it is worth."""

    def __init__(self, features: int, action_size: int, width: int, layers: int) -> None:
        super().__init__()
        self.actor = TruncatedPolicy(features, action_size, width, layers)
        self.critic = mlp([features, *[width] * layers, 1], elu, xavier)
        self.slow_critic = deepcopy(self.critic).requires_grad_(False)


class CategoricalDreamer(WorldLearner):
    """An agent of this kind. It collects data by the policy that it is judged by unless its `explorer` is another."""

    hyper: Any

    def __init__(self, observation_shape: tuple[int, ...], action_size: int, hyper: Any) -> None:
        super().__init__()
        self.hyper = hyper
        self.make_world(observation_shape, action_size)
        self.task = self.make_behaviour("actor", "critic")

    def make_world(self, observation_shape: tuple[int, ...], action_size: int) -> None:
        """Of square pictures (3, side, side) or of vectors (size,)."""
        hyper, self.action_size = self.hyper, action_size
        hidden, features = [hyper.width] * hyper.layers, hyper.stoch * hyper.classes + hyper.deter
        encode: nn.Module
        decode: nn.Module
        target: Callable[[Tensor, torch.dtype], Tensor]
        if len(observation_shape) == 3:
            side = observation_shape[-1]
            encode, decode, target = ImageEncoder(side, hyper.depth), ImageDecoder(features, side, hyper.depth), scaled
            embed_size = encode.embed_size
        else:
            encode = nn.Sequential(mlp([*observation_shape, *hidden], elu, xavier), elu())
            decode, target = mlp([features, *hidden, *observation_shape], elu, xavier), Tensor.to
            embed_size = hyper.width
        rssm = CategoricalRSSM(action_size, embed_size, hyper.deter, (hyper.stoch, hyper.classes), hyper.deter)
        reward = self.reward_head(mlp([features, *hidden, 1], elu, xavier))
        self.world = WorldModel(rssm, encode, decode, reward, target)
        self.optimise_decayed("world", self.world, hyper.model_lr)

    def reward_head(self, net: nn.Module) -> nn.Module:
        """What the world model learns rewards by."""
        return net

    def make_behaviour(self, actor: str, critic: str) -> Behaviour:
        """Its optimisers have these names."""
        hyper = self.hyper
        made = Behaviour(self.world.rssm.feature_size, self.action_size, hyper.width, hyper.layers)
        self.optimise_decayed(actor, made.actor, hyper.actor_lr)
        self.optimise_decayed(critic, made.critic, hyper.critic_lr)
        return made

    def optimise_decayed(self, name: str, module: nn.Module, learning_rate: float) -> None:
        """As the official code does: before each step of Adam parameters lose a share of themselves."""
        hyper = self.hyper
        self.optimise(name, module.parameters(), learning_rate, hyper.clip_norm)
        decay = hyper.weight_decay / learning_rate  # Adam multiplies the two
        settings = {"eps": hyper.adam_eps, "weight_decay": decay, "decoupled_weight_decay": True}
        self.optimisers[name].param_groups[0].update(settings)

    # Acting

    def choose(self, observation: Tensor, belief: Any, noise: Any) -> tuple[Tensor, Belief]:
        """A sample of the policy, or its mode when judged, for a sample of s_t either way."""
        state = self.infer(observation, belief, noise)
        sample = self.explorer.actor(state.features).sample(noise.action)
        action = torch.where(noise.explore > 0, sample, self.task.actor(state.features).mean)
        return action, Belief(state, action)

    @property
    def explorer(self) -> Behaviour:
        """By which data are collected."""
        return self.task

    def draw_action_noise(self, explore: bool, generator: torch.Generator) -> Any:
        state = gumbel((self.world.rssm.stoch_size,), generator)
        action = normal_if(explore, (self.action_size,), generator)
        return ActionNoise(state, action, torch.full((), float(explore), device=generator.device))

    # Learning

    def updates_due(self, before: int, after: int) -> int:
        begins = before < self.hyper.update_after <= after
        return super().updates_due(before, after) + begins * self.hyper.pretrain

    def phase(self) -> Hashable:
        """Whether the slow critic becomes the critic: at the first update, and so on."""
        return (self.updates - 1) % self.hyper.target_every == 0

    def draw_filter_noise(self, batch_size: int, generator: torch.Generator, *particles: int) -> Tensor:
        """Of one sample of q along each sequence, (*particles, B, L, stoch * classes)."""
        return gumbel((*particles, batch_size, self.hyper.length, self.world.rssm.stoch_size), generator)

    def draw_imagination(self, batch_size: int, generator: torch.Generator) -> Imagination:
        steps = batch_size, self.hyper.length, self.hyper.horizon
        state = gumbel((*steps, self.world.rssm.stoch_size), generator)
        return Imagination(state, normal((*steps, self.action_size), generator))

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Any:
        return Noise(self.draw_filter_noise(batch_size, generator), self.draw_imagination(batch_size, generator))

    def learn(self, batch: Sequences, noise: Any) -> dict[str, Tensor]:
        found = self.minimise("world", self.world_loss, batch, noise.filter)
        return {**world_metrics(found), **self.learn_task(found.states, noise)}

    def world_loss(self, batch: Sequences, noise: Tensor) -> ModelLoss:
        """With the divergence balanced. # Eq 2 and 3, Algorithm 2"""
        return model_loss(self.world, batch, noise, self.hyper.free_nats, self.hyper.balance)

    def learn_task(self, states: State, noise: Any) -> dict[str, Tensor]:
        """One step of policy and value."""
        actor_loss, imagined, entropy = self.minimise("actor", self.actor_loss, states, noise.task)
        critic_loss = self.minimise("critic", self.critic_loss, imagined)
        self.slow_down(self.task)
        found = {"actor_loss": actor_loss, "critic_loss": critic_loss, "entropy": entropy}
        return {**found, "imagined_return": imagined.returns.mean((-3, -2, -1))}

    def slow_down(self, behaviour: Behaviour) -> None:
        """The slow critic follows in leaps."""
        if self.phase():
            move_towards(behaviour.slow_critic, behaviour.critic, 1.0)

    def actor_loss(self, states: State, noise: Imagination) -> tuple[Tensor, Imagined, Tensor]:
        return self.behaviour_loss(self.task, self.task_reward, states, noise)

    def critic_loss(self, imagined: Imagined) -> Tensor:
        return value_loss(self.task.critic, imagined, self.hyper.gamma)

    def task_reward(self, features: Tensor, actions: Tensor) -> Tensor:
        """E p(r | s)."""
        del actions
        return self.world.reward(features).squeeze(-1)

    def behaviour_loss(
        self, behaviour: Behaviour, reward: Reward, states: State, noise: Imagination
    ) -> tuple[Tensor, Imagined, Tensor]:
        """What a policy minimises, from inferred states (B, L, size); what its value learns from; its mean entropy."""
        hyper, entropies = self.hyper, []

        def act(state: State, step: int) -> Tensor:
            law = behaviour.actor(state.features.detach())
            entropies.append(law.entropy())
            return law.sample(noise.action[..., step, :])

        after, actions = self.world.rssm.imagine(states, act, noise.state)
        first = states.features.unsqueeze(-2)
        before = torch.cat([first, after.features[..., :-1, :]], dim=-2)
        led_here = F.pad(actions[..., :-1, :], (0, 0, 1, 0))  # nothing led to s_0
        rewards = reward(before, led_here)
        values = F.pad(behaviour.slow_critic(after.features).squeeze(-1), (1, 0))  # v_0 is part of no return
        returns = lambda_returns(rewards.movedim(-1, 0), values.movedim(-1, 0), hyper.gamma, hyper.lambda_weight)
        returns, entropy = returns.movedim(0, -1), torch.stack(entropies[:-1], dim=-1)
        loss = policy_loss(returns[..., 1:] + hyper.entropy * entropy, hyper.gamma)
        return loss, Imagined(before, returns), entropy.mean()
