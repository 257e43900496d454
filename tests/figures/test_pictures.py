"""Figures of states: every picture where it belongs, pixel for pixel, with the moment and the episode it is of."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest

from relatent.figures.check import check
from relatent.figures.draw import draw, draw_kind
from relatent.figures.drawing import read_drawing
from relatent.figures.gather import gather, read_gathered
from relatent.figures.style import print_style
from relatent.specs.errors import RelatentError

from .conftest import drawing_of

TASKS = ["two_blocks", "stick_pull", "cabinet_sparse"]
FRAMES = {"two_blocks": [0, 5, 15], "stick_pull": [0, 5, 10, 15], "cabinet_sparse": []}
SIDES = {"two_blocks": 4, "stick_pull": 6}
SUCCESS = {
    ("two_blocks", 0): 0.25,
    ("two_blocks", 5): 0.5,
    ("two_blocks", 15): 1.0,
    ("stick_pull", 5): 0.0,
    ("stick_pull", 15): 1.0,
}
RETURNS = {frames: [frames / 10, 99.0] for frames in (0, 5, 10, 15)}
"""Of the first episode, which is the one that is shown, and of the second."""


def pictures(task: str, seed: int) -> np.ndarray:
    side, generator = SIDES[task], np.random.default_rng([TASKS.index(task), seed])
    return generator.integers(0, 256, (len(FRAMES[task]), side, side, 3)).astype(np.uint8)


def drawing(**changes: Any) -> dict[str, Any]:
    data = {"algorithms": ["rpg"], "tasks": TASKS}
    given = {"kind": "pictures", "figure": "rpg_fig10", "paper": "rpg", "x_label": "interactions", "data": data}
    return drawing_of(**{**given, "labels": {"rpg": "RPG"}, "seeds_wanted": 1, **changes})


@pytest.fixture
def parquet(tmp_path: Path, make_run, run_list) -> Path:
    """Two tasks with two seeds, the larger first; the third task is not trained."""
    runs = []
    for task in SIDES:
        for seed in (1, 0):
            probes = {"pictures": pictures(task, seed), "pictures_frames": np.array(FRAMES[task])}
            runs.append(make_run("rpg", task, seed, RETURNS, probes))
            lines = (runs[-1] / "returns.csv").read_text().splitlines()
            for number, line in enumerate(lines):
                phase, frames, episode, *_ = line.split(",")
                if (phase, episode) == ("eval", "0") and (task, int(frames)) in SUCCESS:
                    lines[number] += repr(SUCCESS[task, int(frames)])
            (runs[-1] / "returns.csv").write_text("\n".join(lines) + "\n")
    runs.append(runs[0].parents[2] / "rpg/cabinet_sparse/s0-00000000000a")
    gather(run_list(runs), tmp_path / "x.parquet", partial=True)
    return tmp_path / "x.parquet"


def drawn(parquet: Path, described: dict[str, Any]) -> tuple[matplotlib.figure.Figure, pd.DataFrame]:
    with print_style():
        return draw_kind("pictures")(read_gathered(parquet), read_drawing(described), check(parquet, described))


def test_pictures_are_gathered_as_measures_of_their_own(parquet: Path) -> None:
    frame = read_gathered(parquet).frame
    run = frame[(frame["task"] == "stick_pull") & (frame["seed"] == 1) & (frame["phase"] == "probe")]
    assert set(run["measure"]) == {f"pictures_{number}" for number in range(4)}
    for number, frames in enumerate(FRAMES["stick_pull"]):
        one = run[run["measure"] == f"pictures_{number}"]
        assert one["value"].tolist() == pictures("stick_pull", 1)[number].ravel().tolist()
        assert (set(one["frames"]), one["episode"].tolist()) == ({frames}, list(range(6 * 6 * 3)))


def test_an_array_that_is_nothing_of_the_kind_is_refused(make_run, run_list, tmp_path: Path) -> None:
    run = make_run("rpg", "two_blocks", 0, {0: [0.0], 15: [0.0]}, {"boxes": np.zeros((2, 3, 4))})
    with pytest.raises(RelatentError, match="boxes has 3 dimensions, expected 1 or 2, or 4 of pictures"):
        gather(run_list([run]), tmp_path / "y.parquet")


def test_every_picture_is_where_it_belongs(parquet: Path) -> None:
    """A row a task from top to bottom, moments from left to right, of the smallest seed."""
    figure, _ = drawn(parquet, drawing())
    panels = sorted(figure.axes, key=lambda panel: (-round(panel.get_position().y0, 4), panel.get_position().x0))
    shown = {
        task: panels[start : start + count] for task, start, count in zip(TASKS, (0, 3, 7), (3, 4, 1), strict=True)
    }
    assert len(panels) == 8
    for task in SIDES:
        assert shown[task][0].get_ylabel() == f"RPG, {task.replace('_', ' ')}\nseed 0"
        for panel, picture, frames in zip(shown[task], pictures(task, 0), FRAMES[task], strict=True):
            (image,) = panel.images
            assert np.array_equal(image.get_array(), picture)
            assert image.origin == "upper"
            assert panel.get_title() == (f"after {frames}" if frames else "initial state")
            known = SUCCESS.get((task, frames)) if frames else None  # an episode that only begins has none
            assert panel.get_xlabel() == ("" if known is None else f"success {known:g}")
            *_, width, height = panel.get_position().bounds
            across, down = figure.get_size_inches()
            assert width * across == pytest.approx(height * down)  # square pixels
    columns = [[round(panel.get_position().x0, 6) for panel in shown[task]] for task in SIDES]
    assert columns[0] == columns[1][:3]
    (absent,) = shown["cabinet_sparse"]
    assert not absent.images
    assert "not trained" in [text.get_text() for text in absent.texts]
    assert absent.get_ylabel() == "RPG, cabinet sparse"


def test_the_csv_says_what_is_shown(parquet: Path) -> None:
    _, table = drawn(parquet, drawing())
    assert table.columns.tolist() == ["task", "algorithm", "seed", "frames", "state", "return", "success"]
    assert table["frames"].tolist() == FRAMES["two_blocks"] + FRAMES["stick_pull"]
    assert table["state"].tolist() == ["initial", "last", "last", "initial", "last", "last", "last"]
    assert table["seed"].tolist() == [0] * 7
    nan = float("nan")
    assert table["return"].tolist() == pytest.approx([nan, 0.5, 1.5, nan, 0.5, 1.0, 1.5], nan_ok=True)
    assert table["success"].tolist() == pytest.approx([nan, 0.5, 1.0, nan, 0.0, nan, 1.0], nan_ok=True)


def test_the_budgets_name_is_above_every_picture(parquet: Path) -> None:
    figure, _ = drawn(parquet, drawing())
    for panel in figure.axes[:-1]:
        (mark,) = panel.texts
        assert mark.get_text() == "laptop"
        assert mark.get_zorder() > panel.images[0].get_zorder()
    paper = drawing(budget={"name": "paper", "order": ["smoke", "laptop", "paper"]})
    assert [panel.texts[:] for panel in drawn(parquet, paper)[0].axes[:-1]] == [[]] * 7


def test_a_page_says_what_it_shows_and_is_the_same_again(tmp_path: Path, parquet: Path) -> None:
    described = drawing()
    verdicts = check(parquet, described, tmp_path)
    figure, _ = drawn(parquet, described)
    figure.draw_without_rendering()
    labels = [text for panel in figure.axes for text in (panel.title, panel.xaxis.label, panel.yaxis.label)]
    written = [text for text in (*figure.texts, *labels) if text.get_text()]
    boxes = [text.get_window_extent() for text in written]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)
    words = " ".join(" ".join(text.get_text() for text in written).split())
    for expected in ("PARTIAL: 4 of 5 runs", "LAPTOP BUDGET", "after so many interactions", "the smallest seed"):
        assert expected in words
    for name in ("one", "two"):
        draw(parquet, described, verdicts, tmp_path / name)
    for suffix in ("pdf", "svg", "csv", "json"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()
