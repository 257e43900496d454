"""The agent's own entropy estimate beside the truth, over frames: SMAC's Figure 3.

The truth is costly: it is the marginal entropy from very many latents, once with the latent that made the action (never
above the entropy, in expectation) and once without it (never below). Where the two agree, they enclose the truth.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from relatent.figures.drawing import Drawing
from relatent.figures.gather import Gathered
from relatent.figures.learning_curve import AXIS, GAP, THOUSAND, TITLE
from relatent.figures.page import common_notes, seeds_phrase, sheet
from relatent.figures.series import Curves, curves
from relatent.figures.style import GREY, LIGHT, appearances

ESTIMATE, LOWER, UPPER = "marginal_entropy_estimate", "marginal_entropy_lower", "marginal_entropy_upper"
HEIGHT = 1.75
"""Inches of a panel."""
LINEAR = 10.0
"""Nats up to which the axis is linear; logarithmic beyond, because naive estimates reach 1e18."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and the table of all that is plotted in it. A panel per algorithm, one common axis."""
    (task,) = drawing.data.tasks
    found = {
        name: {measure: curves(gathered.frame, name, task, measure, "probe") for measure in (ESTIMATE, LOWER, UPPER)}
        for name in drawing.data.algorithms
    }
    styles = appearances(drawing.data.algorithms)
    counts = [len(estimate.seeds) if estimate else 0 for estimate in (of[ESTIMATE] for of in found.values())]
    shown = (
        f"{drawing.caption.rstrip('.')}. {seeds_phrase(counts, drawing.seeds_wanted)}; thick: median over seeds, "
        f"thin: each seed; grey: the truth lies between the lower and the upper Monte Carlo bound (least and greatest "
        f"over seeds). The axis is linear up to {LINEAR:g} nats and logarithmic beyond."
    )
    legend: list[tuple[Any, str]] = [
        (Line2D([], [], color=GREY, linewidth=1.3), "estimate that the agent trains with"),
        (Patch(facecolor=LIGHT, edgecolor=GREY, linewidth=0.5), "true marginal entropy, lower to upper bound"),
    ]
    columns = min(drawing.look.columns, len(found))
    rows = -(-len(found) // columns)
    body = TITLE + rows * HEIGHT + (rows - 1) * GAP[1] + AXIS
    paper = sheet(drawing, gathered, common_notes(drawing, check, shown), body, legend)
    low, high = limits(found)
    panels = paper.grid(len(found), columns, HEIGHT, GAP, left=0.56, top=TITLE)
    for index, (panel, (name, of)) in enumerate(zip(panels, found.items(), strict=True)):
        panel.set_title(drawing.label(name))
        panel.set_yscale("symlog", linthresh=LINEAR, linscale=linear_share(high))
        panel.set_ylim(low, high)
        panel.set_yticks(ticks(low, high))
        panel.yaxis.set_major_formatter(
            lambda value, _: f"{value:g}" if value <= LINEAR else f"$10^{{{np.log10(value):.0f}}}$"
        )
        panel.minorticks_off()
        panel.set_xlabel("environment frames (thousands)")
        panel.grid(axis="y", color="#EAEAEA", linewidth=0.5)
        panel.axhline(0, color=GREY, linewidth=0.5)
        estimate, lower, upper = of[ESTIMATE], of[LOWER], of[UPPER]
        if estimate is None or lower is None or upper is None:
            panel.text(0.5, 0.5, "not trained", transform=panel.transAxes, ha="center", va="center", color=GREY)
            continue
        bottom, top = lower.values.min(axis=0), upper.values.max(axis=0)
        panel.fill_between(lower.frames / THOUSAND, bottom, top, color=LIGHT, linewidth=0.6, edgecolor=GREY, zorder=2)
        panel.plot(estimate.frames / THOUSAND, estimate.values.T, color=styles[name].colour, linewidth=0.4, alpha=0.6)
        middle = np.median(estimate.values, axis=0)
        panel.plot(estimate.frames / THOUSAND, middle, color=styles[name].colour, linestyle=styles[name].dash, zorder=4)
        panel.set_xlim(left=0)
        if index % columns == 0:
            panel.set_ylabel("marginal entropy (nats)")
    return paper.figure, plotted(task, found)


def limits(found: dict[str, dict[str, Curves | None]]) -> tuple[float, float]:
    """Common limits of all panels, with room above and below."""
    values = [curve.values.ravel() for of in found.values() for curve in of.values() if curve is not None]
    finite = np.concatenate([np.zeros(1), *values])
    low, high = float(np.nanmin(finite)), float(np.nanmax(finite[np.isfinite(finite)]))
    return min(-1.0, 1.3 * low), max(3.0, 1.3 * high if high < LINEAR else 10 * high)


def linear_share(high: float) -> float:
    """Decades' worth of height that the linear part has: about a third of the axis, whatever the largest value."""
    return max(1.0, 0.5 * np.log10(max(high, LINEAR) / LINEAR))


def ticks(low: float, high: float) -> list[float]:
    """Every five nats in the linear part; beyond it four powers of ten."""
    chosen = list(np.arange(5 * np.ceil(max(low, -LINEAR) / 5), min(high, LINEAR) + 1e-9, 5.0 if high > 4 else 1.0))
    top = int(np.floor(np.log10(max(high, LINEAR))))
    return [tick + 0.0 for tick in chosen] + [10.0**power for power in range(top, 2, -max(1, round((top - 1) / 4)))]


def plotted(task: str, found: dict[str, dict[str, Curves | None]]) -> pd.DataFrame:
    """A row for each algorithm, seed and frame."""
    tables = []
    for name, of in found.items():
        for measure, curve in of.items():
            if curve is not None:
                table = pd.DataFrame(curve.values.T, columns=curve.seeds, index=curve.frames.astype(int))
                tidy = table.rename_axis("frames").reset_index().melt(id_vars="frames", var_name="seed")
                tables.append(tidy.assign(algorithm=name, task=task, measure=measure))
    if not tables:
        return pd.DataFrame()
    wide = pd.concat(tables).pivot(index=["task", "algorithm", "seed", "frames"], columns="measure", values="value")
    return wide.rename_axis(columns=None).reset_index()
