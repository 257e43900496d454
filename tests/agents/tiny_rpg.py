"""RPG agents small enough to check by hand, in float64, and data for them."""

import math
from typing import Any

import torch
from torch import Tensor

from relatent.agents.rpg import RPG, Hyper, Noise
from relatent.nets.batch import Segments, Starts, WorldBatch
from tests.agents.tiny import waves

OBSERVATION, ACTION, BATCH, HORIZON = 3, 2, 4, 3
UPDATES = 4  # done so far, where a loss reads them
LOG_ALPHA = 0.3  # relative to init_alpha, so that α is 0.2 exp(0.3)

SIZES: dict[str, Any] = {
    "width": 5,
    "state": 4,
    "latent": "gaussian",
    "latent_size": 3,
    "policy": "gaussian",
    "batch": BATCH,
    "horizon": HORIZON,
    "lr": 3e-4,
    "clip_norm": 1.0,
    "gamma": 0.9,
    "tau": 0.1,
    "update_after": 0,
    "update_every": 5,
    "replay": 99,
    "init_alpha": 0.2,
    "beta": 0.7,
    "novelty": 0.1,
    "novelty_width": 5,
    "novelty_memory": 99,
    "latent_alpha": 0.8,
    "latent_every": 3,
    "reward_ramp": (),
}
# As config/papers/rpg.yaml has them.
CODE = {
    "posterior_std": 1 / math.sqrt(2 * math.pi),
    "policy_std": 0.4,
    "reward_scale": 5.0,
    "state_weight": 10_000.0,
    "reward_weight": 10.0,
    "value_weight": 1.0,
    "critic": "state_value",
    "length_decay": 0.97,
    "target_entropy_bonus": False,
    "target_encoder": True,
    "actor_critic": "first",
}
PAPER = {
    "posterior_std": 0.38,
    "policy_std": 1.0,
    "reward_scale": 1.0,
    "state_weight": 100_000.0,
    "reward_weight": 0.5,
    "value_weight": 0.5,
    "critic": "action_value",
    "length_decay": 0.0,
    "target_entropy_bonus": True,
    "target_encoder": False,
    "actor_critic": "smaller",
}
# What a test calls an agent -> its hyperparameters.
AGENTS: dict[str, dict[str, Any]] = {
    "code": CODE,
    "paper": PAPER,
    "code_categorical": {**CODE, "latent": "categorical"},
    "paper_categorical": {**PAPER, "latent": "categorical"},
    "code_learnt": {**CODE, "latent": "learnt_gaussian"},
    "paper_learnt": {**PAPER, "latent": "learnt_gaussian", "latent_entropy_decay": (8.0, 48.0)},  # at 20 steps
    "code_none": {**CODE, "latent": "none"},
    "paper_none": {**PAPER, "latent": "none"},
    "code_mixture": {**CODE, "latent": "none", "policy": "mixture"},
    "code_soft_mixture": {**CODE, "latent": "none", "policy": "soft_mixture"},
    "paper_mixture": {**PAPER, "policy": "mixture"},
    "paper_soft_mixture": {**PAPER, "policy": "soft_mixture"},
    "code_without_novelty": {**CODE, "novelty": 0.0},
    "code_ramp": {**CODE, "novelty": 0.0, "reward_ramp": (0.1, 2.0, 12.0)},
}
PARTS = ("novelty", "world", "policy", "alpha", "posterior", "latent_policy")


def build(name: str, **changes: Any) -> RPG:
    """A float32 agent as the trainer builds it."""
    return RPG(OBSERVATION, ACTION, Hyper(**{**SIZES, **AGENTS[name], **changes}))


