"""Small real runs for the tests of this folder."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relatent.training import train as training
from relatent.training.record import Record
from relatent.training.replay import Replay

DRIVER = """
import json, sys
from pathlib import Path
from relatent.training.train import train
train(json.loads(sys.argv[1]), Path(sys.argv[2]), checkpoint_seconds=float(sys.argv[3]))
"""


def sac_spec(**training: int) -> dict[str, Any]:
    """SAC with tiny networks on a real task; an update takes about a millisecond."""
    rates = {"actor_lr": 3e-4, "critic_lr": 3e-4, "alpha_lr": 3e-4, "gamma": 0.99, "tau": 0.005, "init_alpha": 1.0}
    return {
        "agent": "sac",
        "revision": 1,
        "hyper": {"width": 16, "layers": 2, "batch": 16, "update_after": 1_500, "replay": 1_000_000, **rates},
        "env": {"suite": "dmc", "task": "cartpole_swingup", "action_repeat": 1},
        "training": {"frames": 8_000, "random_frames": 1_000, "eval_every": 3_500, "eval_episodes": 1, **training},
        "seed": 3,
    }


def start(spec: dict[str, Any], run: Path, checkpoint_seconds: float = 0.0) -> subprocess.Popen[str]:
    """A trainer as a process of its own; returns once it has said from which frame it goes on."""
    command = [sys.executable, "-c", DRIVER, json.dumps(spec), str(run), str(checkpoint_seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    assert "from frame" in first or "finished already" in first, process.stderr.read() if process.stderr else first
    return process


def filled(capacity: int, episodes: list[int], observation_size: int = 2, action_size: int = 1) -> Replay:
    """A replay of episodes of the given lengths, whose numbers say which step of which episode they belong to."""
    replay = Replay(capacity, observation_size, action_size)
    for episode, length in enumerate(episodes):
        for step in range(length):
            here, following = (np.full(observation_size, 100.0 * episode + s, np.float32) for s in (step, step + 1))
            action = np.full(action_size, step, np.float32)
            replay.add(here, action, 100.0 * episode + step, following, step % 2 == 1, step == length - 1)
    return replay


def stop_at(frames: int, patch: pytest.MonkeyPatch) -> None:
    """Interrupt the next run that says it has come to these frames."""
    progress = Record.progress

    def interrupted(self: Record, done: int, total: int) -> None:
        progress(self, done, total)
        if done == frames:
            patch.setattr(Record, "progress", progress)
            raise training.Interrupted("SIGTERM")

    patch.setattr(Record, "progress", interrupted)


def stop_and_continue(spec: dict[str, Any], folder: Path, stops: tuple[int, ...], patch: pytest.MonkeyPatch) -> None:
    """Train a spec once whole, in `whole`, and once in `pieces`, interrupted within an episode at these frames."""
    training.train(spec, folder / "whole", checkpoint_seconds=0.0)
    for stop in stops:
        stop_at(stop, patch)
        with pytest.raises(training.Interrupted):
            training.train(spec, folder / "pieces", checkpoint_seconds=0.0)
    training.train(spec, folder / "pieces", checkpoint_seconds=0.0)
    assert f'"resumes": {len(stops)}' in (folder / "pieces/manifest.json").read_text()
