"""Environments by suite. Each is a gymnasium environment with actions in [-1, 1] that counts frames once."""

from importlib import import_module
from typing import Any

import gymnasium

from relatent.envs import gl

gl.choose()

SUITES = {
    "dmc": "relatent.envs.dmc",
    "dmc_pixels": "relatent.envs.dmc_pixels",
    "probe": "relatent.envs.probes",
    "maze": "relatent.envs.maze",
    "block_push": "relatent.envs.block_push",
    "ant_push": "relatent.envs.ant_push",
    "cabinet": "relatent.envs.cabinet",
    "adroit": "relatent.envs.adroit",
    "metaworld": "relatent.envs.metaworld",
    "mujoco": "relatent.envs.mujoco",
    "mbbl": "relatent.envs.mbbl",
    "corner": "relatent.envs.corner",
}


def make(env: dict[str, Any]) -> gymnasium.Env:
    """The environment of a spec's `env`, such as {"suite": "dmc", "task": "cheetah_run", "action_repeat": 1}."""
    settings = {key: value for key, value in env.items() if key != "suite"}
    suite = env["suite"] + ("_pixels" if "pixels" in env else "")
    return import_module(SUITES[suite]).make(**settings)
