"""Every agent continues exactly: parameters, optimisers, streams, delays and probes."""

from pathlib import Path
from typing import Any

import pytest

from tests.training.specs import stop_and_continue

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
    stop_and_continue(spec(agent), tmp_path, STOPS, monkeypatch)
    for name in ("returns.csv", "probes.npz"):
        assert (tmp_path / "pieces" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
