"""The files of one run: raw returns and probes at the end, metrics and progress while it trains."""

import csv
import hashlib
import io
import json
import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relatent.specs.errors import RelatentError
from relatent.specs.files import write_atomic

COLUMNS = ("phase", "frames", "episode", "return", "success")
METRICS_EVERY = 500  # updates between two rows of metrics.csv
PROGRESS_SECONDS = 2.0


class NotANumber(RelatentError):
    """A metric became NaN. Infinity is let pass: a squared error overflows long before its gradient does, and an
    estimator that diverges is what Figure 3 of SMAC is about."""


class Record:
    """Rows are held in memory and travel in checkpoints, so that a continued run repeats none and loses none. Those of
    metrics.csv, which is for people, are written as they come; what a checkpoint does not know of is dropped again."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.rows: list[list[Any]] = []
        self.series: dict[str, list[float]] = defaultdict(list)  # of probes, over frames
        self.fixed: dict[str, np.ndarray] = {}
        self.visits: list[int] = []  # training steps that ended in each cell, where the environment counts cells
        self.positions: list[tuple[float, float, int]] = []  # x, y and frames, of evaluations' steps
        self.pictures: list[tuple[int, np.ndarray]] = []  # frames and uint8 (side, side, 3)
        self.updates = 0
        self._started = time.monotonic()
        self._reported = -math.inf

    def episode(self, phase: str, frames: int, episode: int, return_: float, success: float | None = None) -> None:
        """One finished episode; `phase` is train or eval, `frames` the environment frames trained on so far, `success`
        the share of the task that is solved at its end."""
        solved = "" if success is None else int(success) if float(success).is_integer() else repr(float(success))
        self.rows.append([phase, frames, episode, repr(float(return_)), solved])

    def visit(self, info: dict[str, Any]) -> None:
        """A training step of an environment that says which of its `cells` it led to; -1 is none of them."""
        if "cell" in info:
            self.visits = self.visits or [0] * info["cells"]
            if info["cell"] >= 0:
                self.visits[info["cell"]] += 1

    def coverage(self, frames: int) -> None:
        """The share of cells that training has visited so far; none before its first step."""
        visited = sum(visits > 0 for visits in self.visits) / max(1, len(self.visits))
        self.probe("coverage", frames, {"share": visited})

    def position(self, frames: int, info: dict[str, Any]) -> None:
        """Where an evaluation's step led to."""
        x, y = info["position"]
        self.positions.append((float(x), float(y), frames))

    def picture(self, frames: int, picture: np.ndarray) -> None:
        """What a state of an evaluation looks like; the first one is that before the first step of all."""
        self.pictures.append((frames, picture))

    def action(self, frames: int, action: np.ndarray) -> None:
        """Raises NotANumber before a simulator fails on a NaN in terms of its own."""
        if np.isnan(action).any():
            raise NotANumber(f"{self.run}: action is nan at frame {frames} (update {self.updates})")

    def metrics(self, frames: int, metrics: dict[str, Tensor]) -> None:
        """What one update returned, if anything; raises NotANumber at the first value that is NaN."""
        if not metrics:
            return
        self.updates += 1
        values = {name: float(value) for name, value in metrics.items()}
        for name, value in values.items():
            if math.isnan(value):
                raise NotANumber(f"{self.run}: {name} is {value} at frame {frames} (update {self.updates})")
        if self.updates % METRICS_EVERY == 1:
            position = {
                "frames": frames,
                "updates": self.updates,
                "seconds": round(time.monotonic() - self._started, 1),
            }
            append(self.run / "metrics.csv", position | values)

    def take_up_metrics(self) -> None:
        """Drop from metrics.csv what came after the checkpoint that was loaded, and a half-written row; without a
        checkpoint all of it."""
        path = self.run / "metrics.csv"
        if not path.exists():
            return
        with path.open(newline="", errors="replace") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or ())
            whole = [row for row in reader if None not in (*row, *row.values()) and row.get("updates", "").isdecimal()]
        kept = [row for row in whole if int(row["updates"]) <= self.updates]
        if kept:
            write_atomic(path, table(columns, kept))
        else:
            path.unlink()

    def probe(self, name: str, frames: int, values: Mapping[str, float | np.ndarray]) -> None:
        """What a probe measured: series `<name>_<key>`, each with its `<name>_<key>_frames`; of arrays the newest."""
        for key, value in values.items():
            if isinstance(value, np.ndarray):
                self.fixed[f"{name}_{key}"] = value
                continue
            self.series[f"{name}_{key}"].append(value)
            self.series[f"{name}_{key}_frames"].append(frames)

    def arrays(self, **arrays: np.ndarray) -> None:
        """Arrays for probes.npz that are not series over frames."""
        self.fixed.update({name: np.asarray(value) for name, value in arrays.items()})

    def progress(self, done: int, total: int) -> None:
        """Say how far the run is, at most every two seconds; `done` and `total` in frames (of a study: its steps)."""
        now = time.monotonic()
        if now - self._reported >= PROGRESS_SECONDS:
            self._reported = now
            seconds = round(now - self._started, 1)
            state = {"frames": done, "of": total, "updates": self.updates, "seconds": seconds, "updated": time.time()}
            write_atomic(self.run / "progress.json", json.dumps(state))

    def state_dict(self) -> dict[str, Any]:
        """All that a continued run needs of the past."""
        fixed = {name: array.tolist() for name, array in self.fixed.items()}
        pictures = [(frames, torch.from_numpy(picture)) for frames, picture in self.pictures]
        been = {"visits": self.visits, "positions": self.positions, "pictures": pictures, "fixed": fixed}
        spent = {"updates": self.updates, "seconds": time.monotonic() - self._started}
        return {"rows": self.rows, "series": dict(self.series), **spent, **been}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows, self.updates = state["rows"], state["updates"]
        self._started = time.monotonic() - state.get("seconds", 0.0)
        self.visits, self.positions = state["visits"], state["positions"]
        self.pictures = [(frames, picture.numpy()) for frames, picture in state.get("pictures", [])]
        self.series = defaultdict(list, state["series"])
        self.fixed = {name: np.array(values) for name, values in state.get("fixed", {}).items()}

    def finish(self, manifest: dict[str, Any]) -> None:
        """Write the declared files, the manifest with the others' digests; returns.csv comes last, so that its presence
        says that all are there."""
        if self.visits:
            self.arrays(visits=np.array(self.visits))
        if self.positions:
            *where, frames = zip(*self.positions, strict=True)
            self.arrays(positions=np.array(where).T, positions_frames=np.array(frames))
        if self.pictures:
            moments, pictures = zip(*self.pictures, strict=True)
            self.arrays(pictures=np.stack(pictures), pictures_frames=np.array(moments))
        buffer = io.BytesIO()
        series = {
            name: np.asarray(values, np.int64 if name.endswith("_frames") else np.float64)
            for name, values in sorted(self.series.items())
        }
        np.savez_compressed(buffer, **series, **self.fixed)  # type: ignore[arg-type]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(self.rows)
        files = {"probes.npz": buffer.getvalue(), "returns.csv": text.getvalue().encode()}
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        stated = json.dumps({**manifest, "files_sha256": digests}, indent=2, sort_keys=True) + "\n"
        write_atomic(self.run / "probes.npz", files["probes.npz"])
        write_atomic(self.run / "manifest.json", stated)
        write_atomic(self.run / "returns.csv", files["returns.csv"])
        (self.run / "progress.json").unlink(missing_ok=True)


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row to a table with named columns. An agent that begins in stages gives it new columns later: then the
    table is first written anew with these, empty in the rows before."""
    columns = list(row)
    if path.exists():
        with path.open(newline="", errors="replace") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or row)
            if added := [name for name in row if name not in columns]:
                columns += added
                write_atomic(path, table(columns, list(reader)))
    with path.open("a", newline="") as file:
        file.write(table(columns, [row], header=file.tell() == 0))


def table(columns: list[str], rows: Sequence[Mapping[str, Any]], header: bool = True) -> str:
    """Rows as CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
