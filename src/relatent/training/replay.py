"""Transitions in one table, appended to and sampled uniformly, alone or in segments; first in, first out.

An observation is stored once: row i holds what was seen, done and received at one step, row i + 1 what was seen next.
An episode's last observation takes a row of its own, which is never sampled as the start of a transition. Half the
memory of storing next observations, and one contiguous read per sampled row. Pictures stay bytes, and the other numbers
lie behind them as four bytes each.

Several environments that are stepped together each have a lane, whose episode waits beside the table until all lanes'
episodes have ended; then they are appended one after the other.

For an agent on a GPU the table has a twin there, which rows are copied to before the next sample is drawn, so that a
batch never crosses the bus; what `sample_seen` draws does.
"""

import math
from collections import deque
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from relatent.nets.batch import Batch, Segments
from relatent.nets.observation import Observation
from relatent.specs.errors import RelatentError

PATIENCE = 1_000  # draws before a batch of whole segments is given up


class Step(NamedTuple):
    """A step of an episode that waits for others to end."""

    observation: np.ndarray
    action: np.ndarray
    reward: float
    next_observation: np.ndarray
    terminated: bool
    ended: bool
    kept: np.ndarray


class Replay:
    """At most `capacity` transitions. A row is [observation, action, kept, reward, terminated, closes an episode];
    `kept` are `kept_size` numbers that the agent wants back with the transition. `observation` is how many numbers a
    vector has, or the shape of pictures of bytes, whose number of bytes is a multiple of four."""

    observation_shape: tuple[int, ...]
    row_type: np.dtype

    def __init__(
        self,
        capacity: int,
        observation: Observation,
        action_size: int,
        device: str = "cpu",
        kept_size: int = 0,
        lanes: int = 1,
    ) -> None:
        if isinstance(observation, int):
            self.observation_shape, self.row_type = (observation,), np.dtype(np.float32)
        else:
            self.observation_shape, self.row_type = observation, np.dtype(np.uint8)
        self.observation_size = math.prod(self.observation_shape)  # items of a row
        number = np.dtype(np.float32).itemsize // self.row_type.itemsize  # items of any other number in a row
        if self.observation_size % number:
            raise RelatentError(f"pictures {self.observation_shape}: expected a multiple of four bytes")
        self.capacity, self.action_size, self.kept_size, self.device = capacity, action_size, kept_size, device
        self.waiting: list[list[Step]] = [[] for _ in range(lanes)]
        self.nothing_done, self.nothing_kept = np.zeros(action_size, np.float32), np.zeros(kept_size, np.float32)
        # An episode adds one row more than it has transitions, so that 2 * capacity rows always hold the last
        # `capacity` transitions. Memory is taken as rows are written, not here. A segment may reach beyond the newest
        # row: what is masked must be a number.
        width = self.observation_size + number * (action_size + kept_size + 3)
        self.table = np.zeros((2 * capacity + 1, width), self.row_type)
        self.row_bytes, self.reach = self.table.itemsize * self.table.shape[1], len(self.table)  # newest rows kept
        self.row_of = np.empty(capacity, np.int64)  # of each transition
        self.rows = self.transitions = 0  # written since the start
        self.began: deque[int] = deque()  # transitions that began an episode; those that are gone are dropped in time
        self.begins = True  # whether the next one does
        self.twin: tuple[Tensor, Tensor] | None = None  # table and row_of
        self._copied = (0, 0)  # rows and transitions that the twin has
        if device != "cpu":
            self.twin = (
                torch.zeros(self.table.shape, dtype=torch.from_numpy(self.table).dtype, device=device),
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
        kept: np.ndarray | None = None,
        lane: int = 0,
    ) -> None:
        """Append a step; `ended` says that it was its episode's last, by termination or time limit."""
        kept = self.nothing_kept if kept is None else kept
        if len(self.waiting) == 1:
            self._append(Step(observation, action, reward, next_observation, terminated, ended, kept))
            return
        copies = (np.array(array) for array in (observation, action, next_observation, kept))
        observation, action, next_observation, kept = copies
        self.waiting[lane].append(Step(observation, action, reward, next_observation, terminated, ended, kept))
        if all(steps and steps[-1].ended for steps in self.waiting):
            for steps in self.waiting:
                for one in steps:
                    self._append(one)
                steps.clear()

    def _append(self, step: Step) -> None:
        if self.begins:
            self.began.append(self.transitions)
        self.begins = step.ended
        self.row_of[self.transitions % self.capacity] = self.rows % len(self.table)
        self._write(step.observation, step.action, step.kept, (step.reward, step.terminated, False))
        self.transitions += 1
        self._write(step.next_observation, self.nothing_done, self.nothing_kept, (0.0, False, True))
        if not step.ended:
            self.rows -= 1  # the next step writes its action and reward beside this observation

    def _write(
        self, observation: np.ndarray, action: np.ndarray, kept: np.ndarray, scalars: tuple[float, bool, bool]
    ) -> None:
        row = self.table[self.rows % len(self.table)]
        row[: self.observation_size] = np.ravel(observation)
        numbers = self._numbers(row)
        numbers[: self.action_size] = action
        numbers[self.action_size : -3] = kept
        numbers[-3:] = scalars
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
        observation, action, _, scalars = self._split(steps)
        return Batch(observation, action, scalars[:, 0], self._observation(following), scalars[:, 1])

    def sample_segments(self, batch_size: int, length: int, generator: torch.Generator) -> Segments:
        """Runs of `length` steps whose first is drawn uniformly with replacement; what lies after an episode's end is
        masked."""
        draws = torch.randint(len(self), (batch_size,), generator=generator, device=generator.device)
        return self.segments(draws, length)

    def sample_whole_segments(self, batch_size: int, length: int, generator: torch.Generator) -> Segments:
        """The same, drawn uniformly with replacement from those runs that no episode's end cuts short."""
        places = torch.randint(len(self), (batch_size,), generator=generator, device=generator.device)
        for _ in range(PATIENCE):
            segments = self.segments(places, length)
            cut = segments.mask[:, -1] == 0
            if not cut.any():
                return segments
            places[cut] = torch.randint(len(self), (int(cut.sum()),), generator=generator, device=generator.device)
        raise RelatentError(f"replay of {len(self)} transitions: hardly an episode lasts {length} steps")

    def sample_beginnings(self, batch_size: int, generator: torch.Generator) -> Segments:
        """Segments of one step, drawn uniformly with replacement from those that an episode began with."""
        while self.began and self.began[0] < self.transitions - self.capacity:
            self.began.popleft()
        if not self.began:
            raise RelatentError(
                f"replay of {self.capacity} transitions: no episode's first step is left, make it larger"
            )
        draws = torch.randint(len(self.began), (batch_size,), generator=generator, device=generator.device)
        chosen = np.array(self.began)[draws.cpu().numpy()] % self.capacity
        return self.segments(torch.from_numpy(chosen).to(draws.device), 1)

    def segments(self, places: Tensor, length: int) -> Segments:
        """Those whose first transitions lie at these places, (batch_size,). A place is a transition's number since
        the start modulo `capacity`, also in a continued run."""
        ahead = torch.arange(length + 1, device=places.device)
        if self.twin is None:
            starts = self.row_of[places.numpy()]
            rows = torch.from_numpy(self.table[(starts[:, None] + ahead.numpy()) % len(self.table)])
        else:
            table, row_of = self._up_to_date(self.twin)
            rows = table[(row_of[places][:, None] + ahead) % len(table)]
        observation, action, kept, scalars = self._split(rows)
        # The row that closes an episode, also the open one that was seen last, is no step, nor is any after it.
        mask = (1 - scalars[:, :-1, 2]).cumprod(1)
        return Segments(observation, action[:, :-1], kept[:, 0], scalars[:, :-1, 0], scalars[:, :-1, 1], mask)

    def sample_seen(self, batch_size: int, newest: int, generator: torch.Generator) -> Tensor:
        """Observations that an action was taken at, drawn uniformly with replacement from the `newest` ones, those of
        episodes that still go on among them; (batch_size, *their shape)."""
        among = min(self.seen, newest)
        draws = torch.randint(among, (batch_size,), generator=generator, device=generator.device)
        places = self.transitions + self.seen - len(self) - among + draws.cpu().numpy()
        chosen = np.empty((batch_size, self.observation_size), self.row_type)
        stored = places < self.transitions
        chosen[stored] = self.table[self.row_of[places[stored] % self.capacity], : self.observation_size]
        for number in np.flatnonzero(~stored):
            step, lane = divmod(int(places[number] - self.transitions), len(self.waiting))
            chosen[number] = np.ravel(self.waiting[lane][step].observation)
        return self._observation(torch.from_numpy(chosen).to(self.device))

    @property
    def seen(self) -> int:
        """Observations that `sample_seen` may draw: transitions that are still here, and steps that wait."""
        return len(self) + sum(map(len, self.waiting))

    def _split(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Observation, action, kept and the three scalars of rows."""
        numbers = rows[..., self.observation_size :].view(torch.float32)
        action, kept, scalars = numbers.split([self.action_size, self.kept_size, 3], dim=-1)
        return self._observation(rows), action, kept, scalars

    def _observation(self, rows: Tensor) -> Tensor:
        """What was seen, of rows or of what they begin with."""
        return rows[..., : self.observation_size].reshape(*rows.shape[:-1], *self.observation_shape)

    def _numbers(self, rows: np.ndarray) -> np.ndarray:
        """All else of rows, float32, to read and to write."""
        return rows[..., self.observation_size :].view(np.float32)

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
        shape = rows, self.table.shape[1]
        held = np.memmap(path, self.row_type, "r", shape=shape) if rows else np.empty(shape, self.row_type)
        closes = self._numbers(held)[:, -1] == 1
        self.transitions, self.rows = int(rows - closes.sum()), rows
        kept = np.arange(max(0, rows - len(self.table)), rows)
        self.table[kept % len(self.table)] = held[kept]
        starts = kept[~closes[kept]][-self.capacity :] % len(self.table)
        self.row_of[np.arange(self.transitions - len(starts), self.transitions) % self.capacity] = starts
        steps = np.flatnonzero(~closes)
        self.began = deque(np.flatnonzero((steps == 0) | closes[steps - 1]).tolist())
        self.begins = True
