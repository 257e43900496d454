"""SMAC with a world model, small enough to check by hand, in float64, data for it, and its losses in numpy: one
sequence, one step and one particle at a time."""

import math
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from relatent.agents import latent_sac
from relatent.agents.smac_world import Hyper, Noise, SMACWorld
from relatent.nets.batch import Batch
from relatent.nets.sequences import Sequences
from tests.agents.tiny import replaced, waves
from tests.nets.tiny_world import images

ACTION, BATCH, LENGTH, SIDE, PARTICLES, DETER, STOCH = 2, 3, 4, 16, 2, 4, 3
FEATURES = DETER + STOCH
RAW_STD, GAMMA, ALPHA = 0.7, 0.9, 0.5
HYPER: dict[str, Any] = {
    "deter": DETER,
    "stoch": STOCH,
    "depth": 2,
    "width": 6,
    "batch": BATCH,
    "length": LENGTH,
    "model_lr": 1e-3,
    "actor_lr": 1e-3,
    "critic_lr": 1e-3,
    "alpha_lr": 1e-3,
    "clip_norm": 100.0,
    "free_nats": 0.1,
    "gamma": GAMMA,
    "tau": 0.1,
    "init_alpha": ALPHA,
    "raw_std": RAW_STD,
    "exploration_noise": 0.3,
    "update_after": 0,
    "update_every": 10,
    "updates": 1,
    "replay": 99,
    "particles": PARTICLES,
    "entropy": "nested",
    "q_particles": "all",
    "target_entropy": "conditional",
    "conditional_entropy": 0.0,
}
# What a test calls an agent -> how it differs from the one above.
VARIANTS: dict[str, dict[str, Any]] = {
    "nested": {},
    "mlmc": {"entropy": "mlmc"},
    "others": {"q_particles": "others"},
    "marginal": {"target_entropy": "marginal"},
    "conditional_entropy": {"conditional_entropy": 0.3},
}


def build(name: str = "nested", **changes: Any) -> SMACWorld:
    """A float32 agent as the trainer builds it."""
    return SMACWorld((3, SIDE, SIDE), ACTION, Hyper(**{**HYPER, **VARIANTS[name], **changes}))


def build_latent_sac(**changes: Any) -> latent_sac.LatentSAC:
    """Latent-SAC with what the two have in common."""
    own = {key: value for key, value in {**HYPER, **changes}.items() if key in latent_sac.Hyper.__dataclass_fields__}
    return latent_sac.LatentSAC((3, SIDE, SIDE), ACTION, latent_sac.Hyper(**own))


def precise(name: str = "nested", phase: float = 0.0, **changes: Any) -> SMACWorld:
    """A float64 agent whose parameters are `waves`."""
    agent = build(name, **changes).double()
    with torch.no_grad():
        for number, (key, parameter) in enumerate(agent.named_parameters()):
            if key == "log_alpha":
                parameter.fill_(math.log(ALPHA))
            else:
                parameter.copy_(0.6 * waves(tuple(parameter.shape), phase + number))
    return agent


def sequences(phase: float = 0.5, dtype: torch.dtype = torch.float64) -> Sequences:
    """The second sequence begins with its episode; a terminal state ends the third."""
    numbers = partial(torch.Tensor.to, dtype=dtype)
    first, terminated = torch.zeros(2, BATCH, LENGTH, dtype=dtype)
    first[1, 0], terminated[2, -1] = 1.0, 1.0
    action, reward = waves((BATCH, LENGTH, ACTION), phase), waves((BATCH, LENGTH), phase + 1)
    return Sequences(images((BATCH, LENGTH), SIDE, phase), numbers(action), numbers(reward), terminated, first)


def noise(agent: SMACWorld, phase: float = 0.7) -> Noise:
    return replaced(agent.draw_noise(BATCH, torch.Generator().manual_seed(0)), phase)


def features(phase: float = 0.2, particles: int = PARTICLES) -> Tensor:
    """Of all particles at every step, (K + 1, B, L, size)."""
    return waves((particles + 1, BATCH, LENGTH, FEATURES), phase)


