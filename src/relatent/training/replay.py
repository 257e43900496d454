"""Transitions in one table, appended to and sampled uniformly; first in, first out.

An observation is stored once: row i holds what was seen, done and received at one step, row i + 1 what was seen next.
An episode's last observation takes a row of its own, which is never sampled as the start of a transition. Half the
memory of storing next observations, and one contiguous read per sampled row.

For an agent on a GPU the table has a twin there, which rows are copied to before the next sample is drawn, so that a
batch never crosses the bus.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from relatent.nets.batch import Batch


class Replay:
    """At most `capacity` transitions. A row is [observation, action, reward, terminated, closes an episode]."""

    def __init__(self, capacity: int, observation_size: int, action_size: int, device: str = "cpu") -> None:
        self.capacity, self.observation_size, self.action_size = capacity, observation_size, action_size
        self.device = device
        # An episode adds one row more than it has transitions, so that 2 * capacity rows always hold the last
        # `capacity` transitions. Memory is taken as rows are written, not here.
        self.table = np.empty((2 * capacity + 1, observation_size + action_size + 3), np.float32)
        self.row_of = np.empty(capacity, np.int64)  # of each transition
        self.rows = self.transitions = 0  # written since the start
        self.twin: tuple[Tensor, Tensor] | None = None  # table and row_of
        self._copied = (0, 0)  # rows and transitions that the twin has
        if device != "cpu":
            self.twin = (
                torch.empty(self.table.shape, device=device),
                torch.empty(capacity, dtype=torch.int64, device=device),
            )

    def __len__(self) -> int:
        return min(self.transitions, self.capacity)

    def add(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        reward: float,
        next_observation: np.ndarray,
        terminated: bool,
        ended: bool,
    ) -> None:
        """Append a step; `ended` says that it was its episode's last, by termination or time limit."""
        self.row_of[self.transitions % self.capacity] = self.rows % len(self.table)
        self._write(observation, action, (reward, terminated, False))
        self.transitions += 1
        self._write(next_observation, np.zeros(self.action_size, np.float32), (0.0, False, True))
        if not ended:
            self.rows -= 1  # the next step writes its action and reward beside this observation

    def _write(self, observation: np.ndarray, action: np.ndarray, scalars: tuple[float, bool, bool]) -> None:
        row = self.table[self.rows % len(self.table)]
        row[: self.observation_size] = observation
        row[self.observation_size : -3] = action
        row[-3:] = scalars
        self.rows += 1

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Transitions drawn uniformly with replacement."""
        draws = torch.randint(len(self), (batch_size,), generator=generator, device=generator.device)
        if self.twin is None:
            rows = self.row_of[draws.numpy()]
            steps = torch.from_numpy(self.table[rows])
            following = torch.from_numpy(self.table[(rows + 1) % len(self.table), : self.observation_size])
        else:
            table, row_of = self._up_to_date(self.twin)
            steps = table[row_of[draws]]
            following = table[(row_of[draws] + 1) % len(table), : self.observation_size]
        observation, action, scalars = steps.split([self.observation_size, self.action_size, 3], dim=1)
        return Batch(observation, action, scalars[:, 0], following, scalars[:, 1])

    def _up_to_date(self, twin: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The twin with all that was written since the last sample. The newest row is open, what was seen last."""
        for tensor, array, first, last in (
            (twin[0], self.table, max(self._copied[0], self.rows + 1 - len(self.table)), self.rows + 1),
            (twin[1], self.row_of, max(self._copied[1], self.transitions - self.capacity), self.transitions),
        ):
            places = np.arange(first, last) % len(array)
            tensor[torch.from_numpy(places).to(tensor.device)] = torch.from_numpy(array[places]).to(tensor.device)
        self._copied = (self.rows, self.transitions)
        return twin

    def chunk(self, start: int) -> np.ndarray:
        """A copy of the rows written since row number `start`; older rows that are gone are left out."""
        start = max(start, self.rows - len(self.table))
        return self.table[np.arange(start, self.rows) % len(self.table)]

    def restore(self, path: Path, rows: int) -> None:
        """Refill from a file of the first `rows` rows ever written."""
        width = self.table.shape[1]
        held = np.memmap(path, np.float32, "r", shape=(rows, width)) if rows else np.empty((0, width), np.float32)
        self.transitions = int(rows - (held[:, -1] == 1).sum()) if rows else 0
        self.rows = rows
        kept = np.arange(max(0, rows - len(self.table)), rows)
        self.table[kept % len(self.table)] = held[kept]
        starts = kept[held[kept, -1] == 0][-self.capacity :] % len(self.table)
        self.row_of[np.arange(self.transitions - len(starts), self.transitions) % self.capacity] = starts
