"""The user's command, without anything going wrong."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.slurm.clone import Clone

FIGURE = "paper_figures/smoke/smac_fig5b.pdf"
IMAGE = os.environ.get("RELATENT_TEST_SIF", "")
"""A .sif file, named as the Snakefile's `container:` asks for it: the same figure is then also made inside of it."""


def test_a_figure_at_the_smoke_budget_is_the_hosts(clone: Clone, host: Callable[..., dict[str, bytes]]) -> None:
    call = clone.slurm(FIGURE).wait()
    assert len(call.submitted()) == 3
    assert (clone.root / FIGURE).exists()
    assert clone.results() == host(FIGURE, trial=False)
    clone.assert_nothing_left()


@pytest.mark.skipif(not IMAGE, reason="RELATENT_TEST_SIF names no image")
def test_a_figure_made_in_the_container_is_the_hosts(clone: Clone, host: Callable[..., dict[str, bytes]]) -> None:
    shutil.copy2(IMAGE, clone.root / "containers")
    clone.slurm("--software-deployment-method", "apptainer", "--apptainer-args=--cleanenv", "--", FIGURE).wait()
    assert clone.results() == host(FIGURE, trial=False)
    clone.assert_nothing_left()


def test_two_gpu_jobs_see_different_devices(clone: Clone, host: Callable[..., dict[str, bytes]]) -> None:
    clone.add_trial(seeds="[0, 1]")
    clone.edit("config/papers/trial.yaml", "gpu: 0, cpus: 1", "gpu: 1, cpus: 1")
    (clone.root / "partitions.yaml").write_text(
        "partitions: {cpu: {max_runtime: 4320}, gpu: {max_runtime: 4320, max_gpu: 2}}"
    )
    # The job itself says what it sees. A stand-in cannot compute: the run does on the CPU, as on the host.
    rule, train = "workflow/rules/train.smk", "python -m relatent train --spec"
    clone.edit(rule, train, f"env > {{wildcards.run}}/environment; {train}")
    clone.edit(rule, "--run {wildcards.run} --gpus {resources.gpu}", "--run {wildcards.run} --gpus 0")
    call = clone.slurm("--slurm-partition-config", "partitions.yaml", "results/paper/trial_curve.parquet").wait()
    assert len(call.submitted()) == 2
    seen = [re.findall(r"^CUDA_VISIBLE_DEVICES=(.*)$", file.read_text(), re.MULTILINE) for file in environments(clone)]
    assert sorted(seen) == [["0"], ["1"]]
    assert clone.results() == host("results/paper/trial_curve.parquet", trial=True)
    clone.assert_nothing_left()


def environments(clone: Clone) -> list[Path]:
    return [run / "environment" for run in clone.runs()]
