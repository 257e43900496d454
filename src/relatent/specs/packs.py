"""Runs that differ in their seed only, trained by one job where the profile asks for it (`seeds_per_job`).

A pack holds runs that are not finished yet, so that it never trains one twice. It is written down when Snakemake plans,
because the job that trains it plans again later, when some of its runs may have finished.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from relatent.specs.canonical import canonical, digest
from relatent.specs.expand import Job
from relatent.specs.files import write_if_changed
from relatent.specs.settings import whole_number

SETTING = "seeds_per_job"  # in Snakemake's config
FOLDER = Path("results/packs")
OUTPUTS = ("returns.csv", "probes.npz", "manifest.json")


@dataclass(frozen=True)
class Pack:
    """Two runs or more."""

    name: str
    """Names its rule and its file."""
    jobs: tuple[Job, ...]

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.name}.json"

    @property
    def outputs(self) -> list[str]:
        return [f"{job.run}/{name}" for job in self.jobs for name in OUTPUTS]

    def resource(self, name: str) -> int:
        """As many CPUs and as much memory as its runs need together; the time and the GPU that one of them needs."""
        each = [job.resources[name] for job in self.jobs]
        return max(each) if name in ("gpu", "runtime") else sum(each)


def seeds_per_job(config: Mapping[str, object]) -> int:
    """The setting, 1 where there is none. Raises RelatentError for anything but a whole number from 1."""
    return whole_number(SETTING, str(config.get(SETTING, 1)), "how many runs one job trains")


def make_packs(jobs: Iterable[Job], size: int, root: Path) -> list[Pack]:
    """Packs of at most `size` unfinished runs. A run that has nothing to be packed with is left to a job of its own."""
    groups: dict[str, dict[str, Job]] = {}
    for job in jobs:
        if size > 1 and not job.planned and not (root / job.run / OUTPUTS[0]).exists():
            alike = canonical({**json.loads(job.spec), "seed": None})
            groups.setdefault(f"{Path(job.run).parent} {alike}", {})[job.run] = job
    packs = []
    for group in groups.values():
        runs = sorted(group.values(), key=lambda job: job.seed)
        parts = [tuple(runs[start : start + size]) for start in range(0, len(runs), size)]
        packs += [Pack(_name(part), part) for part in parts if len(part) > 1]
    return packs


def write_packs(packs: Iterable[Pack], root: Path) -> None:
    """One file per pack: a list of run folders and specs."""
    for pack in packs:
        content = [{"run": job.run, "spec": json.loads(job.spec)} for job in pack.jobs]
        write_if_changed(root / pack.file, json.dumps(content, indent=1) + "\n")


def read_packs(root: Path, jobs: Mapping[str, Job]) -> list[Pack]:
    """All packs ever written here whose runs are still asked for; to be read by the jobs that train them."""
    packs = []
    for path in sorted((root / FOLDER).glob("*.json")):
        runs = [entry["run"] for entry in json.loads(path.read_text())]
        if all(run in jobs for run in runs):
            packs.append(Pack(path.stem, tuple(jobs[run] for run in runs)))
    return packs


def _name(jobs: tuple[Job, ...]) -> str:
    first = jobs[0]
    words = re.sub(r"\W+", "_", f"{first.budget}_{first.algorithm}_{first.task}")
    return f"{words}_{digest(' '.join(job.run for job in jobs))}"
