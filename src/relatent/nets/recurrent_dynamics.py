"""A deterministic model of observations with a recurrent memory (Amos et al. 2021), that of facebookresearch/svg.

An encoder of (observation, action), two gated recurrent units one above the other, and a linear map to the change of
the observation (svg/dx.py). Memory is empty where a prediction begins.
"""

import torch
from torch import Tensor, nn

from relatent.nets.latent_world import Recurrence
from relatent.nets.mlp import mlp, orthogonal

UNITS = 2  # recurrent ones

Memory = tuple[Tensor, ...]


class RecurrentDynamics(nn.Module):
    """x' = x + W h, where h is the upper unit's state after reading f(x, a)."""

    def __init__(self, observation_size: int, action_size: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.encode = mlp([observation_size + action_size, width, width, width], init=orthogonal)
        self.recurrences = nn.ModuleList(Recurrence(width, width) for _ in range(UNITS))
        self.decode = mlp([width, observation_size], init=orthogonal)

    def begin(self, observation: Tensor) -> Memory:
        """The empty memory of a prediction from observations (..., observation_size)."""
        return (observation.new_zeros(*observation.shape[:-1], self.width),) * UNITS

    def step(self, memory: Memory, observation: Tensor, action: Tensor) -> tuple[Memory, Tensor]:
        """The next memory and the next observation (..., observation_size)."""
        features, updated = self.encode(torch.cat([observation, action], dim=-1)), []
        for recurrence, hidden in zip(self.recurrences, memory, strict=True):
            features = recurrence(features, hidden)
            updated.append(features)
        return tuple(updated), observation + self.decode(features)

    def follow(self, observation: Tensor, actions: Tensor) -> Tensor:
        """Predict along actions (B, L, action_size) from an observation (B, observation_size), never seeing another:
        (B, L, observation_size).

        A predicted observation is read without its gradient, which passes from step to step through memory only.
        """
        memory, predicted = self.begin(observation), []
        for action in actions.unbind(1):
            memory, observation = self.step(memory, observation.detach(), action)
            predicted.append(observation)
        return torch.stack(predicted, dim=1)
