"""A figure's list of runs and its drawing as files: inputs whose age is that of their content."""

from pathlib import Path

from relatent.specs.canonical import canonical
from relatent.specs.catalog import Catalog
from relatent.specs.files import write_if_changed


def write_lists(catalog: Catalog, results: Path) -> None:
    """`<budget>/<figure>.runs`, one run folder a line, and `.drawing.json`, for all budgets and figures."""
    for budget in catalog.budgets:
        for figure in catalog.figures:
            runs = "".join(f"{run}\n" for run in catalog.runs(budget, figure))
            write_if_changed(results / budget / f"{figure}.runs", runs)
            drawing = canonical(catalog.drawing(budget, figure)) + "\n"
            write_if_changed(results / budget / f"{figure}.drawing.json", drawing)
