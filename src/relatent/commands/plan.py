"""What a figure would cost before anything runs, and what of it is done already."""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from relatent.commands.progress import finished
from relatent.commands.throughput import Speed, simulator_name
from relatent.specs.canonical import canonical
from relatent.specs.catalog import Job
from relatent.specs.suites import EPISODE_FRAMES, USUAL_EPISODE_FRAMES
from relatent.training.provenance import usable_cores

Sizes = Callable[[str], tuple[tuple[int, ...], int] | None]
"""Observation and action size of a spec's `env` in canonical text; None where it cannot be built on this machine."""


@dataclass(frozen=True)
class Cost:
    """Of one run, or summed. None is "not known", and a sum with one in it is not known either."""

    runs: int = 0
    done: int = 0
    frames: int = 0
    """Environment frames, of training and evaluation."""
    updates: float | None = 0
    flops: float | None = 0.0
    """Of all updates."""
    cpu_hours: float | None = 0.0
    """On one thread."""
    gpu_hours: float | None = 0.0
    cpu_hours_left: float | None = 0.0
    """Of the runs not done."""

    def __add__(self, other: "Cost") -> "Cost":
        def add(a: float | None, b: float | None) -> float | None:
            return None if a is None or b is None else a + b

        return Cost(
            self.runs + other.runs,
            self.done + other.done,
            self.frames + other.frames,
            add(self.updates, other.updates),
            add(self.flops, other.flops),
            add(self.cpu_hours, other.cpu_hours),
            add(self.gpu_hours, other.gpu_hours),
            add(self.cpu_hours_left, other.cpu_hours_left),
        )


@dataclass(frozen=True)
class Plan:
    by_algorithm: dict[str, Cost]
    planned: list[str]
    """Algorithms whose agent is not written yet: their runs cannot be trained."""
    machines: tuple[str, ...] = ()
    """Processors whose speeds count."""

    @property
    def total(self) -> Cost:
        return sum(self.by_algorithm.values(), Cost())


def plan(jobs: list[Job], cpu: Speed, gpu: Speed, sizes: Sizes | None = None) -> Plan:
    """Costs by algorithm, of runs whose folders lie in the current one."""
    sizes = sizes or environment_sizes
    costs: dict[str, Cost] = defaultdict(Cost)
    for job in jobs:
        costs[job.algorithm] += run_cost(job, cpu, gpu, sizes, finished(Path(job.run)))
    planned = dict.fromkeys(job.algorithm for job in jobs if job.planned)
    return Plan(dict(costs), list(planned), tuple(sorted(cpu.used)))


def run_cost(job: Job, cpu: Speed, gpu: Speed, sizes: Sizes, done: bool) -> Cost:
    """What one run costs. Of studies and of agents not written yet, little is known."""
    spec = json.loads(job.spec)
    unknown = Cost(1, int(done), 0, None, None, None, None, 0.0 if done else None)
    if "training" not in spec:
        return unknown
    training, hyper, env = spec["training"], spec["hyper"], spec["env"]
    judged = training["frames"] // training["eval_every"] + 1  # and once before training
    episode = EPISODE_FRAMES.get(env["task"], USUAL_EPISODE_FRAMES)
    frames = training["frames"] + judged * training["eval_episodes"] * episode
    if job.planned:
        return replace(unknown, frames=frames)
    shape = sizes(canonical(env))
    work = work_of(spec, shape)
    updates = sum(one.updates for one in work)
    if shape is None:
        return replace(unknown, frames=frames, updates=updates)
    flops = sum(one.updates * one.gflop * 1e9 for one in work)
    simulated = cpu.env_step_seconds(simulator_name(env))  # simulators run on the CPU in either case

    def hours(speed: Speed) -> float | None:
        seconds = [times(one.updates, speed.update_seconds(one.agent, one.gflop)) for one in work]
        # An agent that searches for each action takes a thousand times as long as its policy, which was measured.
        act = None if hyper.get("plan_iterations") else speed.act_seconds(spec["agent"], work[-1].gflop)
        seconds += [times(frames / env.get("action_repeat", 1), act), times(frames, simulated)]
        return None if None in seconds else sum(one for one in seconds if one) / 3600

    on_cpu = hours(cpu)
    return Cost(1, int(done), frames, updates, flops, on_cpu, hours(gpu), 0.0 if done else on_cpu)


