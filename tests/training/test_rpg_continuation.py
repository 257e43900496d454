"""RPG on the maze, killed and continued, writes the files of a run that was not: z, segments, novelty, coverage."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relatent.specs.errors import RelatentError
from relatent.training import train as training
from relatent.training.acceleration import Acceleration
from relatent.training.checkpoint import Checkpoint
from relatent.training.replay import Replay
from relatent.training.seeds import Stream, generator
from relatent.training.session import prepare
from tests.agents.tiny_rpg import AGENTS, SIZES
from tests.training.specs import stop_and_continue, stop_at

LANES = 3
ROUND = LANES * 50  # transitions of an episode in each environment, which enter replay together
FRAMES = 4 * ROUND


def spec(name: str, **hyper: Any) -> dict[str, Any]:
    small = {"width": 8, "batch": 16, "update_after": ROUND, "replay": 10_000, "novelty_memory": 10_000, "lr": 1e-3}
    return {
        "agent": "rpg",
        "revision": 1,
        "hyper": {**SIZES, **AGENTS[name], **small, **hyper},
        "env": {"suite": "maze", "task": "gap_maze", "octaves": 6},
        "training": {
            "frames": FRAMES,
            "random_frames": 0,
            "eval_every": FRAMES // 2,
            "eval_episodes": 1,
            "parallel_envs": LANES,
        },
        "probes": ["coverage", "positions", "latent"],
        "seed": 0,
    }


def planned(random_frames: int) -> dict[str, Any]:
    """Without z, and by plans after so many random actions."""
    made = spec("code_none", plan_iterations=2, plan_samples=20, plan_elites=4)
    made["training"] |= {"random_frames": random_frames}
    return made


def assert_same(one: Path, two: Path) -> None:
    for name in ("returns.csv", "probes.npz"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


@pytest.mark.parametrize("made", [spec("code"), spec("paper_categorical"), spec("paper_learnt"), planned(ROUND + 60)])
def test_stopped_twice_it_writes_the_same_files(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of episodes, which are played again; before the world learns, and after; among random actions."""
    stop_and_continue(made, tmp_path, (ROUND + 54, 3 * ROUND + 6), monkeypatch)
    assert_same(tmp_path / "pieces", tmp_path / "whole")

    rows = (tmp_path / "whole/returns.csv").read_text().splitlines()[1:]
    train = [row.split(",") for row in rows if row.startswith("train")]
    assert [(int(row[1]), int(row[2])) for row in train] == [(ROUND * (n // LANES + 1), n) for n in range(4 * LANES)]
    probes = np.load(tmp_path / "whole/probes.npz")
    assert probes["coverage_share_frames"].tolist() == [0, FRAMES // 2, FRAMES]
    share = probes["coverage_share"]
    assert 0 == share[0] < share[1] <= share[2] == (probes["visits"] > 0).mean()
    assert 0.9 * FRAMES < probes["visits"].sum() <= FRAMES  # a step may end on a border of cells, which is no cell
    assert probes["positions"].shape == (3 * 50, 2)
    assert np.isfinite(probes["latent_cross_entropy"]).all()


def test_it_does_so_with_pictures_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 steps an episode; bytes and numbers of replay return from its file."""
    told = {"frames": 9 * 20 * LANES, "eval_every": 3 * 20 * LANES, "parallel_envs": LANES}
    given = spec("code", picture_channels=2, update_after=2 * 20 * LANES)
    of_pictures = {"env": {"suite": "corner", "task": "corner"}, "probes": ["latent"]}
    whole = {**given, **of_pictures, "training": {**given["training"], **told}}
    stop_and_continue(whole, tmp_path, (3 * 20 * LANES + 9, 6 * 20 * LANES + 21), monkeypatch)
    assert_same(tmp_path / "pieces", tmp_path / "whole")
    found = np.load(tmp_path / "whole/probes.npz")["latent_cross_entropy"]
    assert len(set(found.tolist())) == len(found) == 3  # it learns between evaluations


def test_a_small_replay_loses_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two checkpoints come more rows than its table holds, as on a fast machine; yet the run goes on from the
    second one."""
    small = spec("code", replay=ROUND, novelty_memory=ROUND // 2, update_after=100)
    training.train(small, tmp_path / "whole", checkpoint_seconds=1e9)
    asked = []

    def third_time(self: Checkpoint) -> bool:
        asked.append(self)
        return len(asked) == 3

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "due", third_time)
        stop_at(3 * ROUND + 54, patched)
        with pytest.raises(training.Interrupted):
            training.train(small, tmp_path / "pieces", checkpoint_seconds=0.0)
    training.train(small, tmp_path / "pieces", checkpoint_seconds=1e9)
    assert json.loads((tmp_path / "pieces/manifest.json").read_text())["resumes"] == 1
    assert_same(tmp_path / "pieces", tmp_path / "whole")


def test_no_step_is_taken_without_z(tmp_path: Path) -> None:
    """Random actions have none to keep, and no p(z|s, a) may learn from zeros."""
    random = spec("code")
    random["training"] |= {"random_frames": 50}
    with pytest.raises(RelatentError, match="random_frames"):
        training.train(random, tmp_path / "run")


def test_random_actions_have_the_z_that_is_a_constant(tmp_path: Path) -> None:
    """It stands beside every transition, of which the first ones are uniform, as no action of the policy or a plan can
    tell; they come from the episode's own generator, and the agent begins in the middle of an episode."""
    session = prepare(planned(ROUND + 60), tmp_path, 1e9, Acceleration())
    session.train(session.agent, keep=False, batched_with=[])
    assert isinstance(session.replay, Replay)
    assert len(session.replay) == FRAMES
    stored = session.replay.segments(torch.arange(FRAMES), 1)
    assert stored.kept.tolist() == [[1.0]] * FRAMES
    steps_at_random = [50] * LANES + [20] * LANES + [0] * 2 * LANES
    for number, count in enumerate(steps_at_random):
        stream = generator(0, Stream.TRAINING_ACTIONS, number)
        uniform = torch.stack([2 * torch.rand(2, generator=stream) - 1 for _ in range(50)])
        same = (stored.action[50 * number : 50 * (number + 1), 0] == uniform).all(-1)
        assert same.tolist() == [True] * count + [False] * (50 - count)
