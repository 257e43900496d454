"""RPG agents updated as one come to what they come to one by one: with statistics, phases, and beliefs to act by."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_map

from relatent.training.stack import Stack, stacked
from tests.agents.tiny import waves
from tests.agents.tiny_rpg import HORIZON, OBSERVATION, build, given, noise, segments, starts
from tests.training.test_stack import assert_same

SEEDS = 3
KINDS = ["code", "paper", "code_categorical", "paper_learnt", "paper_none", "paper_mixture", "code_soft_mixture"]


def agents(name: str, **changes: Any) -> list[Any]:
    """Of different seeds, in float64."""
    made = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        made.append(build(name, **changes).double())
        if made[-1].hyper.novelty:
            made[-1].novelty.batches.fill_(90)  # so that the bonus is the plain error at first, and then normalised
    return made


def update(together: Stack, alone: list[Any], number: int) -> tuple[list[dict], list[dict]]:
    """The same update for the stack's agents and for agents alone; their metrics."""
    data = [given(agent, number + 10.0 * seed) for seed, agent in enumerate(alone)]
    for agent in (*alone, *together.agents):
        agent.updates += 1
    if not alone[0].hyper.novelty:
        data = [(batch._replace(seen=()), draws) for batch, draws in data]
    mine = [agent.learn(*one) for agent, one in zip(alone, data, strict=True)]
    return mine, together.learn([batch for batch, _ in data], [draws for _, draws in data])


@pytest.mark.parametrize(
    "name", ["code", "paper_categorical", "code_learnt", "paper_learnt", "code_soft_mixture", "code_ramp"]
)
def test_twenty_updates_as_one(name: str) -> None:
    """Metrics, parameters, moments, targets, and the novelty network's mean and variance. Gradients are clipped to a
    norm that every seed exceeds by a different factor; an update without a world's segments comes first."""
    alone = agents(name, clip_norm=0.01)
    stack = Stack(deepcopy(alone))
    if alone[0].hyper.novelty:
        only_seen = [type(given(a)[0])(given(a, 10.0 * s)[0].seen) for s, a in enumerate(alone)]
        nothing = type(given(alone[0])[1])()
        assert [a.learn(batch, nothing) for a, batch in zip(alone, only_seen, strict=True)] == [{}] * SEEDS
        assert stack.learn(only_seen, [nothing] * SEEDS) == [{}] * SEEDS
        assert_same(stack.agents, alone, 1e-12)
    for number in range(20):
        for mine, yours in zip(*update(stack, alone, number), strict=True):
            assert mine.keys() == yours.keys()
            for key in mine:
                assert mine[key].shape == yours[key].shape == ()
                torch.testing.assert_close(yours[key], mine[key], rtol=1e-9, atol=1e-11, msg=key)
    assert_same(stack.agents, alone, 1e-9)
    with pytest.raises(AssertionError):
        assert_same(stack.agents[:1], alone[1:2], 1e-3)
    if alone[0].hyper.novelty:
        assert len({float(agent.novelty.mean) for agent in stack.agents}) == SEEDS
        assert {float(agent.novelty.batches) for agent in stack.agents} == {111.0}


@pytest.mark.parametrize("name", KINDS)
def test_losses_and_gradients_as_one(name: str) -> None:
    """Before any optimiser has a say."""
    alone = agents(name)
    stack = Stack(deepcopy(alone))
    facade: Any = stack.facade
    inputs = {
        "world_loss": [(segments(a, s + 0.5), noise(a, HORIZON, phase=s + 0.7)) for s, a in enumerate(alone)],
        "policy_loss": [(starts(a, s + 1.5), noise(a, phase=s + 0.9)) for s, a in enumerate(alone)],
    }
    for (method, data), part in zip(inputs.items(), ("world", "policy"), strict=True):
        losses = facade.over_seeds(method)(facade.state, *(stacked([one[k] for one in data]) for k in (0, 1)))[0]
        parameters = facade.optimisers[part].param_groups[0]["params"]
        gradients = torch.autograd.grad(losses.sum(), parameters)
        for seed, (agent, one) in enumerate(zip(alone, data, strict=True)):
            loss = getattr(agent, method)(*one)[0]
            torch.testing.assert_close(losses[seed], loss, rtol=1e-12, atol=0)
            own = torch.autograd.grad(loss, agent.optimisers[part].param_groups[0]["params"])
            for mine, yours in zip(own, gradients, strict=True):
                torch.testing.assert_close(yours[seed], mine, rtol=1e-9, atol=1e-9 * (1 + float(mine.abs().max())))


@pytest.mark.parametrize("name", KINDS)
def test_acting_as_one_at_the_beginning_and_later(name: str) -> None:
    """z is drawn where there is none yet, and kept where there is."""
    alone = agents(name)
    stack = Stack(deepcopy(alone))
    beliefs: list[Any] = [None] * SEEDS
    for step in range(3):
        observations = [waves((OBSERVATION,), step + 0.1 * seed) for seed in range(SEEDS)]
        draws = [a.draw_action_noise(True, torch.Generator().manual_seed(9 * step + s)) for s, a in enumerate(alone)]
        draws = tree_map(torch.Tensor.double, draws)
        chosen = stack.choose(observations, beliefs, draws)
        assert len(chosen) == SEEDS
        for seed, (action, belief) in enumerate(chosen):
            with torch.no_grad():
                expected, latent = alone[seed].choose(observations[seed], beliefs[seed], draws[seed])
            torch.testing.assert_close(action, expected, rtol=1e-10, atol=1e-12)
            torch.testing.assert_close(belief, latent, rtol=1e-12, atol=0)
            if step:
                assert torch.equal(belief, beliefs[seed])
            kept = stack.agents[seed].keep(belief)
            assert kept.shape == (alone[seed].kept_size,)
        if alone[0].hyper.latent in ("gaussian", "learnt_gaussian"):
            assert len({tuple(belief.tolist()) for _, belief in chosen}) == SEEDS
        beliefs = [belief for _, belief in chosen]


@pytest.mark.parametrize("name", ["code", "paper_categorical"])
def test_a_seed_that_leaves_goes_on_alone(name: str) -> None:
    """The stack's agents are whole: one of them, and what it saved, continue as if it had always been alone."""
    alone = agents(name)
    stack = Stack(deepcopy(alone))
    for number in range(3):
        update(stack, alone, number)
    left, restored = stack.agents[1], agents(name)[0]
    restored.load_state_dict(deepcopy(left.state_dict()))
    rest = Stack([stack.agents[0], stack.agents[2]])
    for number in (3, 4):
        data = [given(agent, number + 10.0 * seed) for seed, agent in enumerate(alone)]
        for agent in (*alone, *stack.agents, restored):
            agent.updates += 1
        for agent, one in zip([*alone, left, restored], [*data, data[1], data[1]], strict=True):
            agent.learn(*one)
        rest.learn([data[0][0], data[2][0]], [data[0][1], data[2][1]])
    assert_same([*stack.agents, restored], [*alone, alone[1]], 1e-10)


def test_a_nan_of_one_seed_stays_its_own() -> None:
    alone = agents("code")
    stack = Stack(deepcopy(alone))
    with torch.no_grad():
        next(stack.agents[1].world.parameters()).fill_(float("nan"))
    for number in range(2):
        update(stack, alone, number)
    assert_same([stack.agents[0], stack.agents[2]], [alone[0], alone[2]], 1e-10)
