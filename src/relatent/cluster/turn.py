"""A run's turn. A copy that a lost node or a killed Snakemake left behind may still train in a run's folder."""

import fcntl
from pathlib import Path


def wait_for_turn(run: Path) -> None:
    """Return when no process trains in the folder `run`, saying so in one line if that takes time.

    The copy then finds the run finished, or continues from its last checkpoint; a refusal would cost a retry.
    """
    if not (run / ".lock").exists():
        return
    with (run / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            print(f"{run} is being trained by process {file.read().strip() or 'unknown'}; waiting", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
