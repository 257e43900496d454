"""Hand-written runs and drawings."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relatent.specs.canonical import canonical, digest

Values = dict[int, Sequence[float]]
"""Frames to the returns of that evaluation's episodes."""
MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a finished run's declared files; returns its folder."""

    def make(
        algorithm: str,
        task: str,
        seed: int,
        returns: Values,
        probes: dict[str, Any] | None = None,
        spec: dict[str, Any] | None = None,
        **manifest: Any,
    ) -> Path:
        spec = {"agent": algorithm, "task": task, "seed": seed, "training": {"eval_every": 5}, **(spec or {})}
        folder = tmp_path / "runs/laptop/smac" / algorithm / task / f"s{seed}-{digest(canonical(spec))}"
        folder.mkdir(parents=True)
        rows = [
            f"eval,{frames},{episode},{value!r},"
            for frames, values in returns.items()
            for episode, value in enumerate(values)
        ]
        rows += ["train,5,0,999.0,"]
        np.savez(folder / "probes.npz", **(probes or {}))
        known = {
            "spec": spec,
            "commit": "a" * 40,
            "dirty": False,
            "lock_sha256": "b" * 64,
            "image": None,
            "hardware": {"cpu": "a processor", "cores": 2, "gpus": []},
            "software": {"torch": "2.13.0"},
            "phase_seconds": {"update": 3000.0, "env": 600.0},
            "frames": max(returns),
            "resumes": 1,
            "started": f"2026-01-0{seed + 1}T00:00:00Z",
            "finished": f"2026-01-0{seed + 1}T01:00:00Z",
        }
        (folder / "manifest.json").write_text(json.dumps(known | manifest))
        (folder / "returns.csv").write_text("phase,frames,episode,return,success\n" + "\n".join(rows) + "\n")
        return folder

    return make


@pytest.fixture
def run_list(tmp_path: Path) -> Callable[[Sequence[Path]], Path]:
    def write(runs: Sequence[Path]) -> Path:
        path = tmp_path / "figure.runs"
        path.write_text("".join(f"{run}\n" for run in runs))
        return path

    return write


def drawing_of(**changes: Any) -> dict[str, Any]:
    """A learning curve of two algorithms on one task at the laptop budget."""
    budget = {"name": "laptop", "order": ["smoke", "laptop", "paper"], "reduced": ["frames 1,000,000 -> 10"]}
    return {
        "paper": "smac",
        "figure": "smac_fig4",
        "title": "Returns",
        "caption": "Return of evaluation episodes",
        "kind": "learning_curve",
        "budget": budget,
        "data": {"algorithms": ["smac", "sac"], "tasks": ["reacher_easy"]},
        "labels": {"smac": "SMAC", "sac": "SAC"},
        "seeds_wanted": 2,
        **changes,
    }
