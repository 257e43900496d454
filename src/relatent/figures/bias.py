"""How far an agent's own estimate of returns is from what it then gets: ALM's Figures 4 and 8.

A column per task; above the mean over states of the normalised bias, estimate less Monte Carlo return, below its
standard deviation over states, which matters for choosing actions.
"""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from relatent.figures.drawing import Drawing, task_title
from relatent.figures.gather import Gathered
from relatent.figures.learning_curve import AXIS, GAP, TITLE, curve_handle, draw_curve, drawn_band, spread
from relatent.figures.page import common_notes, seeds_phrase, sheet
from relatent.figures.series import curves
from relatent.figures.style import GREY, appearances

MEASURES = {"bias_mean": "mean of the bias", "bias_deviation": "sd of the bias"}
"""Rows of panels, with the names of their axes."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and a row a point."""
    names, tasks, look = drawing.data.algorithms, drawing.data.tasks, drawing.look
    styles = appearances(names)
    found = {
        (measure, task, name): curves(gathered.frame, name, task, measure, "probe")
        for measure in MEASURES
        for task in tasks
        for name in names
    }
    counts = [len(curve.seeds) if curve else 0 for curve in found.values()]
    shown = (
        f"{drawing.caption.rstrip('.')}. Above: the estimate less the Monte Carlo return, over that return's size (at "
        f"least 10), mean over states; below: its standard deviation over states. Thick lines: mean over "
        f"{seeds_phrase(counts, drawing.seeds_wanted)}{spread(counts, drawing.data.measure)}"
    )
    legend: list[tuple[Any, str]] = [(curve_handle(styles[name]), drawing.label(name)) for name in names]
    rows = len(MEASURES)
    body = TITLE + rows * look.panel_height + (rows - 1) * GAP[1] + AXIS
    paper = sheet(drawing, gathered, common_notes(drawing, check, shown), body, legend)
    panels = paper.grid(rows * len(tasks), len(tasks), look.panel_height, (0.45, GAP[1]), left=0.56, top=TITLE)
    cells = [(measure, task) for measure in MEASURES for task in tasks]
    for index, ((measure, task), panel) in enumerate(zip(cells, panels, strict=True)):
        for order, name in enumerate(names):
            curve = found[measure, task, name]
            if curve is not None:
                draw_curve(panel, curve, styles[name], order, len(names), measure)
        if not any(found[measure, task, name] for name in names):
            panel.text(0.5, 0.5, "not trained", transform=panel.transAxes, ha="center", va="center", color=GREY)
        panel.axhline(0, color=GREY, linewidth=0.6, zorder=1.5)
        panel.set_xlim(left=0)
        panel.grid(axis="y", color="#EAEAEA", linewidth=0.5)
        panel.set_axisbelow(True)
        if index < len(tasks):
            panel.set_title(task_title(task))
        else:
            panel.set_xlabel(f"{drawing.x_label} (thousands)", size=7.5)
        if index % len(tasks) == 0:
            panel.set_ylabel(MEASURES[measure])
    return paper.figure, plotted(found)


def plotted(found: dict[tuple[str, str, str], Any]) -> pd.DataFrame:
    """Mean, the band as it is drawn, number of seeds, and each seed's value."""
    tables = []
    for (measure, task, name), curve in found.items():
        if curve is None:
            continue
        band, mean, low, high = drawn_band(curve)
        table = pd.DataFrame({"task": task, "algorithm": name, "measure": measure, "frames": curve.frames.astype(int)})
        table = table.assign(band=band, seeds=len(curve.seeds), mean=mean, low=low, high=high)
        tables.append(table.assign(**{f"seed_{seed}": curve.values[row] for row, seed in enumerate(curve.seeds)}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
