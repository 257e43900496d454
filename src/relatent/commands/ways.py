"""What it gains to compile updates, to capture them, and to train several seeds in one process.

All ways are measured in turn, round by round, on the same sizes, so that a busy machine slows all alike; medians over
rounds. On a CPU seconds are the process's own; on a GPU they are the wall's, with the device waited for.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import psutil
import torch
from rich.console import Console
from rich.table import Table

from relatent.agents import make_agent
from relatent.commands.cost import TRANSITIONS, synthetic_replay
from relatent.commands.peer import peer_sac
from relatent.envs import make
from relatent.nets.learner import Learner
from relatent.training.acceleration import Acceleration, accelerate, place
from relatent.training.stack import Stack

Sizes = tuple[tuple[int, ...], int]
"""The shape of observations, and the number of actions."""


@dataclass(frozen=True)
class Way:
    name: str
    seeds: int
    update: Callable[[], Any]
    """One update of every seed."""
    memory_mib: float
    """By which the process grew when it was made and first used; on a GPU, what is allocated there."""


def ways(spec: dict[str, Any], seeds: list[int], device: str, peer: bool) -> list[Way]:
    """Everything to be measured for one algorithm; building it compiles and captures."""
    env = make(spec["env"])
    sizes: Sizes = env.observation_space.shape, env.action_space.shape[0]  # type: ignore[index, assignment]
    hows = {"as written": Acceleration(device), "compiled": Acceleration(device, compiled=True)}  # type: ignore[arg-type]
    if device == "cuda":
        hows["graph"] = Acceleration("cuda", graph=True)
        hows["compiled, graph"] = Acceleration("cuda", compiled=True, graph=True)
    made = [
        grown(name, count, partial(updater, spec, sizes, count, how)) for name, how in hows.items() for count in seeds
    ]
    if peer and spec["agent"] == "sac":
        hyper, held = spec["hyper"], TRANSITIONS["transitions"]
        made.append(grown("Stable-Baselines3", 1, lambda: peer_sac(sizes[0][0], sizes[1], hyper, held, device)))
    return made


def grown(name: str, seeds: int, build: Callable[[], Callable[[], Any]]) -> Way:
    """Build a way, use it a few times, and say how much memory that took."""
    before = allocated()
    update = build()
    for _ in range(8):  # more than it takes to capture both phases of a delayed policy
        update()
    return Way(name, seeds, update, (allocated() - before) / 2**20)


def allocated() -> int:
    """Bytes of this process: on the GPU where there is one, else resident."""
    return torch.cuda.memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss


def updater(spec: dict[str, Any], sizes: Sizes, seeds: int, how: Acceleration) -> Callable[[], Any]:
    """A function that updates so many agents once, each from its own replay."""
    agents, replays = [], []
    for seed in range(seeds):
        torch.manual_seed(seed)
        agent: Learner = make_agent(spec["agent"], spec["hyper"], *sizes)
        place(agent, how.device)
        agents.append(agent)
        replays.append(synthetic_replay(agent, *sizes, TRANSITIONS[agent.learns_from], how.device))
    streams = [torch.Generator(how.device).manual_seed(seed) for seed in range(seeds)]
    if seeds == 1:
        accelerate(agents[0], how)
        return lambda: agents[0].update(replays[0], streams[0])
    stack = Stack(agents)
    accelerate(stack.facade, how)

    def update() -> Any:
        members = zip(agents, replays, streams, strict=True)
        drawn = [agent.draw_update(replay, stream) for agent, replay, stream in members]
        return stack.learn([batch for batch, _ in drawn], [noise for _, noise in drawn])

    return update


def measure(found: list[Way], rounds: int, round_seconds: float, device: str) -> list[float]:
    """Seconds of one update of every seed, way by way."""
    clock = time.perf_counter if device == "cuda" else time.process_time

    def timed(way: Way, repeats: int) -> float:
        if device == "cuda":
            torch.cuda.synchronize()
        start = clock()
        for _ in range(repeats):
            way.update()
        if device == "cuda":
            torch.cuda.synchronize()
        return (clock() - start) / repeats

    repeats = [max(1, round(round_seconds / timed(way, 3))) for way in found]
    seconds: list[list[float]] = [[] for _ in found]
    for _ in range(rounds):
        for number, way in enumerate(found):
            seconds[number].append(timed(way, repeats[number]))
    return [statistics.median(each) for each in seconds]


def show(console: Console, algorithm: str, found: list[Way], seconds: list[float]) -> None:
    """One line per way, with its ratio to the first: one seed, as written."""
    table = Table(title=algorithm, title_justify="left", box=None, pad_edge=False)
    for heading in ("way", "seeds", "ms", "upd./s", "speed-up", "memory MiB"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for way, each in zip(found, seconds, strict=True):
        rate = way.seeds / each
        gain = rate * seconds[0] / found[0].seeds
        table.add_row(
            way.name, str(way.seeds), f"{each * 1e3:.2f}", f"{rate:.4g}", f"{gain:.2f}", f"{way.memory_mib:.0f}"
        )
    console.print(table)
