"""Variational EM agents small enough to check by hand, in float64, data for them, and their bound in numpy, one number
at a time."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import integrate, stats
from torch import Tensor, nn

from relatent.agents.variational_em import ActionNoise, Given, Hyper, VariationalEM
from relatent.nets.batch import Segments
from relatent.nets.distributions import Gaussian
from relatent.training.replay import Replay
from tests.agents.tiny import waves

OBSERVATION, ACTION, LATENT, BATCH, SEGMENT, HORIZON, PLANNED = 2, 2, 3, 5, 3, 3, 2
SCALE, BEST, LEAST, LARGEST = 0.7, 1.5, 0.2, 2.5

HYPER: dict[str, Any] = {
    "width": 6,
    "latent_size": LATENT,
    "inference_steps": 1,
    "batch": BATCH,
    "segment": SEGMENT,
    "lr": 1e-3,
    "prior_lr": 1e-3,
    "clip_norm": 100.0,
    "marginal": "none",
    "marginal_updates": 10,
    "prior": "learned",
    "largest_mean": LARGEST,
    "recent": 20,
    "best_reward": BEST,
    "reward_scale": SCALE,
    "information": 0.0,
    "horizon": HORIZON,
    "planned": PLANNED,
    "iterations": 2,
    "rate": 0.5,
    "samples": 4,
    "scenarios": 2,
    "least_std": LEAST,
    "update_after": 0,
    "updates": 1,
    "replay": 99,
}
# What a test calls an agent -> how it differs from the one above.
VARIANTS: dict[str, dict[str, Any]] = {
    "learned": {},
    "first_action": {"planned": 1},
    "uniform": {"prior": "uniform"},
    "uniform_plan": {"prior": "uniform", "planned": HORIZON},
    "none": {"prior": "none", "planned": HORIZON},
    "informed": {"information": 0.3},
    "two_steps": {"inference_steps": 2},
    "detached": {"marginal": "detached"},
    "marginal": {"marginal": "learned"},
}


def build(name: str = "learned", **changes: Any) -> VariationalEM:
    """A float32 agent as the trainer builds it."""
    return VariationalEM(OBSERVATION, ACTION, Hyper(**{**HYPER, **VARIANTS[name], **changes}))


def precise(name: str = "learned", phase: float = 0.0, **changes: Any) -> VariationalEM:
    """A float64 agent whose parameters are `waves`."""
    agent = build(name, **changes).double()
    with torch.no_grad():
        for number, parameter in enumerate(agent.parameters()):
            parameter.copy_(0.5 * waves(tuple(parameter.shape), phase + number))
    return agent


MASK = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 1]], dtype=torch.float64)
RECENT = torch.tensor([0, 1, 1, 0, 1], dtype=torch.float64)


def given(phase: float = 0.5) -> Given:
    """The second segment meets its episode's end after two steps, the third after one."""
    segments = Segments(
        waves((BATCH, SEGMENT + 1, OBSERVATION), phase),
        waves((BATCH, SEGMENT, ACTION), phase + 1),
        torch.zeros(BATCH, 2 * ACTION, dtype=torch.float64),
        waves((BATCH, SEGMENT), phase + 2),
        torch.zeros(BATCH, SEGMENT, dtype=torch.float64),
        MASK,
    )
    return Given(segments, waves((BATCH, SEGMENT, 2 * ACTION), phase + 3), RECENT)


def noise(phase: float = 0.7) -> Tensor:
    return 1.5 * waves((BATCH, SEGMENT + 1, LATENT), phase)


def action_noise(agent: VariationalEM, phase: float = 0.2) -> ActionNoise:
    draws = agent.draw_decision(True, torch.Generator().manual_seed(0), agent.hyper.iterations)
    return ActionNoise(*(waves(tuple(part.shape), phase + number) for number, part in enumerate(draws)))


def memory(steps: int = 40, episode: int = 15, capacity: int = 99) -> Replay:
    """Whose numbers say which transition they belong to: what is seen, and what is kept of q."""
    replay = Replay(capacity, OBSERVATION, ACTION, kept_size=2 * ACTION)
    for number in range(steps):
        here, following = (np.full(OBSERVATION, number + ahead, np.float32) for ahead in (0, 1))
        law = np.full(2 * ACTION, number, np.float32)
        last = number % episode == episode - 1
        replay.add(here, np.zeros(ACTION, np.float32), float(number), following, False, last, law)
    return replay


# The bound, again

Array = NDArray[np.float64]
Law = tuple[Array, Array]  # mean and deviation


def numbers(tensor: Tensor) -> Array:
    return tensor.detach().numpy()


def dense(net: nn.Module, *inputs: Array) -> Array:
    hidden = np.concatenate(inputs)
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    for layer in layers:
        hidden = numbers(layer.weight) @ hidden + numbers(layer.bias)
        hidden = hidden if layer is layers[-1] else np.maximum(hidden, 0)
    return hidden


def between(raw: Array, lowest: float, highest: float) -> Array:
    """A deviation whose logarithm is a sigmoid between these."""
    return np.exp(math.log(lowest) + math.log(highest / lowest) / (1 + np.exp(-raw)))


def noises(agent: VariationalEM) -> Array:
    return 0.02 * (1 + np.exp(numbers(agent.world.noise)) / 0.02)


def dynamics(agent: VariationalEM, latent: Array, action: Array) -> Law:
    change, raw = np.split(dense(agent.world.transition, latent, action), 2)
    return latent + change, between(raw, 0.01, 2.0)


