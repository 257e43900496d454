"""Dreamer: a whole update, alone and with other seeds, its draws, what is saved of it, its sizes and what they cost."""

from copy import deepcopy
from functools import partial

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from relatent.nets.learner import clip_by_norm, step
from relatent.nets.rssm import State
from tests.agents.tiny import number, parameters_of
from tests.agents.tiny_dreamer import build, noise, official, precise
from tests.agents.tiny_latent_sac import (
    assert_a_saved_agent_goes_on,
    assert_draws_are_its_own,
    assert_each_parameter_has_one_optimiser,
    assert_learn_and_act_as_one,
    assert_the_world_is_moved_by_its_own_loss_only,
    given,
)
from tests.nets.tiny_world import BATCH


@pytest.mark.parametrize("clip_norm", [1e9, 0.01])
def test_an_update_takes_all_gradients_before_any_step(clip_norm: float) -> None:
    """World model, actor and value at the parameters that the update found, from every state that was inferred."""
    rates = {"model_lr": 0.01, "actor_lr": 0.01, "value_lr": 0.01}
    agent, batch, draws = precise(clip_norm=clip_norm, **rates), given(), noise()
    expected, found = deepcopy(agent), agent.world_loss(batch, draws.filter)
    actor_loss, imagined = agent.actor_loss(State(*(part.detach() for part in found.states)), draws)
    losses = {"world": found.loss, "actor": actor_loss, "value": agent.value_loss(imagined)}
    for part, loss in losses.items():
        gradients = torch.autograd.grad(loss, parameters_of(agent, part), retain_graph=True)
        step(expected.optimisers[part], clip_by_norm(gradients, clip_norm))
    metrics = agent.learn(batch, draws)
    for (name, mine), other in zip(agent.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14, msg=name)
    shown = {f"{part}_loss": number(losses[part]) for part in ("actor", "value")} | {"model_loss": number(found.loss)}
    shown["imagined_return"] = number(imagined.returns[:, :, 0].mean())
    assert {key: number(metrics[key]) for key in shown} == pytest.approx(shown, rel=1e-12)
    assert metrics.keys() == {*shown, "image_log_prob", "reward_log_prob", "divergence"}


def test_actor_and_value_send_the_world_model_nothing() -> None:
    assert_the_world_is_moved_by_its_own_loss_only(precise(), noise())


def test_every_parameter_has_one_optimiser() -> None:
    agent = build()
    assert_each_parameter_has_one_optimiser(agent)
    assert list(agent.optimisers) == ["world", "actor", "value"]
    assert agent.clip_norms == dict.fromkeys(agent.optimisers, 100.0)


def test_seeds_learn_and_act_as_one_as_they_do_alone() -> None:
    """Clipped to a norm that every seed exceeds by a different factor."""
    assert_learn_and_act_as_one([precise(phase, clip_norm=0.01) for phase in (0.0, 4.0)], noise)


def test_draws_are_an_updates_own() -> None:
    assert_draws_are_its_own(partial(build().draw_noise, BATCH), noise())


def test_a_saved_agent_goes_on_bit_for_bit() -> None:
    assert_a_saved_agent_goes_on(build)


# At the official sizes: products of one evaluation, for six actions

POLICY = 230 * 300 + 3 * 300 * 300 + 300 * 12
TRANSITION = 36 * 200 + 2 * 200 * 600 + 200 * 200 + 200 * 60
REWARD = 230 * 300 + 300 * 300 + 300
VALUE = 230 * 300 + 2 * 300 * 300 + 300


def test_sizes_and_cost_of_the_official_networks() -> None:
    """Beside the world model an update of 50 x 50 costs 228 G: two for each product. Backward, an imagined step needs
    the gradient of what it came from; what is learnt needs that of its weights too. First layers of the networks that
    are told numbers need one of the two, and h before the first step none."""
    agent, starts, horizon = official(), 50, 15
    assert sum(parameter.numel() for parameter in agent.actor.parameters()) == 343_812
    sizes = 230 * 300 + 300 + 2 * (300 * 300 + 300) + 300 + 1
    assert sum(parameter.numel() for parameter in agent.value.parameters()) == sizes == 250_201
    draws = agent.draw_noise(1, torch.Generator().manual_seed(0))
    states = State(torch.zeros(1, starts, 30), torch.zeros(1, starts, 200))
    with FlopCounterMode(display=False) as counter:
        _, (_, imagined) = agent.differentiate("actor", agent.actor_loss, states, draws)
        agent.differentiate("value", agent.value_loss, imagined)
    step = 3 * POLICY - 230 * 300 + 2 * (TRANSITION + REWARD + VALUE) + 3 * VALUE - 230 * 300
    assert counter.get_total_flops() == 2 * starts * (horizon * step - 200 * 600)
    assert 50 * counter.get_total_flops() / 1e9 == pytest.approx(228.4, abs=0.1)
