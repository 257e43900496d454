"""A recurrent state-space model whose z_t is a row of categorical variables (Hafner et al. 2021, Sec 2, Algorithm 1).

    h_t = GRU(h_{t-1}, [z_{t-1}, a_{t-1}])                     deterministic
    p(z_t | h_t), q(z_t | h_t, x_t)                            independent categorical variables: prior and posterior

z_t is their values one-hot, one beside the other. A sample has the gradient of its probabilities (straight through).
Layers and initial weights as in danijar/dreamerv2@6124db4. Draws are of the Gumbel distribution, one for each class.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from relatent.nets.latent_world import elu
from relatent.nets.mlp import mlp, xavier
from relatent.nets.rssm import RSSM

UPDATE_BIAS = -1.0  # so that an untrained unit keeps most of what it holds
NORM_EPS = 1e-3  # of the official code's library


class Categorical(NamedTuple):
    """A law of z."""

    logits: Tensor
    """(..., variables, classes), up to a constant each."""

    def sample(self, noise: Tensor) -> Tensor:
        """One-hot values (..., variables * classes) for Gumbel `noise` of this shape, with the gradient of the
        probabilities. # Algorithm 1"""
        winners = (self.logits + noise.unflatten(-1, self.logits.shape[-2:])).argmax(-1, keepdim=True)
        values = torch.zeros_like(self.logits).scatter(-1, winners, 1.0)
        probabilities = self.logits.softmax(-1)
        return (values + (probabilities - probabilities.detach())).flatten(-2)


def divergence(posterior: Categorical, prior: Categorical) -> Tensor:
    """KL(posterior || prior) in nats, summed over variables, (...)."""
    ours, theirs = (law.logits.log_softmax(-1) for law in (posterior, prior))
    return (ours.exp() * (ours - theirs)).sum((-2, -1))


class NormedRecurrence(nn.Module):
    """A gated recurrent unit whose gates are normalised together, before their activations."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs + width, 3 * width)
        xavier(self.linear)
        self.norm = nn.LayerNorm(3 * width, eps=NORM_EPS)

    def forward(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        """The next hidden state, (..., width)."""
        reset, new, update = self.norm(self.linear(torch.cat([inputs, hidden], dim=-1))).chunk(3, -1)
        new = torch.tanh(torch.sigmoid(reset) * new)
        return torch.lerp(hidden, new, torch.sigmoid(update + UPDATE_BIAS))


class CategoricalInference(nn.Module):
    """q(z | h, x): one hidden layer on both. An observation's share of it needs no h."""

    def __init__(self, deter_size: int, embed_size: int, hidden: int, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape
        joint = nn.Linear(deter_size + embed_size, hidden)
        xavier(joint)
        self.of_deter, self.see = nn.Linear(deter_size, hidden, bias=False), nn.Linear(embed_size, hidden)
        with torch.no_grad():
            self.of_deter.weight.copy_(joint.weight[:, :deter_size])
            self.see.weight.copy_(joint.weight[:, deter_size:])
            self.see.bias.zero_()
        self.output = nn.Sequential(elu(), mlp([hidden, math.prod(shape)], init=xavier))

    def forward(self, deter: Tensor, seen: Tensor) -> Categorical:
        return Categorical(self.output(seen + self.of_deter(deter)).unflatten(-1, self.shape))


class CategoricalRSSM(RSSM):
    """Prior and posterior of states. The official code's sizes for control: deter 200, hidden 200, 32 variables of 32
    classes."""

    def __init__(self, action_size: int, embed_size: int, deter_size: int, shape: tuple[int, int], hidden: int) -> None:
        nn.Module.__init__(self)  # of RSSM's layers none is the same
        self.shape, self.stoch_size, self.deter_size = shape, math.prod(shape), deter_size
        self.feature_size = self.stoch_size + deter_size
        self.read = nn.Sequential(mlp([self.stoch_size + action_size, hidden], init=xavier), elu())
        self.recurrence = NormedRecurrence(hidden, deter_size)  # type: ignore[assignment]
        self.predict = mlp([deter_size, hidden, self.stoch_size], elu, xavier)
        self.infer = CategoricalInference(deter_size, embed_size, hidden, shape)  # type: ignore[assignment]

    def prior(self, deter: Tensor) -> Categorical:  # type: ignore[override]
        return Categorical(self.predict(deter).unflatten(-1, self.shape))

    def divergence(self, posterior: Categorical, prior: Categorical) -> Tensor:  # type: ignore[override]
        return divergence(posterior, prior)

    def along(self, laws: list[Categorical]) -> Categorical:  # type: ignore[override]
        return Categorical(torch.stack([law.logits for law in laws], dim=-3))
