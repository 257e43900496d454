"""Jobs of a toy catalog, and of the real one."""

from functools import cache
from typing import Any

from relatent.specs.canonical import canonical
from relatent.specs.catalog import Catalog, Job
from tests.specs.toy import ROOT

catalog = cache(Catalog.load)


def job(algorithm: str = "sac", task: str = "walker_run", seed: int = 0, planned: bool = False, **changes: Any) -> Job:
    """A run with 100,000 updates."""
    rates = {"actor_lr": 3e-4, "critic_lr": 3e-4, "alpha_lr": 3e-4, "gamma": 0.99, "tau": 0.005, "init_alpha": 1.0}
    own = {"width": 100, "layers": 2, "batch": 10, "update_after": 1000, "replay": 1000}
    spec = {
        "agent": "sac",
        "revision": 1,
        "hyper": rates | own | changes.pop("hyper", {}),
        "env": {"suite": "dmc", "task": task, "action_repeat": 1},
        "training": {"frames": 101_000, "random_frames": 1000, "eval_every": 10_100, "eval_episodes": 3},
        "seed": seed,
        **changes,
    }
    run = f"runs/smoke/toy/{algorithm}/{task}/s{seed}-0123456789ab"
    return Job(run, canonical(spec), "smoke", "toy", algorithm, task, seed, {}, planned)


def paper_job(figure: str, algorithm: str) -> Job:
    """An algorithm's first run in a figure at the paper's own budget."""
    return next(job for job in catalog(ROOT).jobs("paper", figure) if job.algorithm == algorithm)
