"""Agents updated as one come to what they come to one by one: losses, gradients, Adam's state, clipping, acting."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from relatent.training.acceleration import Acceleration, Captured, accelerate, place
from relatent.training.stack import Stack, stacked
from tests.agents.tiny import AGENTS, BATCH, OBSERVATION, batch, build, replaced
from tests.nets.test_learner import everything

SEEDS = 3
LEARNERS = pytest.mark.parametrize("name", AGENTS)


def agents(name: str) -> list[Any]:
    """Of different seeds, in float64."""
    made = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        made.append(build(name, batch=BATCH).double())
    return made


def data(agent: Any, update: int, seed: int) -> tuple[Any, Any]:
    """A batch and noise of one update of one seed."""
    draws = agent.draw_noise(BATCH, torch.Generator().manual_seed(0))
    return batch(0.5 + update + 10 * seed), replaced(draws, 0.7 + update + 10 * seed)


def train(together: Stack | None, alone: list[Any], updates: int) -> None:
    """The same updates for the stack's agents and for agents alone."""
    for update in range(updates):
        given = [data(agent, update, seed) for seed, agent in enumerate(alone)]
        for agent, (its_batch, noise) in zip(alone, given, strict=True):
            agent.updates += 1
            agent.learn(its_batch, noise)
        if together:
            for agent in together.agents:
                agent.updates += 1
            together.learn([one for one, _ in given], [noise for _, noise in given])


def assert_same(one: list[Any], two: list[Any], tolerance: float) -> None:
    for mine, yours in zip(one, two, strict=True):
        left, right = everything(mine), everything(yours)
        assert left.keys() == right.keys()
        for key in left:
            torch.testing.assert_close(left[key], right[key], rtol=tolerance, atol=tolerance, msg=key)


@LEARNERS
@pytest.mark.parametrize("clip_norm", [None, 0.01])
def test_a_hundred_updates_as_one(name: str, clip_norm: float | None) -> None:
    """Parameters, moments and step counts. Clipped to a norm that every seed exceeds by a different factor."""
    alone = agents(name)
    for agent in alone:
        if clip_norm:
            agent.clip_norms = dict.fromkeys(agent.optimisers, clip_norm)
    stack = Stack(deepcopy(alone))
    train(stack, alone, 100)
    assert_same(stack.agents, alone, 1e-9)
    with pytest.raises(AssertionError):
        assert_same(stack.agents[:1], alone[1:2], 1e-3)


@LEARNERS
def test_losses_and_gradients_as_one(name: str) -> None:
    """Of the first loss of each agent, before any optimiser has a say."""
    alone = agents(name)
    stack = Stack(deepcopy(alone))
    given = [data(agent, 0, seed) for seed, agent in enumerate(alone)]
    facade: Any = stack.facade
    inputs = stacked([one for one, _ in given]), stacked([noise for _, noise in given])
    losses = facade.over_seeds("critic_loss")(facade.state, *inputs)
    gradients = torch.autograd.grad(losses.sum(), list(facade.critic.parameters()))
    for seed, (agent, (its_batch, noise)) in enumerate(zip(alone, given, strict=True)):
        loss = agent.critic_loss(its_batch, noise)
        torch.testing.assert_close(losses[seed], loss, rtol=1e-12, atol=0)
        for mine, yours in zip(torch.autograd.grad(loss, list(agent.critic.parameters())), gradients, strict=True):
            torch.testing.assert_close(yours[seed], mine, rtol=1e-10, atol=1e-14)


@LEARNERS
def test_metrics_and_actions_of_each_seed(name: str) -> None:
    alone = agents(name)
    stack = Stack(deepcopy(alone))
    given = [data(agent, 0, seed) for seed, agent in enumerate(alone)]
    for agent in [*alone, *stack.agents]:
        agent.updates += 1
    mine = [agent.learn(*one) for agent, one in zip(alone, given, strict=True)]
    yours = stack.learn([one for one, _ in given], [noise for _, noise in given])
    for left, right in zip(mine, yours, strict=True):
        assert left.keys() == right.keys()
        for key in left:
            assert left[key].shape == right[key].shape == ()
            torch.testing.assert_close(left[key], right[key], rtol=1e-10, atol=1e-12)
    observations = [torch.full((OBSERVATION,), 0.1 * seed, dtype=torch.float64) for seed in range(SEEDS)]
    noises = [agent.draw_action_noise(True, torch.Generator().manual_seed(seed)) for seed, agent in enumerate(alone)]
    chosen = stack.choose(observations, [None] * SEEDS, noises)
    for (action, belief), agent, observation, noise in zip(chosen, alone, observations, noises, strict=True):
        assert belief is None
        torch.testing.assert_close(action, agent.choose(observation, None, noise)[0], rtol=1e-9, atol=1e-12)


