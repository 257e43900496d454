"""A run that is interrupted ends with the data of one that was not, in the same call or in the same command again."""

import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.slurm.clone import Call, Clone
from tests.slurm.cluster import Cluster
from tests.slurm.keeper import marked

TARGET = "results/paper/trial_curve.parquet"
Host = Callable[..., dict[str, bytes]]


@pytest.fixture
def trial(clone: Clone) -> Clone:
    clone.add_trial()
    return clone


def begin(clone: Clone, cluster: Cluster) -> tuple[Call, str]:
    """The user's call and its job, which has a checkpoint and trains on."""
    call = clone.slurm(TARGET)
    cluster.until(lambda: checkpoint(clone.root) or call.process.poll() is not None, 300, "a checkpoint")
    assert call.process.poll() is None, call.text
    (job,) = cluster.jobs("RUNNING")
    return call, job


def checkpoint(root: Path) -> bool:
    return any((root / "runs").rglob("checkpoint/state-*.json"))


def assert_as_on_the_host(clone: Clone, host: Host) -> None:
    expected, found = host(TARGET, trial=True), clone.results()
    assert len(found) == 2
    assert found == {name: expected[name] for name in found}
    clone.assert_nothing_left()


def assert_told(clone: Clone, cluster: Cluster) -> None:
    """The trainer gets SIGTERM and ends by itself. Snakemake removes what it said at the start of the next attempt."""
    cluster.until(lambda: "stopped by SIGTERM" in clone.log(), 60, "the trainer is not told")


def continued(clone: Clone) -> bool:
    """Whether a trainer found a checkpoint."""
    return re.search(r"from frame [1-9]", clone.log()) is not None


def test_a_cancelled_job_is_submitted_again(trial: Clone, cluster: Cluster, host: Host) -> None:
    call, job = begin(trial, cluster)
    cluster.ask("scancel", job)
    assert_told(trial, cluster)
    call.wait()
    assert len(call.submitted()) == 2
    assert continued(trial)
    assert_as_on_the_host(trial, host)


def test_a_job_over_its_time_limit_gets_more(clone: Clone, cluster: Cluster, host: Host) -> None:
    # SIGTERM comes 120 s before the limit, and with two minutes when Slurm looks for the first time, within 30 s.
    clone.add_trial(runtime=2)
    call = clone.slurm("--retries", "5", TARGET).wait()  # more than the profile's, for a busy machine
    limits = [re.search(r"TimeLimit=(\S+)", cluster.ask("scontrol", "show", "job", job))[1] for job in call.submitted()]
    assert limits[:2] == ["00:02:00", "00:04:00"]
    assert_as_on_the_host(clone, host)


def test_a_preempted_job_is_requeued_by_slurm(trial: Clone, cluster: Cluster, host: Host) -> None:
    call, job = begin(trial, cluster)
    options = ("--parsable", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null")
    cluster.ask("sbatch", *options, "--wrap=sleep 3")
    assert_told(trial, cluster)
    start_again(cluster, job)
    call.wait()
    call.assert_all_of_it_in(job)
    assert continued(trial)
    assert_as_on_the_host(trial, host)


def test_a_lost_node_daemon_leaves_one_trainer_at_a_time(trial: Clone, cluster: Cluster, host: Host) -> None:
    """The daemon is gone, its job is not: the copy that Slurm starts elsewhere waits for it.

    Slurm ends the lost job's step for the Snakemake around it, which looks for the results for 60 s, for the last time
    6 s before it gives up, and then for what a failed job has left behind. Here they come in between.
    """
    call, job = begin(trial, cluster)
    node = cluster.ask("squeue", "-h", "-j", job, "-o", "%N").strip()
    cluster.kill_node(node)
    (outer,), step = outside_of_steps(cluster, job, "snakemake"), outside_of_steps(cluster, job, "srun")
    trainer = int(next((trial.root / "runs").rglob(".lock")).read_text())
    os.kill(trainer, signal.SIGSTOP)
    with Path(f"/proc/{outer}/fd/2").open(errors="replace") as log:  # it will be removed
        try:
            start_again(cluster, job)
            cluster.until(lambda: all(map(ended, step)), 60, "the end of a step that Slurm has given up")
            gives_up = time.monotonic() + 65
            time.sleep(20)
            os.kill(outer, signal.SIGSTOP)
            os.kill(trainer, signal.SIGCONT)
            call.wait()
            time.sleep(max(0, gives_up - time.monotonic()))
        finally:
            for process in (trainer, outer):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)
            cluster.start_node(node)
        cluster.until(lambda: ended(outer), 60, "the end of the lost job")
        assert "Missing files after 60 seconds" in log.read()
    call.assert_all_of_it_in(job)
    assert_as_on_the_host(trial, host)
    cluster.until(lambda: set(cluster.states().values()) == {"idle"}, 120, "the node's return")


