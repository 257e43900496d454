"""Whole episodes, appended to and sampled in sequences that lie within one; first in, first out.

A row is what arrives at one time: an observation, the action that led to it and the reward received with it. An episode
of T steps is T + 1 rows; its first has a zero action and no reward. A sequence is drawn as in the official codes of
SMAC and Dreamer: an episode uniformly, then one of its starts uniformly, from the first row to the last from which the
sequence still fits.

Observations keep their own type, uint8 for pictures, and memory is taken by episodes as they end, 12.3 kB for a step
with a picture of 64 x 64. An episode that goes on, one in each lane of environments that are stepped together, waits
and cannot be drawn yet.
"""

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from relatent.nets.sequences import Sequences
from relatent.specs.errors import RelatentError


class Arrival(NamedTuple):
    """A row of an episode that goes on."""

    observation: np.ndarray
    action: np.ndarray
    reward: float
    terminated: bool
    first: bool


class EpisodeReplay:
    """The newest episodes, of at most `capacity` steps together.

    Like Replay it numbers its rows since the start of a run and offers what a checkpoint needs: `rows`, `row_bytes`,
    `reach`, `chunk` and `restore`.
    """

    def __init__(
        self,
        capacity: int,
        observation_shape: tuple[int, ...],
        observation_type: np.dtype | type,
        action_size: int,
        device: str = "cpu",
        lanes: int = 1,
    ) -> None:
        self.capacity, self.device = capacity, device
        self.row = np.dtype(
            [
                ("observation", observation_type, observation_shape),
                ("action", np.float32, (action_size,)),
                ("reward", np.float32),
                ("terminated", np.bool_),
                ("first", np.bool_),
            ]
        )
        self.row_bytes = self.row.itemsize
        self.waiting: list[list[Arrival]] = [[] for _ in range(lanes)]
        self.episodes: deque[np.ndarray] = deque()  # each (T + 1,) of type `row`
        self.rows = self.transitions = 0  # written since the start; still here

    def __len__(self) -> int:
        """Steps that are here, without those of episodes that go on."""
        return self.transitions

    @property
    def reach(self) -> int:
        """How many of the newest rows are here."""
        return self.transitions + len(self.episodes)

    def add(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        reward: float,
        next_observation: np.ndarray,
        terminated: bool,
        ended: bool,
        kept: np.ndarray | None = None,
        lane: int = 0,
    ) -> None:
        """Append a step; `ended` says that it was its episode's last, by termination or time limit."""
        if kept is not None:
            raise RelatentError("a replay of episodes keeps nothing of an agent's belief")
        arrivals = self.waiting[lane]
        if not arrivals:
            arrivals.append(Arrival(np.array(observation), np.zeros_like(action), 0.0, False, True))
        arrivals.append(Arrival(np.array(next_observation), np.array(action), reward, terminated, False))
        if ended:
            self._append(self._stored(arrivals))
            self.waiting[lane] = []

    def _stored(self, arrivals: Iterable[Arrival]) -> np.ndarray:
        columns = dict(zip(Arrival._fields, zip(*arrivals, strict=True), strict=True))
        episode = np.empty(len(columns["reward"]), self.row)
        for name, column in columns.items():
            episode[name] = column
        return episode

    def _append(self, episode: np.ndarray) -> None:
        if len(episode) > self.capacity + 1:
            raise RelatentError(f"replay of {self.capacity} steps: an episode has {len(episode) - 1}, make it larger")
        self.episodes.append(episode)
        self.rows += len(episode)
        self.transitions += len(episode) - 1
        while self.transitions > self.capacity:
            self.transitions -= len(self.episodes.popleft()) - 1

    def sample_sequences(self, batch_size: int, length: int, generator: torch.Generator) -> Sequences:
        """Runs of `length` rows, with replacement. Raises RelatentError if every episode is shorter."""
        starts = np.array([len(episode) - length + 1 for episode in self.episodes])  # of a sequence in each
        eligible = np.flatnonzero(starts > 0)
        if not len(eligible):
            raise RelatentError(
                f"replay of {len(self.episodes)} episodes: none has a sequence of {length} observations"
            )
        drawn = torch.randint(len(eligible), (batch_size,), generator=generator, device=generator.device)
        where = torch.rand(batch_size, dtype=torch.float64, generator=generator, device=generator.device)
        chosen = eligible[drawn.cpu().numpy()]
        begin = (where.cpu().numpy() * starts[chosen]).astype(np.int64)
        parts = [self.episodes[number][start : start + length] for number, start in zip(chosen, begin, strict=True)]
        return Sequences(*(self._column(parts, name) for name in Sequences._fields))

    def _column(self, parts: list[np.ndarray], name: str) -> torch.Tensor:
        """One field of all sequences; flags as float32."""
        column = torch.from_numpy(np.stack([part[name] for part in parts])).to(self.device)
        return column.float() if column.dtype == torch.bool else column

    def chunk(self, start: int) -> np.ndarray:
        """A copy of the rows written since row number `start`; older rows that are gone are left out."""
        wanted, parts = self.rows - start, []
        for episode in reversed(self.episodes):
            if wanted <= 0:
                break
            parts.append(episode[-wanted:] if wanted < len(episode) else episode)
            wanted -= len(episode)
        return np.concatenate(parts[::-1]) if parts else np.empty(0, self.row)

    def restore(self, path: Path, rows: int) -> None:
        """Fill an empty replay from a file of the first `rows` rows ever written, which lacks episodes that went on."""
        if not rows:
            return
        held = np.memmap(path, self.row, "r", shape=(rows,))
        edges = [*np.flatnonzero(held["first"]).tolist(), rows]
        for first, last in pairwise(edges):
            self._append(held[first:last])
        self.episodes = deque(np.array(episode) for episode in self.episodes)  # read what is still here
