"""What Slurm would refuse is one line before anything is trained; jobs of an earlier call are told from all others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from relatent.cluster import leftovers
from tests.slurm.clone import Clone
from tests.slurm.cluster import PROGRAMS, Cluster
from tests.specs.toy import write_project

TARGET = "paper_figures/toy_a.pdf"


@pytest.fixture
def toy(cluster: Cluster, tmp_path: Path) -> Clone:
    return Clone(write_project(tmp_path / "toy"), cluster)


@pytest.mark.parametrize(
    ("resources", "line"),
    [
        ("slurm_partition: cpuu", "slurm_partition: unknown partition 'cpuu', did you mean 'cpu'?"),
        (
            "slurm_partition: closed\n  slurm_account: chemistry",
            "Slurm refuses --partition=closed --account=chemistry --cpus-per-task=1 --mem=100 --time=5: "
            "Invalid account or account/partition combination specified",
        ),
        (
            "constraint: fast",
            "Slurm refuses --constraint=fast --cpus-per-task=1 --mem=100 --time=5: Invalid feature specification",
        ),
    ],
)
def test_a_wrong_profile_is_one_line_before_any_job(toy: Clone, resources: str, line: str) -> None:
    toy.edit("workflow/profiles/slurm/profile.yaml", "  mem_mb: 1000", f"  mem_mb: 1000\n  {resources}")
    call = toy.slurm(TARGET).wait(code=1)
    assert call.errors() == [f"error: workflow/profiles/slurm: {line}"]
    assert "Traceback" not in call.text
    assert not call.submitted()
    assert not (toy.root / "runs").exists()


def test_a_run_larger_than_any_node_is_one_line_before_any_job(toy: Clone) -> None:
    toy.edit("config/papers/toy.yaml", "mem_mb: 100", "mem_mb: 90_000")
    (line,) = toy.slurm(TARGET).wait(code=1).errors()
    assert "Slurm refuses --cpus-per-task=1 --mem=90000 --time=5: Memory specification can not be satisfied" in line


def test_nodes_that_are_drained_for_now_are_no_reason_to_refuse(drained: Cluster, toy: Clone) -> None:
    toy.edit("config/papers/toy.yaml", "mem_mb: 100", "mem_mb: 600")
    call = toy.slurm(TARGET)
    drained.until(lambda: len(call.submitted()) == 8 or call.process.poll() is not None, 120, "eight submissions")
    drained.ask("scontrol", "update", "nodename=c1,c2", "state=resume")
    call.wait()
    toy.assert_nothing_left()


@pytest.fixture
def drained(cluster: Cluster) -> Iterator[Cluster]:
    cluster.ask("scontrol", "update", "nodename=c1,c2", "state=drain", "reason=test")
    yield cluster
    cluster.ask("scontrol", "update", "nodename=c1,c2", "state=resume")


@pytest.mark.parametrize(("mode", "warned"), [("CANCEL", True), ("REQUEUE", False)])
def test_a_partition_that_cancels_is_warned_of(cluster: Cluster, toy: Clone, mode: str, warned: bool) -> None:
    toy.edit("workflow/profiles/slurm/profile.yaml", "  mem_mb: 1000", "  mem_mb: 1000\n  slurm_partition: idle")
    cluster.ask("scontrol", "create", "partitionname=idle", "nodes=c1", f"preemptmode={mode}", "state=down")
    try:
        call = toy.slurm(TARGET)
        cluster.until(lambda: bool(call.submitted()), 60, "no submission")
    finally:
        call.kill()
        cluster.ask("scancel", "--me")
        cluster.until(lambda: not cluster.jobs(), 60, "jobs are left")
        cluster.ask("scontrol", "delete", "partitionname=idle")
    assert ("warning: partition idle cancels the jobs that it preempts" in call.text) is warned


def test_without_slurm_it_is_one_line(cluster: Cluster, toy: Clone, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name not in (*PROGRAMS, "sinfo", "scontrol", "sacct"):
            (programs / program.name).symlink_to(program)
    kept = cluster.environment["PATH"]
    cluster.environment["PATH"] = str(programs)
    try:
        call = toy.slurm(TARGET).wait(code=1)
    finally:
        cluster.environment["PATH"] = kept
    (line,) = call.errors()
    assert line.startswith("error: the slurm profile needs sbatch, squeue, scancel, sinfo on PATH: use a login node")
    assert not (toy.root / "runs").exists()


def test_only_this_folders_jobs_are_leftovers(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()

    def submit(name: str, folder: Path, *options: str) -> str:
        command = ("sbatch", "--parsable", f"--job-name={name}", "-D", str(folder), "-o", "/dev/null", *options)
        return cluster.ask(*command, "--wrap=sleep 300").strip()

    ours = [submit("relatent_1", here), submit("relatent_2", here, "--begin=now+1hour")]
    others = [submit("relatent_1", there), submit("other", here)]
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    assert sorted(leftovers.leftovers(here)) == sorted(ours)
    assert leftovers.end(here) == 2
    assert "2 Slurm jobs of an earlier call" in capsys.readouterr().out
    assert sorted(cluster.jobs()) == sorted(others)
    assert leftovers.end(here) == 0
    assert capsys.readouterr().out == ""
    cluster.ask("scancel", *others)
