"""The one-step problem of SMAC's Figure 7: actions of every trained policy over its target, and their reverse KL.

A row per algorithm and a column per seed, because which modes a policy finds is a matter of its seed. Judged by
reverse KL, not by the mass on each mode: one broad Gaussian, too, puts a quarter on each of four.
"""

from math import log
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from relatent.figures.drawing import Drawing
from relatent.figures.gather import Gathered
from relatent.figures.page import common_notes, seeds_phrase, sheet
from relatent.figures.style import GREY, Appearance, appearances
from relatent.specs.errors import RelatentError

SHOWN_ACTIONS, SHOWN_SEEDS = 200, 5
LEVELS = {4: 0.0, 3: log(4 / 3), 2: log(2), 1: log(4)}
"""Reverse KL in nats of a policy spread evenly over so many of four separate modes, each as the target has it."""
LABEL, SIDE_PANELS, CELL_GAP = 0.4, 1.86, 0.05
"""Inches: for a row's name, for the right-hand column with its axis, between small panels."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and the gathered numbers that are plotted in it."""
    frame, algorithms = gathered.frame, drawing.data.algorithms
    seeds = sorted(frame["seed"].unique())
    counts = [frame[frame["algorithm"] == name]["seed"].nunique() for name in algorithms]
    columns = min(len(seeds), SHOWN_SEEDS)
    room = drawing.look.width - LABEL - SIDE_PANELS - 0.1
    cell = min(1.2, room / columns - CELL_GAP)
    rows_height = max(len(algorithms) * (cell + CELL_GAP), 2.6)
    shown = (
        f"{drawing.caption.rstrip('.')}. {seeds_phrase(counts, drawing.seeds_wanted)}; {SHOWN_ACTIONS} actions of each "
        f"trained policy over the target's contours. Right: final KL(policy || target) of each seed with two standard "
        f"errors; dashed: its exact value for a policy that covers 1, 2, 3 or 4 of the modes evenly."
    )
    paper = sheet(drawing, gathered, common_notes(drawing, check, shown), 0.2 + rows_height + 0.1)
    styles = appearances(algorithms)
    settings = target_settings(gathered)
    cells_height = len(algorithms) * (cell + CELL_GAP) - CELL_GAP
    for row, name in enumerate(algorithms):
        for column, seed in enumerate(seeds[:columns]):
            x, y = LABEL + column * (cell + CELL_GAP), 0.2 + row * (cell + CELL_GAP)
            panel = paper.place(x, y, cell, cell)
            actions(panel, frame, name, seed, settings, styles[name])
            if row == 0:
                panel.set_title(f"seed {seed}", size=7.5, pad=2.5)
            if column == 0:
                panel.set_ylabel(
                    drawing.label(name).replace(", ", ",\n"), size=7.5, color=styles[name].colour, labelpad=3
                )
    x = drawing.look.width - SIDE_PANELS + 0.36
    wide, target_side = SIDE_PANELS - 0.36 - 0.42, min(1.1, max(cells_height, 2.5) * 0.42)
    target = paper.place(x + (wide - target_side) / 2, 0.2, target_side, target_side)
    contours(target, settings, filled=True)
    target.set_title("target density", size=7.5, pad=2.5)
    top = 0.2 + target_side + 0.28
    below = paper.place(x, top, wide, max(cells_height, 2.5) + 0.2 - top)
    divergences(below, frame, drawing, styles)
    return paper.figure, plotted(frame, algorithms)


def target_settings(gathered: Gathered) -> dict[str, float]:
    """Spacing, width and temperature of the target, from the runs' own specs; they must agree to share a figure."""
    specs = [run["manifest"]["spec"] for run in gathered.runs]
    found = {(spec["env"]["spacing"], spec["env"]["std"], spec["hyper"]["alpha"]) for spec in specs}
    if len(found) > 1:
        raise RelatentError(f"the runs have {len(found)} targets (spacing, std, alpha): {sorted(found)}, expected one")
    ((spacing, std, alpha),) = found
    return {"spacing": spacing, "std": std, "alpha": alpha}


