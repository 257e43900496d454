"""ALM's Figure 6, rewards and the logarithm of shifted rewards, and what is left out of it: where the two part."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relatent.figures.drawing import Drawing
from relatent.figures.gather import Gathered
from relatent.figures.page import common_notes, sheet
from relatent.figures.recorded import Recorded
from relatent.figures.style import BLUE, DASH_DOT, DASHED, DOTTED, GREY, INK, LONG, SOLID, VERMILION, Dash
from relatent.specs.errors import RelatentError
from relatent.studies.log_rewards import EXAMPLES

HEIGHT, TOP, AXIS, LEFT, GAP = 1.45, 0.2, 0.42, 0.5, 0.55
"""Inches: a panel, above it, below it, before the first column, between columns."""
DASHES: list[Dash] = [DOTTED, DASH_DOT, DASHED, LONG]
"""Of the other shifts, in the order of the study."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and every point of it. Raises RelatentError where there are more shifts than kinds of lines."""
    recorded = Recorded.of(gathered.frame, "second_order_error")
    hyper = gathered.runs[0]["manifest"]["spec"]["hyper"]
    shift, others = hyper["shift"], hyper["other_shifts"]
    if len(others) > len(DASHES):
        raise RelatentError(f"log_rewards: {len(others)} other shifts, expected at most {len(DASHES)}")
    examples = ", ".join(
        f"y({at:,g}) = {at - missing:,.6g}" for at, missing in zip(EXAMPLES, recorded.first("difference"), strict=True)
    )
    shown = (
        f"{drawing.caption.rstrip('.')}. A: the paper's figure, a = {shift:,g}, |r| <= {hyper['largest']:g}; "
        f"{examples}. B: the share of a reward, or of a sum of rewards, that y lacks; grey: r/(2a), its first order at "
        f"a = {shift:,g}. C: the slope a / (r + a) of y, what a little more reward is worth; grey: of log r. "
        "Computed exactly, without seeds."
    )
    paper = sheet(drawing, gathered, common_notes(drawing, check, shown), TOP + HEIGHT + AXIS)
    panels = paper.grid(3, 3, HEIGHT, (GAP, 0), left=LEFT, top=TOP)
    identity(panels[0], recorded, shift)
    shifts = [*((one, INK, dash) for one, dash in zip(others, DASHES, strict=False)), (shift, VERMILION, SOLID)]
    for panel, letter, name in ((panels[1], "B", "relative_difference"), (panels[2], "C", "slope")):
        magnitude, values = recorded.first("magnitude"), recorded.columns(name)[0]
        for (one, colour, dash), column in zip(shifts, values.T, strict=True):
            panel.plot(magnitude, column, color=colour, linestyle=dash, linewidth=1.2, label=f"a = {one:,g}")
            recorded.note(letter, f"{name}, a = {one:g}", magnitude, value=column)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xlim(magnitude[0], magnitude[-1])
        panel.minorticks_off()
        panel.set_xlabel("r", labelpad=1)
    relative(panels[1], recorded, shift)
    slopes(panels[2], recorded)
    return paper.figure, recorded.table()


def identity(panel: Axes, recorded: Recorded, shift: float) -> None:
    """The paper's two curves."""
    reward, transformed = recorded.first("reward"), recorded.first("transformed")
    panel.plot(reward, reward, color=BLUE, linewidth=2.6, alpha=0.45, label="y = r")
    panel.plot(
        reward, transformed, color=VERMILION, linestyle=DASHED, linewidth=1.1, label="y = a (log(r + a) - log a)"
    )
    recorded.note("A", "y = r", reward, value=reward)
    recorded.note("A", f"y = a (log(r + a) - log a), a = {shift:g}", reward, value=transformed)
    panel.set_xlabel("r", labelpad=1)
    panel.set_ylabel("y", labelpad=1)
    panel.set_title(f"(A) a = {shift:,g}", size=8)
    panel.legend(fontsize=6.5, frameon=False, loc="upper left", handlelength=2.2, labelspacing=0.2, borderpad=0)


def relative(panel: Axes, recorded: Recorded, shift: float) -> None:
    """With its first order, and the rewards that the text names."""
    magnitude = recorded.first("magnitude")
    first = magnitude / (2 * shift)
    panel.plot(magnitude, first, color=GREY, linewidth=3, alpha=0.35, zorder=1)
    recorded.note("B", f"r / (2a), a = {shift:g}", magnitude, value=first)
    for at, missing in zip(EXAMPLES, recorded.first("difference"), strict=True):
        panel.plot(at, missing / at, "o", color=VERMILION, markersize=3)
        panel.text(at * 1.25, missing / at / 1.6, f"{100 * missing / at:.2g} %", size=6.5, va="center")
        recorded.note("B", "example", [at], value=[missing / at])
    panel.set_ylim(2e-6, 1.5)
    panel.set_ylabel("(r - y) / r", labelpad=1)
    panel.set_title("(B) what y lacks", size=8)


def slopes(panel: Axes, recorded: Recorded) -> None:
    """With that of a logarithm without shift."""
    magnitude = recorded.first("magnitude")
    bare = 1 / magnitude
    panel.plot(magnitude, bare, color=GREY, linewidth=2, alpha=0.6, label="log r")
    recorded.note("C", "slope of log r", magnitude, value=bare)
    panel.set_ylim(1e-3, 3)
    panel.set_ylabel("dy / dr", labelpad=1)
    panel.set_title("(C) what more reward is worth", size=8)
    panel.legend(fontsize=6.5, frameon=False, loc="lower left", handlelength=2.4, labelspacing=0.15, borderpad=0)
    panel.set_xticks(np.logspace(0, 4, 3))
