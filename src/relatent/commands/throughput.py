"""config/throughput.csv: how fast machines were measured to be, and what follows for runs not made yet.

Two kinds of rows share the file: updates of an agent (its `agent` is named) and steps of a task's simulator.
"""

import csv
import io
import statistics
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from relatent.specs.files import write_atomic

FILE = Path("config/throughput.csv")


@dataclass(frozen=True)
class Row:
    machine: str
    """Processor or GPU, by model."""
    device: str
    """cpu (one thread) or cuda."""
    task: str
    agent: str = ""
    """Empty in a row about a simulator."""
    width: int | None = None
    batch: int | None = None
    particles: int | None = None
    gflop_per_update: float | None = None
    updates_per_second: float | None = None
    acts_per_second: float | None = None
    env_steps_per_second: float | None = None
    """Of the simulator alone, in environment frames."""
    gflops: float | None = None
    """10^9 floating point operations a second, achieved by updates."""
    peak_ratio: float | None = None
    """`gflops` over the float32 matrix product's, measured in turn with it."""

    @property
    def key(self) -> tuple[object, ...]:
        """What a new measurement replaces."""
        return (self.machine, self.device, self.agent, self.task, self.width, self.batch, self.particles)


ROW = TypeAdapter(Row)  # turns the file's texts into numbers


def read(path: Path) -> list[Row]:
    """All rows; none where the file is missing."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [ROW.validate_python({k: v for k, v in line.items() if v != ""}) for line in csv.DictReader(file)]


def merge(old: list[Row], new: list[Row]) -> list[Row]:
    """New measurements replace old ones of the same thing; the rest stays. Sorted, so that diffs are short."""
    rows = {row.key: row for row in [*old, *new]}
    return sorted(rows.values(), key=lambda row: tuple(map(str, row.key)))


def write(path: Path, rows: list[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        written = {name: f"{value:.10g}" if isinstance(value, float) else value for name, value in asdict(row).items()}
        writer.writerow({name: "" if value is None else value for name, value in written.items()})
    write_atomic(path, text.getvalue())


PICTURES = "+pixels"
"""Follows the task of a simulator that takes pictures."""


class Speed:
    """Seconds that work takes on one kind of device, by the nearest measurement of it: among rows of `machine` where
    the agent or the simulator has any, else among those of all machines."""

    def __init__(self, rows: list[Row], device: str, machine: str = "") -> None:
        self.rows = sorted((row for row in rows if row.device == device), key=lambda row: row.machine == machine)
        self.machine = machine
        self.used: set[str] = set()
        """Machines whose updates were asked for."""

    def update_seconds(self, agent: str, gflop: float) -> float | None:
        """One update of `gflop`, at the rate of this agent's measured update nearest in size; None if unmeasured."""
        nearest = self._nearest(agent, gflop)
        return gflop / nearest.gflops if nearest and nearest.gflops else None

    def act_seconds(self, agent: str, gflop: float) -> float | None:
        """One action of the agent whose update takes `gflop`; it hardly depends on size."""
        nearest = self._nearest(agent, gflop)
        return 1 / nearest.acts_per_second if nearest and nearest.acts_per_second else None

    def _nearest(self, agent: str, gflop: float) -> Row | None:
        rows = [row for row in self.rows if row.agent == agent and row.gflop_per_update]
        rows = [row for row in rows if row.machine == self.machine] or rows
        nearest = min(rows, key=lambda row: abs((row.gflop_per_update or 0) / gflop - 1), default=None)
        self.used |= {nearest.machine} if nearest else set()
        return nearest

    def env_step_seconds(self, simulator: str) -> float | None:
        """One environment frame; of a simulator not measured, the median over those that were, with pictures or
        without as it is itself."""
        pictures = simulator.endswith(PICTURES)
        # The last one counts, this machine's.
        speeds = {row.task: row.env_steps_per_second for row in self.rows if row.env_steps_per_second}
        measured = {name: speed for name, speed in speeds.items() if name.endswith(PICTURES) == pictures}
        if not measured:
            return None
        return 1 / measured.get(simulator, statistics.median(measured.values()))


def simulator_name(env: dict[str, Any]) -> str:
    """What a row calls an environment: one that takes pictures is another than one that does not."""
    return env["task"] + (PICTURES if "pixels" in env else "")
