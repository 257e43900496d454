"""How far a list of runs is, and how long the rest will take, from the files the runs leave behind.

`expect` is arithmetic on what `look` read, so that it can be tested without a clock.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from relatent.specs.catalog import Job

SILENCE_SECONDS = 60.0  # a run that has not reported for so long is taken as stopped


@dataclass(frozen=True)
class RunState:
    """One run: `kind` groups runs of equal speed, `work` is its size in frames (of a study: its own count of steps)."""

    run: str
    kind: str
    state: str  # done, running, stopped or waiting
    fraction: float = 0.0
    """Part of the run that is done, 0 to 1."""
    seconds: float | None = None
    """Wall time spent on that part; None when unknown."""


@dataclass(frozen=True)
class Progress:
    """Counts of runs by state, and the expected wall time until all are done; None while nothing is known of it."""

    done: int
    running: int
    waiting: int
    fraction: float
    seconds_left: float | None

    @property
    def total(self) -> int:
        return self.done + self.running + self.waiting

    def line(self) -> str:
        """One line for people, such as `3 of 9 runs done, 2 running, 4 left, about 2 min to go`."""
        left = "" if self.seconds_left is None else f", about {duration(self.seconds_left)} to go"
        return f"{self.done} of {self.total} runs done, {self.running} running, {self.waiting} left{left}"


def look(root: Path, job: Job, now: float | None = None) -> RunState:
    """The state of one run from its folder: returns.csv is written last, progress.json about every two seconds."""
    kind = f"{job.budget}/{job.paper}/{job.algorithm}"
    folder = root / job.run
    if finished(folder):
        return RunState(job.run, kind, "done", 1.0, _spent(folder / "manifest.json"))
    try:
        report = json.loads((folder / "progress.json").read_text())
    except (OSError, ValueError):
        return RunState(job.run, kind, "waiting")
    alive = (time.time() if now is None else now) - report["updated"] < SILENCE_SECONDS
    fraction = min(1.0, report["frames"] / report["of"]) if report["of"] else 0.0
    return RunState(job.run, kind, "running" if alive else "stopped", fraction, report["seconds"])


def finished(folder: Path) -> bool:
    """Whether a run is done: of its files, returns.csv is renamed into place last."""
    return (folder / "returns.csv").is_file()


def _spent(manifest: Path) -> float | None:
    try:
        return float(sum(json.loads(manifest.read_text())["phase_seconds"].values()))
    except (OSError, ValueError, KeyError):
        return None


def expect(states: Iterable[RunState], cores: int) -> Progress:
    """Counts and expected time left with `cores` runs at once.

    A whole run of a kind is expected to last as long as the parts of that kind already seen say; a kind not seen yet
    as long as the mean of those that were. The rest lasts at least as long as its longest run.
    """
    states = list(states)
    whole = _whole_run_seconds(states)
    left = [(1 - state.fraction, state.kind) for state in states if state.state != "done"]
    if not left:
        seconds: float | None = 0.0
    elif not whole:
        seconds = None
    else:
        mean = sum(whole.values()) / len(whole)
        rests = [part * whole.get(kind, mean) for part, kind in left]
        seconds = max(sum(rests) / min(cores, len(rests)), *rests)
    done = sum(state.state == "done" for state in states)
    running = sum(state.state == "running" for state in states)
    fraction = sum(state.fraction for state in states) / len(states) if states else 1.0
    return Progress(done, running, len(states) - done - running, fraction, seconds)


def _whole_run_seconds(states: list[RunState]) -> dict[str, float]:
    """Seconds of a whole run, by kind. Runs that have hardly begun say little about their speed and are left out."""
    seconds: dict[str, float] = {}
    for kind in {state.kind for state in states}:
        seen = [s for s in states if s.kind == kind and s.seconds is not None and s.fraction >= 0.02]
        if seen:
            seconds[kind] = sum(s.seconds or 0.0 for s in seen) / sum(s.fraction for s in seen)
    return seconds


def duration(seconds: float) -> str:
    """A length of time for people: `8 s`, `3 min`, `2.5 h`, `4.1 days`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 5970:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
