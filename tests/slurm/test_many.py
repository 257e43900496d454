"""Hundreds of runs that take no time, so that what is measured is the cluster."""

import json
import os
import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import median

import pytest

from tests.slurm.clone import Clone
from tests.slurm.cluster import Cluster
from tests.specs.toy import write_project

RUNS = int(os.environ.get("RELATENT_TEST_RUNS", "300"))
"""A multiple of 20. Three hundred are ten minutes' work of two cores: .ci/run asks for fewer."""
PACKED = 5
"""Runs a job: the plugin submits two jobs in five seconds, and each costs two starts of Snakemake."""
JOBS = RUNS // PACKED
TARGET = "results/paper/toy_a.parquet"


@pytest.fixture
def toy(cluster: Cluster, tmp_path: Path) -> Clone:
    """The real workflow around runs that write their spec and end: 2 algorithms, 2 tasks."""
    clone = Clone(write_project(tmp_path / "toy"), cluster)
    clone.edit("config/papers/toy.yaml", "seeds: [0, 1]", f"seeds: [{', '.join(map(str, range(RUNS // 4)))}]")
    clone.edit("config/papers/toy.yaml", "mem_mb: 100", "mem_mb: 600")
    clone.nice = 10  # what is interrupted meanwhile needs its share of the cores
    return clone


def test_hundreds_of_runs_all_arrive(toy: Clone, cluster: Cluster, measured: Callable[[str, str], None]) -> None:
    began = time.monotonic()
    call = toy.slurm("--config", f"seeds_per_job={PACKED}", "--", TARGET).wait(3600)
    seconds = time.monotonic() - began
    jobs = call.submitted()
    assert len(set(jobs)) == len(jobs) == JOBS
    assert "Trying to restart" not in call.text
    assert len(toy.runs()) == RUNS
    for run in (toy.root / "results/paper/toy_a.runs").read_text().split():
        seed = json.loads((toy.root / run / "returns.csv").read_text())["seed"]
        assert f"/s{seed}-" in run
    toy.assert_nothing_left()
    took = [seconds_of(cluster, job) for job in jobs]
    measured(f"{RUNS} runs of no length in {JOBS} Slurm jobs", f"{seconds:.0f} s, {seconds / JOBS:.1f} s a job")
    measured("a job of no length, from its start to its end", f"median {median(took):.0f} s, longest {max(took):.0f} s")


def seconds_of(cluster: Cluster, job: str) -> float:
    """How long a job ran."""
    shown = cluster.ask("scontrol", "show", "job", job)
    start, end = (datetime.fromisoformat(re.search(rf"\b{name}Time=(\S+)", shown)[1]) for name in ("Start", "End"))
    return (end - start).total_seconds()
