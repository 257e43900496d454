"""The command line. Each command is a few lines around a function elsewhere; torch and matplotlib are imported inside
commands only, so that help and errors come at once."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from relatent.specs.errors import RelatentError

USER_ERROR = 2

app = typer.Typer(
    name="relatent",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)

Figure = Annotated[str, typer.Argument(help="A figure, such as smac_fig4. `relatent status` lists them.")]
FigureOption = Annotated[str | None, typer.Option(help="A figure, such as smac_fig4.")]
Budget = Annotated[str, typer.Option(help="How much to train: smoke, demo, laptop or paper (config/budgets.yaml).")]
Drawing = Annotated[
    str | None, typer.Option(help="How the figure is drawn: JSON, or a file of it. What Snakemake passes.")
]
Data = Annotated[Path, typer.Argument(help="What `relatent gather` wrote.")]


@app.callback()
def relatent() -> None:
    """Retrain and redraw the figures of papers on latent-variable reinforcement learning.

    \b
    Ask Snakemake for a figure; it calls train, gather, check and draw in turn:
      snakemake -c2 paper_figures/smoke/smac_fig4.pdf    a figure at a small budget
      relatent plan smac_fig4                            what the paper's own budget would cost
      relatent status                                    what backs every figure
      relatent doctor                                    what this machine can do
    """


@app.command()
def train(
    spec: Annotated[str | None, typer.Option(help="The run's spec as JSON. What Snakemake passes.")] = None,
    run: Annotated[Path | None, typer.Option(help="The run's folder; follows from the spec if left out.")] = None,
    pack: Annotated[Path | None, typer.Option(help="A file of several runs. What Snakemake passes.")] = None,
    figure: FigureOption = None,
    budget: Budget = "smoke",
    algorithm: Annotated[str | None, typer.Option(help="An algorithm of the figure, such as smac.")] = None,
    task: Annotated[str | None, typer.Option(help="A task of the figure, such as cartpole_swingup.")] = None,
    seed: Annotated[int, typer.Option(help="A seed of the figure.")] = 0,
    gpus: Annotated[int, typer.Option(help="GPUs to train on, 0 or 1.")] = 0,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile losses: slow to start, then faster.")] = False,
    at_once: Annotated[int, typer.Option(help="Runs of a pack at once, where they share no GPU.")] = 1,
    one_of_many: Annotated[bool, typer.Option("--one-of-many", hidden=True)] = False,
) -> None:
    """Train one run: one algorithm, one task, one seed. Or a pack of runs that differ in their seed.

    \b
    Example, a run that smac_fig4 needs at its smallest budget:
      relatent train --figure smac_fig4 --budget smoke --algorithm sac --task cartpole_swingup --seed 0

    A stopped run continues from its last checkpoint when the same command is given again.
    Exit status: 0 done, 2 an error explained in one line, 75 interrupted.
    """
    from relatent.commands.pick import folder_by_hand, one_job

    if [spec, pack, figure].count(None) != 2:
        raise RelatentError("train: give either --figure NAME, --spec JSON or --pack FILE")
    if pack is not None:
        from relatent.commands.training import train_pack

        raise typer.Exit(train_pack(existing(pack), at_once, gpus, compiled))
    if figure is not None:
        job = one_job(enter_clone(), figure, budget, algorithm, task, seed)
        chosen, folder = json.loads(job.spec), run or Path(job.run)
    else:
        chosen = json_object(spec or "", "--spec")
        if not {"agent", "study"} & set(chosen):
            raise RelatentError("--spec: expected a key `agent` or `study`")
        folder = run or folder_by_hand(chosen)

    from relatent.commands.training import train_run

    with writing_to(folder):
        code = train_run(chosen, folder, gpus, compiled, one_of_many)
    if figure is not None and code == 0:
        print(folder / "returns.csv")
    raise typer.Exit(code)


@app.command()
def gather(
    run_list: Annotated[Path, typer.Argument(help="Text file with one run folder a line: results/<budget>/*.runs.")],
    out: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    partial: Annotated[bool, typer.Option("--partial", help="Leave out unfinished runs; the figure says so.")] = False,
) -> None:
    """Collect the results of a figure's runs in one table.

    \b
    Example, a figure of what is there so far:
      relatent gather results/laptop/smac_fig4.runs partial.parquet --partial
      relatent check partial.parquet partial.check.json --figure smac_fig4 --budget laptop
      relatent draw partial.parquet partial.pdf --check partial.check.json --figure smac_fig4 --budget laptop
    """
    from relatent.figures.gather import gather as gather_runs

    gather_runs(existing(run_list), out, partial)


@app.command()
def check(
    data: Data,
    out: Annotated[Path, typer.Argument(help="JSON file to write.")],
    drawing: Drawing = None,
    figure: FigureOption = None,
    budget: Budget = "smoke",
) -> None:
    """Judge the paper's sentences, and compare with its numbers.

    \b
    Example:
      relatent check results/smoke/smac_fig4.parquet verdicts.json --figure smac_fig4 --budget smoke
    """
    from relatent.figures.check import check as check_figure
    from relatent.specs.files import write_atomic

    verdicts = check_figure(existing(data), how_to_draw(drawing, figure, budget))
    write_atomic(out, json.dumps(verdicts, indent=1, sort_keys=True) + "\n")


@app.command()
def draw(
    data: Data,
    out: Annotated[
        Path, typer.Argument(help="Figure to write; .pdf, .svg, .csv and .json are written beside each other.")
    ],
    check: Annotated[Path, typer.Option(help="What `relatent check` wrote.")],
    drawing: Drawing = None,
    figure: FigureOption = None,
    budget: Budget = "smoke",
) -> None:
    """Draw a figure, with its numbers and a manifest.

    \b
    Example:
      relatent draw results/smoke/smac_fig4.parquet here.pdf --check verdicts.json --figure smac_fig4 --budget smoke
    """
    from relatent.figures.draw import draw as draw_figure

    verdicts = json_object(existing(check).read_text(), str(check))
    draw_figure(existing(data), how_to_draw(drawing, figure, budget), verdicts, out)


@app.command()
def plan(figure: Figure, budget: Budget = "paper") -> None:
    """Say what a figure would cost, and what of it is done.

    \b
    Runs, environment steps, gradient updates, floating point operations, and hours on one CPU thread and on a GPU,
    from the speeds in config/throughput.csv that `relatent bench --write` measured: where there are any of this
    machine's processor, from these.
    Examples:
      relatent plan smac_fig4
      relatent plan smac_fig4 --budget laptop
    """
    from relatent.commands.plan import plan as plan_jobs
    from relatent.commands.plan import show
    from relatent.commands.throughput import FILE, Speed, read
    from relatent.training.provenance import cpu_model

    catalog = enter_clone()
    rows = read(FILE)
    planned = plan_jobs(catalog.jobs(budget, figure), Speed(rows, "cpu", cpu_model()), Speed(rows, "cuda"))
    show(console(), f"{figure} at the {budget} budget", planned)


@app.command()
def status() -> None:
    """Show what backs every figure.

    A row for every figure and budget with finished runs: seeds done of seeds wanted, and verdicts on the paper's
    sentences. Below, the runs that are on their way.
    """
    from relatent.commands.status import show

    show(console(), enter_clone())


@app.command()
def doctor() -> None:
    """Check what this machine can do.

    Python, locked packages, OpenGL, CPU, GPU, containers, Slurm, disk; and what to do where something is missing.
    Exit status 1 if something stops training on this CPU, else 0; what is optional and missing is only named.
    """
    from relatent.commands.doctor import examine, report
    from relatent.training.provenance import ROOT

    if not report(examine(ROOT), console()):
        raise typer.Exit(1)


@app.command()
def terms(
    markdown: Annotated[bool, typer.Option("--markdown", help="As docs/inference.md has it.")] = False,
) -> None:
    """Show every method as terms of one objective.

    Which of the terms of Marino & Yue's objective a method has, in which form, and which parameters each one trains.
    """
    from relatent.commands.terms import show
    from relatent.objectives.methods import markdown as as_markdown

    if markdown:
        typer.echo(as_markdown(), nl=False)
    else:
        show(console())


@app.command()
def bench(
    algorithm: Annotated[list[str] | None, typer.Option(help="Only this algorithm; may be repeated.")] = None,
    figure: Annotated[list[str] | None, typer.Option(help="Figures whose algorithms are measured.")] = None,
    budget: Budget = "paper",
    task: Annotated[str, typer.Option(help="The task that sizes and the real run are taken from.")] = "cheetah_run",
    width: Annotated[int | None, typer.Option(help="Replaces every algorithm's width.")] = None,
    batch: Annotated[int | None, typer.Option(help="Replaces every algorithm's batch.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few seconds an algorithm; rough.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Put the speeds into config/throughput.csv.")] = False,
    ways: Annotated[bool, typer.Option("--ways", help="Compare updates as written, compiled, captured.")] = False,
    seeds: Annotated[list[int] | None, typer.Option(help="With --ways: seeds in one process; 1, 5, 10.")] = None,
    gpus: Annotated[int, typer.Option(help="With --ways: GPUs to measure on, 0 or 1.")] = 0,
    peer: Annotated[bool, typer.Option("--peer", help="With --ways: Stable-Baselines3's SAC beside ours.")] = False,
) -> None:
    """Measure how fast this machine trains, on one thread.

    \b
    Per algorithm: updates and actions a second, the updates' share of the core's float32 matrix product peak, and
    where a short real run's wall time goes. Per task: simulator frames a second.
    Examples:
      relatent bench --quick --algorithm sac
      relatent bench --algorithm sac --width 256 --batch 256
      relatent bench --write
      relatent bench --ways --seeds 1 --seeds 5 --algorithm sac --width 256 --peer
    """
    catalog = enter_clone()
    from relatent.commands.bench import Choice, bench_ways
    from relatent.commands.bench import bench as bench_machine

    figures = figure or ["smac_fig4", "smac_fig11"]
    choice = Choice(figures, budget, algorithm, task, {"width": width, "batch": batch})
    if ways:
        bench_ways(catalog, choice, quick, seeds or [1, 5, 10], gpus, peer, console())
    else:
        bench_machine(catalog, choice, quick, write, console())


@app.command()
def demo(
    cores: Annotated[int | None, typer.Option(help="Runs at once; all cores by default.")] = None,
) -> None:
    """Train and draw what a laptop reproduces in minutes.

    SMAC's Figure 7 at the paper's budget, and learning curves of SAC, TD3 and SMAC on one real task at a small one.
    """
    from relatent.commands.demo import demo as run_demo
    from relatent.training.provenance import usable_cores

    catalog = enter_clone()
    raise typer.Exit(run_demo(catalog, cores or usable_cores(), console()))


@app.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
def revisions(arguments: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Say what a change of code means for finished runs.

    `check` names the agents it touches; `bump` trains their runs again; `keep` leaves them, with a reason.
    """
    from relatent.specs.revisions import main as revise

    raise typer.Exit(revise(arguments or ["--help"]))


