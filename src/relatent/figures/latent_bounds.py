"""ALM's lower bound on random processes: how far below the return it lies, by what, and what makes it tight."""

from string import ascii_uppercase
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from relatent.figures.drawing import Drawing
from relatent.figures.gather import Gathered
from relatent.figures.page import common_notes, seeds_phrase, sheet
from relatent.figures.recorded import Recorded
from relatent.figures.statistics import Array
from relatent.figures.style import BLUE, DASHED, GREY, INK, SOLID, VERMILION, Dash

HEIGHT, TOP, AXIS, LEFT = 1.2, 0.2, 0.42, 0.58
"""Inches: a panel, above a row, below it, before the first column."""
GAP = 0.5
"""Inches between columns."""
WEIGHTS: dict[str, tuple[str, str, Dash]] = {
    "printed": (r"$w_t=\gamma^t$, as the paper prints", VERMILION, DASHED),
    "exact": (r"$w_t=\gamma^{t+1}$, what its proof gives", BLUE, SOLID),
}
STEPS = {
    "step_drawn": "model\nas drawn",
    "step_model": "best\nmodel",
    "step_law": "best\nq(τ|H)",
    "step_optimum": "and best\n$\\gamma$(H)",
}
FLOOR, LEAST = 1e-17, 1e-3
"""Where differences of zero are drawn on a logarithmic axis; the least gap that is shown of bounds."""
SHARES = (0.05, 0.5, 0.95)


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and every point of it."""
    recorded = Recorded.of(gathered.frame, "step_optimum")
    hyper = gathered.runs[0]["manifest"]["spec"]["hyper"]
    count, discounts = gathered.frame["seed"].nunique(), hyper["discounts"]
    letters = ascii_uppercase[: len(discounts)]
    tight, fall, mixed = list(ascii_uppercase)[len(discounts) : len(discounts) + 3]
    shown = (
        f"{drawing.caption.rstrip('.')}. {hyper['processes'] * count:,} processes ({hyper['processes']} for each of "
        f"{seeds_phrase([count], drawing.seeds_wanted)}) of {hyper['states']} states, {hyper['latents']} latents and "
        f"{hyper['actions']} actions, each with every discount; all bounds exact. Lines: medians; bands: 5 to 95 % of "
        f"the processes. {tight}: L with the exact weight and K = 1, all discounts; bars: all processes, thick: 5 to "
        f"95 %, dots: medians; with the best laws of trajectories and of their length H only rounding is left. {fall}: "
        "of each process and discount; above zero, so that no bound rises with K."
    )
    body = 2 * (TOP + HEIGHT + AXIS)
    paper = sheet(drawing, gathered, common_notes(drawing, check, shown), body, legend())
    wide = (drawing.look.width - LEFT - 0.12 - 2 * GAP) / 3
    starts = [LEFT + column * (wide + GAP) for column in range(3)]
    across = (drawing.look.width - LEFT - 0.12 - (len(discounts) - 1) * 0.12) / len(discounts)
    upper = [paper.place(LEFT + column * (across + 0.12), TOP, across, HEIGHT) for column in range(len(discounts))]
    for letter, panel, discount in zip(letters, upper, discounts, strict=True):
        by_length(panel, recorded, discount, letter)
    highest = 2 * max(panel.get_ylim()[1] for panel in upper)
    for panel in upper:
        panel.set_ylim(LEAST, highest)
        panel.tick_params(labelleft=panel is upper[0])
    upper[0].set_ylabel("$J - L^K$ (nats)", labelpad=2)
    lower = [paper.place(x, 2 * TOP + HEIGHT + AXIS, wide, HEIGHT) for x in starts]
    tightening(lower[0], recorded, tight)
    falls(lower[1], recorded, fall)
    mixtures(lower[2], recorded, mixed, hyper["lambdas"], discounts[-1])
    return paper.figure, recorded.table()


def legend() -> list[tuple[Any, str]]:
    lines = [
        (Line2D([], [], color=colour, linestyle=dash, linewidth=1.3), label) for label, colour, dash in WEIGHTS.values()
    ]
    return [*lines, (Patch(facecolor=GREY, alpha=0.25, linewidth=0), "5 to 95 % of the processes")]


def banded(panel: Axes, recorded: Recorded, letter: str, weight: str, x: Array, values: Array) -> None:
    """Median and band over the rows of values (rows, x)."""
    _, colour, dash = WEIGHTS[weight]
    low, middle, high = np.quantile(values, SHARES, axis=0)
    panel.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
    panel.plot(x, low, x, high, color=colour, linestyle=dash, linewidth=0.4)
    panel.plot(x, middle, color=colour, linestyle=dash, marker="o", markersize=2.2, linewidth=1.3)
    recorded.note(letter, weight, x, value=middle, low=low, high=high, least=values.min(0))


def by_length(panel: Axes, recorded: Recorded, discount: float, letter: str) -> None:
    """The gap over K with one discount."""
    chosen = recorded.arrays["discount"] == discount
    for weight in WEIGHTS:
        gaps = recorded.columns(f"gap_{weight}")[chosen]
        banded(panel, recorded, letter, weight, np.arange(gaps.shape[1]), gaps)
    panel.set_yscale("log")
    panel.minorticks_off()
    panel.set_xlabel("model steps K", labelpad=1)
    panel.set_title(rf"({letter}) discount $\gamma={discount:g}$", size=8)


def tightening(panel: Axes, recorded: Recorded, letter: str) -> None:
    """From the drawn model to the optimum."""
    for position, (name, _) in enumerate(STEPS.items()):
        gaps = np.maximum(np.abs(recorded.arrays[name]).ravel(), FLOOR)
        low, middle, high = np.quantile(gaps, SHARES)
        panel.plot([position] * 2, [gaps.min(), gaps.max()], color=BLUE, linewidth=0.8)
        panel.plot([position] * 2, [low, high], color=BLUE, linewidth=4, alpha=0.45, solid_capstyle="butt")
        panel.plot(position, middle, "o", color=INK, markersize=3)
        recorded.note(letter, name, [position], value=[middle], low=[low], high=[high], least=[gaps.min()])
    panel.set_yscale("log")
    panel.set_ylim(FLOOR / 3, 30)
    panel.set_yticks([1e-16, 1e-12, 1e-8, 1e-4, 1])
    panel.minorticks_off()
    panel.set_xlim(-0.5, len(STEPS) - 0.5)
    panel.set_xticks(range(len(STEPS)), list(STEPS.values()), size=6.5, linespacing=0.9)
    panel.set_ylabel("gap to J (nats)", labelpad=2)
    panel.set_title(f"({letter}) what makes it tight", size=8)


def falls(panel: Axes, recorded: Recorded, letter: str) -> None:
    """Shares of the processes by their smallest L^K - L^{K+1}."""
    for weight, (_, colour, dash) in WEIGHTS.items():
        gaps = recorded.columns(f"gap_{weight}")
        smallest = np.sort(np.diff(gaps, axis=-1).min(-1).ravel())
        share = (np.arange(len(smallest)) + 1) / len(smallest)
        panel.plot(smallest, share, color=colour, linestyle=dash, linewidth=1.3)
        kept = np.unique(np.linspace(0, len(smallest) - 1, 101).astype(int))
        recorded.note(letter, weight, smallest[kept], value=share[kept])
    panel.set_xscale("log")
    panel.set_ylim(0, 1)
    panel.minorticks_off()
    panel.set_xlabel("smallest $L^K-L^{K+1}$ (nats)", labelpad=1)
    panel.set_ylabel("share of processes", labelpad=2)
    panel.set_title(f"({letter}) longer is looser", size=8)


def mixtures(panel: Axes, recorded: Recorded, letter: str, lambdas: list[float], discount: float) -> None:
    """The gap of λ-weighted means of all lengths."""
    chosen = recorded.arrays["discount"] == discount
    for weight in WEIGHTS:
        banded(panel, recorded, letter, weight, np.array(lambdas), recorded.columns(f"mixture_{weight}")[chosen])
    length = recorded.columns("gap_exact").shape[-1] - 1
    panel.set_ylim(bottom=0)
    panel.set_xlabel("λ", labelpad=1)
    panel.set_ylabel("gap to J (nats)", labelpad=2)
    panel.set_title(rf"({letter}) means of $L^1..L^{length}$, $\gamma={discount:g}$", size=8)
