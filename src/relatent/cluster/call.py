"""What a call of Snakemake does between building its graph and its first job."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from relatent.cluster import leftovers, lock, preflight

STATE = Path(".snakemake")


def begin(workflow: Any) -> None:
    """Take the folder, end the Slurm jobs of a call that was killed, and ask Slurm whether it will take ours.

    Raises RelatentError with one line. Starts the same command over where jobs were ended, since some of them may have
    written their results after the graph was built.
    """
    lock.hold(STATE / "relatent.lock")
    slurm = workflow.executor_plugin.name == "slurm"
    # Any executor's jobs would meet the leftovers in the runs' folders. Without the plugin's logs there was no Slurm.
    if shutil.which("squeue") and (slurm or (STATE / "slurm_logs").exists()) and leftovers.end(Path.cwd()):
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, sys.orig_argv)
    if slurm:
        preflight.check(workflow)
