"""Our numbers beside the paper's, cell by cell, with the difference and whether they agree.

Where two algorithms are compared, a line below them has the difference of the one's mean and the other's, ours and the
one that the paper's numbers say, each with its interval: a printed difference may be less than its seeds can tell. The
best of many noisy evaluations is above what the agent is worth; where the paper prints it, the mean of those in the
last tenth of training stands by.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relatent.figures.drawing import Drawing, task_title
from relatent.figures.gather import Gathered
from relatent.figures.page import SIDE, common_notes, rule, sheet
from relatent.figures.plain import number
from relatent.figures.series import seed_values
from relatent.figures.statistics import Estimate, Sample, welch
from relatent.figures.style import GREY, INK, VERDICT_COLOURS
from relatent.specs.figure import Reference

ROW = 0.158
"""Inches from one row to the next."""
HEADS = ["task", "algorithm", "ours", "ours, late", "paper", "ours - paper [95 %]", ""]
AT = [0.0, 0.22, 0.475, 0.565, 0.70, 0.89, 0.995]
"""Where each column ends (numbers) or begins (words), as a share of the width."""
ALIGN = ["left", "left", "right", "right", "right", "right", "right"]
OURS, LATE, VERDICT = 2, 3, 6
GAIN = ["gain", "gain_low", "gain_high", "paper_gain", "paper_gain_low", "paper_gain_high"]
"""Of the second of two algorithms: its mean less the first's with Welch's interval, ours and the paper's."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its cells as a table."""
    cells = table_cells(gathered, drawing, check)
    groups = cells["task"].nunique()
    height = ROW * (len(cells) + 1 + groups * (len(drawing.data.algorithms) == 2)) + 0.05 * groups + 0.05
    sources = "; ".join(sorted({row["source"] for row in check["reference"]})) or "no numbers of the paper"
    best = " Bold: the larger of our means." if drawing.look.bold == "best" else ""
    late = " Late: mean of the evaluations in the last tenth of training." if of_best(drawing) else ""
    margin = drawing.reference.margin if drawing.reference else Reference.model_fields["margin"].default
    shown = (
        f"{drawing.caption.rstrip('.')}. Mean ± standard deviation (seeds). The interval is Welch's; two means agree "
        f"when it lies within {100 * margin:.0f} % of the paper's mean, differ when it excludes zero, and are "
        f"undecided otherwise. Below two algorithms: the second's mean less the first's.{best}{late} Paper: {sources}."
    )
    notes = common_notes(drawing, check, shown)
    paper = sheet(drawing, gathered, notes, height + 0.08)
    write_rows(paper.place(SIDE, 0, drawing.look.width - 2 * SIDE, height), cells, drawing, height)
    return paper.figure, cells