def precise(name: str, phase: float = 0.0, **changes: Any) -> RPG:
    """A float64 agent whose parameters are `waves`, so that no target is its source, and whose novelty bonus is that of
    an agent which has learnt for a while."""
    torch.set_default_dtype(torch.float64)
    try:
        agent = build(name, **changes)
    finally:
        torch.set_default_dtype(torch.float32)
    agent.progress.fill_(UPDATES)
    with torch.no_grad():
        for number, (key, parameter) in enumerate(agent.named_parameters()):
            if key == "log_alpha":
                parameter.fill_(LOG_ALPHA)
            else:
                parameter.copy_(0.5 * waves(tuple(parameter.shape), phase + number))
        if agent.hyper.novelty:
            for key, value in (("batches", 300.0), ("mean", 0.9), ("variance", 0.25)):
                getattr(agent.novelty, key).fill_(value)
    return agent


def latents(agent: RPG, phase: float) -> Tensor:
    """(BATCH, size of z) as the agent would have kept them."""
    numbers = waves((BATCH, agent.latent.size), phase)
    if agent.hyper.latent == "categorical":
        return torch.nn.functional.one_hot(numbers.argmax(-1), agent.latent.size).double()
    return torch.ones_like(numbers) if agent.hyper.latent == "none" else numbers


def segments(agent: RPG, phase: float = 0.5) -> Segments:
    """Four segments: one whole, one that ends by a time limit after its first step, one that ends in a terminal state
    after its second step, one whose last step leads to a terminal state."""
    return Segments(
        waves((BATCH, HORIZON + 1, OBSERVATION), phase),
        waves((BATCH, HORIZON, ACTION), phase + 1),
        latents(agent, phase + 2),
        waves((BATCH, HORIZON), phase + 3),
        torch.tensor([[0, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64),
        torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]], dtype=torch.float64),
    )


def starts(agent: RPG, phase: float = 1.5) -> Starts:
    return Starts(waves((BATCH, OBSERVATION), phase), latents(agent, phase + 1))


def seen(phase: float = 2.5) -> Tensor:
    return waves((BATCH, OBSERVATION), phase)


def noise(agent: RPG, *between: int, phase: float = 0.7) -> Tensor:
    """Of the policy for each imagined step, (steps, BATCH, *between, noise_size)."""
    steps = HORIZON + (agent.hyper.critic == "action_value")
    return 1.5 * waves((steps, BATCH, *between, agent.policy.noise_size), phase)


def latent_noise(agent: RPG, phase: float = 0.8) -> Tensor:
    """Of z where episodes begin."""
    return 1.5 * waves((BATCH, agent.latent.size), phase)


def imagined(agent: RPG, phase: float = 3.5) -> tuple[Tensor, Tensor]:
    """States and actions of an imagined rollout."""
    return waves((HORIZON, BATCH, agent.hyper.state), phase), waves((HORIZON, BATCH, ACTION), phase + 1)


def given(agent: RPG, phase: float = 0.0) -> tuple[WorldBatch, Noise]:
    """All that an update may need."""
    anywhere, beginnings = starts(agent, phase + 1.5), starts(agent, phase + 4.5)
    batch = WorldBatch(seen(phase + 2.5), segments(agent, phase + 0.5), anywhere, beginnings)
    of_policy = noise(agent, phase=phase + 0.9), noise(agent, phase=phase + 1.1)
    return batch, Noise(noise(agent, HORIZON, phase=phase + 0.7), *of_policy, latent_noise(agent, phase + 1.3))


def loss(agent: RPG, part: str) -> Tensor:
    """What the optimiser of this name minimises."""
    if part == "novelty":
        return agent.novelty_loss(seen())[0]
    if part == "world":
        return agent.world_loss(segments(agent), noise(agent, HORIZON))[0]
    if part == "policy":
        return agent.policy_loss(starts(agent), noise(agent))[0]
    if part == "alpha":
        return agent.alpha_loss(torch.tensor(-1.7, dtype=torch.float64))
    if part == "posterior":
        return agent.posterior_loss(starts(agent).latent, *imagined(agent))
    if agent.hyper.latent == "categorical":
        return agent.latent_values_loss(starts(agent), noise(agent))
    return agent.latent_loss(starts(agent), noise(agent), latent_noise(agent))


CASES = [(name, part) for name in AGENTS for part in PARTS if part in precise(name).optimisers]
