"""What states look like that an agent comes to: RPG's Figure 10.

A row per algorithm and task, of one run: at the left the state that its first evaluation begins with, then the states
that evaluations end with, in order of training. All are drawn by the environment itself, pixel for pixel.
"""

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from relatent.figures.drawing import Drawing, task_title
from relatent.figures.gather import Gathered
from relatent.figures.page import common_notes, sheet
from relatent.figures.style import GREY

LABEL, GAP, TITLE, SUCCESS = 0.4, 0.06, 0.17, 0.14
"""Inches: rows' names, between panels, above a panel and below it."""
LARGEST = 1.4
"""Inches of a square panel."""
COLUMNS = ["task", "algorithm", "seed", "frames", "state", "return", "success"]
"""Of the CSV, a row for each picture."""


class State(NamedTuple):
    """One picture of a run, and how the evaluation's episode ended that it is of."""

    frames: int
    picture: np.ndarray
    """uint8 (side, side, 3)."""
    return_: float
    success: float
    """NaN where the environment defines none."""
    initial: bool
    """Whether its episode begins with it; else it ends there."""


def draw(gathered: Gathered, drawing: Drawing, check: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """The figure, and a row for each of its pictures."""
    rows = list(product(drawing.data.algorithms, drawing.data.tasks))
    runs = {row: first_run(gathered.frame, *row) for row in rows}
    found = {row: states(run) for row, run in runs.items()}
    columns = max(1, *(len(of) for of in found.values()))
    side = min(LARGEST, (drawing.look.width - LABEL - 0.06) / columns - GAP)
    height = TITLE + side + SUCCESS
    paper = sheet(drawing, gathered, common_notes(drawing, check, shown(drawing)), len(rows) * (height + GAP))
    tables = [pd.DataFrame(columns=COLUMNS)]
    for number, (algorithm, task) in enumerate(rows):
        of, seed = found[algorithm, task], seed_of(runs[algorithm, task])
        panels = [
            paper.place(LABEL + column * (side + GAP), number * (height + GAP) + TITLE, side, side)
            for column in range(max(1, len(of)))
        ]
        for panel in panels:
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(True)
        label = f"{drawing.label(algorithm)}, {task_title(task)}" + (f"\nseed {seed}" if seed is not None else "")
        panels[0].set_ylabel(label, size=7, labelpad=2)
        if not of:
            panels[0].text(0.5, 0.5, "not trained", transform=panels[0].transAxes, ha="center", va="center", color=GREY)
            continue
        for panel, state in zip(panels, of, strict=True):
            image(panel, state)
        tables.append(table(of).assign(task=task, algorithm=algorithm, seed=seed))
    return paper.figure, pd.concat([one for one in tables if len(one)] or tables, ignore_index=True)[COLUMNS]


def first_run(frame: pd.DataFrame, algorithm: str, task: str) -> pd.DataFrame:
    """All of the run with the smallest seed; empty where nothing was trained."""
    found = frame[(frame["algorithm"] == algorithm) & (frame["task"] == task)]
    return found[found["seed"] == found["seed"].min()]


def seed_of(run: pd.DataFrame) -> int | None:
    return None if run.empty else int(run["seed"].iloc[0])


def states(run: pd.DataFrame) -> list[State]:
    """What a run has pictures of, in order of training."""
    pictures = run[run["measure"].str.fullmatch(r"pictures_\d+")].groupby("measure")
    ends = run[(run["phase"] == "eval") & (run["episode"] == 0)].set_index(["measure", "frames"])["value"]
    found = []
    for number in range(len(pictures)):
        pixels = pictures.get_group(f"pictures_{number}").sort_values("episode")
        frames, side = int(pixels["frames"].iloc[0]), int(np.sqrt(len(pixels) / 3))
        picture = pixels["value"].to_numpy().astype(np.uint8).reshape(side, side, 3)
        return_, success = (float(ends.get((measure, frames), np.nan)) for measure in ("return", "success"))
        found.append(State(frames, picture, return_, success, initial=number == 0))
    return found


def image(panel: Axes, state: State) -> None:
    """Every pixel as it is; the budget's name, which it would hide, is written on its lower edge."""
    panel.imshow(state.picture, interpolation="none", aspect="auto")
    for mark in panel.texts:
        mark.set(position=(0.5, 0.09), zorder=3, alpha=0.75, size=7)
    panel.set_title("initial state" if state.initial else f"after {state.frames:,}", size=7, pad=2.5)
    if not (state.initial or np.isnan(state.success)):
        panel.set_xlabel(f"success {state.success:g}", size=6.5, labelpad=1.5)


def table(of: list[State]) -> pd.DataFrame:
    """What the CSV says of a run's pictures; an episode that only begins has no return yet."""
    rows = [
        {
            "frames": one.frames,
            "state": "initial" if one.initial else "last",
            "return": np.nan if one.initial else one.return_,
            "success": np.nan if one.initial else one.success,
        }
        for one in of
    ]
    return pd.DataFrame(rows)


def shown(drawing: Drawing) -> str:
    return (
        f"{drawing.caption.rstrip('.')}. Left: the state that the evaluation before training begins with. Then, at the "
        f"first evaluation after each fifth of training: the last state of its first episode, after so many "
        f"{drawing.x_label}, and that episode's success; of fewer evaluations one each. Which states these are is "
        f"ours. One run a row, of the smallest seed."
    )
