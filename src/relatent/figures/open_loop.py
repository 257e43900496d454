"""How long a latent model's predictions hold when it is shown nothing more: ALM's Figure 7.

A panel per algorithm with the first number of z along one trajectory, as the encoder has it and as the model predicts
it from the first state alone; right of them the error over the number of steps, relative to the variance of z.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from relatent.figures.derived import HALF, OPEN_LOOP_ERROR, OPEN_LOOP_STEPS, with_derived
from relatent.figures.drawing import Drawing, task_title
from relatent.figures.gather import Gathered
from relatent.figures.learning_curve import AXIS, TITLE, curve_handle
from relatent.figures.page import common_notes, seeds_phrase, sheet
from relatent.figures.series import seed_values
from relatent.figures.statistics import Array
from relatent.figures.style import GREY, INK, appearances

TRUE, PREDICTED = "open_loop_true", "open_loop_predicted"
ERRORS, LEFT, GAP = 2.1, 0.62, 0.5
"""Inches: the width of the panel of errors, left of the first panel, between panels."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and a row for each point of a trajectory and for each error."""
    names, (task,), look = drawing.data.algorithms, drawing.data.tasks, drawing.look
    styles, frame = appearances(names), with_derived(gathered, drawing)
    errors = {name: recorded(frame, name, task, OPEN_LOOP_ERROR) for name in names}
    middle = {name: median_seed(frame, name, task, list(of)) for name, of in errors.items()}
    counts = [len(of) for of in errors.values()]
    shown = (
        f"{drawing.caption.rstrip('.')}, on {task_title(task)}. Left: the first number of z along an evaluation "
        f"episode of one run, the one of the median number of accurate steps (its seed is given). Right: the squared "
        f"error over the variance of z over states; thick: median over {seeds_phrase(counts, drawing.seeds_wanted)}, "
        f"thin: each seed; dotted: {HALF:g}, up to where a prediction is called accurate, and 1, what predicting the "
        f"mean of z has."
    )
    legend: list[tuple[Any, str]] = [(curve_handle(styles[name]), drawing.label(name)) for name in names]
    legend.append((Line2D([], [], color=INK, linewidth=1.2), "encoder"))
    height = look.panel_height
    paper = sheet(drawing, gathered, common_notes(drawing, check, shown), TITLE + height + AXIS, legend)
    width = (look.width - LEFT - ERRORS - 0.12) / len(names) - GAP
    tables = [pd.DataFrame(columns=["task", "algorithm", "seed", "measure", "step", "value"])]
    low, high = limits(
        [recorded(frame, name, task, TRUE).get(seed) for name, seed in middle.items() if seed is not None]
    )
    for column, name in enumerate(names):
        panel = paper.place(LEFT + column * (width + GAP), TITLE, width, height)
        seed = middle[name]
        panel.set_title(drawing.label(name) + (f", seed {seed}" if seed is not None else ""))
        panel.set_xlabel("steps", size=7.5)
        panel.set_ylim(low, high)
        if column == 0:
            panel.set_ylabel("first number of z")
        if seed is None:
            panel.text(0.5, 0.5, "not trained", transform=panel.transAxes, ha="center", va="center", color=GREY)
            continue
        for measure, colour, dash in ((TRUE, INK, "-"), (PREDICTED, styles[name].colour, styles[name].dash)):
            values = recorded(frame, name, task, measure).get(seed, np.empty(0))
            panel.plot(values, color=colour, linestyle=dash, linewidth=1.2)
            tables.append(points(task, name, seed, measure, values, 0))
    panel = paper.place(look.width - ERRORS - 0.06, TITLE, ERRORS, height)
    for name, of in errors.items():
        tables += [points(task, name, seed, OPEN_LOOP_ERROR, values, 1) for seed, values in of.items()]
        draw_errors(panel, list(of.values()), styles[name])
    panel.set_title("error of predictions")
    panel.set_xlabel("steps predicted ahead", size=7.5)
    panel.set_ylabel("squared error / variance", labelpad=1)
    return paper.figure, pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)


def recorded(frame: pd.DataFrame, algorithm: str, task: str, measure: str) -> dict[int, Array]:
    """An array that runs recorded at their end, by seed."""
    found = frame[(frame["algorithm"] == algorithm) & (frame["task"] == task) & (frame["measure"] == measure)]
    return {int(str(seed)): of.sort_values("episode")["value"].to_numpy() for seed, of in found.groupby("seed")}


def median_seed(frame: pd.DataFrame, algorithm: str, task: str, seeds: list[int]) -> int | None:
    """The seed of the median number of accurate steps, of an even number the lower one."""
    if not seeds:
        return None
    steps = seed_values(frame, algorithm, task, OPEN_LOOP_STEPS, "probe", "final")
    return seeds[int(np.argsort(steps, kind="stable")[(len(steps) - 1) // 2])]


def limits(trajectories: list[Array | None]) -> tuple[float, float]:
    """One axis for all panels, on which a z that hardly varies is seen as one; predictions may leave it."""
    values = np.concatenate([np.zeros(0), *(one for one in trajectories if one is not None)])
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = 0.3 * (high - low) or 1.0
    return low - margin, high + margin


def draw_errors(panel: Axes, curves: list[Array], style: Any) -> None:
    """Over 1, 2, .. steps, on a logarithmic axis."""
    panel.set_yscale("log")
    for level in (HALF, 1.0):
        panel.axhline(level, color=GREY, linewidth=0.5, linestyle=":", zorder=1)
    for values in curves:
        panel.plot(np.arange(1, len(values) + 1), values, color=style.colour, linewidth=0.4, alpha=0.6)
    if curves:
        middle = np.median(np.stack(curves), axis=0)
        every = max(1, len(middle) // 5)
        look: dict[str, Any] = {"color": style.colour, "linestyle": style.dash, "marker": style.marker}
        panel.plot(np.arange(1, len(middle) + 1), middle, markevery=every, markersize=3, mec="white", mew=0.4, **look)


def points(task: str, name: str, seed: int, measure: str, values: Array, first: int) -> pd.DataFrame:
    """Rows of the figure's CSV; `first`: the number of the first step."""
    table = pd.DataFrame({"step": np.arange(first, first + len(values)), "value": values})
    return table.assign(task=task, algorithm=name, seed=seed, measure=measure)
