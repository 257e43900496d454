"""What agents have in common that learn a recurrent world model of pictures and act on what they believe (SMAC, Sec
2.2 and B.2; Hafner et al. 2020).

An agent's belief is one sample of q(s_t | s_{t-1}, a_{t-1}, x_t), followed along an episode, and the action that it
took last. It explores by a sample of its policy and, as zdhNarsil/Stochastic-Marginal-Actor-Critic@31d1f56 has it
though the paper does not say so, noise upon that; what is kept in replay and filtered with is the sum, held within the
bounds. When it is judged, it takes tanh of the policy's mean, still for a sample of s_t.

Losses of an update are differentiated at the parameters that the update found, all of them, before any is moved.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from relatent.nets.image import ImageDecoder, ImageEncoder, scaled
from relatent.nets.latent_world import elu
from relatent.nets.learner import Learner
from relatent.nets.mlp import mlp
from relatent.nets.noise import normal, normal_if
from relatent.nets.rssm import RSSM, State, WorldModel
from relatent.nets.sequences import Sequences
from relatent.objectives.sequence_elbo import ModelLoss, model_loss


class Belief(NamedTuple):
    """After a decision."""

    state: State
    action: Tensor
    """The one taken, (action_size,)."""


class ActionNoise(NamedTuple):
    """Standard normal draws for one decision; the last two are zero when the agent is judged."""

    state: Tensor  # (stoch,)
    action: Tensor  # (action_size,), of the policy
    exploration: Tensor  # (action_size,), upon its action


class WorldLearner(Learner):
    """The agent's part that learns and filters. Its hyperparameters say the sizes of the world model, how it is trained
    and when."""

    learns_from = "episodes"
    sees_pictures = True
    world: WorldModel
    actor: nn.Module
    """A Gaussian of actions before tanh, given a state's features."""

    def make_world(self, observation_shape: tuple[int, ...], action_size: int) -> None:
        """A world model of square pictures (3, side, side)."""
        hyper, self.action_size = self.hyper, action_size
        encode = ImageEncoder(observation_shape[-1], hyper.depth)
        rssm = RSSM(action_size, encode.embed_size, hyper.deter, hyper.stoch, hidden=hyper.deter)
        decode = ImageDecoder(rssm.feature_size, observation_shape[-1], hyper.depth)
        reward = mlp([rssm.feature_size, hyper.width, hyper.width, 1], activation=elu)
        self.world = WorldModel(rssm, encode, decode, reward, target=scaled)
        self.optimise("world", self.world.parameters(), hyper.model_lr, hyper.clip_norm)

    def choose(self, observation: Tensor, belief: Any, noise: ActionNoise) -> tuple[Tensor, Belief]:
        state = self.infer(observation, belief, noise)
        action = torch.tanh(self.actor(state.features).sample(noise.action))
        action = (action + self.hyper.exploration_noise * noise.exploration).clamp(-1.0, 1.0)
        return action, Belief(state, action)

    def infer(self, observation: Tensor, belief: Any, noise: Any) -> State:
        """A sample of q(s_t | s_{t-1}, a_{t-1}, x_t); at an episode's first observation there is no belief."""
        embedded = self.world.encode(observation)
        if belief is None:
            belief = Belief(self.world.rssm.begin(embedded), torch.zeros_like(noise.action))
        return self.world.rssm.observe(belief.state, belief.action, embedded, noise.state)[0]

    def draw_action_noise(self, explore: bool, generator: torch.Generator) -> ActionNoise:
        state = normal((self.hyper.stoch,), generator)
        size = (self.action_size,)
        return ActionNoise(state, normal_if(explore, size, generator), normal_if(explore, size, generator))

    def updates_due(self, before: int, after: int) -> int:
        """`updates` of them whenever frames become a multiple of `update_every`, from `update_after` on."""
        hyper = self.hyper
        if after < hyper.update_after:
            return 0
        return hyper.updates * (after // hyper.update_every - max(before, hyper.update_after - 1) // hyper.update_every)

    def draw_update(self, replay: Any, generator: torch.Generator) -> tuple[Sequences, Any]:
        batch = replay.sample_sequences(self.hyper.batch, self.hyper.length, generator)
        noise = self.draw_noise(self.hyper.batch, generator)
        self.updates += 1
        return batch, noise

    def draw_filter_noise(self, batch_size: int, generator: torch.Generator, *particles: int) -> Tensor:
        """Of one sample of q along each sequence, (*particles, B, L, stoch)."""
        return normal((*particles, batch_size, self.hyper.length, self.hyper.stoch), generator)

    def world_loss(self, batch: Sequences, noise: Tensor) -> ModelLoss:
        """What SMAC minimises (Eq 20 to 22), with s_t of every step."""
        return model_loss(self.world, batch, noise, self.hyper.free_nats, balance=None)


def world_metrics(found: ModelLoss) -> dict[str, Tensor]:
    """What there is to see of a world model's loss."""
    return {
        "model_loss": found.loss,
        "image_log_prob": found.observation,
        "reward_log_prob": found.reward,
        "divergence": found.divergence,
    }
