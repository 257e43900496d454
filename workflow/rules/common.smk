# Look-ups for the rules; what they look up is made in src/relatent/specs.
import sys
from pathlib import Path
from shlex import quote

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "src"))

from relatent.specs.catalog import Catalog
from relatent.specs.errors import RelatentError
from relatent.specs.lists import write_lists
from relatent.specs.verdicts import verdict_words

try:
    CATALOG = Catalog.load(ROOT)
except RelatentError as error:
    sys.exit(f"error: {error}")

# A figure's list of runs and its drawing are files, rewritten only when their content changes. A file's age is the one
# trigger that survives a lost .snakemake, a fresh clone or an unpacked archive.
if workflow.is_main_process:
    write_lists(CATALOG, Path("results"))

# The rules call `python`: inside of a container the image's, otherwise the one that runs Snakemake.
HERE = (
    ""
    if workflow.deployment_settings.deployment_method
    else f"{Path(sys.executable).parent}:"
)
shell.prefix(f"export PYTHONPATH={quote(str(ROOT / 'src'))} PATH={quote(HERE)}$PATH; ")


wildcard_constraints:
    budget="|".join(CATALOG.budgets),
    figure="|".join(CATALOG.figures),
    run=r"runs/[^/]+/[^/]+/[^/]+/[^/]+/s\d+-[0-9a-f]{12}",


def job_spec(wildcards):
    return CATALOG.job(wildcards.run).spec


def job_cpus(wildcards):
    return CATALOG.job(wildcards.run).resources["cpus"]


def job_resource(name):
    """More of it at each attempt, where a run can need more than was expected."""

    def resource(wildcards, attempt):
        return CATALOG.job(wildcards.run).resources[name] * (
            1 if name == "gpu" else attempt
        )

    return resource


def refuse_planned(dag):
    """End before the first job when runs are asked for whose agent is not written yet."""
    runs = [job.wildcards.run for job in dag.needrun_jobs() if job.rule.name == "train"]
    jobs = [job for job in map(CATALOG.job, runs) if job.planned]
    if jobs:
        names = ", ".join(sorted({job.algorithm for job in jobs}))
        sys.exit(
            f"error: {len(jobs)} of the runs cannot be trained yet, their agents are planned only: {names}"
        )


def figure_returns(wildcards):
    return [
        f"{run}/returns.csv" for run in CATALOG.runs(wildcards.budget, wildcards.figure)
    ]


def figure_reference(wildcards):
    reference = CATALOG.figures[wildcards.figure].figure.reference
    return [reference.file] if reference else []


def figure_caption(wildcards):
    figure = CATALOG.figures[wildcards.figure].figure
    return f"{figure.title}. {figure.caption}, at the {wildcards.budget} budget."


def figure_category(wildcards):
    return CATALOG.papers[CATALOG.figures[wildcards.figure].paper].title


def figure_labels(wildcards):
    verdicts = verdict_words(
        Path(f"results/{wildcards.budget}/{wildcards.figure}.check.json")
    )
    return {"figure": wildcards.figure, "budget": wildcards.budget, "claims": verdicts}
