"""Panels that YAML declares: what lies where, what is written, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relatent.figures.check import check
from relatent.figures.draw import draw
from relatent.figures.gather import gather
from relatent.specs.errors import RelatentError

from .conftest import drawing_of, page_of

PAPER = {"name": "paper", "order": ["smoke", "laptop", "paper"]}
CURVE = {"title": "Curve", "x": "size", "x_label": "size", "y": {"cost": ""}, "y_label": "cost (nats)"}
Drawn = Callable[..., tuple[pd.DataFrame, str, list[str]]]


def measured(level: float, seed: int) -> dict[str, Any]:
    """Costs at three sizes, as an array and as a table of two columns, and over two evaluations."""
    cost = level + np.array([0.0, 1.0, 2.0]) + 0.5 * seed
    return {
        "size": np.array([1.0, 10.0, 100.0]),
        "cost": cost,
        "both": np.stack([cost, 2 * cost], axis=1),
        "total": np.array([cost.sum()]),
        "divergence": np.array([level, level + seed]),
        "divergence_frames": np.array([5, 10]),
    }


@pytest.fixture
def drawn(tmp_path: Path, make_run: Any, run_list: Any) -> Drawn:
    """Panels of two algorithms with three seeds: the CSV, all words, and what is written beyond the page."""
    runs = [
        make_run(name, "reacher_easy", seed, {5: [level], 10: [level + seed]}, measured(level, seed))
        for name, level in (("smac", 3.0), ("sac", 1.0))
        for seed in range(3)
    ]

    def make(*panels: dict[str, Any]) -> tuple[pd.DataFrame, str, list[str]]:
        drawing = drawing_of(kind="panels", budget=PAPER, panels=list(panels), seeds_wanted=3)
        parquet = tmp_path / "x.parquet"
        gather(run_list(runs), parquet)
        verdicts = check(parquet, drawing, tmp_path)
        draw(parquet, drawing, verdicts, tmp_path / "figure")
        words, beyond = page_of("panels", parquet, drawing, verdicts)
        return pd.read_csv(tmp_path / "figure.csv"), words, beyond

    return make


def test_a_measure_over_another(drawn: Drawn) -> None:
    table, words, beyond = drawn(CURVE)
    mine = table[table["algorithm"] == "smac"]
    assert list(mine["x"]) == [1, 10, 100]
    assert list(mine["mean"]) == [3.5, 4.5, 5.5]
    half = 4.302652729911275 * 0.5 / 3**0.5  # t of two degrees of freedom
    assert mine["high"].to_numpy() == pytest.approx(mine["mean"].to_numpy() + half, rel=1e-7)
    assert list(mine["seed_2"]) == [4, 5, 6]
    assert "Means over 3 seeds" in words
    assert "cost (nats)" in words
    assert beyond == []


def test_columns_of_a_table_are_measures_with_a_legend(drawn: Drawn) -> None:
    columns = {"both_0": "once", "both_1": "twice"}
    table, _, beyond = drawn(CURVE | {"y": columns, "algorithms": ["sac"], "x": None})
    assert set(table["algorithm"]) == {"sac"}
    twice = table[table["measure"] == "both_1"]
    assert list(twice["x"]) == [0, 1, 2]
    assert list(twice["mean"]) == [3, 5, 7]
    assert beyond == []


def test_frames_of_training(drawn: Drawn) -> None:
    table, _, _ = drawn(CURVE | {"x": "frames", "y": {"divergence": ""}})
    assert [list(of["x"]) for _, of in table.groupby("algorithm")] == [[5, 10]] * 2
    assert list(table[table["algorithm"] == "smac"]["mean"]) == [3, 4]


def test_algorithms_side_by_side(drawn: Drawn) -> None:
    """Each seed's value is the mean of a measure's entries at the last frame."""
    table, words, beyond = drawn(CURVE | {"x": "algorithms", "y": {"total": "", "divergence": ""}, "level": 2.0})
    assert list(table["x"]) == [0, 0, 1, 1]
    assert list(table[table["measure"] == "total"]["mean"]) == [13.5, 7.5]
    assert list(table[table["measure"] == "divergence"]["mean"]) == [4, 2]
    assert "SMAC" in words
    assert beyond == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": {"coast": ""}}, "panel 'Curve': the runs of smac recorded no coast"),
        ({"x": "sise"}, "recorded no sise"),
        ({"x": "frames", "y": {"nothing": ""}}, "recorded no nothing"),
        ({"y": {"total": ""}}, "total has 1 entries, expected 3, as many as size has"),
    ],
)
def test_what_was_not_recorded_is_named(drawn: Drawn, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RelatentError, match=message):
        drawn(CURVE | changes)


def test_how_fast_training_is_says_where(tmp_path: Path, make_run: Any, run_list: Any) -> None:
    """The simulator takes 10 ms a frame, acting 8 ms once the agent acts, updates 1 s once it learns."""
    spec = {
        "hyper": {"update_every": 50, "updates": 5, "update_after": 990},
        "training": {"random_frames": 500, "eval_every": 1000},
    }
    spent = {"environment": 10.0, "act": 4.0, "update": 50.0, "evaluation": 99.0}
    runs = [
        make_run(name, "reacher_easy", seed, {1000: [0.0]}, spec={**spec, "seed": seed}, phase_seconds=spent)
        for name in ("smac", "sac")
        for seed in range(2)
    ]
    panel = {"title": "Speed", "x": "algorithms", "y": {"frames_per_second": ""}, "y_label": "frames a second"}
    drawing = drawing_of(kind="panels", budget=PAPER, panels=[panel], seeds_wanted=2)
    parquet = tmp_path / "x.parquet"
    gather(run_list(runs), parquet)
    verdicts = check(parquet, drawing, tmp_path)
    draw(parquet, drawing, verdicts, tmp_path / "figure")
    words, beyond = page_of("panels", parquet, drawing, verdicts)
    assert list(pd.read_csv(tmp_path / "figure.csv")["mean"]) == pytest.approx([1 / 1.018] * 2)
    assert "all runs on a processor." in words
    assert beyond == []


def test_other_panels_name_no_machine(drawn: Drawn) -> None:
    assert "a processor" not in drawn(CURVE)[1]
