"""One file per agent, named as in the papers' YAML."""

from importlib import import_module
from typing import Any

AGENTS = {
    "sac": "SAC",
    "td3": "TD3",
    "smac": "SMAC",
    "flow_sac": "FlowSAC",
    "pmoe": "PMOE",
    "rpg": "RPG",
    "sac_novelty": "SACNovelty",
    "tdmpc": "TDMPC",
    "alm": "ALM",
    "mbpo": "MBPO",
    "redq": "REDQ",
    "sac_svg": "SACSVG",
    "variational_em": "VariationalEM",
}


def agent_class(name: str) -> Any:
    """The class of an agent; its module's `Hyper` holds its hyperparameters."""
    return getattr(import_module(f"relatent.agents.{name}"), AGENTS[name])


def hyper_class(name: str) -> Any:
    """The dataclass of an agent's hyperparameters."""
    return import_module(f"relatent.agents.{name}").Hyper
