"""Return over environment frames: a panel per task, a line per algorithm, as the papers draw it.

Where training episodes are what counts, evaluations have panels of their own after those of training.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from relatent.figures.background import (
    BEYOND,
    COVERAGE,
    THOUSAND,
    background_legend,
    background_notes,
    background_points,
    draw_background,
)
from relatent.figures.drawing import Drawing, measure_name, task_title
from relatent.figures.gather import Gathered
from relatent.figures.page import Note, common_notes, seeds_phrase, sheet
from relatent.figures.series import Curves, bin_width, curves
from relatent.figures.statistics import Array, mean_band
from relatent.figures.style import GREY, Appearance, appearances

FEW = 3
"""With so few seeds, each seed's own line is drawn too."""
SHARES = ("success", COVERAGE)
"""Measures of which every seed's line is drawn: a mean may be of seeds that succeed and of seeds that never do."""
BARS = ("success",)
"""Measures with an interval at the end only: of such seeds bands would be as high as the panel, one over the other."""
TITLE, AXIS = 0.2, 0.42
"""Inches above and below the panels, for titles and for the axes' names."""
GAP = (0.3, 0.5)
"""Inches between columns, and between rows of panels."""
BAR = 0.025
"""Between two bars, as a share of the frames."""
PHASES = {"train": "training", "eval": "evaluation"}
NAMES = {"return": "episode return", "success": "success rate", COVERAGE: "share of cells visited"}
Found = dict[tuple[str, str, str], Curves | None]
"""By algorithm, task and phase."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and the table of all that is plotted in it."""
    data, look = drawing.data, drawing.look
    found = found_curves(gathered, drawing)
    styles, marks = appearances(data.algorithms), reference_marks(check)
    handles: list[tuple[Any, str]] = [
        (curve_handle(styles[name]), drawing.label(name) + not_yet(name, found)) for name in data.algorithms
    ]
    if marks:
        of = ", ".join(sorted({drawing.label(mark["algorithm"]) for mark in marks}))
        handles.append((mark_handle(), f"{of}, public runs: mean ± 2 sd"))
    handles += background_legend(drawing, check)
    notes = [*common_notes(drawing, check, shown(gathered, drawing, found)), *aggregate_note(drawing, check)]
    notes += [*reference_notes(drawing, check), *background_notes(drawing, check)]
    cells = [(task, phase) for phase in phases(drawing) for task in data.tasks]
    columns = min(look.columns, len(cells))
    rows = -(-len(cells) // columns)
    body = TITLE + rows * look.panel_height + (rows - 1) * GAP[1] + AXIS
    paper = sheet(drawing, gathered, notes, body, handles)
    panels = paper.grid(len(cells), columns, look.panel_height, GAP, left=0.5, top=TITLE)
    for index, ((task, phase), panel) in enumerate(zip(cells, panels, strict=True)):
        panel.set_title(f"{task_title(task)}, {PHASES[phase]}" if len(phases(drawing)) > 1 else task_title(task))
        draw_panel(panel, drawing, check, found, task, phase)
        draw_marks(panel, [mark for mark in marks if mark["task"] == task], styles)
        finish(panel, drawing, bottom=index + columns >= len(cells), first=index % columns == 0)
    return paper.figure, plotted(drawing, check, found)


def not_yet(algorithm: str, found: Found) -> str:
    """Follows its label where some of its runs are not there."""
    curves = {task: curve for (name, task, _), curve in found.items() if name == algorithm}
    absent = [task_title(task) for task, curve in curves.items() if curve is None]
    if len(absent) == len(curves):
        return ", no run yet"
    return f", none on {', '.join(absent)} yet" if absent else ""


def phases(drawing: Drawing) -> list[str]:
    """Of which episodes there are panels. Of probes, there is one kind."""
    training = drawing.data.phase == "train" and drawing.data.measure in ("return", "success")
    return ["train", "eval"] if training else ["eval"]


def found_curves(gathered: Gathered, drawing: Drawing) -> Found:
    data = drawing.data
    return {
        (algorithm, task, phase): curves(gathered.frame, algorithm, task, data.measure, phase)
        for phase in phases(drawing)
        for task in data.tasks
        for algorithm in data.algorithms
    }


def draw_panel(panel: Axes, drawing: Drawing, check: dict[str, Any], found: Found, task: str, phase: str) -> None:
    """All curves of one task and phase. Digitised ones are of the phase that the paper shows."""
    names, measure = drawing.data.algorithms, drawing.data.measure
    styles, last = appearances(names), last_frame(found, task)
    if phase == phases(drawing)[0]:
        draw_background(panel, drawing, check, task, last, styles)
    for order, name in enumerate(names):
        curve = found[name, task, phase]
        if curve is not None:
            draw_curve(panel, curve, styles[name], order, len(names), measure)
        if curve is not None and last and measure in BARS and len(curve.seeds) > 1:
            draw_bar(panel, curve, styles[name], last * (BEYOND + BAR * order))
    if all(found[name, task, phase] is None for name in names):
        why = "no episode has ended" if last else "not trained"
        panel.text(0.5, 0.5, why, transform=panel.transAxes, ha="center", va="center", color=GREY)
    if last and (measure in BARS or background_legend(drawing, check)):
        # Not to the end of other people's curves.
        panel.set_xlim(right=last * (BEYOND + BAR * len(names) * (measure in BARS)) / THOUSAND)


def last_frame(found: Found, task: str) -> float | None:
    """Where our curves of a task end."""
    return max((curve.frames[-1] for (_, of, _), curve in found.items() if of == task and curve), default=None)


def draw_curve(panel: Axes, curve: Curves, style: Appearance, order: int, count: int, measure: str) -> None:
    """Mean and band over seeds, and each seed thinly where that tells more; the `order`th of `count` curves."""
    thousands, (_, mean, low, high) = curve.frames / THOUSAND, drawn_band(curve)
    if measure not in BARS:
        panel.fill_between(
            thousands, low, high, color=style.colour, alpha=0.17 if count <= 4 else 0.1, linewidth=0, zorder=2
        )
    if len(curve.seeds) > 1 and (measure in SHARES or len(curve.seeds) <= FEW):
        alpha = 0.55 if len(curve.seeds) <= FEW else 0.35
        panel.plot(thousands, curve.values.T, color=style.colour, linewidth=0.4, alpha=alpha, zorder=3)
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


def draw_bar(panel: Axes, curve: Curves, style: Appearance, frames: float) -> None:
    """The band of the last point, beside the curves."""
    _, mean, low, high = drawn_band(curve)
    panel.plot([frames / THOUSAND] * 2, [low[-1], high[-1]], color=style.colour, linewidth=1.2, zorder=4)
    panel.plot(frames / THOUSAND, mean[-1], style.marker, color=style.colour, markersize=2.6, mew=0, zorder=5)


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
        panel.set_xlabel(f"{drawing.x_label} (thousands)", size=7.5)
    if first:
        panel.set_ylabel(NAMES.get(measure, measure.replace("_", " ")))


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


def shown(gathered: Gathered, drawing: Drawing, found: Found) -> str:
    counts = [len(curve.seeds) for curve in found.values() if curve] or [0]
    caption = f"{drawing.caption.rstrip('.')}. " if drawing.caption else ""
    seeds = seeds_phrase(counts, drawing.seeds_wanted)
    points = f"{caption}Thick lines: mean over {seeds}{episodes(gathered, drawing)}"
    return points + spread(counts, drawing.data.measure)


def spread(counts: Sequence[int], measure: str) -> str:
    """How it is drawn that seeds differ, of which the curves have so many."""
    each = any(count > 1 and (measure in SHARES or count <= FEW) for count in counts)
    lines = ", thin lines: each seed" if each else ""
    what, of = ("bars at the right", "final mean") if measure in BARS else ("band", "mean")
    if max(counts) > 2:
        band = f"{what}: 95 % Student-t interval of the {of}" + ("; of two seeds: their range" if 2 in counts else "")
    else:
        band = f"{what}: from one seed to the other" if max(counts) == 2 else "one seed can have no band"
    return f"{lines}; {band}."


def episodes(gathered: Gathered, drawing: Drawing) -> str:
    """What a point is a mean of, beside seeds."""
    if drawing.data.measure not in ("return", "success"):
        return ""
    if "train" not in phases(drawing):
        return " of evaluation episodes"
    widths = sorted({bin_width(runs) for _, runs in gathered.frame.groupby(["algorithm", "task"])})
    bins = " to ".join(f"{width:,}" for width in dict.fromkeys(widths[:1] + widths[-1:]))
    return f" of training episodes in bins of {bins} {drawing.x_label}, and of evaluation episodes"


def aggregate_note(drawing: Drawing, check: dict[str, Any]) -> list[Note]:
    """The interquartile means, best first."""
    ordered = sorted(check["aggregate"].items(), key=lambda item: -item[1]["interquartile_mean"])
    if not ordered:
        return []
    digits = 2 if drawing.data.measure in SHARES else 0
    parts = []
    for name, found in ordered:
        interval = f" [{found['low']:.{digits}f}, {found['high']:.{digits}f}]" if found["low"] is not None else ""
        parts.append(f"{drawing.label(name)} {found['interquartile_mean']:.{digits}f}{interval}")
    of = f"final {measure_name(drawing.data.measure)}" + " of training" * ("train" in phases(drawing))
    text = f"interquartile mean of the {of} over seeds and tasks [95 % stratified bootstrap]: {', '.join(parts)}."
    return [Note("Aggregate", text)]


def reference_notes(drawing: Drawing, check: dict[str, Any]) -> list[Note]:
    """Where the reference numbers in the panels come from."""
    sources = sorted({mark["source"] for mark in reference_marks(check)})
    said = [drawing.reference.note] if drawing.reference and drawing.reference.note else []
    return [Note("Reference", ". ".join(["; ".join(sources), *said]))] if sources else []


def plotted(drawing: Drawing, check: dict[str, Any], found: Found) -> pd.DataFrame:
    """A row a point: mean, the band as it is drawn and which it is, number of seeds, and each seed's value; after them
    what is drawn behind our curves."""
    tables = []
    for (algorithm, task, phase), curve in found.items():
        if curve is None:
            continue
        band, mean, low, high = drawn_band(curve)
        table = pd.DataFrame({"task": task, "algorithm": algorithm, "band": band, "frames": curve.frames.astype(int)})
        table = table.assign(seeds=len(curve.seeds), mean=mean, low=low, high=high)
        table = table.assign(**{f"seed_{seed}": curve.values[row] for row, seed in enumerate(curve.seeds)})
        if len(phases(drawing)) > 1:
            table.insert(2, "phase", phase)
        tables.append(table)
    tables += background_points(drawing, check, {task: last_frame(found, task) for task in drawing.data.tasks})
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