def density(settings: dict[str, float], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """exp(r / alpha), up to its normaliser; r is the log-density of four Gaussians at (+-spacing, +-spacing)."""
    reward = sum(
        np.exp(-0.5 * ((x - a * settings["spacing"]) ** 2 + (y - b * settings["spacing"]) ** 2) / settings["std"] ** 2)
        for a in (-1, 1)
        for b in (-1, 1)
    )
    return np.asarray(reward ** (1 / settings["alpha"]))


def extent(settings: dict[str, float]) -> float:
    return settings["spacing"] + 3.6 * settings["std"] * settings["alpha"] ** 0.5


def contours(panel: Axes, settings: dict[str, float], filled: bool) -> None:
    """The target, as shades or as thin lines at 1, 2 and 3 standard deviations of a mode."""
    reach = extent(settings)
    axis = np.linspace(-reach, reach, 121)
    x, y = np.meshgrid(axis, axis)
    height = density(settings, x, y)
    levels = [float(np.exp(-0.5 * sigma**2)) for sigma in (3.0, 2.0, 1.0)]
    if filled:
        shades = ["#D9D9D9", "#A6A6A6", "#5E5E5E"]
        panel.contourf(x, y, height / height.max(), [*levels, 1.01], colors=shades)
    else:
        panel.contour(x, y, height / height.max(), levels, colors=GREY, linewidths=0.4, alpha=0.7)
    panel.set_xlim(-reach, reach)
    panel.set_ylim(-reach, reach)
    panel.set_xticks([])
    panel.set_yticks([])
    for spine in panel.spines.values():
        spine.set_visible(True)


def actions(
    panel: Axes, frame: pd.DataFrame, algorithm: str, seed: int, settings: dict[str, float], style: Appearance
) -> None:
    """The first actions of one trained policy. Those beyond the panel are counted on it."""
    contours(panel, settings, filled=False)
    points = samples(frame, algorithm, seed)
    if points.empty:
        panel.text(0.5, 0.5, "not trained", transform=panel.transAxes, ha="center", va="center", size=7, color=GREY)
        return
    panel.plot(
        points["samples_0"], points["samples_1"], ".", color=style.colour, markersize=1.9, markeredgewidth=0, alpha=0.8
    )
    outside = int((points.abs().max(axis=1) > extent(settings)).sum())
    if outside:
        panel.text(
            0.97, 0.03, f"{outside} outside", transform=panel.transAxes, ha="right", va="bottom", size=5.5, color=GREY
        )


def samples(frame: pd.DataFrame, algorithm: str, seed: int) -> pd.DataFrame:
    """The actions that are drawn: columns samples_0 and samples_1."""
    chosen = frame[(frame["algorithm"] == algorithm) & (frame["seed"] == seed) & (frame["episode"] < SHOWN_ACTIONS)]
    chosen = chosen[chosen["measure"].isin(["samples_0", "samples_1"])]
    return chosen.pivot(index="episode", columns="measure", values="value")


def finals(frame: pd.DataFrame, algorithm: str) -> pd.DataFrame:
    """Per seed, the last reverse_kl, reverse_kl_lower and reverse_kl_se."""
    chosen = frame[(frame["algorithm"] == algorithm) & frame["measure"].str.startswith("reverse_kl")]
    last = chosen.sort_values("frames").groupby(["seed", "measure"])["value"].last()
    return last.unstack("measure")


def divergences(panel: Axes, frame: pd.DataFrame, drawing: Drawing, styles: dict[str, Appearance]) -> None:
    """Each seed's final reverse KL, beside the values that covered modes imply."""
    top = max(
        1.55, 1.08 * max((finals(frame, name)["reverse_kl"].max() for name in trained(frame, drawing)), default=0.0)
    )
    for modes, level in LEVELS.items():
        panel.axhline(level, color=GREY, linewidth=0.6, dashes=(3, 2), zorder=1)
        panel.text(
            1.02, level, f"{modes} mode{'s' * (modes > 1)}", transform=panel.get_yaxis_transform(), size=6, va="center"
        )
    for position, name in enumerate(drawing.data.algorithms):
        if name not in trained(frame, drawing):
            continue
        table = finals(frame, name)
        x = position + (np.arange(len(table)) - (len(table) - 1) / 2) * min(0.12, 0.6 / len(table))
        panel.errorbar(
            x,
            table["reverse_kl"],
            yerr=2 * table["reverse_kl_se"],
            linestyle="none",
            marker=styles[name].marker,
            markersize=3.4,
            markeredgecolor="white",
            markeredgewidth=0.4,
            color=styles[name].colour,
            elinewidth=0.8,
            zorder=3,
        )
    panel.set_xlim(-0.5, len(drawing.data.algorithms) - 0.5)
    panel.set_ylim(-0.05, top)
    panel.set_xticks([])
    panel.set_ylabel("reverse KL (nats)", labelpad=2)
    panel.yaxis.set_major_locator(MaxNLocator(4))


def trained(frame: pd.DataFrame, drawing: Drawing) -> list[str]:
    return [name for name in drawing.data.algorithms if (frame["algorithm"] == name).any()]


def plotted(frame: pd.DataFrame, algorithms: list[str]) -> pd.DataFrame:
    """Gathered rows of what is drawn: the divergences at the end, and the first actions."""
    last = frame.groupby(["algorithm", "seed", "measure"])["frames"].transform("max")
    divergence = frame["measure"].str.startswith("reverse_kl") & (frame["frames"] == last)
    action = frame["measure"].isin(["samples_0", "samples_1"]) & (frame["episode"] < SHOWN_ACTIONS)
    counted = frame["measure"].isin(["modes_covered", *(f"mass_per_mode_{mode}" for mode in range(4))])
    kept = frame[frame["algorithm"].isin(algorithms) & (divergence | action | counted)]
    return kept[["algorithm", "task", "seed", "measure", "frames", "episode", "value"]].reset_index(drop=True)
