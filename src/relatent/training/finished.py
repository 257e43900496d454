"""Finished runs of a job that has others to go on with.

Snakemake removes all declared files of a job that fails or is stopped, those of its finished runs too. So a run of such
a job keeps its files under a second name, undeclared, until all are finished; the next attempt takes them up again.
"""

import os
from pathlib import Path

from relatent.specs.packs import OUTPUTS

FILES = OUTPUTS[::-1]  # returns.csv is the last to be written: it says that all are there
FOLDER = ".finished"


def keep(run: Path) -> None:
    """Give a finished run's files their second names."""
    _link(run, run / FOLDER)


def take_up(run: Path) -> None:
    """Bring back the files of a run that has finished before; nothing where it has not."""
    if (run / FOLDER / FILES[-1]).exists() and not (run / FILES[-1]).exists():
        _link(run / FOLDER, run)


def let_go(run: Path) -> None:
    """Remove the second names, once the job has finished."""
    for name in reversed(FILES):
        (run / FOLDER / name).unlink(missing_ok=True)
    if (run / FOLDER).exists():
        (run / FOLDER).rmdir()


def _link(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for name in FILES:
        (target / name).unlink(missing_ok=True)
        os.link(source / name, target / name)
