"""Ask Slurm whether it takes the jobs before one of them trains.

A refusal at submission would come once a job and be tried again; some of them the plugin does not notice, and waits.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_slurm.accounts import test_account
from snakemake_executor_plugin_slurm.partitions import get_best_partition, read_partition_file

from relatent.cluster.leftovers import PREFIX
from relatent.cluster.slurm import COMMANDS, ask, here
from relatent.specs.errors import RelatentError, unknown

WHERE = "workflow/profiles/slurm"
"""What is wrong stands there, or on the command line instead of it."""


@dataclass(frozen=True)
class Request:
    """What a job asks Slurm for; empty where it leaves the choice to the cluster. Memory in MB, time in minutes."""

    partition: str
    account: str
    qos: str
    constraint: str
    cpus: int
    gpus: int
    mem_mb: int
    minutes: int

    def options(self) -> list[str]:
        """As options of sbatch."""
        named = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
            "cpus-per-task": self.cpus,
            "gpus": self.gpus,
            "mem": self.mem_mb,
            "time": self.minutes,
        }
        return [f"--{name}={value}" for name, value in named.items() if value]


def requests(workflow: Any) -> set[Request]:
    """What the plugin will ask for the jobs that Snakemake is about to submit."""
    file = workflow.executor_settings.partition_config or os.environ.get("SNAKEMAKE_SLURM_PARTITIONS")
    candidates = read_partition_file(Path(file)) if file else []
    return {request(job, candidates) for job in workflow.dag.needrun_jobs() if not job.is_local}


def request(job: Any, candidates: list[Any]) -> Request:
    """What the plugin will ask for one job, which goes to the best of `candidates` if it names no partition."""
    asks, log = job.resources.get, logging.getLogger(__name__)
    return Request(
        partition=str(asks("slurm_partition") or (candidates and get_best_partition(candidates, job, log)) or ""),
        account=str(asks("slurm_account") or "").replace(",", " ").strip().split(" ")[0],  # the plugin's choice too
        qos=str(asks("qos") or ""),
        constraint=str(asks("constraint") or ""),
        cpus=job.threads,
        gpus=asks("gpu") or 0,
        mem_mb=asks("mem_mb") or 0,
        minutes=asks("runtime") or 0,
    )


def check(workflow: Any) -> None:
    """Raise RelatentError with one clear line at the first job that Slurm would refuse."""
    if not here():
        raise RelatentError(
            f"the slurm profile needs {', '.join(COMMANDS)} on PATH: use a login node of a cluster; "
            "on one computer: --profile profiles/local"
        )
    modes, all_wanted = preempt_modes(), sorted(requests(workflow), key=repr)
    for wanted in all_wanted:
        for name in filter(None, wanted.partition.split(",")):
            if name not in modes:
                raise RelatentError(f"{WHERE}: slurm_partition: {unknown('partition', name, filter(None, modes))}")
        refused = refusal(wanted)
        if refused:
            raise RelatentError(f"{WHERE}: Slurm refuses {' '.join(wanted.options())}: {refused}")
        if wanted.account:
            check_account(wanted.account)
    cancelling = {name for wanted in all_wanted for name in wanted.partition.split(",") if modes.get(name) == "CANCEL"}
    if cancelling:
        print(
            f"warning: partition {', '.join(sorted(cancelling)) or '(the default)'} cancels the jobs that it preempts, "
            "which Snakemake does not notice: it waits for ever; stop it then, and give the same command again"
        )


def preempt_modes() -> dict[str, str]:
    """What each partition does with the jobs that it preempts. The cluster's default partition is also under ''."""
    modes = {}
    for line in ask("sinfo", "--noheader", "--all", "--format=%P|%M").splitlines():
        name, mode = line.split("|")
        modes[name.rstrip("*")] = mode.strip()
        if name.endswith("*"):
            modes[""] = mode.strip()
    return modes


def refusal(wanted: Request) -> str:
    """Why Slurm would not take a job; empty if it would.

    --test-only also refuses what could merely not start now, such as all nodes drained. Submission itself knows better.
    """
    try:
        ask("sbatch", "--test-only", *wanted.options(), "--wrap=true")
    except RelatentError:
        try:
            job = ("--parsable", "--begin=now+1day", f"--job-name={PREFIX}preflight", "--output=/dev/null")
            taken = ask("sbatch", *job, *wanted.options(), "--wrap=true")
        except RelatentError as error:
            return str(error).removeprefix("sbatch: ").replace("Batch job submission failed: ", "")
        ask("scancel", taken.strip().split(";")[0])
    return ""


def check_account(account: str) -> None:
    """Raise RelatentError where the plugin would: there it ends a thread, and Snakemake waits for ever."""
    try:
        test_account(account, logging.getLogger(__name__))
    except Exception as error:
        said = " ".join(str(error).split())
        raise RelatentError(f"{WHERE}: slurm_account: Snakemake's plugin refuses {account!r}: {said}") from None
