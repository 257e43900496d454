"""Locks between real processes, which get killed."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relatent.cluster import lock, turn
from relatent.specs.errors import RelatentError
from relatent.training.train import locked

HOLD = "import sys, time; from pathlib import Path; {}; print('held', flush=True); time.sleep(600)"
CALL = HOLD.format("from relatent.cluster.lock import hold; hold(Path(sys.argv[1]))")
TRAIN = HOLD.format("from relatent.training.train import locked; a = locked(Path(sys.argv[1])); a.__enter__()")
Holder = Callable[[str, Path], "subprocess.Popen[str]"]


@pytest.fixture
def holder() -> Iterator[Holder]:
    """Starts processes that hold a lock until they are killed."""
    started = []

    def start(code: str, path: Path) -> "subprocess.Popen[str]":
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_second_call_is_refused_until_the_first_is_killed(holder: Holder, tmp_path: Path) -> None:
    path = tmp_path / ".snakemake/relatent.lock"
    first = holder(CALL, path)
    with pytest.raises(RelatentError, match=rf"^another snakemake \(process {first.pid} on .+\) works in this folder"):
        lock.hold(path)
    first.kill()
    first.wait()
    holder(CALL, path)


def test_children_do_not_keep_the_lock(tmp_path: Path, holder: Holder) -> None:
    path = tmp_path / "lock"
    code = (
        "import subprocess, sys; from pathlib import Path; from relatent.cluster.lock import hold; "
        "hold(Path(sys.argv[1])); print(subprocess.Popen(['sleep', '600']).pid)"
    )
    done = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert done.stdout
    child = int(done.stdout.readline())
    done.wait()
    try:
        holder(CALL, path)
    finally:
        subprocess.run(["kill", str(child)], check=True)


def test_a_folder_that_cannot_be_locked_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(RelatentError, match="lock: expected a file that can be locked, got: Is a directory"):
        lock.hold(tmp_path / "lock")


def test_a_run_waits_for_the_copy_that_trains_it(
    holder: Holder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = holder(TRAIN, tmp_path)
    second = subprocess.Popen(
        [sys.executable, "-c", "import sys; from pathlib import Path; from relatent.cluster.turn import wait_for_turn; "
         "wait_for_turn(Path(sys.argv[1]))", str(tmp_path)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert second.stdout
    assert second.stdout.readline() == f"{tmp_path} is being trained by process {first.pid}; waiting\n"
    time.sleep(0.5)
    assert second.poll() is None
    first.kill()
    first.wait()
    assert second.wait(10) == 0
    turn.wait_for_turn(tmp_path)
    assert capsys.readouterr().out == ""
    with locked(tmp_path):
        pass


def test_a_run_without_folder_waits_for_nobody(tmp_path: Path) -> None:
    turn.wait_for_turn(tmp_path / "new")
    assert not (tmp_path / "new").exists()
