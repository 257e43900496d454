"""Slurm's commands."""

import shutil
import subprocess

from relatent.specs.errors import RelatentError

COMMANDS = ("sbatch", "squeue", "scancel", "sinfo")
SECONDS = 120.0
"""For one command: a controller that restarts answers late."""


def here() -> bool:
    """Whether this machine has Slurm's commands."""
    return all(map(shutil.which, COMMANDS))


def ask(*command: str) -> str:
    """What a command prints. Raises RelatentError with its own complaint when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise RelatentError(f"{command[0]}: no answer from Slurm within {SECONDS:.0f} s") from None
    if done.returncode:
        raise RelatentError(f"{command[0]}: {complaint(done.stderr) or f'exit status {done.returncode}'}")
    return done.stdout


def complaint(stderr: str) -> str:
    """An error message on one line, without the command's name."""
    return "; ".join(line.split("error: ")[-1].strip() for line in stderr.splitlines() if line.strip())
