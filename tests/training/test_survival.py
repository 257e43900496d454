"""Real runs as processes: killed, stopped, run twice, poisoned."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from relatent.specs.errors import RelatentError
from relatent.training import train as training
from relatent.training.record import NotANumber

from .specs import sac_spec, start, stop_at
from .test_continuation import spec as probe_spec

FILES = ("returns.csv", "probes.npz")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the run gives when nobody disturbs it."""
    run = tmp_path_factory.mktemp("uninterrupted")
    training.train(sac_spec(), run)
    assert not (run / "checkpoint").exists()
    return {name: (run / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def episode_seconds(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long an episode with updates takes here."""
    run = tmp_path_factory.mktemp("timed")
    training.train(sac_spec(frames=4_000), run)
    seconds = json.loads((run / "manifest.json").read_text())["phase_seconds"]
    return (sum(seconds.values()) - seconds["setup"]) / 4


@pytest.mark.timeout(400)
def test_killed_at_twenty_random_points_it_gives_the_same_bytes(
    uninterrupted, episode_seconds: float, tmp_path: Path
) -> None:
    """A machine that grows faster meanwhile finishes a run before the last kill: then another one takes the rest."""
    moments, kills, runs = random.Random(0), 0, [tmp_path / "0"]
    while kills < 20:
        process = start(sac_spec(), runs[-1])
        time.sleep(moments.uniform(0.0, 1.2 * episode_seconds))  # about every sixth time an episode is finished before
        if process.poll() is None:
            process.kill()
            kills += 1
        else:
            runs.append(tmp_path / str(len(runs)))
        process.wait()
    process = start(sac_spec(), runs[-1])
    assert process.wait(timeout=200) == 0
    for run in runs:
        assert {name: (run / name).read_bytes() for name in FILES} == uninterrupted
        assert not (run / "checkpoint").exists()
    assert sum(json.loads((run / "manifest.json").read_text())["resumes"] for run in runs) > 0


@pytest.mark.timeout(200)
def test_sigterm_ends_it_within_ten_seconds_and_it_continues(uninterrupted, tmp_path: Path) -> None:
    spec = json.dumps(sac_spec())
    command = [sys.executable, "-m", "relatent", "train", "--spec", spec, "--run", str(tmp_path)]
    process = start(sac_spec(), tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("checkpoint/state-*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=10)
    assert time.monotonic() - asked < 10
    assert process.returncode != 0
    assert not (tmp_path / "returns.csv").exists()
    completed = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert completed.returncode == 0, completed.stderr
    assert "from frame 0 " not in completed.stdout
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == uninterrupted


def test_sigterm_exits_with_its_own_status(tmp_path: Path) -> None:
    spec = json.dumps(sac_spec(frames=1_000_000))
    command = [sys.executable, "-m", "relatent", "train", "--spec", spec, "--run", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "from frame 0" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=10)
    assert process.returncode == 75
    assert "stopped by SIGTERM" in stderr
    assert "Traceback" not in stderr


def test_a_stopped_run_says_where_it_will_go_on(tmp_path: Path, monkeypatch, capsys) -> None:
    for checkpoint_seconds, says in (
        (1e9, "stopped by SIGTERM; there is no checkpoint yet, so the run will start again from frame 0\n"),
        (0.0, "stopped by SIGTERM; the run continues from its last checkpoint\n"),
    ):
        stop_at(151, monkeypatch)
        with pytest.raises(training.Interrupted):
            training.train(probe_spec("sac"), tmp_path, checkpoint_seconds)
        assert capsys.readouterr().err == says


def test_of_several_stopped_runs_it_is_said_how_many_go_on(tmp_path: Path) -> None:
    runs = [tmp_path / name for name in ("finished", "begun", "new")]
    (runs[0]).mkdir()
    (runs[0] / "returns.csv").touch()
    (runs[1] / "checkpoint").mkdir(parents=True)
    (runs[1] / "checkpoint/state-000000000012.json").touch()
    assert training.next_time(runs) == ("1 of 2 runs continue from their last checkpoints, the others from frame 0")


class Swallows:
    """Asked to stop while it is destroyed, where Python drops the handler's exception."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.01)


def stopped_in_a_destructor() -> None:
    with training.interruptible([]):
        Swallows()
        time.sleep(5)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_sigterm_that_falls_into_a_destructor_is_not_lost() -> None:
    began = time.monotonic()
    with pytest.raises(training.Interrupted, match="SIGTERM"):
        stopped_in_a_destructor()
    assert time.monotonic() - began < 4


def test_a_second_process_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    process = start(sac_spec(frames=1_000_000), tmp_path)
    try:
        with pytest.raises(RelatentError, match=f"is being trained by process {process.pid}"):
            training.train(sac_spec(frames=1_000_000), tmp_path)
    finally:
        process.kill()
        process.wait()


def test_a_finished_run_is_left_alone(tmp_path: Path, capsys) -> None:
    (tmp_path / "returns.csv").write_text("precious")
    training.train(sac_spec(), tmp_path)
    assert (tmp_path / "returns.csv").read_text() == "precious"
    assert "finished already" in capsys.readouterr().out


def test_nan_stops_the_run_and_names_step_metric_and_checkpoint(tmp_path: Path) -> None:
    spec = sac_spec(frames=6_000, eval_episodes=1)
    spec["hyper"]["critic_lr"] = 1e18  # float32 overflows within a few updates
    with pytest.raises(
        NotANumber, match=r"(critic_loss|actor_loss|action) is nan at frame 15\d\d \(update \d+\)"
    ) as error:
        training.train(spec, tmp_path, checkpoint_seconds=0.0)
    assert "last good checkpoint: frame 1000" in str(error.value)
    assert not (tmp_path / "returns.csv").exists()


def test_an_agent_that_is_not_written_yet_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RelatentError, match="planned but not written yet") as error:
        training.train({**sac_spec(), "agent": "not_written"}, tmp_path)
    assert "\n" not in str(error.value)
