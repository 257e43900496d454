"""DreamerV2 and Plan2Explore: losses against numpy loops and finite differences; who is moved by what."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.agents.checks import assert_gradients_agree, assert_moves_all_its_own_parameters_only
from tests.agents.plain_dreamer_v2 import filter_batch, plain_behaviour, plain_predictor_loss, plain_world_loss
from tests.agents.tiny import number, parameters_of
from tests.agents.tiny_dreamer_v2 import (
    BATCH,
    HORIZON,
    KINDS,
    LENGTH,
    SHAPES,
    Held,
    build,
    data,
    loss,
    noise,
    precise,
    states_of,
)

PARTS = [
    *(("task", part) for part in ("world", "actor", "critic")),
    *(("explorer", part) for part in ("world", "actor", "critic", "predictors", "explorer", "explorer_critic")),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seen", SHAPES)
def test_the_models_loss_is_what_the_weights_say(kind: str, seen: str) -> None:
    agent, batch = precise(kind, seen), data(seen)
    draws = noise(agent)
    found = agent.world_loss(batch, draws.filter)
    assert number(found.loss) == pytest.approx(plain_world_loss(agent, batch, draws.filter), rel=1e-11)
    for row, plain in enumerate(filter_batch(agent, batch, draws.filter)):
        np.testing.assert_allclose(found.states.stoch[row].detach().numpy(), plain.stoch, rtol=0, atol=1e-15)
        np.testing.assert_allclose(found.states.deter[row].detach().numpy(), plain.deter, rtol=1e-11)


@pytest.mark.parametrize(("kind", "which"), [("task", "task"), ("explorer", "task"), ("explorer", "exploration")])
def test_losses_of_policy_and_value_are_what_the_weights_say(kind: str, which: str) -> None:
    agent, batch = precise(kind), data()
    draws = noise(agent)
    expected = plain_behaviour(agent, which, batch, draws)
    states = states_of(agent, batch, draws)
    if which == "task":
        value, imagined, entropy = agent.actor_loss(states, draws.task)
        critic = agent.critic_loss(imagined)
    else:
        value, imagined, entropy = agent.explorer_loss(states, draws.exploration)
        critic = agent.explorer_critic_loss(imagined)
    assert imagined.features.shape == (BATCH, LENGTH, HORIZON, 2 * 3 + 4)
    assert imagined.returns.shape == (BATCH, LENGTH, HORIZON)
    found = number(value), number(critic), number(entropy)
    assert found == pytest.approx(tuple(expected), rel=1e-9)


def test_the_predictors_loss_is_what_the_weights_say() -> None:
    """They are told the action that led to a state, as in the official code, and predict the z after it."""
    agent, batch = precise("explorer"), data()
    draws = noise(agent)
    found = agent.predictor_loss(states_of(agent, batch, draws), batch.action)
    assert number(found) == pytest.approx(plain_predictor_loss(agent, batch, draws.filter), rel=1e-11)


@pytest.mark.parametrize(("kind", "part"), PARTS)
def test_gradients_are_finite_differences(kind: str, part: str) -> None:
    """With what was drawn, and what is stopped, held fixed: in the divergence one of both laws, and what policies read.
    The gradient of an actor passes through model, reward and slow critic."""
    agent = precise(kind)
    minimised = loss(agent, part)
    assert_gradients_agree(minimised if part == "predictors" else Held(minimised), parameters_of(agent, part))


def test_gradients_from_images_are_finite_differences() -> None:
    agent = precise("task", "images")
    assert_gradients_agree(Held(loss(agent, "world", "images")), parameters_of(agent, "world"))


def test_gradients_reach_every_action_through_all_that_follows() -> None:
    """Of a policy's loss by the draws of its actions; the last one leads to the state whose value ends all returns."""
    agent = precise()
    draws = noise(agent)
    states, action = states_of(agent, data(), draws), draws.task.action.clone().requires_grad_()

    def value() -> Tensor:
        return agent.actor_loss(states, draws.task._replace(action=action))[0]

    assert_gradients_agree(Held(value), [action])
    assert torch.autograd.grad(value(), action)[0].abs().min() > 0


def test_the_divergence_is_shared_out() -> None:
    """The prior's network, which nothing else asks, has four fifths of its gradient."""
    agent, batch = precise(), data()
    draws = noise(agent)
    predict = list(agent.world.rssm.predict.parameters())
    found = agent.world.rssm.filter(agent.world.encode(batch.observation), batch.action, batch.first, draws.filter)
    whole = agent.world.rssm.divergence(found.posterior, found.prior).mean()
    mine = torch.autograd.grad(agent.world_loss(batch, draws.filter).loss, predict)
    for one, other in zip(mine, torch.autograd.grad(whole, predict), strict=True):
        torch.testing.assert_close(one, 0.8 * other, rtol=1e-11, atol=1e-14)


