"""The recurrent state-space model (Hafner et al. 2019), the belief that SMAC has of what it sees (Sec 2.2 and B.2).

    h_t = GRU(h_{t-1}, [z_{t-1}, a_{t-1}])                     deterministic
    p(z_t | h_t), q(z_t | h_t, x_t)                            diagonal Gaussians: prior and posterior
    s_t = (z_t, h_t)                                           the state, what p(x_t | s_t) and p(r_t | s_t) are told

so that q(s_t | s_{t-1}, a_{t-1}, x_t) and p(s_t | s_{t-1}, a_{t-1}) of Eq 22 differ in z_t only. Layers, and PyTorch's
own initial weights, as in zdhNarsil/Stochastic-Marginal-Actor-Critic@31d1f56.

Here an action stands beside what it led to: a sequence holds x_t, r_t and the action a_{t-1} before them. Where an
episode begins nothing led to x_t, and neither state nor action is read. Time is the last axis but one, and any others
lead; noise says how many: that of K particles, (K, B, T, stoch), filters B sequences K times.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.aligned_latent import Latent, divergence
from relatent.nets.latent_world import Recurrence, elu
from relatent.nets.mlp import mlp

LEAST_STD = 0.1


class State(NamedTuple):
    """s_t, or many."""

    stoch: Tensor
    """z_t, a sample, (..., stoch_size)."""
    deter: Tensor
    """h_t, (..., deter_size)."""

    @property
    def features(self) -> Tensor:
        """What heads and agents read, (..., stoch_size + deter_size)."""
        return torch.cat(self, dim=-1)


class Filtered(NamedTuple):
    """Along sequences of T observations, each (..., T, size)."""

    states: State
    """Samples of the posterior."""
    posterior: Latent
    prior: Latent
    """Told the state before, but not the observation."""


def gaussian(raw: Tensor) -> Latent:
    """A law of z from a network's outputs, (..., 2 stoch_size)."""
    mean, raw_std = raw.chunk(2, -1)
    return Latent(mean, F.softplus(raw_std) + LEAST_STD)


class Inference(nn.Module):
    """q(z | h, x): one hidden layer on both, whose two halves are apart, because an observation's needs neither h nor a
    second evaluation for a second particle."""

    def __init__(self, deter_size: int, embed_size: int, hidden: int, stoch_size: int) -> None:
        super().__init__()
        joint = nn.Linear(deter_size + embed_size, hidden)
        of_deter, of_embedded = joint.weight.detach().split([deter_size, embed_size], dim=1)
        self.deter_weight = nn.Parameter(of_deter.clone(memory_format=torch.contiguous_format))
        self.embed_weight = nn.Parameter(of_embedded.clone(memory_format=torch.contiguous_format))
        self.bias = joint.bias
        self.output = nn.Linear(hidden, 2 * stoch_size)

    def see(self, embedded: Tensor) -> Tensor:
        """An embedded observation's share of the hidden layer, (..., hidden)."""
        return F.linear(embedded, self.embed_weight, self.bias)

    def forward(self, deter: Tensor, seen: Tensor) -> Latent:
        return gaussian(self.output(F.elu(seen + F.linear(deter, self.deter_weight))))


