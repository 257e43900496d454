"""Slurm jobs of a Snakemake that was killed: nobody waits for them, and they write where the next call's jobs would."""

import time
from pathlib import Path

from relatent.cluster.slurm import ask
from relatent.specs.errors import RelatentError

PREFIX = "relatent_"
"""Of every job's name: `slurm-jobname-prefix` in workflow/profiles/slurm, and an underscore."""
PATIENCE = 600.0
"""Seconds between SIGTERM and the job's end: the checkpoint, Slurm's KillWait, the epilog."""


def leftovers(folder: Path) -> list[str]:
    """The ids of all jobs of this user in Slurm, ending ones too, that `folder`'s workflow has submitted."""
    rows = [line.split("|", 2) for line in ask("squeue", "--me", "--noheader", "--format=%i|%j|%Z").splitlines()]
    return [job for job, name, work in rows if name.startswith(PREFIX) and Path(work).resolve() == folder.resolve()]


def end(folder: Path, patience: float = PATIENCE) -> int:
    """Cancel the leftovers of `folder`, wait until they are gone, and say how many there were.

    Cancelled runs get SIGTERM and continue at their checkpoints. Only who holds the folder's lock may call this.
    Raises RelatentError when one is still there after `patience` seconds.
    """
    jobs = leftovers(folder)
    if not jobs:
        return 0
    print(f"{len(jobs)} Slurm jobs of an earlier call are still there; cancelling them, they keep their checkpoints")
    deadline = time.monotonic() + patience
    left = jobs
    while left:
        if time.monotonic() > deadline:
            raise RelatentError(f"Slurm jobs {', '.join(left)} of an earlier call do not end; see squeue and scancel")
        ask("scancel", "--quiet", *left)
        time.sleep(1)
        left = leftovers(folder)
    return len(jobs)
