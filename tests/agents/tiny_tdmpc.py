"""TD-MPC agents small enough to check by hand, in float64, data for them, and their networks from the weights alone."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from relatent.agents.tdmpc import TDMPC, ActionNoise, Batch, Hyper, Noise
from relatent.nets.batch import Segments
from relatent.training.replay import Replay
from tests.agents.tiny import waves

OBSERVATION, ACTION, BATCH, HORIZON, GAMMA, RHO = 3, 2, 5, 3, 0.9, 0.5
HYPER: dict[str, Any] = {
    "width": 6,
    "encoder_width": 5,
    "state": 4,
    "batch": BATCH,
    "horizon": HORIZON,
    "lr": 1e-3,
    "clip_norm": 10.0,
    "gamma": GAMMA,
    "tau": 0.1,
    "target_every": 2,
    "rho": RHO,
    "state_weight": 2.0,
    "reward_weight": 0.5,
    "value_weight": 0.1,
    "priority_alpha": 0.6,
    "priority_beta": 0.4,
    "iterations": 2,
    "samples": 6,
    "policy_share": 0.5,
    "elites": 3,
    "temperature": 0.5,
    "momentum": 0.1,
    "first_std": 0.5,
    "min_std": 0.05,
    "schedule_steps": 20,
    "update_after": 10,
    "update_every": 5,
    "replay": 60,
    "novelty": 0.1,
    "novelty_lr": 3e-4,
    "novelty_width": 4,
    "novelty_memory": 50,
}
PARTS = ("world", "policy", "novelty")


def build(**changes: Any) -> TDMPC:
    return TDMPC(OBSERVATION, ACTION, Hyper(**{**HYPER, **changes}))


def precise(phase: float = 0.0, **changes: Any) -> TDMPC:
    """In float64, of parameters that depend on no library's random numbers; its novelty network has seen batches."""
    agent = build(**changes).double()
    with torch.no_grad():
        for index, parameter in enumerate(agent.parameters()):
            parameter.copy_(0.8 * waves(tuple(parameter.shape), phase + index))
        for parameter in agent.policy.net[-1].parameters():
            parameter.mul_(0.1)  # so that no action is at the edge, where its gradient is another
        if agent.hyper.novelty:
            agent.novelty.batches.fill_(200)
            agent.novelty.mean.fill_(0.4)
            agent.novelty.variance.fill_(2.0)
    agent.depth.fill_(HORIZON)
    return agent


MASK = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 1]], dtype=torch.float64)
TERMINATED = torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]], dtype=torch.float64)


def segments(phase: float = 0.5) -> Segments:
    """The second one ends in a terminal state after two steps, the third by a time limit after one, the fourth in a
    terminal state with its last step."""
    return Segments(
        waves((BATCH, HORIZON + 1, OBSERVATION), phase),
        waves((BATCH, HORIZON, ACTION), phase + 1),
        torch.zeros(BATCH, 0, dtype=torch.float64),
        waves((BATCH, HORIZON), phase + 2),
        TERMINATED,
        MASK,
    )


def batch(phase: float = 0.5) -> Batch:
    weights = waves((BATCH,), phase + 4).abs()
    return Batch(segments(phase), torch.tensor([7, 0, 3, 12, 5]), weights, waves((BATCH, OBSERVATION), phase + 5))


def noise(phase: float = 0.7) -> Noise:
    return Noise(1.5 * waves((BATCH, HORIZON, ACTION), phase), 1.5 * waves((BATCH, HORIZON + 1, ACTION), phase + 1))


def loss(agent: TDMPC, part: str) -> Tensor:
    given, draws = batch(), noise()
    if part == "world":
        return agent.world_loss(given.segments, given.weights, draws.next_action)[0]
    if part == "policy":
        return agent.policy_loss(waves((BATCH, HORIZON + 1, 4), 0.3), MASK, draws.action)
    return agent.novelty_loss(given.seen)[0]


# The networks, from their weights alone


def weights_of(module: nn.Module) -> list[tuple[Tensor, Tensor]]:
    return [(layer.weight, layer.bias) for layer in module.modules() if isinstance(layer, nn.Linear)]


def dense(module: nn.Module, inputs: Tensor) -> Tensor:
    *hidden, (last, bias) = weights_of(module)
    for weight, shift in hidden:
        raw = inputs @ weight.T + shift
        inputs = torch.where(raw > 0, raw, raw.exp() - 1)
    return inputs @ last.T + bias


def critics(world: Any, state: Tensor, action: Tensor) -> list[Tensor]:
    """Both values of one state and action."""
    values = []
    for net in world.critics:
        (w1, b1), (w2, b2), (w3, b3) = weights_of(net)
        (norm,) = (layer for layer in net.modules() if isinstance(layer, nn.LayerNorm))
        raw = torch.cat([state, action]) @ w1.T + b1
        raw = (raw - raw.mean()) / (raw.var(unbiased=False) + 1e-5).sqrt() * norm.weight + norm.bias
        raw = torch.tanh(raw) @ w2.T + b2
        values.append((torch.where(raw > 0, raw, raw.exp() - 1) @ w3.T + b3)[0])
    return values


def act(agent: TDMPC, state: Tensor, draws: Tensor) -> Tensor:
    """The policy's action; no number of these tests leaves [-1, 1]."""
    action = torch.tanh(dense(agent.policy.net, state)) + (0.05 * draws).clamp(-0.3, 0.3)
    assert action.abs().max() < 0.99
    return action


def bonus(agent: TDMPC, observation: Tensor) -> Tensor:
    def leaky(module: nn.Module) -> Tensor:
        inputs = observation
        for index, (weight, shift) in enumerate(weights_of(module)):
            inputs = inputs @ weight.T + shift
            inputs = inputs if index == 2 else torch.where(inputs > 0, inputs, 0.01 * inputs)
        return inputs

    error = (leaky(agent.novelty.predictor) - leaky(agent.novelty.target)).square().sum()
    return (error - 0.4) / math.sqrt(2)


# Acting


def action_noise(phase: float = 0.2) -> ActionNoise:
    drawn = build().draw_action_noise(True, torch.Generator().manual_seed(0))
    return ActionNoise(*(1.5 * waves(tuple(one.shape), phase + index) for index, one in enumerate(drawn)))


OBSERVED = waves((OBSERVATION,), 0.4)


def memory(episodes: tuple[int, ...] = (7, 4, 9, 5), capacity: int = 60) -> Replay:
    """Episodes of these lengths; the first number seen says which step of all it is."""
    made, count = Replay(capacity, OBSERVATION, ACTION), 0
    for length in episodes:
        for step in range(length):
            here, following = waves((OBSERVATION,), count).numpy(), waves((OBSERVATION,), count + 1).numpy()
            here[0], following[0] = count, count + 1
            made.add(here, waves((ACTION,), count).numpy(), float(count), following, False, step == length - 1)
            count += 1
    return made
