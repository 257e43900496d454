"""Agents small enough to check by hand, in float64, and data for them."""

import math
from typing import Any

import torch
from torch import Tensor

from relatent.agents import agent_class, hyper_class
from relatent.nets.batch import Batch

OBSERVATION, ACTION, BATCH = 3, 2, 5

RATES = {"batch": BATCH, "actor_lr": 3e-4, "critic_lr": 3e-4, "gamma": 0.9, "tau": 0.1, "update_after": 0, "replay": 99}
ENTROPY = {"alpha_lr": 3e-4, "init_alpha": 0.5}
SMAC = {
    **ENTROPY,
    "critic_width": 7,
    "latent": 2,
    "particles": 4,
    "conditional_entropy": 0.0,
    "conditional_entropy_scale": "absolute",
}
# What a test calls an agent -> its module and hyperparameters.
AGENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "sac": ("sac", ENTROPY),
    "td3": ("td3", {"exploration_noise": 0.1, "target_noise": 0.2, "target_noise_clip": 0.3, "policy_delay": 2}),
    "smac_nested": ("smac", {**SMAC, "entropy": "nested"}),
    "smac_mlmc": ("smac", {**SMAC, "entropy": "mlmc"}),
    "flow_sac": ("flow_sac", {**ENTROPY, "blocks": 2, "log_scale_bound": 2.0}),
    "pmoe": ("pmoe", {**ENTROPY, "experts": 3}),
}


def build(name: str, observation_size: int = OBSERVATION, action_size: int = ACTION, **hyper: Any) -> Any:
    """A float32 agent as the trainer builds it, of width 6."""
    module, own = AGENTS[name]
    settings = {"width": 6, "layers": 2, **RATES, **own, **hyper}
    return agent_class(module)(observation_size, action_size, hyper_class(module)(**settings))


def waves(shape: tuple[int, ...], phase: float) -> Tensor:
    """Numbers in [-1, 1] without a pattern, which depend on no library's random numbers."""
    size = torch.Size(shape).numel()
    return torch.sin(phase + 2.399963 * torch.arange(1, size + 1, dtype=torch.float64).square()).reshape(shape)


def precise(name: str, phase: float = 0.0, **hyper: Any) -> Any:
    """A float64 agent whose parameters are `waves`, so that no layer is zero and no target is its source."""
    agent = build(name, **hyper).double()
    with torch.no_grad():
        for number, (key, parameter) in enumerate(agent.named_parameters()):
            if key == "log_alpha":
                parameter.fill_(math.log(agent.hyper.init_alpha))
            else:
                parameter.copy_(0.8 * waves(tuple(parameter.shape), phase + number))
    return agent


def batch(phase: float = 0.5) -> Batch:
    """Five transitions, the second and fourth of them terminated."""
    return Batch(
        waves((BATCH, OBSERVATION), phase),
        waves((BATCH, ACTION), phase + 1),
        waves((BATCH,), phase + 2),
        waves((BATCH, OBSERVATION), phase + 3),
        torch.tensor([0, 1, 0, 1, 0], dtype=torch.float64),
    )


def noise_for(agent: Any, phase: float = 0.7) -> Any:
    """The agent's own noise tuple with every draw replaced by `waves`."""
    return replaced(agent.draw_noise(BATCH, torch.Generator().manual_seed(0)), phase)


def replaced(noise: Any, phase: float) -> Any:
    values = []
    for number, value in enumerate(noise):
        inner = phase + 1.3 * number
        values.append(1.5 * waves(tuple(value.shape), inner) if isinstance(value, Tensor) else replaced(value, inner))
    return type(noise)(*values)


def loss(agent: Any, name: str, data: Batch, noise: Any) -> Tensor:
    """The loss that the optimiser of this name minimises."""
    if name == "critic":
        return agent.critic_loss(data, noise)
    if name == "alpha":
        return agent.alpha_loss(waves((BATCH,), 0.9))
    return agent.actor_loss(data) if type(agent).__name__ == "TD3" else agent.actor_loss(data, noise)[0]


def number(value: Tensor) -> float:
    """Of a scalar that may have a gradient."""
    return float(value.detach())


def parameters_of(agent: Any, name: str) -> list[Tensor]:
    return agent.optimisers[name].param_groups[0]["params"]


CASES = [
    (agent, name) for agent in AGENTS for name in ("critic", "actor", "alpha") if (agent, name) != ("td3", "alpha")
]