def infer(agent: VariationalEM, predicted: Law, seen: Array) -> Law:
    mean, std = predicted
    for _ in range(agent.hyper.inference_steps):
        error = (seen - dense(agent.world.emission, mean)) / noises(agent)[:-1]
        moved = (mean - predicted[0]) / predicted[1]
        change, raw = np.split(dense(agent.world.correction, mean, np.log(std), moved, error), 2)
        mean, std = mean + change, between(raw, 0.01, 2.0)
    return mean, std


def habit(agent: VariationalEM, latent: Array) -> Law:
    raw_mean, raw = np.split(dense(agent.habit, latent), 2)
    return LARGEST * np.tanh(raw_mean / LARGEST), between(raw, LEAST, 1 / LEAST)


def density(value: Array, law: Law) -> float:
    return float(stats.norm.logpdf(value, *law).sum())


def uniform_density(before_tanh: Any) -> Any:
    """log of the density of u where tanh(u) is uniform, 1/2 (1 - tanh² u)."""
    size = np.abs(before_tanh)
    return math.log(2) - 2 * (size + np.log1p(np.exp(-2 * size)))


def action_log_prob(agent: VariationalEM, latent: Array, before_tanh: Array) -> float:
    """log p_a(u|z)."""
    if agent.hyper.prior == "learned":
        return density(before_tanh, habit(agent, latent))
    return float(uniform_density(before_tanh).sum())


def expected(agent: VariationalEM, latent: Array, law: Law) -> float:
    """-KL(q || p_a) by integration."""
    total = 0.0
    for mean, std, *prior in zip(*law, *habit(agent, latent), strict=True):

        def cost(u: float, mean: float = mean, std: float = std, prior: Any = prior) -> float:
            own = stats.norm.logpdf(u, mean, std)
            learned = agent.hyper.prior == "learned"
            other = stats.norm.logpdf(u, *prior) if learned else uniform_density(u)
            return float(math.exp(own) * (other - own))

        total += integrate.quad(cost, mean - 8 * std, mean + 8 * std)[0]
    return total


def walk(agent: VariationalEM, data: Given, draws: Array, row: int) -> Iterator[tuple[Law, Law, Array, Array]]:
    """Prediction, q, z and x along a segment."""
    latent, action = np.zeros(LATENT), np.zeros(ACTION)
    for step, seen in enumerate(numbers(data.segments.observation[row])):
        predicted = dynamics(agent, latent, action)
        posterior = infer(agent, predicted, seen)
        latent = posterior[0] + posterior[1] * draws[row, step]
        yield predicted, posterior, latent, seen
        if step < SEGMENT:
            action = numbers(data.segments.action[row, step])


def spread(agent: VariationalEM, predicted: Law) -> Array:
    """Covariance of x before it is seen."""
    weight = numbers(agent.world.emission.weight)
    return weight @ np.diag(predicted[1] ** 2) @ weight.T + np.diag(noises(agent)[:-1] ** 2)


def plain_terms(agent: VariationalEM, data: Given, draws: Tensor) -> dict[str, float]:
    """The mean of every term over the steps that it is counted at, without T5's weight."""
    sums: dict[str, list[float]] = {key: [] for key in ("T1", "T2", "T3", "T4", "T5")}
    for row in range(BATCH):
        rewards = numbers(data.segments.reward[row])
        for step, (predicted, posterior, latent, seen) in enumerate(walk(agent, data, numbers(draws), row)):
            if step and not MASK[row, step - 1]:
                break
            sums["T3"].append(density(latent, predicted) - density(latent, posterior))
            emitted = dense(agent.world.emission, latent), noises(agent)[:-1]
            likelihood = density(seen, emitted)
            if step:
                reward = dense(agent.world.rewards, latent), noises(agent)[-1:]
                likelihood += density(rewards[step - 1 : step], reward)
                sums["T1"].append(SCALE * (rewards[step - 1] - BEST))
            sums["T4"].append(likelihood)
            mean = dense(agent.world.emission, predicted[0])
            sums["T5"].append(-float(stats.multivariate_normal.logpdf(seen, mean, spread(agent, predicted))))
            if step < SEGMENT and MASK[row, step] and RECENT[row]:
                mean, log_std = np.split(numbers(data.law[row, step]), 2)
                sums["T2"].append(expected(agent, latent, (mean, np.exp(log_std))))
    return {key: float(np.mean(values)) for key, values in sums.items()}


def plain_value(agent: VariationalEM, latent: Array, plan: Array, draws: ActionNoise) -> float:
    """Of one plan (planned, ACTION)."""
    hyper, found = agent.hyper, []
    for scenario in range(hyper.scenarios):
        here, total = latent, 0.0
        for step in range(HORIZON):
            if step < hyper.planned:
                before_tanh = plan[step]
                total += action_log_prob(agent, here, before_tanh) if hyper.prior != "none" else 0.0
            else:
                draw = numbers(draws.actions[step - hyper.planned, scenario])
                mean, std = habit(agent, here)
                uniform = np.arctanh(2 * stats.norm.cdf(draw) - 1)
                before_tanh = mean + std * draw if hyper.prior == "learned" else uniform
            predicted = dynamics(agent, here, np.tanh(before_tanh))
            ratio = np.linalg.slogdet(spread(agent, predicted))[1] - 2 * np.log(noises(agent)[:-1]).sum()
            total += hyper.information * 0.5 * ratio
            here = predicted[0] + predicted[1] * numbers(draws.process[step, scenario])
            total += SCALE * (dense(agent.world.rewards, here)[0] - BEST)
        found.append(total)
    return float(np.mean(found))


def gaussian(law: Law) -> Gaussian:
    return Gaussian(torch.tensor(law[0]), torch.tensor(law[1]).log())
