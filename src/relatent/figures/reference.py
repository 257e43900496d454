"""Other people's numbers, with their source, beside ours."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from relatent.figures.statistics import Estimate, Sample
from relatent.specs.errors import RelatentError

Agreement = Literal["agrees", "differs", "undecided"]
REQUIRED = ["task", "algorithm", "mean", "std", "seeds", "source"]


def read_reference(path: Path) -> pd.DataFrame:
    """Rows of task, algorithm, mean, std, seeds, source and, where the file has it, frames."""
    try:
        table = pd.read_csv(path, comment="#")
    except (OSError, ValueError) as error:
        raise RelatentError(f"{path}: cannot be read as a table of reference numbers ({error})") from None
    absent = [column for column in REQUIRED if column not in table.columns]
    if absent:
        raise RelatentError(f"{path}: lacks the columns {', '.join(absent)}")
    return table


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
