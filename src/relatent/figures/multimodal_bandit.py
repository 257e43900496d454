"""A one-step problem with two peaks: what each policy does at some moments of training, and what it earns and encodes.

A row of panels a policy, so that rows are told apart by their place; colours say which peak an action is on.
"""

from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from relatent.figures.drawing import Drawing
from relatent.figures.gather import Gathered
from relatent.figures.page import common_notes, seeds_phrase, sheet
from relatent.figures.series import Curves, curves
from relatent.figures.statistics import mean_band
from relatent.figures.style import BLUE, GREY, INK, LIGHT, VERMILION
from relatent.objectives.two_peaks import BEST, LEFT, RIGHT, SECOND, reward

EPOCH, SHOWN = 100, (0, 10, 20, 60)
"""Updates between two frames of the official tutorial, and those that the paper's figure shows, in such epochs."""
ELSEWHERE = "#9A9A9A"
HATCHES = {VERMILION: "", BLUE: "////", ELSEWHERE: ""}
LABEL, CURVE, AXIS, GAP, TOP, BOTTOM = 0.72, 0.86, 0.36, 0.05, 0.2, 0.34
"""Inches: a row's name, a curve's panel, the axis before it, between panels, above the first row, below the last."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and what it shows: rows of histograms and of curves."""
    names, (task,) = drawing.data.algorithms, drawing.data.tasks
    height = 0.82 if len(names) <= 3 else 0.56
    frames = gathered.frame
    ends = frames.loc[frames["measure"] == "return", "frames"]
    last = int(ends.max())
    moments = [*(epoch * EPOCH for epoch in SHOWN if epoch * EPOCH < last), last]
    counts = [frames[frames["algorithm"] == name]["seed"].nunique() for name in names]
    shown = (
        f"{drawing.caption.rstrip('.')}. Bars: probability of actions, mean over "
        f"{seeds_phrase(counts, drawing.seeds_wanted)}, scaled to each panel's largest; line: the reward. Numbers: "
        "probability of the left and of the right peak, in percent. Curves: mean over the seeds, its 95 % Student-t "
        f"band and every seed, over epochs of {EPOCH} updates; dotted: the best reward, {BEST:g}, the right peak's, "
        f"{SECOND:g}, and the entropy of a uniform z. The bound of I(z; a) is H(z) plus the mean of log p(z|a)."
    )
    body = TOP + len(names) * (height + GAP) - GAP + BOTTOM
    paper = sheet(drawing, gathered, common_notes(drawing, check, shown), body, legend())
    room = drawing.look.width - LABEL - 2 * (AXIS + CURVE) - 0.1
    wide = room / len(moments) - GAP
    tables: list[pd.DataFrame] = []
    for row, name in enumerate(names):
        y, bottom = TOP + row * (height + GAP), row == len(names) - 1
        for column, moment in enumerate(moments):
            panel = paper.place(LABEL + column * (wide + GAP), y, wide, height)
            tables.append(actions(panel, frames, name, moment))
            if row == 0:
                panel.set_title(f"epoch {moment // EPOCH}", size=7.5, pad=2.5)
            if column == 0:
                panel.set_ylabel(broken(drawing.label(name)), size=7.5, rotation=0, ha="right", va="center", labelpad=4)
            if bottom:
                panel.set_xticks([-0.6, 0.875], ["-0.6", "0.875"], size=6)
            if bottom and column == len(moments) // 2:
                panel.set_xlabel("action a (the left peak is at -0.6, the right one ends at 0.875)", labelpad=2)
        x = LABEL + room + AXIS
        earned = paper.place(x, y, CURVE, height)
        tables.append(rewards(earned, frames, name, task))
        encoded = paper.place(x + CURVE + AXIS, y, CURVE, height)
        tables.append(information(encoded, frames, name, task))
        for panel, title in ((earned, "mean reward"), (encoded, "information (nats)")):
            panel.set_xlim(0, last / EPOCH)
            panel.xaxis.set_major_locator(MaxNLocator(3, integer=True))
            panel.tick_params(labelbottom=bottom, pad=1.5)
            if row == 0:
                panel.set_title(title, size=7.5, pad=2.5)
            if bottom:
                panel.set_xlabel("epoch", labelpad=2)
    return paper.figure, pd.concat(tables, ignore_index=True)


def broken(label: str) -> str:
    """A row's name in short lines."""
    lines = [""]
    for word in label.split():
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines, word] if lines[-1] and len(longer) > 10 else [*lines[:-1], longer]
    return "\n".join(lines)


def legend() -> list[tuple[Any, str]]:
    bars = {"left peak": VERMILION, "right peak": BLUE, "elsewhere": ELSEWHERE}
    handles: list[tuple[Any, str]] = [
        (Patch(facecolor=colour, edgecolor="white", linewidth=0, hatch=HATCHES[colour]), name)
        for name, colour in bars.items()
    ]
    handles += [(Line2D([], [], color=INK, linewidth=0.7), "reward")]
    return [*handles, (curve(), "I(z; a)"), (Line2D([], [], color=BLUE, linewidth=1.0, dashes=(4, 1.6)), "its bound")]


