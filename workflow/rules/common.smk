# Look-ups for the rules; what they look up is made in src/relatent/specs.
import sys
from functools import cache
from pathlib import Path
from shlex import quote

from snakemake.cli import get_argument_parser

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "src"))

from relatent.cluster.call import begin
from relatent.specs.catalog import Catalog
from relatent.specs.engine import choose_container
from relatent.specs.errors import RelatentError
from relatent.specs.device import choose_device, on_device
from relatent.specs.lists import write_lists
from relatent.specs.packs import make_packs, read_packs, seeds_per_job, write_packs
from relatent.specs.preflight import check_container, check_store
from relatent.specs.settings import check_settings
from relatent.specs.sharing import SETTING, VARIABLE, runs_per_gpu
from relatent.specs.targets import check_targets, drawn
from relatent.specs.verdicts import verdict_words

# Jobs run in a container only where Snakemake is told so, as by profiles/container.
CONTAINED = bool(workflow.deployment_settings.deployment_method)

# Snakemake tells of its targets only once it has read all rules. Jobs have others than the user.
TARGETS = (
    get_argument_parser().parse_known_args()[0].targets
    if workflow.is_main_process
    else []
)

try:
    CATALOG = Catalog.load(ROOT)
    check_targets(CATALOG, TARGETS)
    check_settings(config)
    RUNS_PER_GPU = runs_per_gpu(config, SETTING)
    SEEDS_PER_JOB = seeds_per_job(config)
    DEVICE = choose_device(config)
    if CONTAINED:
        check_store(workflow.deployment_settings.apptainer_prefix)
    CONTAINER = choose_container(ROOT, config) if CONTAINED else None
except RelatentError as error:
    sys.exit(f"error: {error}")

# A figure's list of runs and its drawing are files, rewritten only when their content changes. A file's age is the one
# trigger that survives a lost .snakemake, a fresh clone or an unpacked archive.
if workflow.is_main_process:
    write_lists(CATALOG, Path("results"))

# Packs are made anew at each plan, of what is not finished; a job that trains one reads what was planned.
JOBS = {run: on_device(job, DEVICE) for run, job in CATALOG.all_jobs().items()}
if workflow.is_main_process:
    PACKS = make_packs(JOBS.values(), SEEDS_PER_JOB, ROOT)
    write_packs(PACKS, ROOT)
else:
    PACKS = read_packs(ROOT, JOBS)

# The rules call `python`: inside of a container the image's, otherwise the one that runs Snakemake.
HERE = "" if CONTAINED else f"{Path(sys.executable).parent}:"
shell.prefix(
    f"export {VARIABLE}={RUNS_PER_GPU} PYTHONPATH={quote(str(ROOT / 'src'))} PATH={quote(HERE)}$PATH; "
)


wildcard_constraints:
    budget="|".join(CATALOG.budgets),
    figure="|".join(CATALOG.figures),
    run=r"runs/[^/]+/[^/]+/[^/]+/[^/]+/s\d+-[0-9a-f]{12}",


@cache
def try_container():
    """End before the first job where the container cannot be used."""
    settings = workflow.deployment_settings
    # GPUs are looked for where jobs run: not on the machine that sends them to a cluster.
    arguments = settings.apptainer_args if workflow.local_exec else ""
    store = Path(workflow.persistence.container_img_path)
    try:
        check_container(ROOT, CONTAINER, store, arguments)
    except RelatentError as error:
        sys.exit(f"error: {error}")


def image(wildcards):
    """The image that a job runs in; Snakemake asks while it plans, before it fetches images and starts jobs."""
    if CONTAINER is None:
        return None
    if workflow.is_main_process and workflow.executor_plugin and not workflow.dryrun:
        try_container()
    return CONTAINER.image


def job_of(wildcards):
    return on_device(CATALOG.job(wildcards.run), DEVICE)


def job_spec(wildcards):
    return job_of(wildcards).spec


def job_cpus(wildcards):
    return job_of(wildcards).resources["cpus"]


def job_resource(name):
    """More of it at each attempt, where a run can need more than was expected."""

    def resource(wildcards, attempt):
        return job_of(wildcards).resources[name] * (1 if name == "gpu" else attempt)

    return resource


def pack_resource(pack, name):
    """The same for a pack."""

    def resource(wildcards, attempt):
        return pack.resource(name) * attempt

    return resource


def begin_call():
    """End before the first job where another call works here, or Slurm would refuse a job."""
    try:
        begin(workflow)
    except RelatentError as error:
        sys.exit(f"error: {error}")


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
