"""Our numbers beside the paper's, cell by cell, with the difference and whether they agree."""

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
from relatent.figures.statistics import Sample
from relatent.figures.style import GREY, INK, VERDICT_COLOURS
from relatent.specs.figure import Reference

ROW = 0.158
"""Inches from one row to the next."""
HEADS = ["task", "algorithm", "ours", "paper", "ours - paper [95 %]", ""]
AT = [0.0, 0.23, 0.46, 0.61, 0.86, 0.995]
"""Where each column ends (numbers) or begins (words), as a share of the width."""
ALIGN = ["left", "left", "right", "right", "right", "right"]


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and its cells as a table."""
    cells = table_cells(gathered, drawing, check)
    groups = cells["task"].nunique()
    height = ROW * (len(cells) + 1) + 0.05 * groups + 0.05
    sources = "; ".join(sorted({row["source"] for row in check["reference"]})) or "no numbers of the paper"
    best = " Bold: the larger of our means." if drawing.look.bold == "best" else ""
    margin = drawing.reference.margin if drawing.reference else Reference.model_fields["margin"].default
    shown = (
        f"{drawing.caption.rstrip('.')}. Mean ± standard deviation (seeds). The interval is Welch's; two means agree "
        f"when it lies within {100 * margin:.0f} % of the paper's mean, differ when it excludes zero, and are "
        f"undecided otherwise.{best} Paper: {sources}."
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
        for algorithm in data.algorithms:
            values = seed_values(gathered.frame, algorithm, task, data.measure, data.phase, statistic)
            ours = Sample.of(values) if len(values) else Sample(np.nan, np.nan, 0)
            paper = compared.get((task, algorithm), {})
            theirs, difference = paper.get("theirs") or {}, paper.get("difference") or {}
            rows.append(
                {
                    "task": task,
                    "algorithm": algorithm,
                    "mean": ours.mean,
                    "std": ours.std,
                    "seeds": ours.count,
                    "paper_mean": number(theirs.get("mean")),
                    "paper_std": number(theirs.get("std")),
                    "paper_seeds": theirs.get("count", 0),
                    "difference": number(difference.get("value")),
                    "low": number(difference.get("low")),
                    "high": number(difference.get("high")),
                    "verdict": paper.get("agreement", "no number") if ours.count else "not trained",
                    "source": paper.get("source", ""),
                }
            )
    return pd.DataFrame(rows)


def write_rows(panel: Axes, cells: pd.DataFrame, drawing: Drawing, height: float) -> None:
    """Ruled as a printed table: above, below the heads, between tasks, below."""
    panel.set_axis_off()
    panel.set_xlim(0, 1)
    panel.set_ylim(height, 0)
    panel.add_line(line(0, 0.8))
    y = ROW / 2 + 0.02
    for x, align, head in zip(AT, ALIGN, HEADS, strict=True):
        panel.text(x, y, head, ha=align, va="center", size=7.5, style="italic")
    y += ROW / 2 + 0.02
    for task, group in cells.groupby("task", sort=False):
        panel.add_line(line(y, 0.4))
        y += 0.025
        best = group["mean"].max() if drawing.look.bold == "best" else np.nan
        for position, row in enumerate(group.to_dict("records")):
            y += ROW / 2
            words = [task_title(str(task)) if position == 0 else "", drawing.label(row["algorithm"]), *numbers(row)]
            for column, (x, align, text) in enumerate(zip(AT, ALIGN, words, strict=True)):
                trained = row["seeds"] > 0
                colour = VERDICT_COLOURS.get(text, INK) if column == 5 else (INK if trained or column != 2 else GREY)
                weight = "bold" if column == 2 and row["mean"] == best else "normal"
                options: dict[str, Any] = {"size": 7.5, "color": colour, "weight": weight}
                panel.text(x, y, text, ha=align, va="center", parse_math=False, **options)
            y += ROW / 2
        y += 0.025
    panel.add_line(line(y, 0.8))


def line(y: float, weight: float) -> Any:
    drawn = rule(0, 1, y, weight)
    drawn.set_color(INK)
    drawn.set_clip_on(False)
    return drawn


def numbers(row: dict[Any, Any]) -> list[str]:
    """Ours, the paper's, the difference and the verdict, as printed."""
    ours = measured(row["mean"], row["std"], row["seeds"]) if row["seeds"] else "not trained"
    paper = measured(row["paper_mean"], row["paper_std"], row["paper_seeds"]) if row["paper_seeds"] else "-"
    difference = "" if np.isnan(row["difference"]) else f"{row['difference']:+.0f}"
    if np.isfinite(row["low"]):
        difference += f" [{row['low']:+.0f}, {row['high']:+.0f}]"
    return [ours, paper, difference, "" if row["verdict"] == "not trained" else row["verdict"]]


def measured(mean: float, std: float, seeds: int) -> str:
    spread = f" ± {std:.0f}" if np.isfinite(std) else ""
    return f"{mean:.0f}{spread} ({seeds})"
