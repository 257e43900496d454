"""Return over environment frames: a panel per task, a line per algorithm, as the paper draws its Figures 4 to 11."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from relatent.figures.drawing import Drawing, task_title
from relatent.figures.gather import Gathered
from relatent.figures.page import Note, common_notes, seeds_phrase, sheet
from relatent.figures.series import Curves, curves
from relatent.figures.statistics import Array, mean_band
from relatent.figures.style import GREY, Appearance, appearances

FEW = 3
"""With so few seeds, each seed's own line is drawn too."""
TITLE, AXIS = 0.2, 0.42
"""Inches above and below the panels, for titles and for the axes' names."""
GAP = (0.3, 0.5)
"""Inches between columns, and between rows of panels."""
THOUSAND = 1000.0
Found = dict[tuple[str, str], Curves | None]


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and the table of all that is plotted in it."""
    data, look = drawing.data, drawing.look
    found = {
        (algorithm, task): curves(gathered.frame, algorithm, task, data.measure, data.phase)
        for task in data.tasks
        for algorithm in data.algorithms
    }
    styles, marks = appearances(data.algorithms), reference_marks(check)
    handles: list[tuple[Any, str]] = [(curve_handle(styles[name]), drawing.label(name)) for name in data.algorithms]
    if marks:
        of = ", ".join(sorted({drawing.label(mark["algorithm"]) for mark in marks}))
        handles.append((mark_handle(), f"{of}, public runs: mean ± 2 sd"))
    notes = [*common_notes(drawing, check, shown(drawing, found)), *aggregate_note(drawing, check)]
    notes += reference_notes(check)
    columns = min(look.columns, len(data.tasks))
    rows = -(-len(data.tasks) // columns)
    body = TITLE + rows * look.panel_height + (rows - 1) * GAP[1] + AXIS
    paper = sheet(drawing, gathered, notes, body, handles)
    panels = paper.grid(len(data.tasks), columns, look.panel_height, GAP, left=0.5, top=TITLE)
    for index, (task, panel) in enumerate(zip(data.tasks, panels, strict=True)):
        panel.set_title(task_title(task))
        for order, name in enumerate(data.algorithms):
            curve = found[name, task]
            if curve is not None:
                draw_curve(panel, curve, styles[name], order, len(data.algorithms))
        draw_marks(panel, [mark for mark in marks if mark["task"] == task], styles)
        if all(found[name, task] is None for name in data.algorithms):
            panel.text(0.5, 0.5, "not trained", transform=panel.transAxes, ha="center", va="center", color=GREY)
        finish(panel, drawing, bottom=index + columns >= len(data.tasks), first=index % columns == 0)
    return paper.figure, plotted(found)


def draw_curve(panel: Axes, curve: Curves, style: Appearance, order: int, count: int) -> None:
    """Mean and band over seeds, and each seed thinly where they are few; the `order`th of `count` curves."""
    thousands, (_, mean, low, high) = curve.frames / THOUSAND, drawn_band(curve)
    panel.fill_between(
        thousands, low, high, color=style.colour, alpha=0.17 if count <= 4 else 0.1, linewidth=0, zorder=2
    )
    if 1 < len(curve.seeds) <= FEW:
        panel.plot(thousands, curve.values.T, color=style.colour, linewidth=0.4, alpha=0.55, zorder=3)
    every = max(1, len(mean) // 5)
    panel.plot(
        thousands,
        mean,
        color=style.colour,
        linestyle=style.dash,
        marker=style.marker,
        markevery=(int(order / count * every) % len(mean), every),
        markersize=3.2,
        markeredgecolor="white",
        markeredgewidth=0.4,
        zorder=4,
    )


def drawn_band(curve: Curves) -> tuple[str, Array, Array, Array]:
    """Which band is drawn (`t95`, `range` of two seeds, none of one), the mean, and the band's lower and upper end.

    Of two seeds, Student's t has one degree of freedom: its interval would be 9 times the range and fill every panel.
    """
    mean, low, high = mean_band(curve.values)
    if len(curve.seeds) == 2:
        return "range", mean, curve.values.min(axis=0), curve.values.max(axis=0)
    return "t95" if len(curve.seeds) > 2 else "", mean, low, high


def finish(panel: Axes, drawing: Drawing, bottom: bool, first: bool) -> None:
    """Limits, ticks and the axes' names, which only the outer panels carry."""
    measure = drawing.data.measure
    if measure == "success":
        panel.set_ylim(-0.02, 1.02)
    elif drawing.look.y_range is not None:
        low, high = drawing.look.y_range
        panel.set_ylim(low, high + 0.02 * (high - low))
        panel.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    panel.set_xlim(left=0)
    panel.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    panel.grid(axis="y", color="#EAEAEA", linewidth=0.5, zorder=1)
    panel.set_axisbelow(True)
    if bottom:
        panel.set_xlabel("environment frames (thousands)", size=7.5)
    if first:
        panel.set_ylabel(
            {"return": "episode return", "success": "success rate"}.get(measure, measure.replace("_", " "))
        )


