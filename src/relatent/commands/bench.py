"""How fast this machine trains: updates, actions, simulator steps, and where a run's wall time goes.

Everything runs on one thread, as training does. An update is timed in turn with a large float32 matrix product, so that
both meet the same clock frequency and the same neighbours; medians of both give the share of the core's peak.
"""

import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch at import

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from relatent.agents import make_agent
from relatent.commands.cost import TRANSITIONS, begun, synthetic_replay, update_flops, updates_over
from relatent.commands.throughput import FILE, Row, merge, read, simulator_name, write
from relatent.envs import make
from relatent.specs.canonical import canonical
from relatent.specs.catalog import Catalog, Job
from relatent.specs.errors import RelatentError, unknown
from relatent.specs.suites import SUITE_TASKS
from relatent.training.process import begin_computing
from relatent.training.provenance import cpu_model
from relatent.training.train import train

PEAK_SIZE = 768  # rows of the square matrices whose product measures the peak
LOOP_PHASES = ("environment", "act", "update", "replay", "logging", "checkpoint")


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int
    """Medians are over so many rounds, at most."""
    round_seconds: float
    update_seconds: float
    """On rounds of an agent's updates, at most; but three are always made."""
    run_frames: int
    """Of the short real run that shares are taken from."""
    run_seconds: float
    """Where that run's updates and actions would take longer it is left out."""


FULL, QUICK = Effort(15, 0.4, 120.0, 6000, 1200.0), Effort(5, 0.1, 10.0, 1500, 180.0)


@dataclass(frozen=True)
class Measured:
    algorithm: str
    row: Row
    peak_gflops: float
    shares: dict[str, float]
    """Of the wall time of a real run's training loop, by phase; empty where such a run takes too long."""


@dataclass(frozen=True)
class Choice:
    """What is measured."""

    figures: list[str]
    budget: str
    algorithms: list[str] | None
    """None is all of the figures'."""
    task: str
    replaced: dict[str, int | None]
    """Hyperparameters with other values than the budget's; None leaves one alone."""


def bench(catalog: Catalog, choice: Choice, quick: bool, write_table: bool, console: Console) -> None:
    """Measure algorithms on one task, and all their figures' simulators; print, and keep if told."""
    effort = QUICK if quick else FULL
    jobs, specs = chosen_specs(catalog, choice)
    measured = []
    for name, spec in specs.items():
        console.print(f"measuring {name} ...", style="dim")
        measured.append(measure(name, spec, effort))
    first = on_task(json.loads(jobs[0].spec)["env"], choice.task)
    tasks = {first["task"]: first}
    if not choice.algorithms:
        tasks |= {spec["env"]["task"]: spec["env"] for spec in (json.loads(job.spec) for job in jobs)}
    simulators = [measure_simulator(env, effort) for _, env in sorted(tasks.items())]
    show(console, measured, simulators)
    if write_table:
        path = catalog.root / FILE
        write(path, merge(read(path), [one.row for one in measured] + simulators))
        console.print(f"written to {FILE}")


def bench_ways(
    catalog: Catalog, choice: Choice, quick: bool, seeds: list[int], gpus: int, peer: bool, console: Console
) -> None:
    """Measure the ways to compute the algorithms' updates, and print what each gains."""
    from relatent.commands import ways
    from relatent.commands.peer import require_peer
    from relatent.commands.training import acceleration

    begin_computing()
    effort, device = QUICK if quick else FULL, acceleration(gpus, False).device
    if peer:
        require_peer()
    for name, spec in chosen_specs(catalog, choice)[1].items():
        console.print(f"building {name} ...", style="dim")
        found = ways.ways(spec, seeds, device, peer)
        ways.show(console, name, found, ways.measure(found, effort.rounds, effort.round_seconds, device))
    console.print(
        "ms: one update of every seed. upd./s: of all seeds together. speed-up: of upd./s over the first line's.\n"
        f"memory: by which the process grew. On {device}.",
        style="dim",
    )