@app.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
def schema(arguments: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Write the JSON schemas of config/, for editors; `--check` only compares."""
    from relatent.specs.schema import main as write_schemas

    raise typer.Exit(write_schemas(arguments or []))


def main() -> None:
    """Run a command; an error that a user can mend is one line on stderr and exit status 2."""
    try:
        app()
    except RelatentError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)


def console() -> Any:
    """Where tables go: the terminal, or 110 columns of plain text in a file or a pipe."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=110)


def enter_clone() -> Any:
    """The catalog of the clone that the current folder is in. Its root becomes the current folder: runs are named from
    there."""
    from relatent.commands.pick import find_root
    from relatent.specs.catalog import Catalog

    root = find_root()
    os.chdir(root)
    return Catalog.load(root)


def how_to_draw(drawing: str | None, figure: str | None, budget: str) -> dict[str, Any]:
    """The drawing given as JSON or as a file of it, or the one of a figure in the catalog."""
    if (drawing is None) == (figure is None):
        raise RelatentError("give either --figure NAME (with --budget) or --drawing JSON")
    if figure is not None:
        from relatent.commands.pick import find_root
        from relatent.specs.catalog import Catalog

        return Catalog.load(find_root()).drawing(budget, figure)
    text = drawing or ""
    return json_object(text if text.lstrip().startswith("{") else existing(Path(text)).read_text(), "--drawing")


def json_object(text: str, where: str) -> dict[str, Any]:
    """A JSON object from `text`; an error that names `where` it came from otherwise."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise RelatentError(f"{where}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise RelatentError(f"{where}: expected a JSON object")
    return value


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """RelatentError in place of an OSError about a run's folder, what is in it, or what it is in."""
    try:
        yield
    except OSError as error:
        path = Path(error.filename or folder)
        if not (path.is_relative_to(folder) or folder.is_relative_to(path)):
            raise
        raise RelatentError(f"{path}: the run cannot be written: {error.strerror}") from None


def existing(path: Path) -> Path:
    """`path`, if it is a file."""
    if not path.is_file():
        raise RelatentError(f"{path}: no such file")
    return path
