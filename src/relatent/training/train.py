"""The composition root: one spec in, one run folder out."""

import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch at import

import torch

from relatent.agents import AGENTS, agent_class, hyper_class
from relatent.envs import make
from relatent.specs.canonical import canonical, digest
from relatent.specs.errors import RelatentError
from relatent.training import loop
from relatent.training.checkpoint import Checkpoint, GeneratorState
from relatent.training.clock import PhaseClock
from relatent.training.provenance import ROOT, run_manifest, source
from relatent.training.record import NotANumber, Record
from relatent.training.replay import Replay
from relatent.training.seeds import Stream, derive, generator

CHECKPOINT_SECONDS = 30.0


class Interrupted(BaseException):
    """SIGTERM or SIGINT arrived. Raised wherever the run is: every moment of it is safe to leave."""


def train(spec: dict[str, Any], run: Path, checkpoint_seconds: float = CHECKPOINT_SECONDS) -> None:
    """Train what `spec` says and write its declared files into `run`, continuing from a checkpoint if there is one.

    Raises RelatentError with one clear line when the agent does not exist, the folder is in use, or a metric is NaN,
    and Interrupted on SIGTERM; then the checkpoint stays.
    """
    torch.set_num_threads(1)
    source(ROOT)  # the commit that trains, even if another is checked out before the end
    run.mkdir(parents=True, exist_ok=True)
    with locked(run), interruptible():
        if (run / "returns.csv").exists():
            print(f"{run} is finished already", flush=True)
            return
        if "study" in spec:
            study(spec, run)
        else:
            reinforcement(spec, run, checkpoint_seconds)
        (run / "progress.json").unlink(missing_ok=True)


def study(spec: dict[str, Any], run: Path) -> None:
    """A result without an environment loop."""
    record, clock = Record(run), PhaseClock()
    clock.enter("study")
    import_module(f"relatent.studies.{spec['study']}").run(spec, record)
    clock.enter("logging")
    record.finish(run_manifest(spec, run, clock.seconds, resumes=0, frames=0))


def reinforcement(spec: dict[str, Any], run: Path, checkpoint_seconds: float) -> None:
    """An agent in an environment."""
    if spec["agent"] not in AGENTS:
        raise RelatentError(f"{run}: agent {spec['agent']!r} is planned but not written yet, so it cannot be trained")
    clock, record, seed = PhaseClock(), Record(run), spec["seed"]
    plan = loop.Plan(
        seed=seed,
        action_repeat=spec["env"].get("action_repeat", 1),
        probes=tuple(spec.get("probes", ())),
        **spec["training"],
    )
    env, eval_env = make(spec["env"]), make(spec["env"])
    observation_size, action_size = env.observation_space.shape[0], env.action_space.shape[0]  # type: ignore[index]
    hyper = hyper_class(spec["agent"])(**spec["hyper"])
    torch.manual_seed(derive(seed, Stream.INITIALISATION))  # for the layers' own initialisers only
    agent = agent_class(spec["agent"])(observation_size, action_size, hyper)
    replay = Replay(min(hyper.replay, plan.frames // plan.action_repeat), observation_size, action_size)
    updates = generator(seed, Stream.UPDATES)
    parts = {"agent": agent, "record": record, "updates": GeneratorState(updates)}
    checkpoint = Checkpoint(run / "checkpoint", parts, replay, checkpoint_seconds, digest(canonical(spec)))
    try:
        resumes = loop.train(plan, env, eval_env, agent, replay, record, checkpoint, updates, clock)
    except NotANumber as error:
        last = checkpoint.newest()
        where = f"frame {last['position']['frames']}" if last else "none"
        raise NotANumber(f"{error}; last good checkpoint: {where}") from None
    record.finish(run_manifest(spec, run, clock.seconds, resumes=resumes, frames=plan.frames))
    checkpoint.remove()


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the run folder; a second process is refused. The lock ends with the process, however that ends."""
    with (run / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RelatentError(f"{run} is being trained by process {file.read().strip() or 'unknown'}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into Interrupted while the block runs.

    Python drops an exception that is raised inside of a destructor, so it is raised again, by a timer, until the block
    is left.
    """
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        del frame
        received.append(number)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        raise Interrupted(signal.Signals(received[0]).name)

    watched = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    before = {number: signal.signal(number, interrupt) for number in watched}
    try:
        yield
    except Interrupted as interruption:
        print(f"stopped by {interruption}; the run continues from its last checkpoint", file=sys.stderr, flush=True)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
