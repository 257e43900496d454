"""Runs that share a process stay separate runs, and come to the same."""

import csv
import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relatent.specs.errors import RelatentError
from relatent.training import train as training
from relatent.training.record import Record
from relatent.training.remote_env import RemoteEnv
from relatent.training.session import Session
from tests.training.test_continuation import AGENTS, spec

SEEDS = 3


def specs(agent: str, **changes: Any) -> list[dict[str, Any]]:
    """200 frames of a probe: 50 random ones, then about 140 updates."""
    return [{**spec(agent), "seed": seed, **changes} for seed in range(SEEDS)]


def folders(root: Path, count: int = SEEDS) -> list[Path]:
    return [root / f"s{seed}" for seed in range(count)]


def returns(run: Path) -> list[tuple[str, int, float]]:
    with (run / "returns.csv").open() as file:
        return [(row["phase"], int(row["frames"]), float(row["return"])) for row in csv.DictReader(file)]


def same_returns(one: Path, two: Path, tolerance: float) -> None:
    mine, yours = returns(one), returns(two)
    assert [row[:2] for row in mine] == [row[:2] for row in yours]
    np.testing.assert_allclose([row[2] for row in mine], [row[2] for row in yours], atol=tolerance)


@pytest.mark.parametrize("agent", AGENTS)
def test_a_batch_comes_to_what_its_seeds_come_to_alone(agent: str, tmp_path: Path) -> None:
    """About 140 updates of a smooth task: rounding is all that differs. Different seeds differ by much more."""
    together, alone = folders(tmp_path / "together"), folders(tmp_path / "alone")
    training.train_together(specs(agent), together)
    for one, run in zip(specs(agent), alone, strict=True):
        training.train(one, run)
    for mine, yours in zip(together, alone, strict=True):
        same_returns(mine, yours, 1e-4)
    assert returns(together[0]) != returns(together[1])
    with pytest.raises(AssertionError):
        same_returns(together[0], alone[1], 1e-4)


def test_a_manifest_says_what_was_batched_with_what(tmp_path: Path) -> None:
    runs = folders(tmp_path)
    training.train_together(specs("sac"), runs)
    for run in runs:
        manifest = json.loads((run / "manifest.json").read_text())
        assert manifest["batched_with"] == [other.as_posix() for other in runs if other != run]
        assert manifest["acceleration"] == {"device": "cpu", "compiled": False, "graph": False}
        assert manifest["spec"]["seed"] == runs.index(run)
        assert not (run / "checkpoint").exists()


def test_a_seed_that_fails_stops_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parameters become NaN after frame 100. The others come to what they come to without it."""
    runs, alone = folders(tmp_path / "together"), folders(tmp_path / "alone")
    agents = poisoned(monkeypatch, tmp_path / "together/s1", frame=100)
    with pytest.raises(RelatentError, match=r"1 of 3 runs failed: .*s1: \w+ is nan at frame 10\d .*checkpoint"):
        training.train_together(specs("sac"), runs, checkpoint_seconds=0.0)
    assert agents
    assert not (runs[1] / "returns.csv").exists()
    assert (runs[1] / "checkpoint").is_dir()
    for number in (0, 2):
        training.train(specs("sac")[number], alone[number])
        same_returns(runs[number], alone[number], 1e-4)


def poisoned(monkeypatch: pytest.MonkeyPatch, run: Path, frame: int) -> list[Any]:
    """Make a run's agent NaN at a frame; the agents that were met."""
    met: list[Any] = []
    begin, progress = Session.train, Record.progress

    def train(self: Session, *arguments: Any) -> None:
        if self.run == run:
            met.append(self.agent)
        begin(self, *arguments)

    def poison(self: Record, done: int, total: int) -> None:
        progress(self, done, total)
        if self.run == run and done == frame:
            with torch.no_grad():
                next(met[0].critic.parameters()).fill_(float("nan"))

    monkeypatch.setattr(Session, "train", train)
    monkeypatch.setattr(Record, "progress", poison)
    return met


