"""Several seeds in one job: the same runs, fewer jobs, and the same answer to what a change reruns."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.specs.toy import write_project
from tests.workflow.conftest import TARGETS, Answer, Project
from tests.workflow.test_reruns import BEYOND, MATRIX, a_run_is_lost, add_a_seed, hyperparameter

PACKED = ("--config", "seeds_per_job=2", "--", *TARGETS)


def packs(answer: Answer) -> int:
    """Jobs that train packs; a dry run prints its table twice."""
    return len(set(re.findall(r"^(train_\w+) +1$", answer.text, re.MULTILINE)))


@pytest.fixture(scope="module")
def built_in_packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight runs, two seeds of each algorithm and task in one job."""
    root = write_project(tmp_path_factory.mktemp("packed") / "clone")
    answer = Project(root).snakemake("-c2", *PACKED)
    assert answer.code == 0, answer.text
    assert (packs(answer), answer.jobs("train")) == (4, 0)
    return root


@pytest.fixture
def packed(built_in_packs: Path, tmp_path: Path) -> Project:
    shutil.copytree(built_in_packs, tmp_path / "clone", symlinks=True)
    return Project(tmp_path / "clone")


def test_packs_make_the_files_that_single_jobs_make(packed: Project, built: Path) -> None:
    runs = sorted(path.relative_to(built) for path in built.glob("runs/*/*/*/*/*/returns.csv"))
    assert len(runs) == 8
    assert sorted(path.relative_to(packed.root) for path in packed.root.glob("runs/*/*/*/*/*/returns.csv")) == runs


@pytest.mark.parametrize("change", [*MATRIX, *BEYOND], ids=lambda change: change.__name__)
def test_runs_of_packs_answer_to_changes_as_any_others(change: Callable[[Project], None], packed: Project) -> None:
    """Planned without packs: a run does not remember which job trained it."""
    if "build" in change.__code__.co_names:
        pytest.skip("builds with single jobs in between, as in test_reruns")
    change(packed)
    assert packed.plan() == {**MATRIX, **BEYOND}[change]


@pytest.mark.parametrize(
    ("change", "jobs", "single"),
    [
        (hyperparameter, 2, 0),  # four runs: two seeds on two tasks
        (add_a_seed, 0, 4),  # one new seed on two tasks, of two algorithms: nothing to be packed with
        (a_run_is_lost, 0, 1),
    ],
)
def test_only_what_is_not_finished_is_packed(
    change: Callable[[Project], None], jobs: int, single: int, packed: Project
) -> None:
    change(packed)
    answer = packed.snakemake("-n", *PACKED)
    assert answer.code == 0, answer.text
    assert (packs(answer), answer.jobs("train")) == (jobs, single)


def test_single_runs_are_not_trained_again_in_packs(project: Project) -> None:
    assert "Nothing to be done" in project.snakemake("-n", *PACKED).text


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("seeds_per_job=0", "seeds_per_job: found '0', expected how many runs one job trains"),
        ("seeds_per_job=all", "seeds_per_job: found 'all', expected"),
        ("device=gpu", "unknown device 'gpu'"),
        (
            "seed_per_job=5",
            "--config: unknown setting 'seed_per_job', expected one of container, device, runs_per_gpu, seeds_per_job, "
            "variant",
        ),
    ],
)
def test_a_wrong_setting_is_one_line(setting: str, expected: str, project: Project) -> None:
    answer = project.snakemake("-n", "--config", setting, "--", *TARGETS)
    assert answer.code != 0
    errors = [line for line in answer.text.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert expected in errors[0]