def test_policies_read_states_as_numbers() -> None:
    """What an action does to later actions, through what the policy reads, is no part of its gradient."""
    agent = precise("explorer")
    draws, read = noise(agent), []
    states = states_of(agent, data(), draws)
    for behaviour, value in (
        (agent.task, lambda: agent.actor_loss(states, draws.task)),
        (agent.exploration, lambda: agent.explorer_loss(states, draws.exploration)),
    ):
        behaviour.actor.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].requires_grad))
        value()
    assert read == [False] * 2 * HORIZON


# Who is moved by what


@pytest.mark.parametrize(("kind", "part"), PARTS)
def test_a_loss_moves_all_its_own_parameters_only(kind: str, part: str) -> None:
    """Intrinsic rewards move neither the world model nor the task's policy; no policy moves what it is judged by."""
    agent = precise(kind)
    assert_moves_all_its_own_parameters_only(agent, part, loss(agent, part))


def test_groups_are_all_there_is_but_the_slow_critics() -> None:
    for kind, slow in (("task", {"task"}), ("explorer", {"task", "exploration"})):
        agent = build(kind)
        groups = {id(parameter) for name in agent.optimisers for parameter in parameters_of(agent, name)}
        left = {key for key, parameter in agent.named_parameters() if id(parameter) not in groups}
        assert {key.split(".")[0] for key in left} == slow
        assert all(key.split(".")[1] == "slow_critic" for key in left)
        assert not any(dict(agent.named_parameters())[key].requires_grad for key in left)


def test_rewards_shape_the_model_of_the_task_alone() -> None:
    """Plan2Explore's reward head learns from features that it does not shape."""
    for kind in KINDS:
        agent, batch = precise(kind), data()
        draws = noise(agent)
        named = {name: part for name, part in agent.world.named_parameters() if not name.startswith("reward")}
        head = list(agent.world.reward.parameters())
        gradients, heads = [], []
        for factor in (1.0, 3.0):
            found = agent.world_loss(batch._replace(reward=factor * batch.reward), draws.filter).loss
            gradients.append(torch.autograd.grad(found, list(named.values()), retain_graph=True))
            heads.append(torch.autograd.grad(found, head))
        changed = {name for name, one, other in zip(named, *gradients, strict=True) if not torch.equal(one, other)}
        assert not any(torch.equal(one, other) for one, other in zip(*heads, strict=True))
        # The decoder reads the same features; the prior's network is asked by the divergence alone.
        unmoved = {name for name in named if name.startswith(("decode", "rssm.predict"))}
        assert changed == (set() if kind == "explorer" else set(named) - unmoved)


def test_the_task_never_enters_exploration() -> None:
    """Neither does what is explored depend on rewards, nor the other way."""
    agent, batch = precise("explorer"), data()
    draws = noise(agent)
    states = states_of(agent, batch, draws)
    before = number(agent.explorer_loss(states, draws.exploration)[0]), number(agent.actor_loss(states, draws.task)[0])
    with torch.no_grad():
        for parameter in agent.world.reward.parameters():
            parameter.mul_(2.0)
    assert number(agent.explorer_loss(states, draws.exploration)[0]) == before[0]
    changed = number(agent.actor_loss(states, draws.task)[0])
    assert changed != before[1]
    with torch.no_grad():
        for parameter in agent.predictors.parameters():
            parameter.mul_(2.0)
    assert number(agent.explorer_loss(states, draws.exploration)[0]) != before[0]
    assert number(agent.actor_loss(states, draws.task)[0]) == changed


def test_networks_that_agree_leave_nothing_to_explore() -> None:
    """Rewards are zero, and so are gradients."""
    agent = precise("explorer", entropy=0.0, predictors=4)
    with torch.no_grad():
        for parameter in agent.predictors.parameters():
            parameter.copy_(parameter[:1].expand_as(parameter).clone())
        for parameter in agent.exploration.slow_critic.parameters():
            parameter.zero_()
    draws = noise(agent)
    value, imagined, _ = agent.explorer_loss(states_of(agent, data(), draws), draws.exploration)
    assert number(value) == 0
    assert not imagined.returns.any()
    assert not any(part.any() for part in torch.autograd.grad(value, parameters_of(agent, "explorer")))
