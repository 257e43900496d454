"""A study's arrays out of the gathered table, and what a figure draws of them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from relatent.figures.statistics import Array
from relatent.specs.errors import RelatentError


@dataclass
class Recorded:
    """The arrays that a study recorded, a row a seed, and all that was drawn of them."""

    arrays: dict[str, Array]
    """Measure -> (seeds, entries); a two-dimensional array is a measure a column, as `gather` has it."""
    drawn: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, frame: pd.DataFrame, needed: str) -> "Recorded":
        """Raises RelatentError where the study has no measure `needed`, as one of an older revision."""
        probes = frame[frame["phase"] == "probe"]
        tables = {
            str(name): rows.pivot(index="seed", columns="episode", values="value").to_numpy(float)
            for name, rows in probes.groupby("measure")
        }
        if needed not in tables:
            raise RelatentError(f"the study recorded no {needed}; was it made by an older revision?")
        return cls(tables)

    def first(self, name: str) -> Array:
        """Of the first seed; the same for all where nothing is random."""
        return self.arrays[name][0]

    def one(self, name: str) -> float:
        """A single number, the mean over seeds and entries."""
        return float(self.arrays[name].mean())

    def columns(self, name: str) -> Array:
        """A two-dimensional array of every seed, (seeds, entries, columns)."""
        count = 0
        while f"{name}_{count}" in self.arrays:
            count += 1
        return np.stack([self.arrays[f"{name}_{column}"] for column in range(count)], axis=-1)

    def note(self, panel: str, series: str, x: Array | list[float], **values: Array | list[float]) -> None:
        """Remember what was drawn, for the CSV: a row a point."""
        for position, at in enumerate(x):
            heights = {name: float(value[position]) for name, value in values.items()}
            self.drawn.append({"panel": panel, "series": series, "x": float(at), **heights})

    def table(self) -> pd.DataFrame:
        """Every point that was drawn."""
        return pd.DataFrame(self.drawn)
