"""One number per algorithm over several tasks, with the tasks' own beside it: RPG's Figure 1 (B).

The mean over tasks of the final value, as the paper has it. Its interval is about other seeds on the same tasks.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from relatent.figures.background import background_notes, pale
from relatent.figures.drawing import Drawing, measure_name
from relatent.figures.gather import Gathered
from relatent.figures.page import common_notes, seeds_phrase, sheet
from relatent.figures.reference import ALL_TASKS
from relatent.figures.series import seed_values
from relatent.figures.statistics import Array, Sample, combination
from relatent.figures.style import GREY, Appearance, appearances

ROW, TOP, AXIS, LEFT = 0.3, 0.06, 0.42, 1.15
"""Inches: an algorithm's row, above and below the panel, left of it."""
Values = dict[str, dict[str, Array]]
"""One number a seed, by algorithm and task."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and a row per algorithm and task and one, of task `all`, for their mean."""
    data = drawing.data
    values: Values = {
        name: {task: seed_values(gathered.frame, name, task, data.measure, data.phase, "final") for task in data.tasks}
        for name in data.algorithms
    }
    styles = appearances(data.algorithms)
    table = summarised(values, check)
    counts = [len(found) for of in values.values() for found in of.values()]
    phase = "training" if data.phase == "train" else "evaluation"
    final = f"final {measure_name(data.measure)} of {phase} episodes"
    shown = (
        f"{drawing.caption.rstrip('.')}. Large: mean over {len(data.tasks)} tasks of the {final}, "
        f"{seeds_phrase(counts, drawing.seeds_wanted)}, with its 95 % Welch-Satterthwaite interval; small: the mean on "
        f"each task. An algorithm without a large mark lacks a task."
    )
    legend: list[tuple[Any, str]] = [(mark(5.0), "mean over tasks"), (mark(2.2), "a task")]
    if check["digitised"]:
        legend.append((Line2D([], [], color="#BFBFBF", linewidth=0, marker="D", markersize=6), "digitised"))
    height = ROW * len(data.algorithms)
    notes = common_notes(drawing, check, shown) + background_notes(drawing, check)
    paper = sheet(drawing, gathered, notes, TOP + height + AXIS, legend)
    panel = paper.place(LEFT, TOP, drawing.look.width - LEFT - 0.2, height)
    for row, name in enumerate(data.algorithms):
        one(panel, row, table[table["algorithm"] == name], styles[name])
    panel.set_yticks(range(len(data.algorithms)), [drawing.label(name) for name in data.algorithms])
    panel.set_ylim(len(data.algorithms) - 0.5, -0.5)
    panel.set_xlim(-0.02, 1.02)
    panel.set_xlabel(final)
    panel.grid(axis="x", color="#EAEAEA", linewidth=0.5)
    panel.set_axisbelow(True)
    return paper.figure, table


def mark(size: float) -> Line2D:
    return Line2D([], [], color=GREY, linewidth=0, marker="o", markersize=size)


def summarised(values: Values, check: dict[str, Any]) -> pd.DataFrame:
    """Columns algorithm, task, seeds, mean, low, high, digitised; a mean over tasks only of those who have all."""
    theirs = {one["algorithm"]: one["mean"][-1] for one in check["digitised"] if one["task"] == ALL_TASKS}
    rows = []
    for name, of in values.items():
        samples = {task: Sample.of(found) for task, found in of.items() if len(found)}
        for task, sample in samples.items():
            rows.append({"algorithm": name, "task": task, "seeds": sample.count, "mean": sample.mean})
        whole: dict[str, Any] = {"algorithm": name, "task": ALL_TASKS, "digitised": theirs.get(name, np.nan)}
        if len(samples) == len(of):
            mean = combination(list(samples.values()), [1 / len(samples)] * len(samples))
            whole |= {"mean": mean.value, "low": mean.low, "high": mean.high}
        rows.append(whole)
    return pd.DataFrame(rows, columns=["algorithm", "task", "seeds", "mean", "low", "high", "digitised"])


def one(panel: Axes, row: int, table: pd.DataFrame, style: Appearance) -> None:
    whole, tasks = table[table["task"] == ALL_TASKS].iloc[0], table[table["task"] != ALL_TASKS]
    panel.plot(whole["digitised"], row, "D", color=pale(style.colour), markersize=7, zorder=2)
    if tasks.empty:
        panel.text(0.5, row, "not trained", ha="center", va="center", size=7, color=GREY)
    panel.plot(tasks["mean"], np.full(len(tasks), row + 0.22), "o", color=style.colour, markersize=2.2, zorder=3)
    panel.plot([whole["low"], whole["high"]], [row, row], color=style.colour, linewidth=1.3, zorder=3)
    panel.plot(whole["mean"], row, style.marker, color=style.colour, markersize=5, markeredgecolor="white", zorder=4)
