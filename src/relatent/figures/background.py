"""What stands behind curves of ours: the paper's own, digitised or released, and policies that learn nothing.

A policy that keeps a random direction for ten steps explores as much of the maze as the paper's agents without a latent
variable do, so that a coverage says little without it.
"""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from relatent.envs.maze import random_walk
from relatent.figures.drawing import Drawing
from relatent.figures.page import Note
from relatent.figures.series import Curves
from relatent.figures.statistics import Array
from relatent.figures.style import DASH_DOT, DOTTED, GREY, Appearance, Dash

COVERAGE = "coverage_share"
"""The measure that has controls."""
SEEDS, POINTS = 3, 200
"""Of a control; points at most."""
CONTROLS: dict[str, tuple[str, Dash]] = {
    "uniform": ("random actions", DOTTED),
    "every_10": ("random, 10 steps a direction", DASH_DOT),
}
PALE = 0.62
"""Share of white in a digitised curve's colour."""
SPARSE = 20
"""Points of a digitised curve up to which each is marked."""
BEYOND = 1.03
"""A panel's last frame over our curves', but for bars at its right."""
THOUSAND = 1000.0


@cache
def controls(frames: int) -> dict[str, Curves]:
    """The coverage of each control over so many frames, by its name."""
    shown = np.unique(np.linspace(1, frames, POINTS).astype(int))
    seeds = list(range(SEEDS))
    walks = {name: np.stack([random_walk(name, frames, seed) for seed in seeds]) for name in CONTROLS}
    return {name: Curves(seeds, shown.astype(float), walk[:, shown - 1]) for name, walk in walks.items()}


def draw_background(
    panel: Axes, drawing: Drawing, check: dict[str, Any], task: str, last: float | None, styles: dict[str, Appearance]
) -> None:
    """`last`: the frame at which our curves end; None where there is none of ours."""
    curves = [curve for curve in check["digitised"] if curve["task"] == task and curve["algorithm"] in styles]
    end = BEYOND * last if last else np.inf
    for curve in curves:
        style, points = styles[curve["algorithm"]], sum(frame <= end for frame in curve["frames"])
        frames, mean = shown_part(curve, "mean", end)
        marker = style.marker if len(curve["frames"]) <= SPARSE else None
        look: dict[str, Any] = {"color": pale(style.colour), "linewidth": 2.0, "solid_capstyle": "round"}
        look |= {"marker": marker, "markersize": 4.5, "markeredgewidth": 0, "markevery": slice(points)}
        panel.plot(frames / THOUSAND, mean, zorder=1.6, **look)
        if "std" in curve:
            spread, colour = shown_part(curve, "std", end)[1], pale(style.colour)
            band = frames / THOUSAND, mean - spread, mean + spread
            panel.fill_between(*band, color=colour, alpha=0.25, linewidth=0, zorder=1.5)
    if drawing.data.measure == COVERAGE and last:
        for name, control in controls(int(last)).items():
            look = {"color": GREY, "linewidth": 1.0, "linestyle": CONTROLS[name][1]}
            panel.plot(control.frames / THOUSAND, control.values.mean(axis=0), zorder=1.8, **look)


def shown_part(curve: dict[str, Any], column: str, end: float) -> tuple[Array, Array]:
    """Frames and values of a curve up to `end`, so that what lies outside of the panel sets no limits."""
    frames, values = np.array(curve["frames"], float), np.array(curve[column], float)
    kept = frames <= end
    if kept.all() or not kept.any():
        return frames[kept], values[kept]
    return np.append(frames[kept], end), np.append(values[kept], np.interp(end, frames, values))


def released(drawing: Drawing) -> bool:
    """Whether the curves behind ours are numbers that their authors gave."""
    return drawing.reference is not None and drawing.reference.released


def pale(colour: str) -> tuple[float, float, float]:
    red, green, blue = (PALE + (1 - PALE) * part for part in to_rgb(colour))
    return red, green, blue


def background_legend(drawing: Drawing, check: dict[str, Any]) -> list[tuple[Any, str]]:
    found: list[tuple[Any, str]] = []
    if check["digitised"]:
        said = "released, mean ± 1 sd" if released(drawing) else "digitised from the paper"
        found.append((Line2D([], [], color="#BFBFBF", linewidth=2.4), f"pale: {said}"))
    if drawing.data.measure == COVERAGE:
        found += [
            (Line2D([], [], color=GREY, linewidth=1.0, linestyle=dash), label) for label, dash in CONTROLS.values()
        ]
    return found


def background_notes(drawing: Drawing, check: dict[str, Any]) -> list[Note]:
    """Where the curves behind ours come from."""
    notes = []
    if check["digitised"] and drawing.reference:
        sources = ", ".join(sorted({curve["source"] for curve in check["digitised"]}))
        said = "" if released(drawing) else " of the paper, read off the picture"
        name = "Released" if released(drawing) else "Digitised"
        notes.append(Note(name, f"{sources}{said}. {drawing.reference.note}".strip()))
    if drawing.data.measure == COVERAGE:
        notes.append(Note("Controls", f"grey: policies that learn nothing, mean over {SEEDS} seeds."))
    return notes


def background_points(drawing: Drawing, check: dict[str, Any], lasts: dict[str, float | None]) -> list[pd.DataFrame]:
    """All that `draw_background` draws, and what lies beyond the panel, as rows of the figure's CSV.

    `lasts`: our last frame on each task.
    """
    tables = []
    for curve in check["digitised"]:
        points = {"frames": np.array(curve["frames"], dtype=int), "mean": curve["mean"]}
        if "std" in curve:
            mean, spread = np.array(curve["mean"]), np.array(curve["std"])
            points |= {"low": mean - spread, "high": mean + spread}
        how = "released" if released(drawing) else "digitised"
        about = {"task": curve["task"], "algorithm": curve["algorithm"], "band": f"{how}: {curve['source']}"}
        tables.append(pd.DataFrame({**about, **points}))
    if drawing.data.measure == COVERAGE:
        for task, last in lasts.items():
            for name, control in controls(int(last)).items() if last else ():
                points = {"frames": control.frames.astype(int), "mean": control.values.mean(axis=0)}
                each = {f"seed_{seed}": control.values[row] for row, seed in enumerate(control.seeds)}
                about = {"task": task, "algorithm": f"random_{name}", "band": "control", "seeds": SEEDS}
                tables.append(pd.DataFrame({**about, **points, **each}))
    return tables
