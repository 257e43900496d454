"""Every agent continues exactly: parameters, optimisers, streams, delays and probes."""

from pathlib import Path
from typing import Any

import pytest

from relatent.training import train as training
from relatent.training.record import Record

SIZES = {"width": 8, "layers": 2, "batch": 8, "update_after": 60, "replay": 1_000}
RATES = {"actor_lr": 1e-3, "critic_lr": 1e-3, "gamma": 0.9, "tau": 0.05}
ENTROPY = {"alpha_lr": 1e-3, "init_alpha": 0.1}
LATENT = {
    "critic_width": 8,
    "latent": 2,
    "particles": 2,
    "conditional_entropy": 0.1,
    "conditional_entropy_scale": "alpha",
}
NOISE = {"exploration_noise": 0.1, "target_noise": 0.2, "target_noise_clip": 0.5, "policy_delay": 2}
AGENTS: dict[str, dict[str, Any]] = {
    "sac": ENTROPY,
    "td3": NOISE,
    "smac": {**ENTROPY, **LATENT, "entropy": "mlmc"},
    "flow_sac": {**ENTROPY, "blocks": 2, "log_scale_bound": 5.0},
    "pmoe": {**ENTROPY, "experts": 3},
}
STOPS = (101, 102, 151)  # frames; TD3's delay is at another phase at each


def spec(agent: str) -> dict[str, Any]:
    return {
        "agent": agent,
        "revision": 1,
        "hyper": {**SIZES, **RATES, **AGENTS[agent]},
        "env": {"suite": "probe", "task": "action_reward", "action_repeat": 1},
        "training": {"frames": 200, "random_frames": 50, "eval_every": 80, "eval_episodes": 2},
        "probes": ["marginal_entropy"] if agent == "smac" else [],
        "seed": 0,
    }


@pytest.mark.parametrize("agent", AGENTS)
def test_stopped_thrice_it_writes_the_same_files(agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training.train(spec(agent), tmp_path / "whole", checkpoint_seconds=0.0)
    progress = Record.progress
    for stop in STOPS:

        def interrupted(self: Record, done: int, total: int, stop: int = stop) -> None:
            progress(self, done, total)
            if done == stop:
                raise training.Interrupted("SIGTERM")

        monkeypatch.setattr(Record, "progress", interrupted)
        with pytest.raises(training.Interrupted):
            training.train(spec(agent), tmp_path / "pieces", checkpoint_seconds=0.0)
    monkeypatch.setattr(Record, "progress", progress)
    training.train(spec(agent), tmp_path / "pieces", checkpoint_seconds=0.0)
    for name in ("returns.csv", "probes.npz"):
        assert (tmp_path / "pieces" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert '"resumes": 3' in (tmp_path / "pieces/manifest.json").read_text()
