"""Every agent that learns from episodes continues exactly: world model, optimisers, streams, phases and replay."""

from pathlib import Path
from typing import Any

import pytest

from tests.training.specs import stop_and_continue

SCHEDULE = {"update_after": 40, "update_every": 20, "updates": 2, "replay": 1_000}
RATES = {"model_lr": 1e-3, "actor_lr": 1e-3, "gamma": 0.9}
WORLD = {"deter": 6, "stoch": 3, "depth": 2, "width": 8, "batch": 3, "length": 6, "free_nats": 0.5, "clip_norm": 100.0}
LIMITED = {"raw_std": 1.0, "exploration_noise": 0.3}
SOFT = {"critic_lr": 1e-3, "alpha_lr": 1e-3, "tau": 0.1, "init_alpha": 0.1}
MARGINAL = {"particles": 2, "entropy": "mlmc", "q_particles": "all", "target_entropy": "conditional"}
IMAGINED = {"horizon": 3, "lambda_weight": 0.9}
CATEGORICAL = {
    "classes": 3,
    "layers": 1,
    "critic_lr": 1e-3,
    "adam_eps": 1e-5,
    "weight_decay": 1e-6,
    "balance": 0.8,
    "entropy": 1e-3,
    "target_every": 3,
    "pretrain": 2,
}
COMMON = {**SCHEDULE, **RATES, **WORLD}
AGENTS: dict[str, dict[str, Any]] = {
    "latent_sac": {**COMMON, **LIMITED, **SOFT},
    "smac_world": {**COMMON, **LIMITED, **SOFT, **MARGINAL, "conditional_entropy": 0.1},
    "dreamer": {**COMMON, **LIMITED, **IMAGINED, "value_lr": 1e-3},
    "dreamer_v2": {**COMMON, **IMAGINED, **CATEGORICAL},
    "plan2explore": {**COMMON, **IMAGINED, **CATEGORICAL, "predictors": 2, "predictor_lr": 1e-3},
    "slac": {
        **RATES,
        **SOFT,
        "depth": 1,
        "latent1": 2,
        "latent2": 3,
        "image_variance": 0.1,
        "width": 8,
        "layers": 1,
        "length": 4,
        "model_batch": 2,
        "batch": 3,
        "update_after": 45,
        "first_updates": 3,
        "replay": 1_000,
    },
}
STOPS = (43, 63, 83)  # frames, each within another episode of 20


@pytest.mark.parametrize("agent", AGENTS)
def test_stopped_thrice_it_writes_the_same_returns(agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = {
        "agent": agent,
        "revision": 1,
        "hyper": AGENTS[agent],
        "env": {"suite": "corner", "task": "corner"},
        "training": {"frames": 90, "random_frames": 40, "eval_every": 30, "eval_episodes": 1},
        "seed": 0,
    }
    stop_and_continue(spec, tmp_path, STOPS, monkeypatch)
    whole = (tmp_path / "whole/returns.csv").read_text()
    assert (tmp_path / "pieces/returns.csv").read_text() == whole
    learnt = {line.split(",")[3] for line in whole.splitlines() if line.startswith("eval")}
    assert len(learnt) == 4  # evaluations at 0, 30, 60 and 90 frames differ
