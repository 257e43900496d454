"""The outcome against a hyperparameter that is all that the algorithms differ in: ALM's Figure 20.

What value an algorithm has stands in the specs of its runs, so that one without a finished run has no place.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from relatent.figures.drawing import Drawing, measure_name, task_title
from relatent.figures.gather import Gathered
from relatent.figures.learning_curve import AXIS, GAP, TITLE
from relatent.figures.page import common_notes, seeds_phrase, sheet
from relatent.figures.series import seed_values
from relatent.figures.statistics import mean_interval
from relatent.figures.style import BLUE, GREY
from relatent.specs.errors import RelatentError


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and a row per algorithm and task: the hyperparameter, mean, interval and each seed's value."""
    data, look = drawing.data, drawing.look
    table = outcomes(gathered, drawing)
    sizes = table.groupby(["task", "algorithm"])["seeds"].max()
    counts = [int(sizes.get((task, name), 0)) for task in data.tasks for name in data.algorithms]
    name = measure_name(str(look.along))
    absent = [drawing.label(one) for one in data.algorithms if one not in set(table["algorithm"])]
    shown = (
        f"{drawing.caption.rstrip('.')}. Final {measure_name(data.measure)} against the {name}; large: mean over "
        f"{seeds_phrase(counts, drawing.seeds_wanted)} with its 95 % Student-t interval, small: each seed."
        + (f" Not trained: {', '.join(absent)}." if absent else "")
    )
    columns = min(look.columns, len(data.tasks))
    rows = -(-len(data.tasks) // columns)
    body = TITLE + rows * look.panel_height + (rows - 1) * GAP[1] + AXIS
    paper = sheet(drawing, gathered, common_notes(drawing, check, shown), body)
    panels = paper.grid(len(data.tasks), columns, look.panel_height, GAP, left=0.5, top=TITLE)
    for index, (panel, task) in enumerate(zip(panels, data.tasks, strict=True)):
        panel.set_title(task_title(task))
        draw_outcomes(panel, table[table["task"] == task].sort_values("at"))
        if index + columns >= len(data.tasks):
            panel.set_xlabel(name)
        if index % columns == 0:
            panel.set_ylabel(f"final {measure_name(data.measure)}")
        if look.y_range is not None:
            panel.set_ylim(*look.y_range)
    return paper.figure, table


def outcomes(gathered: Gathered, drawing: Drawing) -> pd.DataFrame:
    """Columns task, algorithm, at, seeds, mean, low, high and seed_0 .."""
    data, along = drawing.data, drawing.look.along
    rows = []
    for task in data.tasks:
        for algorithm in data.algorithms:
            of = [run for run in gathered.runs if (run["algorithm"], run["task"]) == (algorithm, task)]
            if not of:
                continue
            values = seed_values(gathered.frame, algorithm, task, data.measure, data.phase, "final")
            estimate, seeds = mean_interval(values), sorted(run["seed"] for run in of)
            row: dict[str, Any] = {"task": task, "algorithm": algorithm, "at": value_of(of[0], along, drawing.figure)}
            row |= {"seeds": len(values), "mean": estimate.value, "low": estimate.low, "high": estimate.high}
            rows.append(row | {f"seed_{seed}": value for seed, value in zip(seeds, values, strict=True)})
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["task", "algorithm", "at", "seeds"])


def value_of(run: dict[str, Any], along: str | None, figure: str) -> float:
    hyper = run["manifest"]["spec"].get("hyper", {})
    if along not in hyper:
        raise RelatentError(f"{figure}: look.along: {run['run']} has no hyperparameter {along!r}")
    return float(hyper[along])


def draw_outcomes(panel: Axes, table: pd.DataFrame) -> None:
    """A logarithmic axis where all values are positive, with a tick at each."""
    if table.empty:
        panel.text(0.5, 0.5, "not trained", transform=panel.transAxes, ha="center", va="center", color=GREY)
        return
    at = table["at"].to_numpy(float)
    if (at > 0).all() and len(at) > 1:
        panel.set_xscale("log")
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xticks(at, [f"{value:g}" for value in at])
    panel.tick_params(axis="x", labelsize=6)
    for column in table.columns[table.columns.str.startswith("seed_")]:
        panel.plot(at, table[column], ".", color=BLUE, markersize=2.5, alpha=0.6, mew=0)
    for _, row in table[np.isfinite(table["low"])].iterrows():
        panel.plot([row["at"]] * 2, [row["low"], row["high"]], color=BLUE, linewidth=1.1)
    panel.plot(at, table["mean"], "-o", color=BLUE, linewidth=0.8, markersize=4, mec="white", mew=0.5)
    panel.grid(axis="y", color="#EAEAEA", linewidth=0.5)
    panel.set_axisbelow(True)
