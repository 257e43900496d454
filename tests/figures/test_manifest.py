"""Where a figure comes from."""

import hashlib
from pathlib import Path
from typing import Any

from relatent.figures.drawing import read_drawing
from relatent.figures.gather import gather, read_gathered
from relatent.figures.manifest import figure_manifest
from relatent.specs.canonical import canonical, digest

from .conftest import drawing_of


def merged(tmp_path: Path, run_list: Any, runs: list[Path]) -> dict[str, Any]:
    gather(run_list(runs), tmp_path / "x.parquet", partial=True)
    check: dict[str, Any] = {"claims": [{"id": "one"}], "reference": [], "aggregate": {}}
    files = {"csv": b"a,b\n"}
    return figure_manifest(read_drawing(drawing_of()), read_gathered(tmp_path / "x.parquet"), check, files)


def test_two_commits_one_of_them_dirty(tmp_path: Path, make_run, run_list) -> None:
    gpu = {"cpu": "a processor", "gpus": ["a card"]}
    runs = [
        make_run("sac", "reacher_easy", 0, {10: [1.0]}, commit="1" * 40),
        make_run("sac", "reacher_easy", 1, {10: [1.0]}, commit="2" * 40, dirty=True),
        make_run("smac", "reacher_easy", 0, {10: [1.0]}, commit="2" * 40, image="sha256:c", hardware=gpu),
    ]
    found = merged(tmp_path, run_list, runs)
    assert found["commits"] == [
        {"commit": "1" * 40, "runs": 1, "dirty_runs": 0},
        {"commit": "2" * 40, "runs": 2, "dirty_runs": 1},
    ]
    assert found["dirty"] is True
    assert found["images"] == {"none": 2, "sha256:c": 1}
    assert found["gpus"] == {"a card": 1}
    assert found["hours"] == {"cpu": 2.0, "gpu": 1.0}  # each run has 3,000 + 600 s
    assert (found["frames"], found["resumes"]) == (30, 3)
    assert (found["started"], found["finished"]) == ("2026-01-01T00:00:00Z", "2026-01-02T01:00:00Z")
    assert [run["digest"] for run in found["runs"]] == [digest(canonical(run["spec"])) for run in found["runs"]]
    assert (found["runs"][1]["spec"]["agent"], found["runs"][1]["spec"]["seed"]) == ("sac", 1)


def test_clean_runs_make_a_clean_figure(tmp_path: Path, make_run, run_list) -> None:
    found = merged(tmp_path, run_list, [make_run("sac", "reacher_easy", 0, {0: [1.0]})])
    assert found["dirty"] is False
    assert found["budget"] == {"name": "laptop", "reduced": ["frames 1,000,000 -> 10"]}
    assert found["claims"] == [{"id": "one"}]
    assert found["files_sha256"] == {"csv": hashlib.sha256(b"a,b\n").hexdigest()}


def test_an_unknown_tree_counts_as_dirty(tmp_path: Path, make_run, run_list) -> None:
    found = merged(tmp_path, run_list, [make_run("sac", "reacher_easy", 0, {0: [1.0]}, commit=None, dirty=None)])
    assert found["dirty"] is True
    assert found["commits"] == [{"commit": None, "runs": 1, "dirty_runs": 1}]


def test_seeds_are_those_of_the_worst_off_cell(tmp_path: Path, make_run, run_list) -> None:
    runs = [make_run("sac", "reacher_easy", seed, {0: [1.0]}) for seed in range(3)]
    runs.append(make_run("smac", "reacher_easy", 0, {0: [1.0]}))
    assert merged(tmp_path, run_list, runs)["seeds_drawn"] == 1
    runs.append(runs[0].parents[2] / "td3/reacher_easy/s0-000000000000")
    found = merged(tmp_path, run_list, runs)
    assert found["seeds_drawn"] == 0
    assert (found["partial"], found["runs_drawn"], found["runs_wanted"]) == (True, 4, 5)
    assert found["missing"] == [runs[-1].as_posix()]