def curve_handle(style: Appearance) -> Line2D:
    edge: dict[str, Any] = {"markersize": 3.6, "markeredgecolor": "white", "markeredgewidth": 0.4}
    return Line2D([], [], color=style.colour, linestyle=style.dash, marker=style.marker, linewidth=1.3, **edge)


def mark_handle() -> Line2D:
    return Line2D([], [], color=GREY, linestyle="none", marker="D", markersize=3, markerfacecolor="white")


def reference_marks(check: dict[str, Any]) -> list[dict[str, Any]]:
    """Reference numbers that belong to a number of frames which our curves reach."""
    return [row for row in check["reference"] if row["frames"] is not None and row["ours"] is not None]


def draw_marks(panel: Axes, marks: list[dict[str, Any]], styles: dict[str, Appearance]) -> None:
    """Sources stand side by side, just before their frames, so that neither they nor our own point are hidden."""
    step = 0.018 * max((mark["frames"] for mark in marks), default=0)
    for index, mark in enumerate(marks):
        theirs = mark["theirs"]
        later = sum(other["frames"] == mark["frames"] for other in marks[index:])
        panel.errorbar(
            (mark["frames"] - step * later) / THOUSAND,
            theirs["mean"],
            yerr=0.0 if theirs["std"] is None else 2 * theirs["std"],
            color=GREY,
            marker="D",
            markersize=2.6,
            markerfacecolor="white",
            markeredgewidth=0.7,
            markeredgecolor=styles[mark["algorithm"]].colour,
            elinewidth=0.7,
            zorder=5,
        )


def shown(drawing: Drawing, found: Found) -> str:
    counts = [len(curve.seeds) if curve is not None else 0 for curve in found.values()]
    lines = ", thin lines: each seed" if any(1 < count <= FEW for count in counts) else ""
    if max(counts) > 2:
        band = "band: 95 % Student-t interval of the mean" + ("; of two seeds: their range" if 2 in counts else "")
    else:
        band = "band: from one seed to the other" if max(counts) == 2 else "one seed can have no band"
    phase = "evaluation" if drawing.data.phase == "eval" else "training"
    caption = f"{drawing.caption.rstrip('.')}. " if drawing.caption else ""
    seeds = seeds_phrase(counts, drawing.seeds_wanted)
    return f"{caption}Thick lines: mean over {seeds} of {phase} episodes{lines}; {band}."


def aggregate_note(drawing: Drawing, check: dict[str, Any]) -> list[Note]:
    """The interquartile means, best first."""
    ordered = sorted(check["aggregate"].items(), key=lambda item: -item[1]["interquartile_mean"])
    if not ordered:
        return []
    parts = []
    for name, found in ordered:
        interval = f" [{found['low']:.0f}, {found['high']:.0f}]" if found["low"] is not None else ""
        parts.append(f"{drawing.label(name)} {found['interquartile_mean']:.0f}{interval}")
    text = (
        f"interquartile mean of the final return over seeds and tasks [95 % stratified bootstrap]: {', '.join(parts)}."
    )
    return [Note("Aggregate", text)]


def reference_notes(check: dict[str, Any]) -> list[Note]:
    """Where the reference numbers in the panels come from."""
    sources = sorted({mark["source"] for mark in reference_marks(check)})
    return [Note("Reference", "; ".join(sources))] if sources else []


def plotted(found: Found) -> pd.DataFrame:
    """A row a point: mean, the band as it is drawn and which it is, number of seeds, and each seed's value."""
    tables = []
    for (algorithm, task), curve in found.items():
        if curve is None:
            continue
        band, mean, low, high = drawn_band(curve)
        table = pd.DataFrame({"task": task, "algorithm": algorithm, "band": band, "frames": curve.frames.astype(int)})
        table = table.assign(seeds=len(curve.seeds), mean=mean, low=low, high=high)
        tables.append(table.assign(**{f"seed_{seed}": curve.values[row] for row, seed in enumerate(curve.seeds)}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
