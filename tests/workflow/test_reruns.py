"""What a change reruns: runs to train and figures to draw. Figure a shows both algorithms, figure b the second."""

from collections.abc import Callable

import pytest

from tests.specs.toy import PAPER
from tests.workflow.conftest import TARGETS, Project

YAML = "config/papers/toy.yaml"
LISTS = ("results", ".snakemake")

REORDERED = PAPER.replace(
    "  one:\n    agent: first\n    label: One\n    use: [rates]\n    hyper: {size: 8, lr: 3.0e-4, kind: plain}\n",
    "  one:  # a comment\n    hyper:\n      kind: plain\n\n      lr: 0.0003  # the same number\n      size: 8\n"
    "    use: [rates]\n    label: One\n    agent: first\n",
).replace("{gamma: 0.99, tau: 0.005}", "{tau: 5.0e-3, gamma: 0.99}")


def nothing(project: Project) -> None:
    del project


def hyperparameter(project: Project) -> None:
    project.edit(YAML, "lr: 3.0e-4", "lr: 1.0e-4")


def swap_two_values(project: Project) -> None:
    project.edit(YAML, "hyper: {size: 8, lr: 3.0e-4", "hyper: {gamma: 0.005, tau: 0.99, size: 8, lr: 3.0e-4")


def add_a_seed(project: Project) -> None:
    project.edit(YAML, "seeds: [0, 1]", "seeds: [0, 1, 2]")


def drop_a_task(project: Project) -> None:
    project.edit(YAML, "[walker_run, cheetah_run]", "[walker_run]")


def plot_style(project: Project) -> None:
    project.edit(YAML, "title: The second\n", "title: The second\n    look: {columns: 2}\n")


def reorder_keys(project: Project) -> None:
    assert PAPER != REORDERED
    (project.root / YAML).write_text(REORDERED)


def touch(project: Project) -> None:
    (project.root / YAML).touch()


def change_run_change_back(project: Project) -> None:
    hyperparameter(project)
    project.build()
    project.edit(YAML, "lr: 1.0e-4", "lr: 3.0e-4")


def lose_metadata(project: Project) -> None:
    project.lose(".snakemake")


def lose_metadata_then_hyperparameter(project: Project) -> None:
    project.lose(".snakemake")
    hyperparameter(project)


def fresh_clone(project: Project) -> None:
    """Figures are in git; runs, lists and unpublished figures are not."""
    project.lose("runs", "logs", "paper_figures/paper", *LISTS)


def archive_unpacked(project: Project) -> None:
    project.lose("logs", *LISTS)


def archive_unpacked_then_hyperparameter(project: Project) -> None:
    archive_unpacked(project)
    hyperparameter(project)


def resources(project: Project) -> None:
    project.edit(YAML, "{gpu: 0, cpus: 1, mem_mb: 100, runtime: 5}", "{gpu: 1, cpus: 2, mem_mb: 900, runtime: 50}")


def shell_command(project: Project) -> None:
    project.edit("workflow/rules/train.smk", "python -m relatent train --spec", "python -u -m relatent train --spec")
    project.edit("workflow/rules/figures.smk", "python -m relatent draw", "python -u -m relatent draw")


# The table of facts: change -> runs, figures.
MATRIX: dict[Callable[[Project], None], tuple[int, int]] = {
    nothing: (0, 0),
    hyperparameter: (4, 1),
    swap_two_values: (4, 1),
    add_a_seed: (4, 2),
    drop_a_task: (0, 2),
    plot_style: (0, 1),
    reorder_keys: (0, 0),
    touch: (0, 0),
    change_run_change_back: (0, 1),
    lose_metadata: (0, 0),
    lose_metadata_then_hyperparameter: (4, 1),
    fresh_clone: (8, 2),
    archive_unpacked: (0, 2),
    archive_unpacked_then_hyperparameter: (4, 2),
    resources: (0, 0),
    shell_command: (0, 0),
}


@pytest.mark.parametrize("change", MATRIX, ids=lambda change: change.__name__)
def test_a_change_reruns_exactly_what_it_affects(change: Callable[[Project], None], project: Project) -> None:
    change(project)
    assert project.plan() == MATRIX[change]


def more_of_the_figure(project: Project) -> None:
    project.edit(YAML, "label: Two", "label: The other")


def budgets_are_apart(project: Project) -> None:
    project.edit("config/budgets.yaml", "first: {size: 2}", "first: {size: 4}")


def a_run_is_lost(project: Project) -> None:
    run = sorted((project.root / "runs/paper/toy/one/walker_run").iterdir())[0]
    project.lose(str(run.relative_to(project.root)), "results/paper")
    # What is only missing is no reason to run, but a figure that is drawn again needs it.
    project.edit(YAML, "title: Both\n", "title: Both of them\n")


def a_reference_number(project: Project) -> None:
    with (project.root / "config/reference/toy.csv").open("a") as file:
        file.write("walker_run,one,1,1,5,somebody\n")


def a_revision(project: Project) -> None:
    (project.root / "config/revisions.lock").write_text(
        'revisions:\n  first: {revision: 2, fingerprint: "000000000000"}\n'
    )


def an_agent_without_effect(project: Project) -> None:
    """Code alone retrains nothing; the lock's test asks what the change means."""
    with (project.root / "src/relatent/agents/first.py").open("a") as file:
        file.write("# more\n")


BEYOND: dict[Callable[[Project], None], tuple[int, int]] = {
    more_of_the_figure: (0, 2),
    budgets_are_apart: (0, 0),
    a_run_is_lost: (1, 1),
    a_reference_number: (0, 1),
    a_revision: (4, 1),
    an_agent_without_effect: (0, 0),
}


@pytest.mark.parametrize("change", BEYOND, ids=lambda change: change.__name__)
def test_more_changes(change: Callable[[Project], None], project: Project) -> None:
    change(project)
    assert project.plan() == BEYOND[change]


def test_after_a_change_is_run_there_is_nothing_left(project: Project) -> None:
    add_a_seed(project)
    project.build()
    answer = project.snakemake("-n", "--", *TARGETS)
    assert "Nothing to be done" in answer.text
    assert len((project.root / "results/paper/toy_a.runs").read_text().split()) == 12


def test_reading_the_plan_twice_writes_nothing(project: Project) -> None:
    before = {path: path.stat().st_mtime_ns for path in (project.root / "results").rglob("*")}
    assert project.plan() == (0, 0)
    assert {path: path.stat().st_mtime_ns for path in (project.root / "results").rglob("*")} == before
