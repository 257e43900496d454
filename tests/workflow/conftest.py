"""Snakemake on a toy project. Built once a worker, copied for each case, ages of files and all."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.specs.toy import write_project

TARGETS = ["paper_figures/toy_a.pdf", "paper_figures/toy_b.pdf"]


@dataclass(frozen=True)
class Answer:
    """What Snakemake said."""

    code: int
    text: str

    def jobs(self, rule: str) -> int:
        """How many jobs of a rule the table of jobs counts."""
        found = re.search(rf"^{rule} +(\d+)$", self.text, re.MULTILINE)
        return int(found[1]) if found else 0


class Project:
    """A clone that has Snakemake run in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def snakemake(self, *arguments: str) -> Answer:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        environment.pop("PYTHONPATH", None)
        command = [sys.executable, "-m", "snakemake", "--nocolor", *arguments]
        done = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        return Answer(done.returncode, done.stdout + done.stderr)

    def plan(self, *arguments: str) -> tuple[int, int]:
        """Runs to train and figures to draw, of a dry run."""
        answer = self.snakemake("-n", *(arguments or ("--", *TARGETS)))
        assert answer.code == 0, answer.text
        return answer.jobs("train"), answer.jobs("draw")

    def build(self) -> None:
        answer = self.snakemake("-c2", "--", *TARGETS)
        assert answer.code == 0, answer.text

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.root / file
        text = path.read_text()
        assert text.count(old) == 1, (file, old)
        path.write_text(text.replace(old, new))

    def lose(self, *names: str) -> None:
        for name in names:
            shutil.rmtree(self.root / name)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose figures are all drawn."""
    root = write_project(tmp_path_factory.mktemp("built") / "clone")
    Project(root).build()
    return root


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Project:
    """A copy of it, to be changed."""
    shutil.copytree(built, tmp_path / "clone", symlinks=True)
    return Project(tmp_path / "clone")


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], Project]:
    """A clone in which nothing was made yet."""
    return lambda: Project(write_project(tmp_path / "clone"))
