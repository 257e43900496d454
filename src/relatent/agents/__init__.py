"""One file per agent, named as in the papers' YAML."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from relatent.nets.observation import observation_of
from relatent.specs.errors import RelatentError

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
    "latent_sac": "LatentSAC",
    "smac_world": "SMACWorld",
    "slac": "SLAC",
    "dreamer": "Dreamer",
    "dreamer_v2": "DreamerV2",
    "plan2explore": "Plan2Explore",
}


def agent_class(name: str) -> Any:
    """The class of an agent; its module's `Hyper` holds its hyperparameters."""
    return getattr(import_module(f"relatent.agents.{name}"), AGENTS[name])


def make_agent(name: str, hyper: Mapping[str, Any], observation_shape: tuple[int, ...], action_size: int) -> Any:
    """An agent for observations and actions of these sizes, its weights drawn from PyTorch's own randomness. Raises
    RelatentError where it is to see pictures and cannot."""
    kind = agent_class(name)
    seen = observation_of(observation_shape)
    if not isinstance(seen, int) and not kind.sees_pictures:
        raise RelatentError(f"agent {name!r} sees vectors only, and its task gives pictures, {observation_shape}")
    seen = observation_shape if kind.learns_from == "episodes" else seen
    return kind(seen, action_size, hyper_class(name)(**hyper))


def hyper_class(name: str) -> Any:
    """The dataclass of an agent's hyperparameters."""
    return import_module(f"relatent.agents.{name}").Hyper
