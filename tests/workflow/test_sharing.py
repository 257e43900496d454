"""Runs that Snakemake starts side by side share GPUs as the local profile says."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.specs.toy import ROOT
from tests.workflow.conftest import Project

# Trains by choosing a GPU, and ends when all four have.
TRAINER = """\
import os, sys, time
from pathlib import Path
from relatent.training import gpu
gpu.PAUSE = 0.05
run = Path(sys.argv[sys.argv.index("--run") + 1])
device = gpu.claim(1, Path("slots").resolve())
for name in ("probes.npz", "manifest.json", "device"):
    (run / name).write_text(f"{device} {os.environ['RELATENT_RUNS_PER_GPU']}")
deadline = time.monotonic() + 60
while len(list(Path().glob("runs/*/*/*/*/*/device"))) < 4 and time.monotonic() < deadline:
    time.sleep(0.05)
(run / "returns.csv").write_text("x")
"""


@pytest.fixture
def clone(fresh: Callable[[], Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A toy whose runs choose a GPU, on a computer with two."""
    project = fresh()
    package = project.root / "src/relatent"
    (package / "__main__.py").write_text(TRAINER)
    shutil.copytree(ROOT / "src/relatent/training", package / "training")
    tool = tmp_path / "bin/nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'GPU 0: A card (UUID: GPU-a)'\necho 'GPU 1: A card (UUID: GPU-b)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    return project


@pytest.mark.parametrize("where", ["profile", "command"])
def test_four_runs_of_one_call_share_two_gpus_as_the_setting_says(clone: Project, where: str) -> None:
    given = ["--config", "runs_per_gpu=2"] if where == "command" else []
    if where == "profile":
        clone.edit("workflow/profiles/local/profile.yaml", "{runs_per_gpu: 1}", "{runs_per_gpu: 2}")
    options = ("--profile", "profiles/local", "-c4", *given, "--until", "train")
    answer = clone.snakemake(*options, "--", "paper_figures/toy_b.pdf")
    assert answer.code == 0, answer.text
    devices = Counter(path.read_text() for path in clone.root.glob("runs/paper/*/*/*/*/device"))
    assert devices == {"GPU-a 2": 2, "GPU-b 2": 2}


@pytest.mark.parametrize("value", ["0", "two", "1.5"])
def test_a_mistaken_setting_is_one_line_before_any_job(clone: Project, value: str) -> None:
    answer = clone.snakemake("-n", "--config", f"runs_per_gpu={value}", "--", "paper_figures/toy_b.pdf")
    assert answer.code == 1
    (line,) = [line for line in answer.text.splitlines() if line.startswith("error:")]
    assert line.startswith("error: runs_per_gpu: found ")
    assert line.endswith("expected how many runs may share a GPU, a whole number from 1")