def believed(particles: Tensor, batch: Sequences) -> Batch:
    """The transitions that losses are given, by their definition."""
    return Batch(
        particles[:, :, :-1], batch.action[:, 1:], batch.reward[:, 1:], particles[:, :, 1:], batch.terminated[:, 1:]
    )


# The losses, again

Array = np.ndarray


def numbers(tensor: Tensor) -> Array:
    return tensor.detach().numpy()


def dense(net: nn.Module, vector: Array) -> Array:
    """Linear layers with ELU between each two."""
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    for layer in layers:
        vector = numbers(layer.weight) @ vector + numbers(layer.bias)
        if layer is not layers[-1]:
            vector = np.where(vector > 0, vector, np.expm1(np.minimum(vector, 0)))
    return vector


def law(agent: SMACWorld, state: Array) -> tuple[Array, Array]:
    """Mean and deviation of an action before tanh."""
    mean, raw = np.split(dense(agent.actor.net, state), 2)  # type: ignore[arg-type]
    return 5 * np.tanh(mean / 5), np.log1p(np.exp(raw + RAW_STD)) + 1e-4


def log_probs(agent: SMACWorld, states: list[Array], before_tanh: Array) -> list[float]:
    """log π(a|s^k) of the action tanh(u), for every particle."""
    squash = np.log(1 - np.tanh(before_tanh) ** 2).sum()
    return [float(stats.norm.logpdf(before_tanh, *law(agent, state)).sum() - squash) for state in states]


def log_mean_exp(values: list[float]) -> float:
    return math.log(sum(map(math.exp, values)) / len(values))


def marginal(agent: SMACWorld, values: list[float]) -> float:
    """Of two particles beside s^0; Eq 12 written out: C_0 is the mean of two-particle values, then one level."""
    if agent.hyper.entropy == "nested":
        return log_mean_exp(values)
    zero, one, two = values
    level_0 = (log_mean_exp([zero, one]) + log_mean_exp([zero, two])) / 2
    return level_0 + log_mean_exp(values) - (level_0 + log_mean_exp([zero, two])) / 2


def q(critic: Any, state: Array, action: Array) -> list[float]:
    """Both critics."""
    return [float(dense(net, np.concatenate([state, action]))[0]) for net in (critic.first, critic.second)]


def actor_loss(agent: SMACWorld, particles: Tensor, draws: Tensor) -> float:
    total = 0.0
    for sequence in range(BATCH):
        for step in range(LENGTH):
            states = list(numbers(particles[:, sequence, step]))
            mean, std = law(agent, states[0])
            before_tanh = mean + std * numbers(draws[sequence, step])
            log_prob = log_probs(agent, states, before_tanh)
            values = [min(q(agent.critic, state, np.tanh(before_tanh))) for state in states]
            if agent.hyper.q_particles == "others":
                values = values[1:]
            regulariser = -agent.hyper.conditional_entropy * ALPHA * log_prob[0]
            total += ALPHA * marginal(agent, log_prob) - log_mean_exp(values) + regulariser
    return total / (BATCH * LENGTH)


def critic_loss(agent: SMACWorld, particles: Tensor, batch: Sequences, draws: Tensor) -> float:
    total = 0.0
    for sequence in range(BATCH):
        for step in range(LENGTH - 1):
            here, there = (list(numbers(particles[:, sequence, at])) for at in (step, step + 1))
            reward, terminated = (float(of[sequence, step + 1]) for of in (batch.reward, batch.terminated))
            action = numbers(batch.action[sequence, step + 1])
            for index, (state, following) in enumerate(zip(here, there, strict=True)):
                if agent.hyper.target_entropy == "conditional":
                    mean, std = law(agent, following)
                    before_tanh = mean + std * numbers(draws[index, sequence, step])
                    log_prob = log_probs(agent, [following], before_tanh)[0]
                else:
                    mean, std = law(agent, there[0])
                    before_tanh = mean + std * numbers(draws[0, sequence, step])
                    log_prob = marginal(agent, log_probs(agent, there, before_tanh))
                value = min(q(agent.target_critic, following, np.tanh(before_tanh))) - ALPHA * log_prob
                target = reward + GAMMA * (1 - terminated) * value
                total += sum((one - target) ** 2 for one in q(agent.critic, state, action))
    return total / (BATCH * (LENGTH - 1) * len(particles))
