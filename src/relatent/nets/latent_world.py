"""A deterministic latent world model, trained without reconstruction (RPG, Sec 4.3.1 and App A).

Encoder s = f(o), dynamics by a recurrent cell that reads embedded actions, reward head, and two critics. What each head
reads is as in haosulab/RPG@a7dc920; App A states the sizes. Pictures pass through convolutions first, which have that
code's sizes and initial weights: orthogonal, for ReLU.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.mlp import mlp, orthogonal
from relatent.nets.observation import Observation, seeing

elu = partial(nn.ELU, inplace=True)


def two_layers(
    inputs: int, outputs: int, width: int, init: Callable[[nn.Linear], None] | None = orthogonal
) -> nn.Module:
    """The perceptron of App A: two hidden layers with ELU."""
    return mlp([inputs, width, width, outputs], activation=elu, init=init)


class Recurrence(nn.Module):
    """A gated recurrent unit on batches of any shape, with PyTorch's own initial weights and formula (nn.GRUCell)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        cell = nn.GRUCell(inputs, width)
        self.input_weight, self.hidden_weight = cell.weight_ih, cell.weight_hh
        self.input_bias, self.hidden_bias = cell.bias_ih, cell.bias_hh

    def forward(self, inputs: Tensor, hidden: Tensor) -> Tensor:
        """The next hidden state, (..., width)."""
        reset_in, update_in, new_in = F.linear(inputs, self.input_weight, self.input_bias).chunk(3, -1)
        reset_by, update_by, new_by = F.linear(hidden, self.hidden_weight, self.hidden_bias).chunk(3, -1)
        new = torch.tanh(new_in + torch.sigmoid(reset_in + reset_by) * new_by)
        return torch.lerp(new, hidden, torch.sigmoid(update_in + update_by))


def orthogonal_for_relu(layer: nn.Module) -> None:
    """Of a convolution: orthogonal weights with gain √2 and zero biases (haosulab/RPG@a7dc920)."""
    if isinstance(layer, nn.Conv2d):
        nn.init.orthogonal_(layer.weight, nn.init.calculate_gain("relu"))
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


class LatentWorld(nn.Module):
    """Everything that one loss trains: f, h, R and both critics. A critic reads `critic_inputs` numbers."""

    def __init__(
        self,
        observation: Observation,
        action_size: int,
        state_size: int,
        width: int,
        critic_inputs: int,
        channels: int = 0,
    ) -> None:
        super().__init__()
        perceptron = partial(two_layers, outputs=state_size, width=width)
        self.encode = seeing(observation, channels, perceptron, orthogonal_for_relu)
        self.embed = two_layers(action_size, width, width)
        self.begin = two_layers(state_size, width, width)
        self.recurrence = Recurrence(width, width)
        self.decode = two_layers(width, state_size, width)
        self.predict_reward = two_layers(width + state_size, 1, width)
        self.critics = nn.ModuleList(two_layers(critic_inputs, 1, width) for _ in range(2))

    def step(self, hidden: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """After an embedded action: the next hidden state (..., width) and the next state (..., state_size)."""
        hidden = self.recurrence(embedded, hidden)
        return hidden, self.decode(hidden)

    def follow(self, observation: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predict along actions (B, L, action_size) that were taken from an observation (B, *its shape): states
        before and after each action, (B, L, state_size), and its reward, (B, L)."""
        embedded, state = self.embed(actions), self.encode(observation)
        hidden, states = self.begin(state), [state]
        for step in range(actions.shape[1]):
            hidden, state = self.step(hidden, embedded[:, step])
            states.append(state)
        after = torch.stack(states[1:], dim=1)
        return torch.stack(states[:-1], dim=1), after, self.reward(embedded, after)

    def reward(self, embedded: Tensor, next_state: Tensor) -> Tensor:
        """The reward of an embedded action that led to a state; shape (...)."""
        return self.predict_reward(torch.cat([embedded, next_state], dim=-1)).squeeze(-1)

    def values(self, *inputs: Tensor) -> Tensor:
        """Both critics' values, (2, ...)."""
        joined = torch.cat(inputs, dim=-1)
        return torch.stack([critic(joined).squeeze(-1) for critic in self.critics])