def curve() -> Line2D:
    return Line2D([], [], color=INK, linewidth=1.2)


def colours(middles: np.ndarray) -> list[str]:
    """By the peak whose support a bin's middle lies in."""
    return [
        VERMILION if LEFT[0] < middle < LEFT[1] else BLUE if RIGHT[0] < middle < RIGHT[1] else ELSEWHERE
        for middle in middles
    ]


def actions(panel: Axes, frames: pd.DataFrame, algorithm: str, moment: int) -> pd.DataFrame:
    """The policy at one moment, over the reward's outline."""
    rows = frames[(frames["algorithm"] == algorithm) & (frames["frames"] == moment)]
    masses = rows[rows["measure"].str.match(r"(histogram|mass_per_peak)_\d+$")]
    mean = masses.groupby("measure")["value"].mean()
    panel.set_yticks([])
    panel.set_xticks([])
    panel.set_xlim(-1, 1)
    panel.set_ylim(0, 1.3)
    if mean.empty:
        panel.text(0.5, 0.5, "not trained", transform=panel.transAxes, ha="center", va="center", size=6, color=GREY)
        return pd.DataFrame()
    bars = mean[[f"histogram_{index}" for index in range(mean.index.str.startswith("histogram").sum())]].to_numpy()
    edges = np.linspace(-1, 1, len(bars) + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    tops = bars / bars.max()
    fill = colours(middles)
    for colour in (ELSEWHERE, VERMILION, BLUE):
        chosen = [index for index, one in enumerate(fill) if one == colour]
        options: dict[str, Any] = {"color": colour, "linewidth": 0, "hatch": HATCHES[colour], "edgecolor": "white"}
        options.pop("color")
        panel.bar(middles[chosen], tops[chosen], np.diff(edges)[0], facecolor=colour, **options)
    at = torch.linspace(-1, 1, 801, dtype=torch.float64)
    panel.plot(at, reward(at) / BEST, color=INK, linewidth=0.6)
    left, right = mean["mass_per_peak_0"], mean["mass_per_peak_1"]
    where: dict[str, Any] = {"transform": panel.transAxes, "va": "top", "size": 6, "weight": "bold"}
    panel.text(0.03, 0.98, f"{100 * left:.0f}", color=VERMILION, ha="left", **where)
    panel.text(0.97, 0.98, f"{100 * right:.0f}", color=BLUE, ha="right", **where)
    table = mean.rename("mean").reset_index()
    return table.assign(algorithm=algorithm, frames=moment, seeds=rows["seed"].nunique())


def rewards(panel: Axes, frames: pd.DataFrame, algorithm: str, task: str) -> pd.DataFrame:
    """Mean reward over epochs."""
    for level in (BEST, SECOND):
        panel.axhline(level, color=GREY, linewidth=0.6, dashes=(1, 1.5))
    panel.set_ylim(0, 1.2)
    panel.set_yticks([0, 0.5, 1.1], ["0", "0.5", "1.1"])
    return band(panel, curves(frames, algorithm, task, "return", "eval"), algorithm, "return", INK, "-")


def information(panel: Axes, frames: pd.DataFrame, algorithm: str, task: str) -> pd.DataFrame:
    """What the action tells about z, and the bound that training sees."""
    components = frames[frames["algorithm"] == algorithm]["measure"].str.match(r"usage_\d+$")
    count = frames[frames["algorithm"] == algorithm]["measure"][components].nunique()
    panel.set_ylim(-0.08, 1.75)
    panel.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    if count < 2:
        panel.text(
            0.5, 0.5, "no latent\nvariable", transform=panel.transAxes, ha="center", va="center", size=6.5, color=GREY
        )
        return pd.DataFrame()
    panel.axhline(np.log(count), color=GREY, linewidth=0.6, dashes=(1, 1.5))
    tables = []
    for measure, colour, dash in (("information", INK, "-"), ("information_bound", BLUE, (0, (4, 1.6)))):
        tables.append(band(panel, curves(frames, algorithm, task, measure, "eval"), algorithm, measure, colour, dash))
    return pd.concat(tables)


def band(panel: Axes, found: Curves | None, algorithm: str, measure: str, colour: str, dash: Any) -> pd.DataFrame:
    """Every seed thinly, their mean, and the interval of the mean; returns the same as a table."""
    if found is None:
        return pd.DataFrame()
    mean, low, high = mean_band(found.values)
    epochs = found.frames / EPOCH
    panel.fill_between(epochs, low, high, color=LIGHT, linewidth=0, zorder=1)
    for seed in found.values:
        panel.plot(epochs, seed, color=colour, linewidth=0.3, alpha=0.35, zorder=2)
    panel.plot(epochs, mean, color=colour, linewidth=1.1, linestyle=dash, zorder=3)
    each = {f"seed_{seed}": values for seed, values in zip(found.seeds, found.values, strict=True)}
    table = {
        "measure": measure,
        "mean": mean,
        "algorithm": algorithm,
        "frames": found.frames,
        "seeds": len(found.seeds),
    }
    return pd.DataFrame({**table, "low": low, "high": high, **each})
