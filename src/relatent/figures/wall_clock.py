"""Return against the time that training takes, and where that time goes: ALM's Figure 3, below.

A panel per task, and below it a bar per algorithm. Times are the runs' own; they compare only where the hardware is the
same, so that it is named. Evaluations are not part of the time, but of the bars.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from relatent.figures.derived import MILLI, SECONDS_TO_MATCH, TRAINING, final_mean, seconds, training_seconds
from relatent.figures.drawing import Drawing, task_title
from relatent.figures.gather import Gathered
from relatent.figures.hardware import hardware
from relatent.figures.learning_curve import AXIS, GAP, TITLE, curve_handle, drawn_band
from relatent.figures.page import Note, common_notes, seeds_phrase, sheet
from relatent.figures.series import Curves, curves
from relatent.figures.statistics import Array
from relatent.figures.style import GREY, INK, Appearance, appearances

PHASES = {
    "environment": ("#C9C9C9", ""),
    "act": ("#86A873", ""),
    "replay": ("#E0B25C", ""),
    "update": ("#4C6A92", ""),
    "evaluation": ("#EDEDED", "////"),
    "other": ("#FFFFFF", ""),
}
"""Colour and hatching; `other` is all that a clock has beside."""
UNITS = {"hours": 3600.0, "minutes": 60.0, "seconds": 1.0}
BAR, LEFT = 0.17, 0.95
"""Inches of a bar's row, and left of the panels for the algorithms' names."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its points and bars: seconds, return and band; milliseconds of a step by phase."""
    data, look = drawing.data, drawing.look
    styles = appearances(data.algorithms)
    found = {
        (name, task): curves(gathered.frame, name, task, "return", "eval")
        for task in data.tasks
        for name in data.algorithms
    }
    times = {key: mean_seconds(gathered, *key, curve) for key, curve in found.items() if curve is not None}
    spent = {key: milliseconds(gathered, *key) for key in found}
    unit = next((one for one, length in UNITS.items() if longest(times) >= 2 * length), "seconds")
    counts = [len(curve.seeds) if curve else 0 for curve in found.values()]
    legend: list[tuple[Any, str]] = [(curve_handle(styles[name]), drawing.label(name)) for name in data.algorithms]
    legend += [
        (Patch(facecolor=colour, hatch=hatch, edgecolor=GREY, linewidth=0.4), phase)
        for phase, (colour, hatch) in PHASES.items()
    ]
    notes = [*common_notes(drawing, check, shown(drawing, counts)), *matched_note(gathered, drawing)]
    notes.append(Note("Hardware", hardware(gathered, drawing)))
    height = BAR * len(data.algorithms)
    columns = min(look.columns, len(data.tasks))
    rows = -(-len(data.tasks) // columns)
    each = look.panel_height + 0.5 + height
    body = TITLE + rows * each + (rows - 1) * GAP[1] + AXIS
    paper = sheet(drawing, gathered, notes, body, legend)
    grid, pitch, below = (len(data.tasks), columns), each + GAP[1], TITLE + look.panel_height + 0.5
    upper = paper.grid(*grid, look.panel_height, (0.4, pitch - look.panel_height), LEFT, TITLE)
    lower = paper.grid(*grid, height, (0.4, pitch - height), LEFT, below)
    for index, task in enumerate(data.tasks):
        panel, bars, first = upper[index], lower[index], index % columns == 0
        align(bars, panel)
        panel.set_title(task_title(task))
        level = final_mean(gathered.frame, look.matched, task)
        if level is not None:
            panel.axhline(level, color=GREY, linewidth=0.6, linestyle=":", zorder=1.5)
        for name in data.algorithms:
            curve = found[name, task]
            if curve is not None:
                draw_curve(panel, curve, times[name, task] / UNITS[unit], styles[name])
        if not any(found[name, task] for name in data.algorithms):
            panel.text(0.5, 0.5, "not trained", transform=panel.transAxes, ha="center", va="center", color=GREY)
        panel.set_xlim(left=0)
        panel.set_xlabel(f"{unit} of training", size=7.5, labelpad=1)
        panel.grid(axis="y", color="#EAEAEA", linewidth=0.5)
        panel.set_axisbelow(True)
        stacked(bars, [spent[name, task] for name in data.algorithms])
        bars.set_yticks(range(len(data.algorithms)), [drawing.label(name) for name in data.algorithms] if first else [])
        if first:
            panel.set_ylabel("episode return")
    return paper.figure, plotted(found, times, spent)


def align(bars: Axes, panel: Axes) -> None:
    """Bars are as wide as the panel above, whose own width its height limits."""
    above, own = panel.get_position(), bars.get_position()
    bars.set_position((above.x0, own.y0, above.width, own.height))


def mean_seconds(gathered: Gathered, algorithm: str, task: str, curve: Curves) -> Array:
    """Seconds of training at each point of a curve, (points,), mean over seeds."""
    of = runs_of(gathered, algorithm, task)
    return np.mean([training_seconds(run["manifest"], curve.frames) for run in of], axis=0)


def milliseconds(gathered: Gathered, algorithm: str, task: str) -> dict[str, float]:
    """Of an environment step, by phase, mean over seeds; empty where nothing was trained."""
    of = [run["manifest"] for run in runs_of(gathered, algorithm, task)]
    if not of:
        return {}
    split = dict.fromkeys(PHASES, 0.0)
    for manifest in of:
        for phase, spent in manifest["phase_seconds"].items():
            split[phase if phase in PHASES else "other"] += MILLI * spent / manifest["frames"] / len(of)
    return split


def runs_of(gathered: Gathered, algorithm: str, task: str) -> list[dict[str, Any]]:
    return [run for run in gathered.runs if (run["algorithm"], run["task"]) == (algorithm, task)]


def longest(times: dict[tuple[str, str], Array]) -> float:
    return max((float(time[-1]) for time in times.values()), default=0.0)


def draw_curve(panel: Axes, curve: Curves, time: Array, style: Appearance) -> None:
    """Mean and band over seeds, and a mark where training ends."""
    _, mean, low, high = drawn_band(curve)
    panel.fill_between(time, low, high, color=style.colour, alpha=0.14, linewidth=0, zorder=2)
    panel.plot(time, mean, color=style.colour, linestyle=style.dash, zorder=4)
    panel.plot(time[-1], mean[-1], style.marker, color=style.colour, markersize=4, mec="white", mew=0.4, zorder=5)


def stacked(panel: Axes, splits: list[dict[str, float]]) -> None:
    """A bar per algorithm, from above; the number is what training takes of a step, without evaluation and other."""
    most = max((sum(split.values()) for split in splits), default=0.0) or 1.0
    for row, split in enumerate(splits):
        left = 0.0
        for phase, value in split.items():
            colour, hatch = PHASES[phase]
            panel.barh(row, value, 0.68, left, color=colour, hatch=hatch, edgecolor=GREY, linewidth=0.4, zorder=2)
            left += value
        text = f"{sum(split[phase] for phase in TRAINING):.3g}" if split else "not trained"
        panel.text(left + 0.015 * most, row, text, va="center", size=6.5, color=INK if split else GREY)
    panel.set_xlim(0, 1.18 * most)
    panel.set_ylim(len(splits) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0, labelsize=7)
    panel.set_xlabel("ms per environment step", size=7.5, labelpad=1)


def matched_note(gathered: Gathered, drawing: Drawing) -> list[Note]:
    """How long each algorithm needs for the final return of the one that is matched, as a share of its time."""
    matched = drawing.look.matched
    rows = pd.DataFrame(seconds(gathered, drawing), columns=["algorithm", "task", "seed", "measure", "value"])
    rows = rows[rows["measure"] == SECONDS_TO_MATCH]
    if matched is None or rows.empty:
        return []
    parts = []
    for task in drawing.data.tasks:
        of = rows[rows["task"] == task].groupby("algorithm")["value"].agg(list)
        for name in drawing.data.algorithms:
            if name != matched and name in of.index and matched in of.index:
                share = np.array(of[name]) / np.mean(of[matched])
                reached = share[np.isfinite(share)]
                count = "" if len(reached) == len(share) else f" in {len(reached)} of {len(share)} seeds"
                text = f"{reached.mean():.2f}{count}" if len(reached) else "never"
                parts.append(f"{drawing.label(name)} on {task_title(task)} {text}")
    text = f"time until the return first reaches {drawing.label(matched)}'s final mean (dotted), over its time: "
    return [Note("Matched", f"{text}{', '.join(parts)}.")] if parts else []


def shown(drawing: Drawing, counts: list[int]) -> str:
    band = "band: 95 % Student-t interval" if max(counts, default=0) > 2 else "band: from one seed to the other"
    return (
        f"{drawing.caption.rstrip('.')}. Above: mean over {seeds_phrase(counts, drawing.seeds_wanted)} ({band}) "
        f"against the time of training, without evaluations, logs and checkpoints; updates are taken to last equally "
        f"long. Below: milliseconds per environment step; the number is their sum without evaluation and other."
    )


def plotted(
    found: dict[tuple[str, str], Curves | None],
    times: dict[tuple[str, str], Array],
    spent: dict[tuple[str, str], dict[str, float]],
) -> pd.DataFrame:
    """Points, of which `seconds` is the axis, and then a row per phase."""
    tables = []
    for (name, task), curve in found.items():
        if curve is None:
            continue
        band, mean, low, high = drawn_band(curve)
        table = pd.DataFrame({"task": task, "algorithm": name, "band": band, "frames": curve.frames.astype(int)})
        tables.append(table.assign(seconds=times[name, task], seeds=len(curve.seeds), mean=mean, low=low, high=high))
    for (name, task), split in spent.items():
        bars = pd.DataFrame({"phase": list(split), "milliseconds_per_step": list(split.values())})
        tables.append(bars.assign(task=task, algorithm=name, band="phase"))
    return pd.concat([table for table in tables if not table.empty], ignore_index=True)
