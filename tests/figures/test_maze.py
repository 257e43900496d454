"""Figures of where agents go: whose positions, at which moment, and each visit where it took place."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import LineCollection, QuadMesh

from relatent.envs import maze
from relatent.figures.check import check
from relatent.figures.draw import draw_kind
from relatent.figures.drawing import read_drawing
from relatent.figures.gather import gather, read_gathered
from relatent.figures.maze import SHOWN, median_seed, positions, run_of
from relatent.figures.style import print_style
from relatent.specs.errors import RelatentError

from .conftest import drawing_of

FRAMES = np.array([0, 500, 5_000, 10_000])
FINALS = {"rpg": [0.9, 0.3, 0.5], "mbsac_r": [0.1, 0.4, 0.2, 0.3]}
MEDIANS = {"rpg": 2, "mbsac_r": 2}
"""Of four seeds the lower of the two in the middle."""
PLACES = {(-4.5, -4.5): 1, (3.2, 0.7): 70, (-2.5, 4.9): 5_000}
"""Where training was, and how often."""


def drawing(**changes: Any) -> dict[str, Any]:
    data = {"algorithms": list(FINALS), "tasks": ["gap_maze"], "measure": "coverage_share"}
    given = {"kind": "maze", "figure": "rpg_fig5", "paper": "rpg", "x_label": "interactions", "data": data}
    return drawing_of(**{**given, "seeds_wanted": 4, **changes})


@pytest.fixture
def parquet(tmp_path: Path, make_run, run_list) -> Path:
    """Runs whose evaluations stand at (seed, frames/10,000), 20 steps each, but for the last one's 4,000."""
    runs = []
    visits = np.zeros(100)
    for (x, y), count in PLACES.items():
        visits[maze.cell(x, y)] = count
    for name, finals in FINALS.items():
        for seed, final in enumerate(finals):
            frames = np.repeat(FRAMES, [20, 20, 20, 4_000])
            where = np.stack([np.full(len(frames), 1.0 * seed), frames / 10_000], axis=1)
            probes = {"coverage_share": np.array([0.0, 0.1, 0.2, final]), "coverage_share_frames": FRAMES}
            probes |= {"positions": where, "positions_frames": frames, "visits": visits * (1 + (name == "rpg"))}
            runs.append(make_run(name, "gap_maze", seed, {0: [0.0], 10_000: [0.0]}, probes))
    gather(run_list(runs), tmp_path / "x.parquet")
    return tmp_path / "x.parquet"


def drawn(parquet: Path, described: dict[str, Any]) -> tuple[matplotlib.figure.Figure, Any]:
    with print_style():
        return draw_kind("maze")(read_gathered(parquet), read_drawing(described), check(parquet, described))


def test_the_run_that_is_shown_is_the_median_one(parquet: Path) -> None:
    gathered, described = read_gathered(parquet), read_drawing(drawing())
    assert {name: median_seed(gathered, described, name, "gap_maze") for name in FINALS} == MEDIANS
    assert median_seed(gathered, described, "sac", "gap_maze") is None


@pytest.mark.parametrize(("moment", "frames"), [(0.001, 500), (0.05, 500), (0.27, 500), (0.5, 5_000), (1.0, 10_000)])
def test_positions_are_those_of_the_nearest_evaluation_but_not_of_the_untrained(
    parquet: Path, moment: float, frames: int
) -> None:
    found = positions(run_of(read_gathered(parquet).frame, "rpg", "gap_maze", 2), moment)
    assert set(found["frames"]) == {frames}
    assert set(zip(found["x"], found["y"], strict=True)) == {(2.0, frames / 10_000)}
    assert len(found) == 20 if frames < 10_000 else SHOWN / 2 < len(found) <= SHOWN