class RSSM(nn.Module):
    """Prior and posterior of states. Sizes of the paper's experiments: deter 200, stoch 30, hidden 200, embed 1024."""

    def __init__(self, action_size: int, embed_size: int, deter_size: int, stoch_size: int, hidden: int) -> None:
        super().__init__()
        self.stoch_size, self.deter_size = stoch_size, deter_size
        self.feature_size = stoch_size + deter_size
        self.read = nn.Sequential(nn.Linear(stoch_size + action_size, hidden), elu())
        self.recurrence = Recurrence(hidden, deter_size)
        self.predict = mlp([deter_size, hidden, 2 * stoch_size], activation=elu)
        self.infer = Inference(deter_size, embed_size, hidden, stoch_size)

    def begin(self, like: Tensor) -> State:
        """The state before anything is seen, with the leading axes of `like` (..., size)."""
        shape = like.shape[:-1]
        return State(like.new_zeros(*shape, self.stoch_size), like.new_zeros(*shape, self.deter_size))

    # One step

    def advance(self, state: State, action: Tensor) -> Tensor:
        """The next h after an action (..., action_size)."""
        return self.recurrence(self.read(torch.cat([state.stoch, action], dim=-1)), state.deter)

    def prior(self, deter: Tensor) -> Latent:
        """p(z | h)."""
        return gaussian(self.predict(deter))

    def dream(self, state: State, action: Tensor, noise: Tensor) -> tuple[State, Latent]:
        """The next state without an observation, by `noise` (..., stoch_size), and its prior."""
        deter = self.advance(state, action)
        prior = self.prior(deter)
        return State(prior.sample(noise), deter), prior

    def observe(self, state: State, action: Tensor, embedded: Tensor, noise: Tensor) -> tuple[State, Latent]:
        """The next state told an observation (..., embed_size), and its posterior: one step of filtering, as an agent
        takes that acts. Its first state is what `begin` gives, and its first action is zero."""
        return self._correct(state, action, self.infer.see(embedded), noise)

    def _correct(self, state: State, action: Tensor, seen: Tensor, noise: Tensor) -> tuple[State, Latent]:
        deter = self.advance(state, action)
        posterior = self.infer(deter, seen)
        return State(posterior.sample(noise), deter), posterior

    # Sequences

    def filter(self, embedded: Tensor, actions: Tensor, first: Tensor, noise: Tensor) -> Filtered:
        """Infer along embedded observations (..., T, embed_size), actions (..., T, action_size) that led to them and
        `first` (..., T), not 0 where an episode begins, from `noise` (..., T, stoch_size)."""
        states, posterior = self._follow(embedded, actions, first, noise)
        return Filtered(states, posterior, self.prior(states.deter))

    @torch.no_grad()
    def refilter(self, embedded: Tensor, actions: Tensor, first: Tensor, noise: Tensor) -> State:
        """States (K, ..., T, size) of K particles, each of which filters the same sequences anew with `noise`
        (K, ..., T, stoch_size) of its own. As numbers: nothing is kept for a gradient."""
        return self._follow(embedded, actions, first, noise)[0]

    def imagine(self, start: State, choose: Callable[[State, int], Tensor], noise: Tensor) -> tuple[State, Tensor]:
        """The states that H actions lead to, (..., H, size), and these actions (..., H, action_size). `choose` is given
        a state and its number, from 0 for `start` on; `noise` is (..., H, stoch_size)."""
        states, actions = [start], []
        for number, draws in enumerate(noise.unbind(-2)):
            actions.append(choose(states[-1], number))
            states.append(self.dream(states[-1], actions[-1], draws)[0])
        return State(*stacked(states[1:])), torch.stack(actions, dim=-2)

    def _follow(self, embedded: Tensor, actions: Tensor, first: Tensor, noise: Tensor) -> tuple[State, Latent]:
        begins = first.bool().unsqueeze(-1)
        seen, actions = self.infer.see(embedded), actions.masked_fill(begins, 0.0)
        actions = actions.expand(*noise.shape[:-1], -1)
        state, states, posteriors = self.begin(noise[..., 0, :]), [], []
        for step, draws in enumerate(noise.unbind(-2)):
            state = State(*(part.masked_fill(begins[..., step, :], 0.0) for part in state))
            state, posterior = self._correct(state, actions[..., step, :], seen[..., step, :], draws)
            states.append(state)
            posteriors.append(posterior)
        return State(*stacked(states)), self.along(posteriors)

    def along(self, laws: list[Latent]) -> Latent:
        """The laws of successive steps as one, along an axis of time."""
        return Latent(*stacked(laws))

    def divergence(self, posterior: Latent, prior: Latent) -> Tensor:
        """KL(q || p) in nats, (...)."""
        return divergence(posterior, prior)


class WorldModel(nn.Module):
    """A state-space model, and heads that read its features: p(x | s) and p(r | s) are Gaussians of unit variance
    around `decode` and `reward` (..., 1). `target` says in a given precision what `decode` shall be: for images
    `relatent.nets.image.scaled`, for vectors `Tensor.to`, the vectors themselves."""

    rssm: RSSM

    def __init__(
        self,
        rssm: RSSM,
        encode: nn.Module,
        decode: nn.Module,
        reward: nn.Module,
        target: Callable[[Tensor, torch.dtype], Tensor],
    ) -> None:
        super().__init__()
        self.rssm, self.encode, self.decode, self.reward, self.target = rssm, encode, decode, reward, target


def stacked(trees: list) -> list[Tensor]:
    """Tuples of tensors as one, along an axis of time."""
    return [torch.stack(parts, dim=-2) for parts in zip(*trees, strict=True)]
