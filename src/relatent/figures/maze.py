"""Where agents go in a plane, and how much of it they explore: RPG's Figures 5 and 9.

A row per algorithm, of one run: the steps of its evaluations at some moments of training, and how often training came
to each cell. That run is the one of the median outcome, not a chosen one, and not all runs together: agents that each
go one way would look like one that goes everywhere. Right of them is the learning curve of all runs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from relatent.envs import maze
from relatent.figures.background import background_legend, background_notes
from relatent.figures.drawing import Drawing, measure_name
from relatent.figures.gather import Gathered
from relatent.figures.learning_curve import curve_handle, draw_panel, finish, found_curves, phases, plotted, spread
from relatent.figures.page import Sheet, common_notes, seeds_phrase, sheet
from relatent.figures.series import curves
from relatent.figures.style import GREY, INK, LIGHT, appearances
from relatent.specs.errors import RelatentError

SHOWN = 1500
"""Positions in a panel, at most."""
VISITS = "cividis"
"""Brightness rises evenly, and so it does for colour-blind readers."""
LABEL, CURVE, AXIS, GAP, TOP, BOTTOM = 0.46, 1.72, 0.5, 0.07, 0.2, 0.52
"""Inches: rows' names, the curve's panel, the axis before it, between panels, above and below all panels."""
LARGEST = 1.36
"""Inches of a square panel."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and what it shows: the curves' points, then positions and visits."""
    names, (task,) = drawing.data.algorithms, drawing.data.tasks
    if task not in GROUNDS:
        raise RelatentError(f"{drawing.figure}: there is no ground plan of {task}, expected {' or '.join(GROUNDS)}")
    found, styles = found_curves(gathered, drawing), appearances(names)
    seeds = {name: median_seed(gathered, drawing, name, task) for name in names}
    visited = bool((gathered.frame["measure"] == "visits").any())
    columns = len(drawing.look.moments) + visited
    side = min(LARGEST, (drawing.look.width - LABEL - AXIS - CURVE - 0.1) / columns - GAP)
    height = max(len(names) * (side + GAP) - GAP, 1.2)
    legend: list[tuple[Any, str]] = [(curve_handle(styles[name]), drawing.label(name)) for name in names]
    notes = common_notes(drawing, check, shown(drawing, found, visited)) + background_notes(drawing, check)
    paper = sheet(drawing, gathered, notes, TOP + height + BOTTOM, legend + background_legend(drawing, check))
    largest = gathered.frame.loc[gathered.frame["measure"] == "visits", "value"].max()
    tables = [plotted(drawing, check, found)]
    for row, name in enumerate(names):
        run = run_of(gathered.frame, name, task, seeds[name])
        y = TOP + row * (side + GAP)
        for column, moment in enumerate(drawing.look.moments):
            panel = ground(paper, LABEL + column * (side + GAP), y, side, task, column == 0, row == len(names) - 1)
            where = positions(run, moment)
            dots(panel, where, styles[name].colour)
            tables.append(where.assign(task=task, algorithm=name, band="position", seed=seeds[name]))
            if row == 0:
                at = f"after {where['frames'].iloc[0]:,}" if len(where) else f"at {moment:.0%}"
                panel.set_title(at, size=7.5, pad=2.5)
            if column == 0:
                named(panel, drawing.label(name), seeds[name], styles[name].colour)
        if visited:
            panel = ground(paper, LABEL + (columns - 1) * (side + GAP), y, side, task, False, row == len(names) - 1)
            tables.append(
                visits(panel, run, largest).assign(task=task, algorithm=name, band="visits", seed=seeds[name])
            )
            if row == 0:
                panel.set_title("visits in training", size=7.5, pad=2.5)
    if visited:
        x, below = LABEL + (columns - 1) * (side + GAP), TOP + height + 0.16
        scale(paper, x, below, side, largest)
    curve = paper.place(drawing.look.width - CURVE - 0.1, TOP, CURVE, height)
    phase = phases(drawing)[0]
    draw_panel(curve, drawing, check, found, task, phase)
    finish(curve, drawing, bottom=True, first=True)
    return paper.figure, pd.concat([table for table in tables if not table.empty], ignore_index=True)