@dataclass(frozen=True)
class Work:
    """Updates of one kind."""

    agent: str
    updates: int
    gflop: float
    """Of one, in 10^9 operations; 0 where it could not be counted."""


STAND_IN = ((1,), 1), ((3, 64, 64), 1)
"""Sizes of vectors and of pictures where an environment cannot be built: an agent's schedule depends on neither."""


def work_of(spec: dict[str, Any], shape: tuple[tuple[int, ...], int] | None) -> list[Work]:
    """The updates of one run: those of an agent's model alone, where it has any, then all others."""
    from relatent.commands.cost import update_count, update_flops  # imports torch

    agent, hyper, env, training = spec["agent"], canonical(spec["hyper"]), spec["env"], spec["training"]
    step = env.get("action_repeat", 1) * training.get("parallel_envs", 1)
    stand_in = STAND_IN["pixels" in env or env["suite"] == "corner"]
    updates = update_count(agent, hyper, training["frames"], step, *(shape or stand_in))
    first = min(updates, spec["hyper"].get("first_updates", 0))
    parts = [(first, first), (updates - first, 0)] if first else [(updates, 0)]
    return [Work(agent, many, update_flops(agent, hyper, *shape, of) / 1e9 if shape else 0.0) for many, of in parts]


def times(count: float, seconds: float | None) -> float | None:
    return None if seconds is None else count * seconds


@cache
def environment_sizes(env: str) -> tuple[tuple[int, ...], int] | None:
    """The shape of a real environment's observations and the size of its actions; None where it cannot be built, as
    quadruped_escape without OpenGL."""
    from relatent.envs import make

    try:
        made = make(json.loads(env))
    except Exception:  # whatever an OpenGL library raises: then the plan says "not known"
        return None
    return made.observation_space.shape, made.action_space.shape[0]  # type: ignore[index,return-value]


HEADINGS = ("algorithm", "done", "env steps", "updates", "FLOP/update", "FLOP", "CPU hours", "GPU hours")


def show(console: Console, title: str, planned: Plan) -> None:
    """The plan as a table, with a sentence about what is left."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "algorithm" else "right")
    total = planned.total
    for name, cost in [*planned.by_algorithm.items(), ("total", total)]:
        if name == "total":
            table.add_section()
        mean = cost.flops / cost.updates if cost.flops and cost.updates else None
        table.add_row(
            name,
            f"{cost.done} of {cost.runs}",
            si(cost.frames),
            si(cost.updates),
            "" if name == "total" else si(mean),
            si(cost.flops),
            hours_text(cost.cpu_hours),
            hours_text(cost.gpu_hours),
        )
    console.print(table)
    console.print(closing(planned, usable_cores()), style="bold")
    if any(cost.cpu_hours for cost in planned.by_algorithm.values()):
        speeds = "; ".join(planned.machines)
        console.print(f"Hours are of a core with nothing else to do, as measured on {speeds}.", style="dim")
    console.print("env steps: frames of training and of evaluation.", style="dim")


def closing(planned: Plan, cores: int) -> str:
    """What is left to do, in one or two sentences."""
    total = planned.total
    if total.done == total.runs:
        return "Every run is done; asking for the figure only draws it."
    text = f"{total.runs - total.done} of {total.runs} runs are left"
    known = sum(cost.cpu_hours_left or 0.0 for cost in planned.by_algorithm.values())
    unknown = [name for name, cost in planned.by_algorithm.items() if cost.cpu_hours_left is None]
    if known:
        about = "at least" if unknown else "about"
        text += f": {about} {hours_text(known)} CPU hours, {hours_text(known / cores)} h on {cores} cores"
        text += f", and those of {', '.join(unknown)}, not measured" if unknown else ""
    text += "."
    if planned.planned:
        text += f" Not trainable yet, their agents are still to be written: {', '.join(planned.planned)}."
    return text


def si(value: float | None) -> str:
    """A count with a prefix: 1.2 M, 3.4 G. 0 is a dash, None is unknown."""
    if value is None:
        return "not known"
    for exponent, prefix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if value >= 10**exponent:
            return f"{value / 10**exponent:.3g} {prefix}"
    return f"{value:.0f}" if value else "-"


def hours_text(value: float | None) -> str:
    """Three significant digits: 0.125, 18,600."""
    return "not measured" if value is None else f"{float(f'{value:.3g}'):,.10g}"
