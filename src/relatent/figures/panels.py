"""What the runs measured, in panels that the paper's YAML declares: a line per algorithm and measure.

Across a panel lie the entries of another measure, the frames of training, or the algorithms themselves. Lines are means
over seeds, with a band or bar of 95 %. Where a panel has one measure, dash and marker say which algorithm; where it has
several, they say which measure.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from relatent.figures.derived import PACE, with_derived
from relatent.figures.drawing import Drawing
from relatent.figures.gather import Gathered
from relatent.figures.hardware import hardware
from relatent.figures.learning_curve import TITLE, curve_handle
from relatent.figures.page import Note, common_notes, seeds_phrase, sheet
from relatent.figures.series import curves, select
from relatent.figures.statistics import Array, mean_band
from relatent.figures.style import (
    BLACK,
    BLUE,
    DASH_DOT,
    DASHED,
    DOTTED,
    GREEN,
    GREY,
    LONG,
    ORANGE,
    PURPLE,
    SOLID,
    VERMILION,
    Appearance,
    appearances,
)
from relatent.specs.errors import RelatentError
from relatent.specs.figure import Panel

LEFT, AXIS, GAP = 0.55, 0.4, (0.6, 0.62)
"""Inches: before the first panel, below the last, and between columns and rows, where axes are named."""
FRAMES, ALGORITHMS = "frames", "algorithms"
"""What may lie across a panel beside a measure."""
APART, NAMED = 0.14, 3
"""Between the measures of an algorithm, where 1 is between algorithms; so many algorithms are named below a panel, of
more the legend above says which is which."""
MEASURES = [
    Appearance(BLUE, SOLID, "o"),
    Appearance(VERMILION, DASHED, "s"),
    Appearance(GREEN, DASH_DOT, "^"),
    Appearance(PURPLE, DOTTED, "D"),
    Appearance(ORANGE, LONG, "v"),
    Appearance(BLACK, SOLID, "P"),
]
"""Looks of measures: all of them where a panel has one algorithm, dash and marker where it has several."""


class Line(NamedTuple):
    """Of an algorithm and measure: x (n,), and values (seeds, n)."""

    algorithm: str
    measure: str
    x: Array
    values: Array
    seeds: list[int]


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and a row a point."""
    names, look = drawing.data.algorithms, drawing.look
    frame = with_derived(gathered, drawing)
    found = {panel.title: lines(frame, drawing, panel) for panel in drawing.panels}
    counts = [len(line.seeds) for of in found.values() for line in of]
    shown = (
        f"{drawing.caption.rstrip('.')}. Means over {seeds_phrase(counts, drawing.seeds_wanted)}; bands and bars: 95 % "
        "Student-t intervals of the means."
    )
    styles = appearances(names)
    legend = [(curve_handle(styles[name]), drawing.label(name)) for name in names] if len(names) > 1 else []
    columns = min(look.columns, len(drawing.panels))
    rows = -(-len(drawing.panels) // columns)
    body = TITLE + rows * look.panel_height + (rows - 1) * GAP[1] + AXIS
    notes = common_notes(drawing, check, shown)
    if any(measure in PACE for panel in drawing.panels for measure in panel.y):
        notes.append(Note("Hardware", hardware(gathered, drawing)))
    paper = sheet(drawing, gathered, notes, body, legend)
    places = paper.grid(len(drawing.panels), columns, look.panel_height, GAP, left=LEFT, top=TITLE)
    for place, panel in zip(places, drawing.panels, strict=True):
        draw_panel(place, drawing, panel, found[panel.title], styles)
    return paper.figure, plotted(found)


def lines(frame: pd.DataFrame, drawing: Drawing, panel: Panel) -> list[Line]:
    """All of a panel; raises RelatentError where nothing of a measure was recorded."""
    task = panel.task or drawing.data.tasks[0]
    found = []
    for algorithm in panel.algorithms or drawing.data.algorithms:
        if not (frame["algorithm"] == algorithm).any():
            continue
        for measure in panel.y:
            if panel.x == FRAMES:
                curve = curves(frame, algorithm, task, measure, drawing.data.phase)
                if curve is None:
                    raise missing(drawing, panel, algorithm, measure)
                found.append(Line(algorithm, measure, curve.frames, curve.values, curve.seeds))
                continue
            values = last_values(frame, drawing, panel, algorithm, measure)
            if panel.x == ALGORITHMS:
                x = np.array([float((panel.algorithms or drawing.data.algorithms).index(algorithm))])
                values = values.mean(axis=1).to_frame()
            elif panel.x is None:
                x = np.arange(values.shape[1], dtype=float)
            else:
                x = last_values(frame, drawing, panel, algorithm, panel.x).to_numpy(float).mean(axis=0)
            if len(x) != values.shape[1]:
                raise RelatentError(
                    f"{drawing.figure}: panel {panel.title!r}: {measure} has {values.shape[1]} entries, "
                    f"expected {len(x)}, as many as {panel.x} has"
                )
            found.append(Line(algorithm, measure, x, values.to_numpy(float), [int(seed) for seed in values.index]))
    return found


def last_values(frame: pd.DataFrame, drawing: Drawing, panel: Panel, algorithm: str, measure: str) -> pd.DataFrame:
    """A measure's entries at the last frame, a row a seed."""
    rows = select(frame, algorithm, panel.task or drawing.data.tasks[0], measure, drawing.data.phase)
    if rows.empty:
        raise missing(drawing, panel, algorithm, measure)
    rows = rows[rows["frames"] == rows.groupby("seed")["frames"].transform("max")]
    return rows.pivot(index="seed", columns="episode", values="value")


def missing(drawing: Drawing, panel: Panel, algorithm: str, measure: str) -> RelatentError:
    return RelatentError(
        f"{drawing.figure}: panel {panel.title!r}: the runs of {algorithm} recorded no {measure}; "
        "is it misspelt, or were they made by an older revision?"
    )


def draw_panel(place: Axes, drawing: Drawing, panel: Panel, found: list[Line], styles: dict[str, Appearance]) -> None:
    """Lines, their axes, and a legend of measures where there are several."""
    looks = dict(zip(panel.y, MEASURES, strict=False)) if len(panel.y) > 1 else {}
    several = len({line.algorithm for line in found}) > 1
    for line in found:
        style = looks[line.measure] if looks else styles[line.algorithm]
        colour = styles[line.algorithm].colour if several else style.colour
        draw_line(place, panel, line, Appearance(colour, style.dash, style.marker))
    if panel.level is not None:
        place.axhline(panel.level, color=GREY, linewidth=0.7, linestyle=":", zorder=1)
    place.set_xscale(panel.x_scale)
    place.set_yscale(panel.y_scale)
    if panel.x_scale == "symlog" and min(line.x.min() for line in found) >= 0:
        place.set_xlim(left=-0.2)  # not as far as to minus the largest
    place.minorticks_off()
    if panel.x == ALGORITHMS:
        names = panel.algorithms or drawing.data.algorithms
        told = [drawing.label(name) for name in names] if len(names) <= NAMED else [""] * len(names)
        place.set_xticks(range(len(names)), told, size=6.0)
        place.set_xlim(-0.6, len(names) - 0.4)
    place.set_title(panel.title, size=8)
    place.set_xlabel(panel.x_label, labelpad=1, size=7.5)
    place.set_ylabel(panel.y_label, labelpad=2, size=7.5)
    place.grid(axis="y", color="#EAEAEA", linewidth=0.5)
    place.set_axisbelow(True)
    if looks:
        handles = [
            Line2D(
                [], [], color=GREY if several else look.colour, linestyle=look.dash, marker=look.marker, markersize=3
            )
            for look in looks.values()
        ]
        place.legend(handles, list(panel.y.values()), fontsize=6.0, frameon=False, handlelength=2.4, labelspacing=0.25)


def draw_line(place: Axes, panel: Panel, line: Line, style: Appearance) -> None:
    """A curve with its band; of a single point, a mark with its bar, an algorithm's measures side by side."""
    mean, low, high = mean_band(line.values)
    if len(line.x) == 1:
        aside = list(panel.y).index(line.measure) - (len(panel.y) - 1) / 2
        at = line.x + (APART * aside if panel.x == ALGORITHMS else 0.0)
        place.plot([at[0]] * 2, [low[0], high[0]], color=style.colour, linewidth=1.4)
        place.plot(at, mean, style.marker, color=style.colour, markersize=4.5, mec="white", mew=0.4)
        return
    place.fill_between(line.x, low, high, color=style.colour, alpha=0.15, linewidth=0)
    every = max(1, len(line.x) // 6)
    look: dict[str, Any] = {"markersize": 3.2, "mec": "white", "mew": 0.4, "markevery": every, "linewidth": 1.2}
    place.plot(line.x, mean, color=style.colour, linestyle=style.dash, marker=style.marker, **look)


def plotted(found: dict[str, list[Line]]) -> pd.DataFrame:
    """Mean, interval, number of seeds, and each seed's value."""
    tables = []
    for title, of in found.items():
        for line in of:
            mean, low, high = mean_band(line.values)
            table = pd.DataFrame({"panel": title, "algorithm": line.algorithm, "measure": line.measure, "x": line.x})
            table = table.assign(seeds=len(line.seeds), mean=mean, low=low, high=high)
            tables.append(table.assign(**{f"seed_{seed}": line.values[row] for row, seed in enumerate(line.seeds)}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