def table_cells(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> pd.DataFrame:
    """A row a task and algorithm, planned ones included."""
    data = drawing.data
    compared = {(row["task"], row["algorithm"]): row for row in check["reference"]}
    statistic = drawing.reference.statistic if drawing.reference else "final"
    rows = []
    for task in data.tasks:
        before: tuple[Sample, Sample] | None = None
        for algorithm in data.algorithms:
            ours, late = (
                sampled(seed_values(gathered.frame, algorithm, task, data.measure, data.phase, of))
                for of in (statistic, "last_tenth")
            )
            paper = compared.get((task, algorithm), {})
            theirs, difference = paper.get("theirs") or {}, paper.get("difference") or {}
            printed = Sample(number(theirs.get("mean")), number(theirs.get("std")), theirs.get("count", 0))
            compared_to = [welch(one, other) for one, other in zip((ours, printed), before or (), strict=False)]
            before = (ours, printed) if len(data.algorithms) == 2 else None
            rows.append(
                {
                    "task": task,
                    "algorithm": algorithm,
                    "mean": ours.mean,
                    "std": ours.std,
                    "seeds": ours.count,
                    "last_tenth": late.mean,
                    "paper_mean": printed.mean,
                    "paper_std": printed.std,
                    "paper_seeds": printed.count,
                    "difference": number(difference.get("value")),
                    "low": number(difference.get("low")),
                    "high": number(difference.get("high")),
                    "verdict": paper.get("agreement", "no number") if ours.count else "not trained",
                    "source": paper.get("source", ""),
                    **dict(zip(GAIN, ends(compared_to), strict=False)),
                }
            )
    return pd.DataFrame(rows)


def sampled(values: Any) -> Sample:
    """The seeds' values; without any, nothing."""
    return Sample.of(values) if len(values) else Sample(np.nan, np.nan, 0)


def ends(estimates: list[Estimate]) -> list[float]:
    """Value, low and high of each."""
    return [end for one in estimates for end in (one.value, one.low, one.high)]


def write_rows(panel: Axes, cells: pd.DataFrame, drawing: Drawing, height: float) -> None:
    """Ruled as a printed table: above, below the heads, between tasks, below."""
    panel.set_axis_off()
    panel.set_xlim(0, 1)
    panel.set_ylim(height, 0)
    panel.add_line(line(0, 0.8))
    shown = [column for column in range(len(HEADS)) if column != LATE or of_best(drawing)]
    y = ROW / 2 + 0.02
    write(panel, y, shown, HEADS, [INK] * len(HEADS), style="italic")
    y += ROW / 2 + 0.02
    for task, group in cells.groupby("task", sort=False):
        panel.add_line(line(y, 0.4))
        y += 0.025
        best = group["mean"].max() if drawing.look.bold == "best" else np.nan
        rows = group.to_dict("records")
        for position, row in enumerate(rows):
            words = [task_title(str(task)) if position == 0 else "", drawing.label(row["algorithm"]), *numbers(row)]
            colours = [
                INK,
                INK,
                INK if row["seeds"] else GREY,
                GREY,
                INK,
                INK,
                VERDICT_COLOURS.get(words[VERDICT], INK),
            ]
            write(panel, y + ROW / 2, shown, words, colours, bold=OURS if row["mean"] == best else None)
            y += ROW
        if len(rows) == 2:
            write(panel, y + ROW / 2, shown, ["", *gains(rows[1])], [GREY] * len(HEADS))
            y += ROW
        y += 0.025
    panel.add_line(line(y, 0.8))


def of_best(drawing: Drawing) -> bool:
    """Whether the paper prints the best evaluation."""
    return drawing.reference is not None and drawing.reference.statistic == "best"


def write(
    panel: Axes,
    y: float,
    shown: list[int],
    words: list[str],
    colours: list[str],
    style: str = "normal",
    bold: Any = None,
) -> None:
    """A row whose middle is at y, without the columns that are not shown."""
    for column in shown:
        weight = "bold" if column == bold else "normal"
        options: dict[str, Any] = {"size": 7.5, "color": colours[column], "weight": weight, "style": style}
        panel.text(AT[column], y, words[column], ha=ALIGN[column], va="center", parse_math=False, **options)


def line(y: float, weight: float) -> Any:
    drawn = rule(0, 1, y, weight)
    drawn.set_color(INK)
    drawn.set_clip_on(False)
    return drawn


def numbers(row: dict[Any, Any]) -> list[str]:
    """Ours, the paper's, the difference and the verdict, as printed."""
    ours = measured(row["mean"], row["std"], row["seeds"]) if row["seeds"] else "not trained"
    late = f"{row['last_tenth']:.0f}" if row["seeds"] else ""
    paper = measured(row["paper_mean"], row["paper_std"], row["paper_seeds"]) if row["paper_seeds"] else "-"
    difference = signed(row["difference"], row["low"], row["high"])
    return [ours, late, paper, difference, "" if row["verdict"] == "not trained" else row["verdict"]]


def gains(row: dict[Any, Any]) -> list[str]:
    """The second algorithm less the first, as printed, without a task."""
    ours, paper = signed(*(row[key] for key in GAIN[:3])), signed(*(row[key] for key in GAIN[3:]))
    return ["second - first [95 %]", ours, "", paper, "", ""]


def measured(mean: float, std: float, seeds: int) -> str:
    spread = f" ± {std:.0f}" if np.isfinite(std) else ""
    return f"{mean:.0f}{spread} ({seeds})"


def signed(value: float, low: float, high: float) -> str:
    """A difference and its interval, as far as there are any."""
    if np.isnan(value):
        return ""
    return f"{value:+.0f}" + (f" [{low:+.0f}, {high:+.0f}]" if np.isfinite(low) else "")
