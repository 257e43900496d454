"""Other people's numbers, with their source, beside ours."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from relatent.figures.statistics import Estimate, Sample
from relatent.specs.errors import RelatentError
from relatent.specs.figure import Reference

Agreement = Literal["agrees", "differs", "undecided"]
REQUIRED = ["task", "algorithm", "mean", "std", "seeds", "source"]
OF_CURVES = ["task", "algorithm", "frames", "mean", "source"]
OF_PROVENANCE = ["environment", "same", "origin", "remark"]
ALL_TASKS = "all"
"""Stands for a task in a row about the mean over a figure's tasks."""


def read_reference(path: Path, required: Sequence[str] = REQUIRED) -> pd.DataFrame:
    """Rows of task, algorithm, mean, std, seeds, source and, where the file has it, frames; or of what is required."""
    try:
        table = pd.read_csv(path, comment="#")
    except (OSError, ValueError) as error:
        raise RelatentError(f"{path}: cannot be read as a table of reference numbers ({error})") from None
    absent = [column for column in required if column not in table.columns]
    if absent:
        raise RelatentError(f"{path}: lacks the columns {', '.join(absent)}")
    return table


def digitised(wanted: Reference, root: Path, algorithms: Sequence[str], tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Other people's curves of these algorithms and tasks, in the figure's order: task, algorithm, source, frames and
    mean, the last two a list each, over rising frames, and std of those released. `root`: the repository's."""
    path = root / wanted.file
    table = read_reference(path, [*REQUIRED, "frames"] if wanted.released else OF_CURVES)
    if wanted.source is not None:
        known = ", ".join(sorted(table["source"].unique()))
        table = table[table["source"] == wanted.source]
        if table.empty:
            raise RelatentError(f"{path}: no row of source {wanted.source!r}, known: {known}")
    found = []
    for task, algorithm in product([*tasks, ALL_TASKS], algorithms):
        rows = table[(table["algorithm"] == algorithm) & (table["task"] == task)].sort_values("frames")
        for source, of in rows.groupby("source"):
            curve = {key: of[key].tolist() for key in ("frames", "mean", *["std"] * wanted.released)}
            found.append({"task": task, "algorithm": algorithm, "source": source, **curve})
    return found


def printed(path: Path) -> list[dict[str, Any]]:
    """Every row of a table that says where its cells come from, beside the numbers."""
    table = read_reference(path, REQUIRED + OF_PROVENANCE)
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def rows_for(table: pd.DataFrame, algorithm: str, task: str, frames: int | None) -> pd.DataFrame:
    found = table[(table["algorithm"] == algorithm) & (table["task"] == task)]
    if frames is not None and "frames" in found.columns:
        found = found[found["frames"] == frames]
    return found


def band(rows: pd.DataFrame) -> tuple[float, float]:
    """[lowest mean - 2 sd, highest mean + 2 sd] over the sources. One seed has no sd: its mean alone counts."""
    spread = 2 * rows["std"].fillna(0.0).to_numpy(float)
    mean = rows["mean"].to_numpy(float)
    return float(np.min(mean - spread)), float(np.max(mean + spread))


def printed_sample(row: pd.Series) -> Sample:
    return Sample(float(row["mean"]), float(row["std"]), int(row["seeds"]))


def agreement(difference: Estimate, reference_mean: float, margin: float) -> Agreement:
    """`agrees`: the whole interval lies within margin x |reference|. `differs`: it excludes zero. Else `undecided`."""
    tolerated = margin * abs(reference_mean)
    if not difference.has_interval:
        return "undecided"
    if -tolerated <= difference.low and difference.high <= tolerated:
        return "agrees"
    return "differs" if difference.low > 0 or difference.high < 0 else "undecided"
