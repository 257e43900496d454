"""ALM agents updated as one come to what they come to one by one, in every kind of update."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_map

from relatent.agents.alm import ALM
from relatent.training.stack import Stack, stacked
from tests.agents.tiny import waves
from tests.agents.tiny_alm import CASES, OBSERVATION, build, given
from tests.training.test_stack import assert_same

SEEDS = 3
KINDS = ("official", "identity", "reconstruction", "critic_only", "log_everywhere", "entropy_td3")
METHODS = {"heads": "heads_loss", "critic": "critic_loss", "encoder": "all_heads_loss", "actor": "actor_loss"}


def agents(name: str, **changes: Any) -> list[ALM]:
    """Of different seeds, in float64."""
    made = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        made.append(build(name, **changes).double())
        made[-1].actor.std.fill_(0.2 + 0.1 * seed)
    return made


@pytest.mark.parametrize("name", ["official", "entropy"])
def test_ten_updates_as_one(name: str) -> None:
    """Metrics, parameters, moments, targets and deviations. Gradients are clipped to a norm that every seed exceeds by
    a different factor."""
    alone = agents(name, clip_norm=0.01)
    stack = Stack(deepcopy(alone))
    for update in range(10):
        data = [given(agent, update + 10.0 * seed) for seed, agent in enumerate(alone)]
        mine = [agent.learn(*one) for agent, one in zip(alone, data, strict=True)]
        yours = stack.learn([batch for batch, _ in data], [draws for _, draws in data])
        for left, right in zip(mine, yours, strict=True):
            assert left.keys() == right.keys()
            for key, value in left.items():
                assert value.shape == right[key].shape == ()
                torch.testing.assert_close(right[key], value, rtol=1e-9, atol=1e-11, msg=key)
    assert_same(stack.agents, alone, 1e-9)
    with pytest.raises(AssertionError):
        assert_same(stack.agents[:1], alone[1:2], 1e-3)


@pytest.mark.parametrize(("name", "part"), [case for case in CASES if case[0] in KINDS and case[1] != "alpha"])
def test_losses_and_gradients_as_one(name: str, part: str) -> None:
    """Before any optimiser has a say."""
    alone = agents(name)
    facade: Any = Stack(deepcopy(alone)).facade
    world = "reconstruction_loss" if name == "reconstruction" else "aligned_loss"
    method, which = METHODS.get(part, world), 0 if part == "world" else 1
    data = [given(agent, 10.0 * seed) for seed, agent in enumerate(alone)]
    data = [(batch[which], draws) for batch, draws in data]
    outputs = facade.over_seeds(method)(facade.state, *(stacked([one[k] for one in data]) for k in (0, 1)))
    losses = outputs[0] if isinstance(outputs, tuple) else outputs
    gradients = torch.autograd.grad(losses.sum(), facade.optimisers[part].param_groups[0]["params"])
    for seed, (agent, one) in enumerate(zip(alone, data, strict=True)):
        value = getattr(agent, method)(*one)
        value = value[0] if isinstance(value, tuple) else value
        torch.testing.assert_close(losses[seed], value, rtol=1e-12, atol=1e-12)
        own = torch.autograd.grad(value, agent.optimisers[part].param_groups[0]["params"])
        for mine, yours in zip(own, gradients, strict=True):
            torch.testing.assert_close(yours[seed], mine, rtol=1e-9, atol=1e-9 * (1 + float(mine.abs().max())))


@pytest.mark.parametrize("explore", [True, False])
@pytest.mark.parametrize("name", ["official", "entropy", "model_free"])
def test_acting_as_one(name: str, explore: bool) -> None:
    alone = agents(name)
    stack = Stack(deepcopy(alone))
    observations = [waves((OBSERVATION,), 0.1 * seed) for seed in range(SEEDS)]
    draws = [a.draw_action_noise(explore, torch.Generator().manual_seed(s)) for s, a in enumerate(alone)]
    draws = tree_map(torch.Tensor.double, draws)
    chosen = stack.choose(observations, [None] * SEEDS, draws)
    for seed, (action, belief) in enumerate(chosen):
        with torch.no_grad():
            expected, _ = alone[seed].choose(observations[seed], None, draws[seed])
        torch.testing.assert_close(action, expected, rtol=1e-12, atol=1e-13)
        assert belief is None
    assert len({tuple(action.tolist()) for action, _ in chosen}) == SEEDS


def test_a_seed_that_leaves_goes_on_alone() -> None:
    """The stack's agents are whole: one of them, and what it saved, continue as if it had always been alone."""
    alone = agents("official")
    stack = Stack(deepcopy(alone))

    def data(number: int) -> list[Any]:
        return [given(agent, number + 10.0 * seed) for seed, agent in enumerate(alone)]

    for number in range(3):
        pairs = data(number)
        for agent, one in zip(alone, pairs, strict=True):
            agent.learn(*one)
        stack.learn([batch for batch, _ in pairs], [draws for _, draws in pairs])
    left, restored = stack.agents[1], agents("official")[0]
    restored.load_state_dict(deepcopy(left.state_dict()))
    rest = Stack([stack.agents[0], stack.agents[2]])
    for number in (3, 4):
        pairs = data(number)
        for agent, one in zip([*alone, left, restored], [*pairs, pairs[1], pairs[1]], strict=True):
            agent.learn(*one)
        rest.learn([pairs[0][0], pairs[2][0]], [pairs[0][1], pairs[2][1]])
    assert_same([*stack.agents, restored], [*alone, alone[1]], 1e-10)
