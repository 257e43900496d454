"""Everything that decides how a figure is judged and drawn, as one typed structure.

`relatent.specs.drawing` makes the dictionary from a paper's YAML; nothing here reads YAML. A key that is not known is
an error, so that a wish about a figure is never silently ignored.
"""

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from relatent.specs.closed import Closed
from relatent.specs.errors import SpecError
from relatent.specs.figure import Claim, Kind, Look, Panel, Phase, Reference


class DrawnBudget(Closed):
    name: str
    order: list[str]
    """Every budget, smallest first."""
    reduced: list[str] = []
    """What the budget replaces, a sentence part each: 'frames 1,000,000 -> 100,000'. Empty at the paper's budget."""

    @property
    def is_paper(self) -> bool:
        return self.name == "paper"

    def reaches(self, other: str) -> bool:
        """Whether this budget is at least as large as `other`."""
        return self.order.index(self.name) >= self.order.index(other)


class Data(Closed):
    algorithms: list[str]
    tasks: list[str]
    measure: str = "return"
    phase: Phase = "eval"
    """Which episodes count. Measures that come from probes have no phase."""


class PlannedRun(Closed):
    run: str
    """The run's folder, from the repository's root."""
    algorithm: str
    task: str
    seed: int


class Drawing(Closed):
    paper: str
    paper_title: str = ""
    figure: str
    """The target's name: smac_fig4."""
    title: str
    caption: str = ""
    kind: Kind
    budget: DrawnBudget
    data: Data
    labels: dict[str, str] = {}
    x_label: str = "environment frames"
    look: Look = Look()
    panels: list[Panel] = []
    claims: list[Claim] = []
    reference: Reference | None = None
    seeds_wanted: int
    origin: list[str] = []
    """What is ours because the paper does not state it."""
    runs: list[PlannedRun] = []

    def label(self, algorithm: str) -> str:
        return self.labels.get(algorithm, algorithm)


def read_drawing(drawing: "Drawing | dict[str, Any]") -> Drawing:
    """Validate, or say in one line which key is wrong."""
    if isinstance(drawing, Drawing):
        return drawing
    try:
        return Drawing.model_validate(drawing)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise SpecError(f"figure {drawing.get('figure', '?')}: {path}: {first['msg']}") from None


NUMBERED = {"fig": "Figure", "table": "Table", "e": "Experiment"}
"""What a figure's name may begin with, before its number."""


def figure_heading(drawing: Drawing) -> str:
    """`SMAC, Figure 4` of smac_fig4; a figure that the paper does not have keeps its name: `SMAC, entropy`."""
    name = drawing.figure.removeprefix(f"{drawing.paper}_")
    found = re.fullmatch(r"(fig|table|e)(\d+[a-z]?)", name)
    if found:
        name = f"{NUMBERED[found[1]]} {found[2]}"
    return f"{drawing.paper.upper()}, {name}"


def task_title(task: str) -> str:
    """`ball_in_cup_catch` as a panel's heading."""
    return task.replace("_", " ").replace("+", ", ")


def measure_name(measure: str) -> str:
    """`reverse_kl` in a sentence."""
    return " ".join("KL" if word == "kl" else word for word in measure.split("_"))


def run_parts(run: str | Path) -> tuple[str, str, int, str]:
    """(algorithm, task, seed, digest) of `.../<algorithm>/<task>/s<seed>-<digest>`."""
    *_, algorithm, task, leaf = Path(run).parts if len(Path(run).parts) >= 3 else ("", "", "")
    seed, _, digest = leaf.removeprefix("s").partition("-")
    if not (leaf.startswith("s") and seed.isdigit() and digest):
        raise SpecError(f"run {str(run)!r}: expected .../<algorithm>/<task>/s<seed>-<digest>")
    return algorithm, task, int(seed), digest