def chosen_specs(catalog: Catalog, choice: Choice) -> tuple[list[Job], dict[str, dict[str, Any]]]:
    """The figures' jobs, and by algorithm the spec of one of its runs, put on one task and with values replaced."""
    found = [job for figure in choice.figures for job in catalog.jobs(choice.budget, figure)]
    jobs = [job for job in found if "training" in json.loads(job.spec)]
    specs = {job.algorithm: json.loads(job.spec) for job in reversed(jobs) if not job.planned}
    for name in choice.algorithms or ():
        if name not in specs:
            raise RelatentError(f"bench: {unknown('algorithm', name, specs)}")
    changes = {key: value for key, value in choice.replaced.items() if value is not None}
    chosen = {name: specs[name] for name in choice.algorithms or sorted(specs)}
    return jobs, {
        name: {**spec, "env": on_task(spec["env"], choice.task), "hyper": {**spec["hyper"], **changes}}
        for name, spec in chosen.items()
    }


def on_task(env: dict[str, Any], task: str) -> dict[str, Any]:
    """An environment with another task, where its suite has that one."""
    return {**env, "task": task} if task in SUITE_TASKS[env["suite"]] else env


def measure(algorithm: str, spec: dict[str, Any], effort: Effort) -> Measured:
    """One algorithm on one task, from the spec of one of its runs."""
    begin_computing()
    env = make(spec["env"])
    shape, action_size = env.observation_space.shape, env.action_space.shape[0]  # type: ignore[index]
    assert shape is not None
    torch.manual_seed(0)
    hyper = spec["hyper"]
    agent = make_agent(spec["agent"], begun(hyper), shape, action_size)
    replay = synthetic_replay(agent, shape, action_size, TRANSITIONS[agent.learns_from])
    stream = torch.Generator().manual_seed(0)

    flops = update_flops(spec["agent"], canonical(hyper), shape, action_size)
    update_seconds, peak = beside_peak(lambda: agent.update(replay, stream), agent.period, effort)
    observation = np.zeros(shape, env.observation_space.dtype)
    belief = agent.act(observation, None, explore=True, generator=stream)[1]
    act_seconds = seconds_of(lambda: agent.act(observation, belief, explore=True, generator=stream), effort)

    gflops = flops / update_seconds / 1e9
    row = Row(
        machine=cpu_model(),
        device="cpu",
        agent=spec["agent"],
        task=spec["env"]["task"],
        width=hyper.get("width"),
        batch=hyper.get("batch"),
        particles=hyper.get("particles"),
        gflop_per_update=round(flops / 1e9, 4),
        updates_per_second=float(f"{1 / update_seconds:.3g}"),
        acts_per_second=float(f"{1 / act_seconds:.4g}"),
        gflops=round(gflops, 1),
        peak_ratio=round(gflops / peak, 3),
    )
    # A run that learns from episodes takes hours to come to what is typical of it.
    repeat = spec["env"].get("action_repeat", 1)
    updates = updates_over(agent, effort.run_frames, repeat * spec["training"].get("parallel_envs", 1))
    run_seconds = updates * update_seconds + effort.run_frames / repeat * act_seconds
    short = agent.learns_from == "transitions" and run_seconds < effort.run_seconds
    return Measured(algorithm, row, peak, loop_shares(spec, effort) if short else {})


def beside_peak(work: Callable[[], Any], period: int, effort: Effort) -> tuple[float, float]:
    """Seconds of one `work`, and GFLOP/s of a matrix product measured in turn with it; medians over rounds.

    Every `period`th work is a longer one, as with a delayed policy, so a round is of whole periods.
    """
    matrix = torch.randn(PEAK_SIZE, PEAK_SIZE)

    def product() -> None:
        torch.mm(matrix, matrix)

    timed(work, period)  # the first ones also ask for memory
    once, product_once = timed(work, period), timed(product, 3)
    repeats = period * max(1, round(effort.round_seconds / once / period))
    works, products = [], []
    for _ in range(max(3, min(effort.rounds, round(effort.update_seconds / once / repeats)))):
        works.append(timed(work, repeats))
        products.append(timed(product, max(1, round(effort.round_seconds / product_once))))
    return statistics.median(works), 2 * PEAK_SIZE**3 / statistics.median(products) / 1e9


