"""What backs every figure, as a table, and which runs are on their way."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from relatent.commands.progress import duration, expect, finished, look
from relatent.specs.catalog import Catalog, Job
from relatent.specs.images import pinned_digests
from relatent.specs.verdicts import verdict_words
from relatent.training.provenance import usable_cores

STYLE = {"up to date": "green", "partial": "yellow", "out of date": "yellow", "not drawn": "dim", "planned": "dim"}


@dataclass(frozen=True)
class FigureState:
    figure: str
    budget: str
    drawn: str
    """up to date, partial (runs are missing), out of date (other runs than config/ asks for now), not drawn, or planned
    (an agent is not written yet)."""
    seeds: str
    """Drawn of wanted, for the algorithm and task that has least."""
    done: int
    """Finished runs in this clone."""
    runs: int
    verdicts: str

    @property
    def touched(self) -> bool:
        """Whether anything of it exists."""
        return self.done > 0 or self.drawn not in ("not drawn", "planned")


def figure_states(catalog: Catalog) -> Iterator[FigureState]:
    """Every figure at every budget, the paper's budget first."""
    for figure in catalog.figures:
        for budget in reversed(catalog.budgets):
            yield figure_state(catalog.root, budget, figure, catalog.jobs(budget, figure))


def figure_state(root: Path, budget: str, figure: str, jobs: list[Job]) -> FigureState:
    """From the figure's manifest, and the runs that are finished."""
    path = figure_manifest(root, budget, figure)
    manifest = read_manifest(path)
    done = sum(finished(root / job.run) for job in jobs)
    if manifest is None:
        drawn = "planned" if any(job.planned for job in jobs) else "not drawn"
        return FigureState(figure, budget, drawn, "", done, len(jobs), "")
    wanted = {job.run for job in jobs}
    if {run["run"] for run in manifest["runs"]} | set(manifest["missing"]) != wanted:
        drawn = "out of date"
    else:
        drawn = "partial" if manifest["partial"] else "up to date"
    seeds = f"{manifest['seeds_drawn']} of {manifest['seeds_wanted']}"
    return FigureState(figure, budget, drawn, seeds, done, len(jobs), verdict_words(path))


def figure_manifest(root: Path, budget: str, figure: str) -> Path:
    """Where a drawn figure's manifest lies; at the paper's budget, the published one."""
    return root / "paper_figures" / ("" if budget == "paper" else budget) / f"{figure}.json"


def read_manifest(path: Path) -> dict[str, Any] | None:
    """A manifest of a figure or a run; None where there is none."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return None


def unfinished(catalog: Catalog) -> dict[str, Job]:
    """Jobs of any figure that have begun and not ended, by run folder."""
    jobs = {
        job.run: job for budget in catalog.budgets for figure in catalog.figures for job in catalog.jobs(budget, figure)
    }
    return {run: job for run, job in jobs.items() if (catalog.root / run / "progress.json").is_file()}


def other_images(catalog: Catalog) -> Iterator[str]:
    """A line for each drawn figure that shows runs made in another image than the pinned ones, and one for such runs in
    this clone. A run outside of any image has none, which is no difference."""
    pinned = {"none", *pinned_digests(catalog.root)}
    for figure in catalog.figures:
        for budget in reversed(catalog.budgets):
            images = (read_manifest(figure_manifest(catalog.root, budget, figure)) or {}).get("images", {})
            if other := sum(count for image, count in images.items() if image not in pinned):
                yield f"{figure} at the {budget} budget: {other} of its runs"
    runs = {run for budget in catalog.budgets for figure in catalog.figures for run in catalog.runs(budget, figure)}
    made_in = [read_manifest(catalog.root / run / "manifest.json") for run in runs]
    if other := sum((manifest or {}).get("image") not in (None, *pinned) for manifest in made_in):
        yield f"runs here: {other}"


def show(console: Console, catalog: Catalog) -> None:
    """All of it, as tables. A figure of which nothing exists takes one row, whatever its budgets."""
    console.print(figures_table(figure_states(catalog)))
    if other := list(other_images(catalog)):
        console.print(f"\nmade in another image than the pinned one: {'; '.join(other)}", highlight=False)
    begun = unfinished(catalog)
    if not begun:
        return
    table = Table("run", "state", "done", "left", box=None, pad_edge=False)
    for run, job in begun.items():
        state = look(catalog.root, job)
        if state.state != "done":
            left = expect([state], 1).seconds_left
            table.add_row(run, state.state, f"{state.fraction:.0%}", "" if left is None else duration(left))
    console.print()
    console.print(table)
    total = expect([look(catalog.root, job) for job in begun.values()], usable_cores())
    console.print(total.line(), highlight=False)


def figures_table(states: Iterable[FigureState]) -> Table:
    """Rows for what exists; for a figure of which nothing does, its paper budget alone."""
    table = Table("figure", "budget", "drawn", "seeds", "runs here", "claims", box=None, pad_edge=False)
    by_figure: dict[str, list[FigureState]] = {}
    for state in states:
        by_figure.setdefault(state.figure, []).append(state)
    for rows in by_figure.values():
        for row in [row for row in rows if row.touched] or rows[:1]:
            table.add_row(
                row.figure,
                row.budget,
                f"[{STYLE[row.drawn]}]{row.drawn}[/]",
                row.seeds,
                f"{row.done} of {row.runs}",
                row.verdicts,
            )
    return table
