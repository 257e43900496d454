"""What is checked of every agent's losses, and how an agent is trained on an environment whose values are known."""

import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from relatent.envs import make
from relatent.training import loop
from relatent.training.checkpoint import Checkpoint
from relatent.training.clock import PhaseClock
from relatent.training.record import Record
from relatent.training.replay import Replay
from relatent.training.seeds import Stream, generator
from relatent.training.stack import Stack
from tests.agents.tiny import ACTION, OBSERVATION, number, parameters_of, waves
from tests.nets.test_learner import everything


def assert_gradients_agree(loss: Callable[[], Tensor], parameters: list[Tensor]) -> None:
    """A loss's gradient is its central difference along three directions, and not zero."""
    gradients = torch.autograd.grad(loss(), parameters)
    draws, start, step = torch.Generator().manual_seed(0), [p.detach().clone() for p in parameters], 1e-6
    for _ in range(3):
        direction = [torch.randn(p.shape, generator=draws, dtype=torch.float64) for p in parameters]
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                for parameter, origin, change in zip(parameters, start, direction, strict=True):
                    parameter.copy_(origin + sign * step * change)
                values.append(number(loss()))
        numerical = (values[0] - values[1]) / (2 * step)
        exact = number(sum((g * d).sum() for g, d in zip(gradients, direction, strict=True)))
        # The difference's own error: rounding of about 1e-16 * |loss| / step, and step² times a third derivative.
        assert exact == pytest.approx(numerical, rel=1e-6, abs=1e-8 * (1 + abs(values[0])))
        assert exact != 0


def assert_moves_all_its_own_parameters_only(agent: Any, part: str, loss: Callable[[], Any]) -> None:
    """One step of the optimiser of this name."""
    before = deepcopy(dict(agent.named_parameters()))
    mine = {id(parameter) for parameter in parameters_of(agent, part)}
    agent.minimise(part, loss)
    moved = {key for key, parameter in agent.named_parameters() if not torch.equal(parameter, before[key])}
    assert moved == {key for key, parameter in agent.named_parameters() if id(parameter) in mine}


def train_on_probe(agent: Any, task: str, folder: Path, frames: int, random_frames: int) -> Record:
    """Train through the real loop, with 16 episodes of evaluation at the start and at the end."""
    plan = loop.Plan(
        seed=1, frames=frames, random_frames=random_frames, eval_every=frames, eval_episodes=16, action_repeat=1
    )
    env, eval_env = (make({"suite": "probe", "task": task}) for _ in range(2))
    replay, record = Replay(frames, 1, 1), Record(folder)
    checkpoint = Checkpoint(folder / "checkpoint", {}, replay, math.inf)
    loop.train(plan, [env], eval_env, agent, replay, record, checkpoint, generator(1, Stream.UPDATES), PhaseClock())
    return record


def assert_learn_as_one(
    alone: list[Any], stack: Stack, data: Callable[[int, int], tuple[Any, Any]], relative: float, absolute: float
) -> None:
    """Twenty updates of agents alone and of the same agents stacked give the same metrics, and then the same agents.
    `data` is what an update of a seed is given: batch and noise."""
    for update in range(20):
        given = [data(update, seed) for seed in range(len(alone))]
        for agent in (*alone, *stack.agents):
            agent.updates += 1
        mine = [agent.learn(*one) for agent, one in zip(alone, given, strict=True)]
        yours = stack.learn([one for one, _ in given], [draws for _, draws in given])
        for left, right in zip(mine, yours, strict=True):
            assert {key: number(value) for key, value in left.items()} == pytest.approx(
                {key: number(value) for key, value in right.items()}, rel=relative, abs=absolute
            )
    for left, right in zip(alone, stack.agents, strict=True):
        one, other = everything(left), everything(right)
        assert one.keys() == other.keys()
        for key, value in one.items():
            torch.testing.assert_close(value, other[key], rtol=relative, atol=1e-10, msg=key)


def assert_act_as_one(alone: list[Any], stack: Stack, relative: float, absolute: float) -> None:
    """Agents without a belief choose alone what they choose stacked."""
    observations = [waves((OBSERVATION,), seed) for seed in range(len(alone))]
    draws = [waves((ACTION,), 5.0 + seed) for seed in range(len(alone))]
    chosen = stack.choose(observations, [None] * len(alone), draws)
    for agent, observation, noise, (action, belief) in zip(alone, observations, draws, chosen, strict=True):
        assert belief is None
        expected, _ = agent.choose(observation, None, noise)
        torch.testing.assert_close(action, expected, rtol=relative, atol=absolute)
