"""Stop a run at any moment and lose only what came after its last checkpoint.

A checkpoint holds parameters, optimisers, the random stream of updates, the record, and a position between episodes.
Replay is appended to one file and never rewritten. The order of writing makes every moment safe:

    1. new replay rows are appended      (more than an older checkpoint needs does no harm)
    2. state-<frames>.pt is renamed into place
    3. state-<frames>.json, the sentinel, with checksums of both, is renamed into place
    4. all but the newest two checkpoints are removed

A checkpoint counts only if its sentinel's checksums hold; otherwise the one before it is used.
"""

import hashlib
import io
import json
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from relatent.specs.errors import RelatentError
from relatent.specs.files import write_atomic
from relatent.training.episodes import EpisodeReplay
from relatent.training.replay import Replay

KEPT = 2
FOLDER = "checkpoint"  # in a run's folder


class Checkpoint:
    """The checkpoints of one run folder, saved at most every `every_seconds`."""

    def __init__(
        self,
        folder: Path,
        parts: dict[str, Any],
        replay: Replay | EpisodeReplay,
        every_seconds: float,
        spec: str = "",
    ) -> None:
        """`parts` are objects with state_dict and load_state_dict; `spec` names what is trained."""
        self.folder, self.parts, self.replay, self.every_seconds = folder, parts, replay, every_seconds
        self.spec = spec
        self.replay_file = folder / "replay.f32"
        self._saved_at = time.monotonic()
        self._rows = self._crc = 0  # of replay_file

    def due(self) -> bool:
        return time.monotonic() - self._saved_at >= self.every_seconds

    def save(self, position: dict[str, Any]) -> bool:
        """Write a checkpoint; a full disk costs this checkpoint only, which a line on stderr says."""
        try:
            self._save(position)
        except OSError as error:
            last = self.newest()
            kept = f"the one at frame {last['position']['frames']} is kept" if last else "there is none yet"
            print(f"checkpoint at frame {position['frames']} not saved ({error}); {kept}", file=sys.stderr, flush=True)
            return False
        finally:
            self._saved_at = time.monotonic()
        return True

    def keep_up(self) -> None:
        """Append rows before the table forgets them, where checkpoints are further apart than it reaches."""
        if 4 * (self.replay.rows - self._rows) > self.replay.reach:
            with suppress(OSError):  # then the next checkpoint is not saved and says why
                self._append()

    def _append(self) -> None:
        if self.replay.rows - self._rows > self.replay.reach:
            raise OSError("replay has forgotten rows that were never saved")
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = self.replay.chunk(self._rows).tobytes()
        with self.replay_file.open("ab") as file:
            file.truncate(self._rows * self.replay.row_bytes)  # a failed append's rest
            file.write(rows)
        self._rows, self._crc = self.replay.rows, zlib.crc32(rows, self._crc)

    def _save(self, position: dict[str, Any]) -> None:
        self._append()
        buffer = io.BytesIO()
        torch.save({name: part.state_dict() for name, part in self.parts.items()}, buffer)
        name = f"state-{position['frames']:012d}"
        write_atomic(self.folder / f"{name}.pt", buffer.getvalue())
        sentinel = {
            "spec": self.spec,
            "position": position,
            "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
            "replay_rows": self.replay.rows,
            "replay_crc32": self._crc,
        }
        write_atomic(self.folder / f"{name}.json", json.dumps(sentinel))
        for old in sentinels(self.folder)[KEPT:]:
            old.unlink()
            old.with_suffix(".pt").unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """Restore the newest checkpoint whose checksums hold and return its position; None if there is none.

        Raises RelatentError where it belongs to another spec, or to code whose parts have other names.
        """
        left = sentinels(self.folder)
        while left:
            path = left.pop(0)
            try:
                sentinel = json.loads(path.read_text())
                state = path.with_suffix(".pt").read_bytes()
                self._verify(sentinel, state)
                owner = sentinel["spec"]
            except (OSError, ValueError, KeyError) as error:
                then = "trying the one before" if left else "none is left, so training starts again from frame 0"
                print(f"checkpoint {path.stem} is damaged ({error}); {then}", file=sys.stderr, flush=True)
                continue
            if owner != self.spec:
                raise RelatentError(f"{self.folder} belongs to another spec, {owner} instead of {self.spec}")
            loaded = torch.load(io.BytesIO(state), weights_only=True)
            try:
                for name, part in self.parts.items():
                    part.load_state_dict(loaded[name])
            except (KeyError, RuntimeError) as error:
                raise RelatentError(
                    f"{self.folder}: what is trained has other parts in this code ({' '.join(str(error).split())}); "
                    "continue with the code that began it, or remove the folder to train from the start"
                ) from None
            self.replay.restore(self.replay_file, sentinel["replay_rows"])
            self._rows, self._crc = sentinel["replay_rows"], sentinel["replay_crc32"]
            return sentinel["position"]
        return None

    def newest(self) -> dict[str, Any] | None:
        """The newest sentinel that can be read, or None."""
        for path in sentinels(self.folder):
            try:
                return json.loads(path.read_text())
            except ValueError:
                continue
        return None

    def remove(self) -> None:
        """Delete everything, once the run's files are written."""
        for path in self.folder.glob("*"):
            path.unlink()
        if self.folder.exists():
            self.folder.rmdir()

    def _verify(self, sentinel: dict[str, Any], state: bytes) -> None:
        if hashlib.sha256(state).hexdigest() != sentinel["sha256"]:
            raise ValueError("checksum of its state does not match")
        size = sentinel["replay_rows"] * self.replay.row_bytes
        crc, left = 0, size
        if size:
            with self.replay_file.open("rb") as file:
                while left and (block := file.read(min(left, 1 << 24))):
                    crc, left = zlib.crc32(block, crc), left - len(block)
        if left:
            raise ValueError(f"replay is {left} bytes short")
        if crc != sentinel["replay_crc32"]:
            raise ValueError("checksum of its replay does not match")


def sentinels(folder: Path) -> list[Path]:
    """Those of a run's checkpoints, the newest first."""
    return sorted(folder.glob("state-*.json"), reverse=True)


class GeneratorState:
    """A torch generator as something that a checkpoint can save."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"state": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.generator.set_state(state["state"])
