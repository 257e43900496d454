"""A printed table whose cells were not measured alike: as printed; again on equal terms; where each cell came from.

Rows are algorithms and columns are tasks in all three parts. ALM's Table 1 and Table 5: most of their baselines are
quoted from papers that used other versions of the tasks.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relatent.figures.drawing import Drawing, task_title
from relatent.figures.gather import Gathered
from relatent.figures.page import SIDE, Note, common_notes, sheet, text_width
from relatent.figures.plain import number
from relatent.figures.series import seed_values
from relatent.figures.statistics import Sample
from relatent.figures.style import GREY, INK, VERDICT_COLOURS
from relatent.figures.table import line

ROW, LINE, HEAD, GAP = 0.165, 0.115, 0.34, 0.1
"""Inches: a row of numbers, one more line in a row, a part's headings, between parts."""
NAMES = 0.115
"""Share of the width that the algorithms' names take."""
SIZE, SMALL = 7.5, 6.0
"""Points: of numbers, and of words about them."""
SAME = {"yes": VERDICT_COLOURS["supported"], "no": VERDICT_COLOURS["contradicted"]}
"""Colours of what is said about a cell, by whether it was measured on the column's task."""
Cells = dict[tuple[str, str], dict[str, Any]]
"""By algorithm and task."""
Words = Callable[[dict[str, Any]], tuple[list[str], str]]
"""The lines of a cell, and their colour."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and a row for each printed cell and each of ours."""
    theirs: Cells = {(row["algorithm"], row["task"]): row for row in check["printed"]}
    ours = rerun(gathered, drawing)
    printed_names = list(dict.fromkeys(row["algorithm"] for row in check["printed"]))
    tasks = drawing.data.tasks
    at = drawing.reference.frames if drawing.reference else None
    when = f"after {at:,} {drawing.x_label}" if at else "at the end"
    parts: list[tuple[str, list[str], Cells, Words, int]] = [
        ("As printed", printed_names, theirs, printed_words, 1),
        (f"Trained again: every algorithm on the same tasks, {when}", drawing.data.algorithms, ours, rerun_words, 1),
        ("Where each printed number was measured, and where it comes from", printed_names, theirs, origin_words, 2),
    ]
    height = sum(part_height(len(names), lines) for _, names, _, _, lines in parts) + GAP * (len(parts) - 1)
    source = check["printed"][0]["source"] if check["printed"] else "the table"
    shown = (
        f"{drawing.caption.rstrip('.')}. Mean ± standard deviation (seeds). Runs that end earlier count with their "
        f"last evaluation. In the last part: green, the column's own task; orange, another one; black, nearly it or "
        f"unknown. Bold: the largest mean of a column, among {source}'s numbers or ours."
    )
    notes = [*common_notes(drawing, check, shown), *remarks(check["printed"], drawing)]
    paper = sheet(drawing, gathered, notes, height + 0.08)
    panel = paper.place(SIDE, 0, drawing.look.width - 2 * SIDE, height)
    panel.set_axis_off()
    panel.set_xlim(0, 1)
    panel.set_ylim(height, 0)
    y = 0.0
    for title, names, cells, words, lines in parts:
        y = write_part(panel, y, drawing, title, names, tasks, cells, words, lines) + GAP
    return paper.figure, plotted(ours, check["printed"])


def part_height(rows: int, lines: int) -> float:
    return HEAD + rows * (ROW + (lines - 1) * LINE) + 0.04


def rerun(gathered: Gathered, drawing: Drawing) -> Cells:
    """Ours, each algorithm and task at the same frame; `seeds` is 0 where nothing was trained."""
    data, at = drawing.data, drawing.reference.frames if drawing.reference else None
    found: Cells = {}
    for name in data.algorithms:
        for task in data.tasks:
            values = seed_values(gathered.frame, name, task, data.measure, data.phase, "final", at)
            sample = Sample.of(values) if len(values) else Sample(np.nan, np.nan, 0)
            found[name, task] = {"mean": sample.mean, "std": sample.std, "seeds": sample.count}
    return found