def seconds_of(work: Callable[[], Any], effort: Effort) -> float:
    """Seconds of one `work`; the median over rounds."""
    repeats = max(1, round(effort.round_seconds / timed(work, 10)))
    return statistics.median(timed(work, repeats) for _ in range(effort.rounds))


def timed(work: Callable[[], Any], repeats: int) -> float:
    """Mean seconds of one of `repeats` calls, in CPU time: what other processes take does not count."""
    start = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - start) / repeats


def loop_shares(spec: dict[str, Any], effort: Effort) -> dict[str, float]:
    """Train for real for a moment and share out the loop's wall time by phase, evaluation left out."""
    warm = effort.run_frames // 10
    short = {
        **spec,
        "hyper": {**spec["hyper"], "update_after": warm},
        "training": {
            **spec["training"],
            "frames": effort.run_frames,
            "random_frames": min(spec["training"]["random_frames"], warm),
            "eval_every": effort.run_frames,
            "eval_episodes": 1,
        },
    }
    short.pop("probes", None)
    with tempfile.TemporaryDirectory() as folder:
        with redirect_stdout(io.StringIO()):  # the table is all that a reader wants
            train(short, Path(folder))
        seconds = json.loads((Path(folder) / "manifest.json").read_text())["phase_seconds"]
    loop = {phase: seconds.get(phase, 0.0) for phase in LOOP_PHASES}
    return {phase: spent / sum(loop.values()) for phase, spent in loop.items()}


def measure_simulator(env_spec: dict[str, Any], effort: Effort) -> Row:
    """Frames a second of one task under random actions, resets included."""
    env = make(env_spec)
    env.action_space.seed(0)
    repeat = env_spec.get("action_repeat", 1)
    env.reset(seed=0)

    def step() -> None:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()

    frames_per_second = repeat / seconds_of(step, effort)
    return Row(cpu_model(), "cpu", simulator_name(env_spec), env_steps_per_second=round(frames_per_second))


HEADINGS = ("algorithm", "GFLOP", "upd./s", "acts/s", "GFLOP/s", "peak", "ratio", *(p[:6] for p in LOOP_PHASES))


def show(console: Console, measured: list[Measured], simulators: list[Row]) -> None:
    """Two tables: algorithms, and simulators."""
    table = Table(title=f"One thread of {cpu_model()}", title_justify="left", box=None, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "algorithm" else "right")
    for one in measured:
        row = one.row
        table.add_row(
            one.algorithm,
            f"{row.gflop_per_update:.3g}",
            f"{row.updates_per_second:.4g}",
            f"{row.acts_per_second:,.10g}",
            f"{row.gflops:.1f}",
            f"{one.peak_gflops:.1f}",
            f"{row.peak_ratio:.0%}",
            *(f"{one.shares[phase]:.1%}" if one.shares else "-" for phase in LOOP_PHASES),
        )
    console.print(table)
    console.print(
        "GFLOP: of one update. peak: GFLOP/s of a float32 matrix product, measured in turn with the updates; ratio:\n"
        f"GFLOP/s over it. {', '.join(LOOP_PHASES)}:\n"
        "shares of the loop's wall time in a short real run; - where that would not be short.",
        style="dim",
    )
    steps = Table(box=None, pad_edge=False)
    steps.add_column("task")
    steps.add_column("frames/s", justify="right")
    for row in simulators:
        steps.add_row(row.task, f"{row.env_steps_per_second:.0f}")
    console.print(steps)
