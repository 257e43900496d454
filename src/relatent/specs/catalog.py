"""Everything that can be asked for: papers, budgets, figures and their jobs, read from config/ and checked."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relatent.specs import consistency, expand
from relatent.specs.drawing import drawing
from relatent.specs.errors import SpecError, unknown
from relatent.specs.expand import Job
from relatent.specs.figure import Figure
from relatent.specs.hyper import hyper_fields, modules
from relatent.specs.loading import check, read_yaml
from relatent.specs.models import Algorithm, Budget, Budgets, Paper
from relatent.specs.revisions import read_lock

__all__ = ["Catalog", "FigureEntry", "Job"]


@dataclass(frozen=True)
class FigureEntry:
    """A figure under its target's name, such as smac_fig4."""

    paper: str
    name: str
    """Its key in the paper's file, such as fig4."""
    figure: Figure


@dataclass(frozen=True)
class Catalog:
    root: Path
    papers: dict[str, Paper]
    budgets: dict[str, Budget]
    """From the smallest to `paper`."""
    figures: dict[str, FigureEntry]
    revisions: dict[str, int]
    _jobs: dict[tuple[str, str], list[Job]] = field(default_factory=dict)
    _runs: dict[str, dict[str, Job]] = field(default_factory=dict)

    @classmethod
    def load(cls, root: Path) -> "Catalog":
        """Read and check config/. Raises SpecError at the first mistake: file, line, path, what was expected."""
        root = Path(root).resolve()
        budgets_document = read_yaml(root / "config/budgets.yaml", root)
        budgets = dict(check(Budgets, budgets_document).budgets)
        papers, documents = {}, {}
        for path in sorted((root / "config/papers").glob("*.yaml")):
            document = read_yaml(path, root)
            paper = check(Paper, document)
            if paper.paper != path.stem:
                raise document.error(["paper"], f"expected {path.stem!r}, the file's name")
            papers[paper.paper], documents[paper.paper] = paper, document
        if not papers:
            raise SpecError("config/papers: no paper, expected at least one *.yaml")
        for name, paper in papers.items():
            consistency.check_paper(root, documents[name], paper)
        consistency.check_budgets(root, budgets_document, budgets, papers)
        for name, paper in papers.items():
            consistency.check_figures(root, documents[name], paper, budgets)
        return cls(
            root,
            papers,
            budgets,
            {f"{name}_{key}": FigureEntry(name, key, figure) for name, key, figure in _figures(papers)},
            {name: entry.revision for name, entry in read_lock(root).items()},
        )

    @property
    def ready(self) -> list[str]:
        """The figures whose algorithms are all written."""
        return [name for name in self.figures if not any(job.planned for job in self.jobs(self.smallest, name))]

    @property
    def smallest(self) -> str:
        """The smallest budget, which comes first."""
        return next(iter(self.budgets))

    @property
    def covering(self) -> list[str]:
        """Of these, the figures that each add an agent, an environment, a probe, a kind of figure or an arm of a study
        to those before them. An agent's algorithm that differs by its values alone adds nothing."""
        seen: set[tuple[str, str]] = set()
        found = []
        for name in self.ready:
            shown = self.shown(name)
            found += [name] if shown - seen else []
            seen |= shown
        return found

    def shown(self, figure: str) -> set[tuple[str, str]]:
        """What code a figure needs. Studies are short: each of their arms counts."""
        needs: set[tuple[str, str]] = {("kind", self.figures[figure].figure.kind)}
        for job in self.jobs(self.smallest, figure):
            spec = json.loads(job.spec)
            needs |= {("agent", spec["agent"])} if "agent" in spec else {(self.figures[figure].paper, job.algorithm)}
            needs |= {("probe", probe) for probe in spec.get("probes", ())}
            needs |= {("environment", " ".join([spec["env"]["suite"], *spec["env"]]))} if "env" in spec else set()
        return needs

    def jobs(self, budget: str, figure: str) -> list[Job]:
        """The runs that a figure shows, by algorithm, task and seed."""
        if (budget, figure) not in self._jobs:
            entry, paper = self.figure(budget, figure)
            self._jobs[budget, figure] = expand.jobs(
                paper, budget, self.budgets[budget], entry.name, self.revisions, self._typed
            )
        return self._jobs[budget, figure]

    def runs(self, budget: str, figure: str) -> list[str]:
        """The folders of a figure's runs."""
        return [job.run for job in self.jobs(budget, figure)]

    def job(self, run: str) -> Job:
        """The job of a run's folder."""
        budget = run.split("/")[1] if run.count("/") else ""
        if budget not in self.budgets:
            raise SpecError(f"run {run!r}: {unknown('budget', budget, self.budgets)}")
        if budget not in self._runs:
            self._runs[budget] = {job.run: job for figure in self.figures for job in self.jobs(budget, figure)}
        if run not in self._runs[budget]:
            raise SpecError(f"run {run!r}: no figure asks for it; its values or its name have changed")
        return self._runs[budget][run]

    def all_jobs(self) -> dict[str, Job]:
        """Every run that some figure asks for at some budget, by its folder."""
        return {job.run: job for budget in self.budgets for figure in self.figures for job in self.jobs(budget, figure)}

    def drawing(self, budget: str, figure: str) -> dict[str, Any]:
        """All that decides how a figure is drawn and judged."""
        entry, paper = self.figure(budget, figure)
        return drawing(paper, entry.name, budget, self.budgets, self.jobs(budget, figure))

    def figure(self, budget: str, figure: str) -> tuple[FigureEntry, Paper]:
        """A figure and its paper; an unknown name is an error that says which names there are."""
        for what, name, known in (("budget", budget, self.budgets), ("figure", figure, self.figures)):
            if name not in known:
                raise SpecError(unknown(what, name, known))
        entry = self.figures[figure]
        return entry, self.papers[entry.paper]

    def _typed(self, entry: Algorithm, hyper: dict[str, Any]) -> dict[str, Any]:
        if entry.planned:
            return hyper
        fields = hyper_fields(modules(self.root)[entry.agent or entry.study or ""])
        return {name: fields[name].read(value) for name, value in hyper.items()}


def _figures(papers: dict[str, Paper]) -> Iterator[tuple[str, str, Figure]]:
    for name, paper in papers.items():
        for key, figure in paper.figures.items():
            yield name, key, figure