def write_part(
    panel: Axes,
    y: float,
    drawing: Drawing,
    title: str,
    names: Sequence[str],
    tasks: Sequence[str],
    cells: Cells,
    words: Words,
    lines: int,
) -> float:
    """One of the three tables from `y` downwards; returns where it ends."""
    width = (1 - NAMES) / len(tasks)
    right = {task: NAMES + (column + 1) * width for column, task in enumerate(tasks)}
    panel.text(0, y + 0.08, title, size=8, weight="bold", va="center", parse_math=False)
    panel.add_line(line(y + 0.165, 0.8))
    for task in tasks:
        options: dict[str, Any] = {"size": SIZE, "style": "italic", "parse_math": False}
        panel.text(right[task], y + 0.165 + 0.085, task_title(task), ha="right", va="center", **options)
    panel.add_line(line(y + HEAD, 0.4))
    y += HEAD + 0.02
    best = largest(names, tasks, cells)
    for name in names:
        height = ROW + (lines - 1) * LINE
        panel.text(0, y + height / 2, label(drawing, name), size=SIZE, va="center", parse_math=False)
        for task in tasks:
            texts, colour = words(cells.get((name, task), {}))
            for index, text in enumerate(texts):
                middle = y + height / 2 + (index - (len(texts) - 1) / 2) * LINE
                bold = "bold" if lines == 1 and best.get(task) == name else "normal"
                size = fitting(text, SIZE if lines == 1 else SMALL, (width - 0.012) * panel_inches(drawing))
                options = {"size": size, "color": colour, "weight": bold, "parse_math": False}
                panel.text(right[task], middle, text, ha="right", va="center", **options)
        y += height
    panel.add_line(line(y + 0.02, 0.8))
    return y + 0.02


def panel_inches(drawing: Drawing) -> float:
    return drawing.look.width - 2 * SIDE


def fitting(text: str, size: float, width: float) -> float:
    """The size, or less where the text would be wider than its column."""
    return min(size, size * width / max(text_width(text, size), 1e-6))


def largest(names: Sequence[str], tasks: Sequence[str], cells: Cells) -> dict[str, str]:
    """The algorithm with the largest mean on each task, of those that have a number."""
    found = {}
    for task in tasks:
        means = {name: number(cells.get((name, task), {}).get("mean")) for name in names}
        known = {name: mean for name, mean in means.items() if np.isfinite(mean)}
        if len(known) > 1:
            found[task] = max(known, key=lambda name: known[name])
    return found


def label(drawing: Drawing, name: str) -> str:
    """An algorithm's own label; quoted rows are of algorithms that this figure does not train."""
    return QUOTED.get(name, name) if name not in drawing.labels else drawing.label(name)


QUOTED = {"svg1": "SVG(1), quoted", "slbo": "SLBO, quoted"}
"""Labels of rows that are only quoted."""


def printed_words(cell: dict[str, Any]) -> tuple[list[str], str]:
    return ([f"{cell['mean']:g} ± {cell['std']:g}"], INK) if cell else (["-"], GREY)


def rerun_words(cell: dict[str, Any]) -> tuple[list[str], str]:
    if not cell or not cell["seeds"]:
        return ["not trained"], GREY
    spread = f" ± {cell['std']:.0f}" if np.isfinite(cell["std"]) else ""
    return [f"{cell['mean']:.0f}{spread} ({cell['seeds']})"], INK


def origin_words(cell: dict[str, Any]) -> tuple[list[str], str]:
    if not cell:
        return ["-"], GREY
    return [cell["environment"], cell["origin"]], SAME.get(cell["same"], INK)


def remarks(printed: Sequence[dict[str, Any]], drawing: Drawing) -> list[Note]:
    """What else is known of cells, those of which the same is known together."""
    about: dict[str, list[str]] = {}
    for row in printed:
        if row["remark"]:
            cell = f"{label(drawing, row['algorithm'])} on {task_title(row['task'])}"
            about.setdefault(row["remark"], []).append(cell)
    named = {text: ", ".join(cells) if len(cells) < 3 else f"{len(cells)} cells" for text, cells in about.items()}
    texts = [f"{cells}: {text}" for text, cells in named.items()]
    return [Note("Provenance", f"{'; '.join(texts)}.")] if texts else []


def plotted(ours: Cells, printed: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Part, task, algorithm, mean, std, seeds, and of printed cells where they come from."""
    rows = [{"part": "printed", **row} for row in printed]
    rows += [{"part": "ours", "task": task, "algorithm": name, **cell} for (name, task), cell in ours.items()]
    return pd.DataFrame(rows)
