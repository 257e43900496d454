"""One job that trains several runs: on a GPU in one process, on CPUs a process each."""

import json
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relatent.specs.errors import RelatentError
from relatent.training import finished

INTERRUPTED = 75  # exit status of a run that was stopped and goes on from its checkpoint
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Part:
    """One run of a pack."""

    run: Path
    spec: dict[str, Any]


def read_pack(path: Path) -> list[Part]:
    """What relatent.specs.packs wrote. Raises RelatentError for anything else."""
    try:
        return [Part(Path(entry["run"]), entry["spec"]) for entry in json.loads(path.read_text())]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RelatentError(f"{path}: expected a list of runs with their specs ({error})") from None


def let_go(parts: list[Part]) -> None:
    """Once all are finished, no run has to be kept for another's sake."""
    for part in parts:
        finished.let_go(part.run)


def train_apart(parts: list[Part], at_once: int, options: list[str]) -> int:
    """Train every run in a process of its own, so many at once; each writes to its own train.log.

    Returns 0 once all are finished, and INTERRUPTED if some were stopped and none failed. Raises RelatentError if some
    failed, after the others have finished. When this process is interrupted, it interrupts them and waits.
    """
    waiting, going = deque(parts), dict[Path, subprocess.Popen[bytes]]()
    codes: dict[Path, int] = {}
    try:
        while waiting or going:
            while waiting and len(going) < at_once:
                part = waiting.popleft()
                going[part.run] = start(part, options)
            for run, process in list(going.items()):
                if process.poll() is not None:
                    codes[run] = going.pop(run).returncode
            time.sleep(LOOK_SECONDS)
    except BaseException:
        for process in going.values():
            process.terminate()
        for process in going.values():
            process.wait()
        raise
    failed = sorted(run.as_posix() for run, code in codes.items() if code not in (0, INTERRUPTED))
    if failed:
        logs = ", ".join(f"{run}/train.log" for run in failed)
        raise RelatentError(f"{len(failed)} of {len(parts)} runs failed, see {logs}")
    return INTERRUPTED if INTERRUPTED in codes.values() else 0


def start(part: Part, options: list[str]) -> subprocess.Popen[bytes]:
    part.run.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "relatent", "train", "--spec", json.dumps(part.spec), "--run", str(part.run)]
    with (part.run / "train.log").open("ab") as log:
        return subprocess.Popen([*command, "--one-of-many", *options], stdout=log, stderr=subprocess.STDOUT)