@LEARNERS
def test_a_seed_that_leaves_goes_on_alone(name: str) -> None:
    """The stack's agents are whole: one of them, and what it saved, continue as if it had always been alone."""
    alone = agents(name)
    stack = Stack(deepcopy(alone))
    train(stack, alone, 3)
    left, restored = stack.agents[1], agents(name)[0]
    restored.load_state_dict(deepcopy(left.state_dict()))
    rest = Stack([stack.agents[0], stack.agents[2]])
    for update in (3, 4):
        given = [data(agent, update, seed) for seed, agent in enumerate(alone)]
        for agent in (*alone, *stack.agents, restored):
            agent.updates += 1
        for agent, one in zip([*alone, left, restored], [*given, given[1], given[1]], strict=True):
            agent.learn(*one)
        rest.learn([given[0][0], given[2][0]], [given[0][1], given[2][1]])
    assert_same([*stack.agents, restored], [*alone, alone[1]], 1e-10)


@LEARNERS
def test_a_stack_of_one_is_an_agent(name: str) -> None:
    alone = agents(name)[:1]
    stack = Stack(deepcopy(alone))
    train(stack, alone, 10)
    assert_same(stack.agents, alone, 1e-10)


def test_a_nan_of_one_seed_stays_its_own() -> None:
    alone = agents("sac")
    stack = Stack(deepcopy(alone))
    with torch.no_grad():
        next(stack.agents[1].critic.parameters()).fill_(float("nan"))
    train(stack, alone, 2)
    assert_same([stack.agents[0], stack.agents[2]], [alone[0], alone[2]], 1e-10)
    assert any(bool(value.isnan().any()) for value in everything(stack.agents[1]).values())


def test_compiled_updates_agree(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One agent and a stack, in float32 as they train. Needs a C++ compiler, which torch.compile looks for."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
    alone = [agent.float() for agent in agents("sac")]
    single, stack = deepcopy(alone[0]), Stack(deepcopy(alone))
    calls: list[Any] = []
    for compiled in (single, stack.facade):
        accelerate(compiled, Acceleration(compiled=True))
        calls.append(compiled.evaluate)
    for update in range(20):
        given = [floats(data(agent, update, seed)) for seed, agent in enumerate(alone)]
        for agent in (*alone, *stack.agents, single):
            agent.updates += 1
        for agent, one in zip([*alone, single], [*given, given[0]], strict=True):
            agent.learn(*one)
        stack.learn([one for one, _ in given], [noise for _, noise in given])
    assert [len(call.functions) for call in calls] == [3, 3]  # critic, actor, temperature: all went through it
    assert_same([*stack.agents, single], [*alone, alone[0]], 2e-5)


def floats(tree: Any) -> Any:
    return torch.utils._pytree.tree_map(Tensor.float, tree)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
@pytest.mark.parametrize("name", AGENTS)
def test_captured_updates_agree(name: str) -> None:
    alone = [agent.float() for agent in agents(name)]
    for agent in alone:
        place(agent, "cuda")
    stack = Stack(deepcopy(alone))
    accelerate(stack.facade, Acceleration("cuda", graph=True))
    for update in range(20):
        given = [
            torch.utils._pytree.tree_map(lambda tensor: tensor.float().cuda(), data(agent, update, seed))
            for seed, agent in enumerate(build_on_cpu(name))
        ]
        for agent in (*alone, *stack.agents):
            agent.updates += 1
        for agent, one in zip(alone, given, strict=True):
            agent.learn(*one)
        stack.learn([one for one, _ in given], [noise for _, noise in given])
    assert isinstance(stack.facade.learn, Captured)
    assert stack.facade.learn.graphs
    assert_same(stack.agents, alone, 1e-4)


def build_on_cpu(name: str) -> list[Any]:
    return [build(name, batch=BATCH) for _ in range(SEEDS)]
