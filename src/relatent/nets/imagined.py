"""Transitions that a model made up, held by the agent whose model it is."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from relatent.nets.batch import Batch


class Imagined(nn.Module):
    """The newest transitions, oldest first. How many there are changes, so that they are no buffer, but as one they are
    saved with the agent and moved with it."""

    def __init__(self, observation_size: int, action_size: int) -> None:
        super().__init__()
        self.sizes = [observation_size, action_size, 1, observation_size, 1]
        self.rows = torch.zeros(0, sum(self.sizes))

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, batch: Batch, capacity: int) -> None:
        """Append transitions; what is older than the newest `capacity` is forgotten."""
        parts = (batch.observation, batch.action, batch.reward[:, None], batch.next_observation)
        new = torch.cat([*parts, batch.terminated[:, None]], dim=-1)[-capacity:]
        stay = min(len(self.rows), capacity - len(new))
        self.rows = torch.cat([self.rows[len(self.rows) - stay :], new])

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Transitions drawn uniformly with replacement."""
        draws = torch.randint(len(self), (batch_size,), generator=generator, device=generator.device)
        return self.parts(self.rows[draws])

    def parts(self, rows: Tensor) -> Batch:
        """The transitions that rows hold."""
        observation, action, reward, following, terminated = rows.split(self.sizes, dim=-1)
        return Batch(observation, action, reward.squeeze(-1), following, terminated.squeeze(-1))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """What PyTorch calls to move or convert a module's tensors."""
        self.rows = fn(self.rows)
        return super()._apply(fn, recurse)

    def get_extra_state(self) -> Tensor:
        """Stored by PyTorch as the parameters are."""
        return self.rows

    def set_extra_state(self, state: Tensor) -> None:
        """Restore what `get_extra_state` returned."""
        self.rows = state
