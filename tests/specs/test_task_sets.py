"""Sets of sets, and what a set of tasks says of its own training."""

import json
from pathlib import Path
from typing import Any

import pytest

from relatent.specs.catalog import Catalog
from relatent.specs.errors import SpecError
from tests.specs.toy import BUDGETS, PAPER, write_config

SETS = PAPER.replace(
    "  both: {env: states, names: [walker_run, cheetah_run]}\n",
    "  long: {env: states, names: [walker_run], seeds: 1, training: {frames: 2_000, eval_episodes: 7}}\n"
    "  short: {env: states, names: [cheetah_run], training: {frames: 60, eval_every: 30}}\n"
    "  both: {sets: [long, short]}\n",
)
NARROWED = "toy: {both: [walker_run]}"


def specs(root: Path, budget: str, paper: str = SETS, budgets: str = BUDGETS) -> dict[tuple[str, int], dict[str, Any]]:
    """Of algorithm `one`, by task and seed."""
    catalog = Catalog.load(write_config(root, paper, budgets.replace(NARROWED, "{}")))
    jobs = [job for job in catalog.jobs(budget, "toy_a") if job.algorithm == "one"]
    return {(job.task, job.seed): json.loads(job.spec) for job in jobs}


def training(root: Path, budget: str, **given: str) -> dict[str, dict[str, int]]:
    return {task: spec["training"] for (task, _), spec in specs(root, budget, **given).items()}


def test_each_set_has_its_own_training_and_seeds(tmp_path: Path) -> None:
    found = specs(tmp_path, "paper")
    assert list(found) == [("walker_run", 0), ("cheetah_run", 0), ("cheetah_run", 1)]
    assert found["walker_run", 0]["training"] == {
        "frames": 2_000, "random_frames": 100, "eval_every": 100, "eval_episodes": 7
    }  # fmt: skip
    assert found["cheetah_run", 1]["training"] == {
        "frames": 60, "random_frames": 100, "eval_every": 30, "eval_episodes": 2
    }  # fmt: skip


def test_a_budget_shortens_and_never_lengthens(tmp_path: Path) -> None:
    found = training(tmp_path, "small")
    assert {task: plan["frames"] for task, plan in found.items()} == {"walker_run": 100, "cheetah_run": 60}
    assert {task: plan["random_frames"] for task, plan in found.items()} == {"walker_run": 10, "cheetah_run": 100}


def test_a_budget_names_the_length_of_a_set(tmp_path: Path) -> None:
    budgets = BUDGETS.replace("    seeds: 1\n", "    seeds: 1\n    lengths: {toy: {long: 500}}\n")
    found = training(tmp_path, "small", budgets=budgets)
    assert {task: plan["frames"] for task, plan in found.items()} == {"walker_run": 500, "cheetah_run": 60}


def test_a_budget_names_the_sets_that_stay_of_a_set_of_sets(tmp_path: Path) -> None:
    root = write_config(tmp_path, SETS, BUDGETS.replace(NARROWED, "toy: {both: [short]}"))
    catalog = Catalog.load(root)
    assert {job.task for job in catalog.jobs("small", "toy_a")} == {"cheetah_run"}
    assert {job.task for job in catalog.jobs("paper", "toy_a")} == {"walker_run", "cheetah_run"}
    drawing = catalog.drawing("small", "toy_a")
    assert drawing["data"]["tasks"] == ["cheetah_run"]
    assert "tasks walker_run, cheetah_run -> cheetah_run" in drawing["budget"]["reduced"]


def test_a_budget_counts_seeds_by_paper(tmp_path: Path) -> None:
    budgets = BUDGETS.replace("    seeds: 1\n", "    seeds: 1\n    seeds_of: {toy: 2}\n")
    assert list(specs(tmp_path, "small", budgets=budgets)) == [
        ("walker_run", 0),
        ("cheetah_run", 0),
        ("cheetah_run", 1),
    ]


def test_what_a_budget_reduces_is_told_of_every_set(tmp_path: Path) -> None:
    catalog = Catalog.load(write_config(tmp_path, SETS, BUDGETS.replace(NARROWED, "{}")))
    reduced = catalog.drawing("small", "toy_a")["budget"]["reduced"]
    assert "frames 60 and 2,000 -> 60 and 100" in reduced
    assert "seeds 1 and 2 -> 1" in reduced
    assert catalog.drawing("paper", "toy_a")["seeds_wanted"] == 2


def test_environments_side_by_side_are_part_of_the_spec_where_there_are_several(tmp_path: Path) -> None:
    assert "parallel_envs" not in training(tmp_path, "paper")["walker_run"]
    several = SETS.replace("eval_episodes: 2}", "eval_episodes: 2, parallel_envs: 5}")
    assert training(tmp_path, "paper", paper=several)["walker_run"]["parallel_envs"] == 5


def test_environments_side_by_side_share_the_frames_evenly(tmp_path: Path) -> None:
    several = SETS.replace("eval_episodes: 2}", "eval_episodes: 2, parallel_envs: 8}")
    with pytest.raises(SpecError, match="100 frames of one on long at budget small are no multiple of 8 environments"):
        training(tmp_path, "small", paper=several)


def test_an_entry_about_what_is_observed_replaces_the_environments_encoding(tmp_path: Path) -> None:
    paper = SETS.replace("{suite: dmc, action_repeat: 1}", "{suite: maze, octaves: 6}")
    paper = paper.replace("[walker_run]", "[gap_maze]").replace("[cheetah_run]", "[gap_maze]")
    paper = paper.replace("    label: One\n", "    label: One\n    octaves: 0\n")
    catalog = Catalog.load(write_config(tmp_path, paper, BUDGETS.replace(NARROWED, "{}")))
    octaves = {job.algorithm: json.loads(job.spec)["env"]["octaves"] for job in catalog.jobs("paper", "toy_a")}
    assert octaves == {"one": 0, "two": 6}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("both: {sets: [long, short]}", "both: {sets: [long, shrt]}", "did you mean 'short'"),
        ("both: {sets: [long, short]}", "both: {sets: [long, both]}", "unknown task set of its own"),
        ("both: {sets: [long, short]}", "both: {env: states}", "expected either env with names or sets"),
        ("both: {sets: [long, short]}", "both: {sets: [long], env: states}", "expected either env with names or sets"),
        ("both: {sets: [long, short]}", "both: {sets: [long], seeds: 1}", "give them where the tasks are"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in SETS
    with pytest.raises(SpecError) as caught:
        specs(tmp_path, "paper", SETS.replace(before, after))
    line = str(caught.value)
    assert message in line, line
    assert line.startswith("config/papers/toy.yaml:")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("lengths: {toy: {lng: 5}}", "did you mean 'long'"),
        ("seeds_of: {tou: 5}", "did you mean 'toy'"),
        ("lengths: {tou: {long: 5}}", "did you mean 'toy'"),
        ("tasks: {toy: {both: [walker_run]}}", "unknown task set of both 'walker_run'"),
    ],
)
def test_mistakes_of_budgets_are_one_line(tmp_path: Path, budget: str, message: str) -> None:
    budgets = BUDGETS.replace("    tasks:\n      toy: {both: [walker_run]}\n", f"    {budget}\n")
    with pytest.raises(SpecError) as caught:
        Catalog.load(write_config(tmp_path, SETS, budgets))
    line = str(caught.value)
    assert message in line, line
    assert line.startswith("config/budgets.yaml:")
    assert "\n" not in line
