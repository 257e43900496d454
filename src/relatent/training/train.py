"""The composition root: specs in, run folders out."""

import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch at import

from relatent.envs import make
from relatent.specs.errors import RelatentError
from relatent.training import finished
from relatent.training.acceleration import Acceleration, accelerate
from relatent.training.checkpoint import FOLDER, sentinels
from relatent.training.clock import PhaseClock
from relatent.training.process import begin_computing
from relatent.training.provenance import ROOT, run_manifest, source
from relatent.training.record import Record
from relatent.training.remote_env import RemoteEnv
from relatent.training.session import Session, prepare
from relatent.training.together import Meeting, Member, Pause, ask

CHECKPOINT_SECONDS = 30.0
AS_WRITTEN = Acceleration()


class Interrupted(BaseException):
    """SIGTERM or SIGINT arrived. Raised wherever the run is: every moment of it is safe to leave."""


def train(
    spec: dict[str, Any],
    run: Path,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    how: Acceleration = AS_WRITTEN,
    one_of_many: bool = False,
) -> None:
    """Train what `spec` says and write its declared files into `run`, continuing from a checkpoint if there is one.

    `one_of_many` keeps a finished run's files for a job that has others to finish. Raises RelatentError with one clear
    line when the agent does not exist, the folder is in use, or a metric is NaN, and Interrupted on SIGTERM; then the
    checkpoint stays.
    """
    begin()
    with entered(run) as unfinished, interruptible([run]):
        if not unfinished:
            return
        if "study" in spec:
            study(spec, run)
        else:
            session = prepare(spec, run, checkpoint_seconds, how)
            accelerate(session.agent, how)
            session.train(session.agent, one_of_many, [])


def train_together(
    specs: list[dict[str, Any]],
    runs: list[Path],
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    how: Acceleration = AS_WRITTEN,
) -> None:
    """Train runs that differ in their seed only in this process, each as `train` does, their updates as one.

    Finished ones are left out. One that fails does not stop the others; at the end RelatentError has every failure in
    one line. Raises Interrupted on SIGTERM; then all checkpoints stay.
    """
    begin()
    make_env = make if how.device == "cpu" else elsewhere  # on a CPU there is nothing to wait for
    with ExitStack() as folders, interruptible(runs):
        unfinished = [run for run in runs if folders.enter_context(entered(run))]
        sessions = [
            prepare(spec, run, checkpoint_seconds, how, make_env)
            for spec, run in zip(specs, runs, strict=True)
            if run in unfinished
        ]
        if not sessions:
            return
        meeting = Meeting([session.agent for session in sessions], how)
        errors = meeting.hold([part(session, sessions) for session in sessions])
    failed = [str(error) for error in errors if error]
    if failed:
        raise RelatentError(f"{len(failed)} of {len(runs)} runs failed: {'; '.join(failed)}")


def part(session: Session, sessions: list[Session]) -> Any:
    """What one run does in a meeting."""
    others = [other.run for other in sessions if other is not session]

    def run(member: Member) -> None:
        try:
            session.train(member, True, others)
        finally:
            for env in (*session.envs, session.eval_env):
                env.close()

    return run


def elsewhere(env_spec: dict[str, Any]) -> RemoteEnv:
    """An environment that computes while other runs are served."""
    return RemoteEnv(env_spec, lambda: ask(Pause()))


def begin() -> None:
    """What every training process does first."""
    begin_computing()
    source(ROOT)  # the commit that trains, even if another is checked out before the end


def study(spec: dict[str, Any], run: Path) -> None:
    """A result without an environment loop."""
    record, clock = Record(run), PhaseClock()
    clock.enter("study")
    import_module(f"relatent.studies.{spec['study']}").run(spec, record)
    clock.enter("logging")
    record.finish(run_manifest(spec, run, clock.seconds, resumes=0, frames=0))


@contextmanager
def entered(run: Path) -> Iterator[bool]:
    """Hold the run's folder, and say whether anything is left to do in it."""
    run.mkdir(parents=True, exist_ok=True)
    with locked(run):
        finished.take_up(run)
        done = (run / "returns.csv").exists()
        if done:
            print(f"{run} is finished already", flush=True)
        yield not done


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
def interruptible(runs: list[Path]) -> Iterator[None]:
    """Turn SIGTERM and SIGINT into Interrupted while the block trains these runs.

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
        print(f"stopped by {interruption}; {next_time(runs)}", file=sys.stderr, flush=True)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def next_time(runs: list[Path]) -> str:
    """What becomes of stopped runs when they are asked for again."""
    unfinished = [run for run in runs if not (run / "returns.csv").exists()]
    begun = [run for run in unfinished if sentinels(run / FOLDER)]
    if len(begun) == len(unfinished):
        return "the run continues from its last checkpoint"
    if not begun:
        return "there is no checkpoint yet, so the run will start again from frame 0"
    return f"{len(begun)} of {len(unfinished)} runs continue from their last checkpoints, the others from frame 0"