def median_seed(gathered: Gathered, drawing: Drawing, algorithm: str, task: str) -> int | None:
    """The seed whose final value is the median, of an even number the lower one; None where nothing was trained."""
    curve = curves(gathered.frame, algorithm, task, drawing.data.measure, phases(drawing)[0])
    if curve is None:
        return None
    ranked = np.argsort(curve.values[:, -1], kind="stable")
    return curve.seeds[int(ranked[(len(ranked) - 1) // 2])]


def run_of(frame: pd.DataFrame, algorithm: str, task: str, seed: int | None) -> pd.DataFrame:
    return frame[(frame["algorithm"] == algorithm) & (frame["task"] == task) & (frame["seed"] == seed)]


def positions(run: pd.DataFrame, moment: float) -> pd.DataFrame:
    """x and y of the steps of one evaluation, the one nearest to that share of training but not the one before it, with
    its frames. Of many steps, evenly spaced ones."""
    x, y = (run[run["measure"] == f"positions_{axis}"].set_index("episode") for axis in (0, 1))
    moments = np.array(sorted(set(x["frames"]) - {0}))
    if not len(moments):
        return pd.DataFrame(columns=["frames", "x", "y"])
    at = moments[np.argmin(np.abs(moments - moment * moments[-1]))]
    found = pd.DataFrame({"frames": x["frames"], "x": x["value"], "y": y["value"]})
    found = found[found["frames"] == at]
    return found.iloc[:: -(-len(found) // SHOWN)].reset_index(drop=True)


def dots(panel: Axes, where: pd.DataFrame, colour: str) -> None:
    if where.empty:
        panel.text(0.5, 0.5, "not trained", transform=panel.transAxes, ha="center", va="center", size=7, color=GREY)
    panel.plot(where["x"], where["y"], ".", color=colour, markersize=2.0, markeredgewidth=0, alpha=0.75, zorder=3)


def visits(panel: Axes, run: pd.DataFrame, largest: float) -> pd.DataFrame:
    """Training steps that ended in each cell, in a scale that all panels share; crosses where there was none."""
    counts = run[run["measure"] == "visits"].sort_values("episode")["value"].to_numpy(float)
    if not len(counts):
        panel.text(0.5, 0.5, "not trained", transform=panel.transAxes, ha="center", va="center", size=7, color=GREY)
        return pd.DataFrame()
    edges = np.arange(maze.CELLS + 1) - maze.SIZE
    table = counts.reshape(maze.CELLS, maze.CELLS)
    panel.pcolormesh(
        edges, edges, np.ma.masked_equal(table, 0), cmap=VISITS, norm=LogNorm(1, max(2, largest)), zorder=1
    )
    rows, columns = np.nonzero(table == 0)
    panel.plot(edges[columns] + 0.5, edges[rows] + 0.5, "x", color=GREY, markersize=2.2, markeredgewidth=0.5, zorder=3)
    x, y = np.meshgrid(edges[:-1] + 0.5, edges[:-1] + 0.5)
    return pd.DataFrame({"x": x.ravel(), "y": y.ravel(), "visits": counts})


def scale(paper: Sheet, x: float, y: float, width: float, largest: float) -> None:
    """The colours of `visits`, below its panels."""
    bar = paper.place(x, y, width, 0.07)
    colours = np.geomspace(1, max(2, largest), 65)
    norm = LogNorm(1, max(2, largest))
    bar.pcolormesh(colours, [0, 1], colours[None, :-1], cmap=VISITS, norm=norm, edgecolors="face", linewidth=0.3)
    bar.set_xscale("log")
    bar.set_yticks([])
    bar.tick_params(axis="x", size=1.5, pad=1, labelsize=6)
    bar.minorticks_off()
    bar.set_xlabel("training steps in a cell", size=6.5, labelpad=1)


def named(panel: Axes, label: str, seed: int | None, colour: str) -> None:
    panel.set_ylabel(label + (f"\nseed {seed}" if seed is not None else ""), size=7.5, color=colour, labelpad=2)


def ground(paper: Sheet, x: float, y: float, side: float, task: str, first: bool, last: bool) -> Axes:
    """A square panel with its ground plan; coordinates stand at the page's left and below the last row."""
    panel = paper.place(x, y, side, side)
    GROUNDS[task](panel)
    panel.set_aspect("equal")
    panel.tick_params(labelsize=6, size=1.5, pad=1.5, labelleft=first, labelbottom=last)
    panel.spines[:].set_visible(True)
    return panel


def gap_maze(panel: Axes) -> None:
    panel.add_collection(LineCollection(list(maze.walls()), colors=INK, linewidths=0.7, zorder=2))
    panel.set(xlim=(-maze.SIZE, maze.SIZE), ylim=(-maze.SIZE, maze.SIZE), xticks=[-4, 0, 4], yticks=[-4, 0, 4])


def ant_push(panel: Axes) -> None:
    """Walls, the block where it stands first, and a circle within which the ant succeeds."""
    from relatent.envs import ant_push as ant  # loads MuJoCo, which no other figure needs

    def box(centre: tuple[float, ...], **look: Any) -> None:
        corner = (centre[0] - ant.CELL / 2, centre[1] - ant.CELL / 2)
        panel.add_patch(Rectangle(corner, ant.CELL, ant.CELL, linewidth=0.7, **look))

    for column, row in np.ndindex(5, 5):
        centre = (ant.CELL * (column - 2), ant.CELL * (row - 1))
        if centre not in ant.OPEN and centre != ant.BLOCK[:2]:
            box(centre, facecolor="#9A9A9A", edgecolor="#9A9A9A", zorder=0.5)
    box(ant.BLOCK, facecolor=LIGHT, edgecolor=INK, zorder=1)
    panel.add_patch(Circle(tuple(ant.GOAL), ant.REACHED, fill=False, edgecolor=INK, linewidth=0.7, linestyle=":"))
    panel.set(xlim=(-15, 15), ylim=(-5.5, 24.5), xticks=[-8, 0, 8], yticks=[0, 8, 16])


GROUNDS: dict[str, Callable[[Axes], None]] = {"gap_maze": gap_maze, "ant_push": ant_push}


def shown(drawing: Drawing, found: dict[Any, Any], visited: bool) -> str:
    phase, measure = phases(drawing)[0], measure_name(drawing.data.measure)
    counts = [len(curve.seeds) if curve else 0 for (_, _, of), curve in found.items() if of == phase]
    cells = ", and its training steps in each unit cell, a cross where there is none" if visited else ""
    return (
        f"{drawing.caption.rstrip('.')}. Left: steps of the evaluation after so many {drawing.x_label} of one run, the "
        f"one of the median final {measure} (its seed is given; coordinates in the environment's own unit){cells}. "
        f"Right: mean over {seeds_phrase(counts, drawing.seeds_wanted)}{spread(counts, drawing.data.measure)}"
    )
