"""From what a user types to the clone, a figure's jobs, or one run's spec."""

from pathlib import Path
from typing import Any

from relatent.specs.canonical import canonical, digest
from relatent.specs.catalog import Catalog, Job
from relatent.specs.errors import RelatentError, unknown


def find_root() -> Path:
    """The clone to work in: the current folder or the nearest one above it that has config/papers."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "config" / "papers").is_dir():
            return folder
    raise RelatentError(f"{here} is not inside a clone of relatent: expected a folder config/papers here or above")


def one_job(catalog: Catalog, figure: str, budget: str, algorithm: str | None, task: str | None, seed: int) -> Job:
    """The one run of a figure that fits; an error that lists the choices where several do."""
    jobs = catalog.jobs(budget, figure)
    for kind, wanted in (("algorithm", algorithm), ("task", task)):
        names = list(dict.fromkeys(getattr(job, kind) for job in jobs))
        if wanted is None and len(names) > 1:
            raise RelatentError(f"{figure} has several {kind}s, give --{kind} (one of: {', '.join(names)})")
        if wanted is not None and wanted not in names:
            raise RelatentError(f"{figure} at budget {budget}: {unknown(kind, wanted, names)}")
        jobs = [job for job in jobs if getattr(job, kind) == (wanted or names[0])]
    for job in jobs:
        if job.seed == seed:
            return job
    raise RelatentError(f"{figure} at budget {budget}: {unknown('seed', seed, [str(job.seed) for job in jobs])}")


def folder_by_hand(spec: dict[str, Any]) -> Path:
    """Where a run goes that was started by hand without a folder."""
    return Path("runs/by_hand") / f"s{spec.get('seed', 0)}-{digest(canonical(spec))}"