def test_a_lost_node_is_replaced(trial: Clone, cluster: Cluster, host: Host) -> None:
    call, job = begin(trial, cluster)
    node = cluster.ask("squeue", "-h", "-j", job, "-o", "%N").strip()
    cluster.kill_node(node)
    for process in processes_of(cluster, job):
        os.kill(process, signal.SIGKILL)
    try:
        start_again(cluster, job)
        call.wait()
    finally:
        cluster.start_node(node)
    call.assert_all_of_it_in(job)
    assert continued(trial)
    assert_as_on_the_host(trial, host)
    cluster.until(lambda: set(cluster.states().values()) == {"idle"}, 120, "the node's return")


def processes_of(cluster: Cluster, job: str) -> list[int]:
    """A job's processes and Slurm's own that watch them, these first."""
    watchers = [
        process
        for process in marked(cluster.folder)
        if b"".join(said(process, "cmdline")).startswith(f"slurmstepd: [{job}.".encode())
    ]
    others = [process for process, _ in in_job(cluster, job)]
    assert watchers
    assert others
    return watchers + others


def outside_of_steps(cluster: Cluster, job: str, program: str) -> list[int]:
    """The processes of a job's script that run a program, of which Slurm knows no step."""
    found = []
    for process, environment in in_job(cluster, job):
        words = said(process, "cmdline")[:3]  # python -m snakemake
        if b"SLURM_STEP_ID=0" not in environment and program in [Path(os.fsdecode(word)).name for word in words]:
            found.append(process)
    assert found
    return found


def in_job(cluster: Cluster, job: str) -> list[tuple[int, list[bytes]]]:
    """A job's processes, each with its environment."""
    environments = [(process, said(process, "environ")) for process in marked(cluster.folder)]
    return [one for one in environments if f"SLURM_JOB_ID={job}".encode() in one[1]]


def said(process: int, file: str) -> list[bytes]:
    """Its environment or command line; nothing where it has ended."""
    try:
        return Path(f"/proc/{process}/{file}").read_bytes().split(b"\0")
    except OSError:
        return []


def ended(process: int) -> bool:
    """Whether a process is gone, or only waits for its parent to notice."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def start_again(cluster: Cluster, job: str) -> None:
    """Wait until Slurm has put a job back into its queue, and spare us the two minutes that it then holds it."""
    cluster.until(lambda: job in cluster.jobs("PENDING"), 120, "the job's return to the queue")
    cluster.until(lambda: not cluster.ask("scontrol", "update", f"jobid={job}", "starttime=now"), 10, "its release")


def test_the_same_command_continues_after_snakemake_was_killed(trial: Clone, cluster: Cluster, host: Host) -> None:
    call, job = begin(trial, cluster)
    call.kill()
    assert cluster.jobs() == [job]
    again = trial.slurm(TARGET)
    assert_told(trial, cluster)
    again.wait()
    assert "1 Slurm jobs of an earlier call are still there" in again.text
    assert len(again.submitted()) == 1
    assert "is being trained by" not in trial.log()
    assert continued(trial)
    assert_as_on_the_host(trial, host)