def test_each_visit_is_drawn_where_it_took_place(parquet: Path) -> None:
    figure, _ = drawn(parquet, drawing())
    meshes = [mesh for panel in figure.axes for mesh in panel.findobj(QuadMesh) if mesh.get_array().shape == (10, 10)]
    assert len(meshes) == 2
    for mesh, factor in zip(meshes, (2, 1), strict=True):
        counts, corners = mesh.get_array(), mesh.get_coordinates()
        assert counts.count() == len(PLACES)
        for (x, y), count in PLACES.items():
            (row,) = np.flatnonzero((corners[:-1, 0, 1] < y) & (y < corners[1:, 0, 1]))
            (column,) = np.flatnonzero((corners[0, :-1, 0] < x) & (x < corners[0, 1:, 0]))
            assert counts[row, column] == factor * count
        assert (mesh.norm.vmin, mesh.norm.vmax) == (1, 10_000)  # one scale for both
        (crosses,) = [line for line in mesh.axes.lines if line.get_marker() == "x"]
        unvisited = {(x, y) for x, y in crosses.get_xydata().tolist()}
        assert len(unvisited) == 100 - len(PLACES)
        assert {(np.floor(x) + 0.5, np.floor(y) + 0.5) for x, y in PLACES}.isdisjoint(unvisited)


def test_every_panel_has_the_mazes_walls(parquet: Path) -> None:
    figure, _ = drawn(parquet, drawing())
    walls = [found for panel in figure.axes for found in panel.collections if isinstance(found, LineCollection)]
    assert len(walls) == 2 * 3
    for found in walls:
        assert np.array_equal(np.array(found.get_segments()), maze.walls())


def test_the_csv_holds_curves_positions_and_visits(parquet: Path) -> None:
    figure, table = drawn(parquet, drawing())
    parts = table.groupby(["algorithm", "band"], dropna=False).size()
    for name in FINALS:
        assert parts[name, "t95"] == len(FRAMES)
        assert parts[name, "visits"] == 100
    visits = table[(table["band"] == "visits") & (table["algorithm"] == "mbsac_r") & (table["visits"] > 0)]
    at = {(x, y): int(count) for x, y, count in visits[["x", "y", "visits"]].to_numpy().tolist()}
    assert at == {(np.floor(x) + 0.5, np.floor(y) + 0.5): count for (x, y), count in PLACES.items()}
    where = table[(table["band"] == "position") & (table["algorithm"] == "rpg")]
    assert set(where["seed"]) == {MEDIANS["rpg"]}
    assert set(zip(where["x"], where["y"], strict=True)) == {(2.0, 0.05), (2.0, 1.0)}
    said = " ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))
    for expected in ("after 500", "after 10,000", "training steps in a cell", "random actions", "3 to 4 of 4 seeds"):
        assert expected in said


def test_an_algorithm_without_runs_says_so(parquet: Path) -> None:
    data = {"algorithms": ["rpg", "rpg_d1"], "tasks": ["gap_maze"], "measure": "coverage_share"}
    figure, _ = drawn(parquet, drawing(data=data))
    said = [text.get_text() for text in figure.findobj(matplotlib.text.Text)]
    assert said.count("not trained") == 3


def test_the_ant_has_its_own_ground(tmp_path: Path, make_run, run_list) -> None:
    frames = np.repeat([0, 5, 10], 4)
    probes = {"positions": np.tile([[0.0, 8.0]], (12, 1)), "positions_frames": frames}
    gather(run_list([make_run("rpg_dense", "ant_push", 0, {0: [0.0], 10: [1.0]}, probes)]), tmp_path / "x.parquet")
    data = {"algorithms": ["rpg_dense"], "tasks": ["ant_push"], "measure": "return"}
    figure, table = drawn(tmp_path / "x.parquet", drawing(data=data, look={"moments": [0.5, 1.0], "y_range": None}))
    assert [panel.get_title() for panel in figure.axes] == ["after 5", "after 10", ""]
    (goal,) = figure.axes[0].findobj(matplotlib.patches.Circle)
    assert (goal.center, goal.radius) == ((0.0, 19.0), 5.0)
    assert (table["band"] == "position").sum() == 8


def test_a_task_without_ground_plan_is_refused(parquet: Path) -> None:
    data = {"algorithms": ["rpg"], "tasks": ["reacher_easy"], "measure": "return"}
    with pytest.raises(RelatentError, match="no ground plan of reacher_easy, expected gap_maze or ant_push"):
        drawn(parquet, drawing(data=data))
