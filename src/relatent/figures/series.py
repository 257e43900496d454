"""Curves of a gathered table: which seeds there are, their points over frames, one number a seed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from relatent.figures.statistics import STATISTICS, Array
from relatent.specs.errors import RelatentError

BIN, BINS = 10_000, 20
"""Training episodes are averaged over so many frames, as haosulab/RPG@a7dc920 does for its plots, or over the `BINS`th
part of a run that would have fewer points."""


@dataclass(frozen=True)
class Curves:
    seeds: list[int]
    frames: Array
    """(points,) environment frames."""
    values: Array
    """(seeds, points): the mean over one evaluation's episodes, or over the training episodes of one bin."""


def select(frame: pd.DataFrame, algorithm: str, task: str, measure: str, phase: str) -> pd.DataFrame:
    """Rows of one curve. Only returns and successes have a phase; every other measure is a probe's.

    Evaluations come in groups of episodes at one frame, training episodes do not: these stand at the end of their bin.
    """
    phase = phase if measure in ("return", "success") else "probe"
    runs = frame[frame["algorithm"] == algorithm]
    runs = runs[runs["task"] == task]  # one after the other: tables have millions of rows
    found = runs[(runs["measure"] == measure) & (runs["phase"] == phase)]
    if phase == "train" and not found.empty:
        width = bin_width(runs)
        found = found.assign(frames=-(-found["frames"] // width) * width)
    return found


def bin_width(runs: pd.DataFrame) -> int:
    """Frames over which training episodes are averaged, of runs of one length."""
    return max(1, min(BIN, int(runs["frames"].max()) // BINS))


def points(rows: pd.DataFrame) -> pd.Series:
    """Mean over the episodes of each seed and frame; NaN if one episode's value is, which pandas' mean would skip."""
    episodes = rows.groupby(["seed", "frames"])["value"]
    return episodes.mean().where(episodes.count() == episodes.size())


def curves(frame: pd.DataFrame, algorithm: str, task: str, measure: str, phase: str) -> Curves | None:
    """Every seed's curve at the frames that all seeds share; None where nothing was gathered."""
    rows = select(frame, algorithm, task, measure, phase)
    if rows.empty:
        return None
    shared = rows.groupby("frames")["seed"].nunique() == rows["seed"].nunique()
    table = points(rows).unstack("seed").loc[shared[shared].index]
    if table.empty:
        raise RelatentError(f"{algorithm} on {task}: the seeds have no frame of {measure} ({phase}) in common")
    return Curves([int(seed) for seed in table.columns], table.index.to_numpy(float), table.to_numpy(float).T)


def seeds_without(frame: pd.DataFrame, algorithm: str, task: str, measure: str, phase: str, frames: int) -> list[int]:
    """Seeds whose curve has no point at that frame."""
    seeds = select(frame, algorithm, task, measure, phase).groupby("seed")["frames"]
    return [int(str(seed)) for seed, found in seeds if frames not in set(found)]


def seed_values(
    frame: pd.DataFrame, algorithm: str, task: str, measure: str, phase: str, statistic: str, until: int | None = None
) -> Array:
    """One number a seed, in order of seeds. `until` ignores what lies beyond that frame."""
    rows = select(frame, algorithm, task, measure, phase)
    if until is not None:
        rows = rows[rows["frames"] <= until]
    summarise = STATISTICS[statistic]
    return np.array(
        [
            summarise(curve.index.get_level_values("frames").to_numpy(float), curve.to_numpy(float))
            for _, curve in points(rows).groupby(level="seed")
        ]
    )
