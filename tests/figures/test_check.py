"""Numbers of others beside ours, and the aggregate."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relatent.figures.check import check
from relatent.figures.gather import gather
from relatent.figures.reference import agreement, band, read_reference
from relatent.figures.statistics import Estimate, Sample, welch
from relatent.specs.errors import RelatentError

from .conftest import drawing_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-5.0, 5.0, "agrees"),
        (1.0, 5.0, "agrees"),  # different beyond doubt, but by less than the margin
        (-50.0, 50.0, "undecided"),
        (5.0, 50.0, "differs"),
        (-50.0, -11.0, "differs"),
        (float("nan"), float("nan"), "undecided"),
    ],
)
def test_agreement_within_a_tenth_of_the_papers_mean(low: float, high: float, expected: str) -> None:
    assert agreement(Estimate((low + high) / 2, low, high, 3.0), 100.0, 0.1) == expected


def test_the_reference_beside_ours(tmp_path: Path, make_run, run_list) -> None:
    (tmp_path / "reference.csv").write_text(
        "# a comment\ntask,algorithm,source,frames,mean,std,seeds\n"
        "reacher_easy,sac,A,10,100,10,3\nreacher_easy,sac,A,999,100,10,3\n"
        "reacher_easy,smac,A,10,100,10,3\nwalker_run,sac,A,10,1,1,3\n"
    )
    runs = [make_run("sac", "reacher_easy", seed, {0: [0.0], 10: [200.0 + seed], 20: [0.0]}) for seed in range(2)]
    gather(run_list(runs), tmp_path / "x.parquet")
    drawing = drawing_of(reference={"file": "reference.csv"})
    rows = check(tmp_path / "x.parquet", drawing, tmp_path)["reference"]
    assert [(row["algorithm"], row["frames"], row["agreement"]) for row in rows] == [
        ("sac", 10, "differs"),
        ("sac", 999, "not trained"),  # our curves end before
        ("smac", 10, "not trained"),
    ]
    expected = welch(Sample.of([200.0, 201.0]), Sample(100, 10, 3))
    assert rows[0]["difference"] == {
        "value": 100.5,
        "low": pytest.approx(expected.low),
        "high": pytest.approx(expected.high),
    }
    assert rows[1]["ours"] is None


def test_ours_are_compared_where_every_seed_was_evaluated(tmp_path: Path, make_run, run_list) -> None:
    (tmp_path / "reference.csv").write_text(
        "task,algorithm,source,frames,mean,std,seeds\nreacher_easy,sac,A,10,100,10,3\nreacher_easy,sac,A,20,100,10,3\n"
    )
    runs = [
        make_run("sac", "reacher_easy", 0, {10: [1.0], 20: [2.0]}),
        make_run("sac", "reacher_easy", 1, {10: [3.0]}),
    ]
    (runs[1] / "returns.csv").write_text((runs[1] / "returns.csv").read_text() + "train,20,1,9.0,\n")
    gather(run_list(runs), tmp_path / "x.parquet")
    rows = check(tmp_path / "x.parquet", drawing_of(reference={"file": "reference.csv"}), tmp_path)["reference"]
    assert [row["ours"] and row["ours"]["mean"] for row in rows] == [2.0, None]


def test_ours_may_be_compared_at_frames_of_their_own(tmp_path: Path, make_run, run_list) -> None:
    (tmp_path / "reference.csv").write_text(
        "task,algorithm,source,frames,mean,std,seeds\nreacher_easy,sac,A,9,1,1,3\nreacher_easy,sac,A,21,100,10,3\n"
    )
    runs = [make_run("sac", "reacher_easy", seed, {10: [0.0], 20: [50.0 + seed], 30: [0.0]}) for seed in range(2)]
    gather(run_list(runs), tmp_path / "x.parquet")
    drawing = drawing_of(reference={"file": "reference.csv", "frames": 21, "ours_at": 20})
    (row,) = check(tmp_path / "x.parquet", drawing, tmp_path)["reference"]
    assert (row["frames"], row["ours"]["mean"], row["theirs"]["mean"]) == (20, 50.5, 100.0)


def test_the_check_is_plain_json(tmp_path: Path, make_run, run_list) -> None:
    """One seed has neither spread nor interval, and JSON has no NaN."""
    (tmp_path / "reference.csv").write_text("task,algorithm,source,mean,std,seeds\nreacher_easy,sac,A,100,10,3\n")
    gather(run_list([make_run("sac", "reacher_easy", 0, {0: [1.0]})]), tmp_path / "x.parquet")
    found = check(tmp_path / "x.parquet", drawing_of(reference={"file": "reference.csv"}), tmp_path)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["reference"][0]["ours"] == {"mean": 1.0, "std": None, "count": 1}
    assert found["reference"][0]["agreement"] == "undecided"


def test_aggregate_needs_every_task(tmp_path: Path, make_run, run_list) -> None:
    tasks = ["a", "b"]
    runs = [make_run("sac", task, seed, {0: [100.0 * seed + n]}) for n, task in enumerate(tasks) for seed in range(3)]
    runs.append(make_run("smac", "a", 0, {0: [1.0]}))
    gather(run_list(runs), tmp_path / "x.parquet")
    found = check(tmp_path / "x.parquet", drawing_of(data={"algorithms": ["smac", "sac"], "tasks": tasks}))["aggregate"]
    assert set(found) == {"sac"}
    assert found["sac"]["interquartile_mean"] == pytest.approx(np.mean([1, 100, 101, 200]))


@pytest.mark.parametrize("text", ["", "task,algorithm\n1,2\n"])
def test_a_reference_without_its_columns_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "reference.csv").write_text(text)
    with pytest.raises(RelatentError, match=r"reference\.csv"):
        read_reference(tmp_path / "reference.csv")


def test_the_committed_bands_of_sac_at_100k_frames() -> None:
    """reacher_easy: 801 +- 56, 540 +- 410, 882 +- 67; ball_in_cup_catch: 970 +- 1, 958 +- 11."""
    table = read_reference(ROOT / "config/reference/dmc_sac_states.csv")
    at_100k = table[table["frames"] == 100_000]
    bands = {task: band(rows) for task, rows in at_100k.groupby("task")}
    assert bands["reacher_easy"] == (
        540 - 820,
        540 + 820,
    )  # the second source spans all returns, so this band excludes none
    assert bands["ball_in_cup_catch"] == (958 - 22, 958 + 22)
    assert bands["cartpole_swingup"] == (835 - 20, 853 + 18)


def test_the_committed_table_1_is_complete() -> None:
    table = read_reference(ROOT / "config/reference/smac_table1.csv")
    assert len(table) == 24
    assert not table[["mean", "std"]].isna().any(axis=None)
    assert set(table.groupby("task").size()) == {2}
    assert pd.unique(table["seeds"]).tolist() == [5]