def test_a_stopped_batch_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped twice, within an episode of every seed, each continues from its own checkpoint."""
    whole, pieces = folders(tmp_path / "whole"), folders(tmp_path / "pieces")
    training.train_together(specs("td3"), whole)
    progress = Record.progress
    for stop in (101, 152):

        def interrupted(self: Record, done: int, total: int, stop: int = stop) -> None:
            progress(self, done, total)
            if done == stop and self.run == pieces[1]:
                raise training.Interrupted("SIGTERM")

        monkeypatch.setattr(Record, "progress", interrupted)
        with pytest.raises(training.Interrupted):
            training.train_together(specs("td3"), pieces, checkpoint_seconds=0.0)
        assert not any((run / "returns.csv").exists() for run in pieces)
    monkeypatch.setattr(Record, "progress", progress)
    training.train_together(specs("td3"), pieces, checkpoint_seconds=0.0)
    for mine, yours in zip(whole, pieces, strict=True):
        same_returns(mine, yours, 1e-4)
        assert json.loads((yours / "manifest.json").read_text())["resumes"] == 2


def test_a_seed_that_is_at_another_update_is_not_mixed_up(tmp_path: Path) -> None:
    """One seed was trained alone up to an odd update, so that TD3's delay is at another phase in it."""
    runs, alone = folders(tmp_path / "together"), folders(tmp_path / "alone")
    stopped_alone(specs("td3")[1], runs[1], 152)
    training.train_together(specs("td3"), runs)
    for number in range(SEEDS):
        training.train(specs("td3")[number], alone[number])
        same_returns(runs[number], alone[number], 1e-4)


def stopped_alone(one: dict[str, Any], run: Path, frame: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        progress = Record.progress

        def interrupted(self: Record, done: int, total: int) -> None:
            progress(self, done, total)
            if done == frame:
                raise training.Interrupted("SIGTERM")

        patch.setattr(Record, "progress", interrupted)
        with pytest.raises(training.Interrupted):
            training.train(one, run, checkpoint_seconds=0.0)


def test_finished_seeds_are_left_alone(tmp_path: Path) -> None:
    runs = folders(tmp_path)
    training.train(specs("sac")[1], runs[1])
    before = {path: path.stat().st_mtime_ns for path in runs[1].iterdir() if path.suffix}
    training.train_together(specs("sac"), runs)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert json.loads((runs[0] / "manifest.json").read_text())["batched_with"] == [runs[2].as_posix()]


def test_files_that_a_failed_job_removed_are_taken_up_again(tmp_path: Path) -> None:
    """What Snakemake does to the declared files of a job that fails after some of its runs have finished."""
    runs = folders(tmp_path)
    training.train_together(specs("sac"), runs)
    before = {run: (run / "returns.csv").read_bytes() for run in runs}
    for run in runs:
        for name in ("returns.csv", "probes.npz", "manifest.json"):
            (run / name).unlink()
    training.train_together(specs("sac"), runs)
    for run in runs:
        assert (run / "returns.csv").read_bytes() == before[run]
        assert (run / "manifest.json").exists()


def test_environments_in_processes_of_their_own_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = folders(tmp_path / "here", 2), folders(tmp_path / "there", 2)
    training.train_together(specs("sac")[:2], here)
    monkeypatch.setattr(training, "make", training.elsewhere)
    training.train_together(specs("sac")[:2], there)
    assert [(run / "returns.csv").read_bytes() for run in here] == [(run / "returns.csv").read_bytes() for run in there]
    assert not multiprocessing.active_children()


def test_an_environment_that_dies_or_fails_is_one_line() -> None:
    with pytest.raises(RelatentError, match="ended before its run"):
        RemoteEnv({"suite": "probe", "task": "nowhere"}, lambda: None)
    env = RemoteEnv({"suite": "probe", "task": "action_reward"}, lambda: None)
    env.reset(seed=0)
    env.process.kill()
    with pytest.raises(RelatentError, match="ended before its run"):
        env.step(np.zeros(1, np.float32))
    env.close()


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    runs = folders(tmp_path)
    runs[2].mkdir(parents=True)
    with training.locked(runs[2]), pytest.raises(RelatentError, match="s2 is being trained by process"):
        training.train_together(specs("sac"), runs)
