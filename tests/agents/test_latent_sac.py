"""Latent-SAC's losses a second time, number by number, who receives their gradients, a whole update, and its sizes."""

import math
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from relatent.agents.latent_sac import LatentSAC
from relatent.nets.batch import Batch
from relatent.nets.learner import clip_by_norm, step
from relatent.objectives.latent_actor_critic import between
from tests.agents.checks import assert_gradients_agree, assert_moves_all_its_own_parameters_only
from tests.agents.tiny import number, parameters_of
from tests.agents.tiny_latent_sac import (
    ALPHA,
    GAMMA,
    assert_a_saved_agent_goes_on,
    assert_draws_are_its_own,
    assert_each_parameter_has_one_optimiser,
    assert_learn_and_act_as_one,
    assert_the_world_is_moved_by_its_own_loss_only,
    build,
    given,
    noise,
    official,
    policy,
    precise,
    states,
    values,
)
from tests.nets.tiny_world import ACTION, BATCH, LENGTH, Array

PARTS = pytest.mark.parametrize("part", ["critic", "actor", "alpha"])
LOG_PROBS = torch.tensor([[0.3, -1.2], [2.0, 0.4]], dtype=torch.float64)


def loss(agent: LatentSAC, part: str, features: Tensor | None = None) -> Tensor:
    """As an update evaluates it at features of the sequences of `given`."""
    features = states() if features is None else features
    transitions, draws = between(given(), features), noise()
    if part == "critic":
        return agent.critic_loss(transitions, draws)
    if part == "actor":
        return agent.actor_loss(transitions._replace(observation=features), draws)[0]
    return agent.alpha_loss(LOG_PROBS)


# The losses again


def sampled(agent: LatentSAC, features: Array, draws: Array) -> tuple[Array, float]:
    """An action and its log-density."""
    mean, std = policy(agent, features)
    pre_tanh = mean + std * draws
    log_prob = -0.5 * draws**2 - np.log(std) - 0.5 * math.log(2 * math.pi) - np.log(1 - np.tanh(pre_tanh) ** 2)
    return np.tanh(pre_tanh), float(log_prob.sum())


@pytest.mark.parametrize("phase", [0.0, 3.0])
def test_the_critics_loss_transition_by_transition(phase: float) -> None:
    """An action stands beside what it led to: the one of step t + 1 was taken in s_t, and its reward is there."""
    agent, batch, features, draws = precise(phase), given(), states().numpy(), noise().next_action.numpy()
    errors = []
    for row in range(BATCH):
        for now in range(LENGTH - 1):
            action, log_prob = sampled(agent, features[row, now + 1], draws[row, now])
            worth = min(values(agent.target_critic, features[row, now + 1], action)) - ALPHA * log_prob
            ends = bool(batch.terminated[row, now + 1])
            target = float(batch.reward[row, now + 1]) + (0.0 if ends else GAMMA * worth)
            taken = batch.action[row, now + 1].numpy()
            errors.append([(value - target) ** 2 for value in values(agent.critic, features[row, now], taken)])
    assert number(loss(agent, "critic")) == pytest.approx(sum(np.mean(errors, axis=0)), rel=1e-10)


@pytest.mark.parametrize("phase", [0.0, 3.0])
def test_the_actors_loss_step_by_step(phase: float) -> None:
    """At all steps of a sequence."""
    agent, features, draws = precise(phase), states().numpy(), noise().action.numpy()
    losses, log_probs = np.empty((BATCH, LENGTH)), np.empty((BATCH, LENGTH))
    for place in np.ndindex(BATCH, LENGTH):
        action, log_probs[place] = sampled(agent, features[place], draws[place])
        losses[place] = ALPHA * log_probs[place] - min(values(agent.critic, features[place], action))
    assert number(loss(agent, "actor")) == pytest.approx(losses.mean(), rel=1e-10)
    everywhere = between(given(), states())._replace(observation=states())
    found = agent.actor_loss(everywhere, noise())[1].detach()
    np.testing.assert_allclose(found.numpy(), log_probs, rtol=1e-9)


def test_the_temperatures_loss_holds_entropy_at_minus_the_number_of_actions() -> None:
    agent = precise()
    expected = -math.log(ALPHA) * (np.mean([0.3, -1.2, 2.0, 0.4]) - ACTION)
    assert number(loss(agent, "alpha")) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("part", "golden"), [("critic", 57.171371271317), ("actor", 2.374235780555), ("alpha", -1.126364168410)]
)
def test_golden_values(part: str, golden: float) -> None:
    assert number(loss(precise(), part)) == pytest.approx(golden, abs=1e-9)


def test_transitions_are_those_within_sequences() -> None:
    """With a leading axis of seeds too."""
    batch, features = given(), states()
    found = between(batch, features)
    for row in range(BATCH):
        for now in range(LENGTH - 1):
            one = Batch(*(part[row, now] for part in found))
            after = batch.action[row, now + 1], batch.reward[row, now + 1], batch.terminated[row, now + 1]
            expected = features[row, now], *after[:2], features[row, now + 1], after[2]
            assert all(torch.equal(left, right) for left, right in zip(one, expected, strict=True))
    both = between(type(batch)(*(torch.stack([part, part + 1]) for part in batch)), torch.stack([features, features]))
    assert [part.shape for part in both] == [(2, *part.shape) for part in found]
    assert torch.equal(both.reward[1], found.reward + 1)


# Whom they move


@PARTS
def test_gradients_are_finite_differences(part: str) -> None:
    agent = precise()
    assert_gradients_agree(lambda: loss(agent, part), parameters_of(agent, part))


@pytest.mark.parametrize("part", ["world", "critic", "actor", "alpha"])
def test_a_loss_moves_all_of_its_own_and_nothing_else(part: str) -> None:
    agent = precise()
    evaluate = (lambda: agent.world_loss(given(), noise().filter)) if part == "world" else (lambda: loss(agent, part))
    assert_moves_all_its_own_parameters_only(agent, part, evaluate)


def test_actor_and_critics_send_the_world_model_nothing() -> None:
    """What they are given of it are numbers, although their losses depend on them."""
    agent = precise()
    _, features = deepcopy(agent).learn_world(given(), noise())
    assert not features.requires_grad
    attached = agent.world_loss(given(), noise().filter).states.features
    for part in ("critic", "actor"):
        assert torch.autograd.grad(loss(agent, part, attached), attached, retain_graph=True)[0].abs().max() > 0
    assert_the_world_is_moved_by_its_own_loss_only(agent, noise())


def test_the_target_is_no_parameter_of_anyones() -> None:
    agent = build()
    assert_each_parameter_has_one_optimiser(agent)
    assert set(agent.optimisers) == {"world", "actor", "critic", "alpha"}
    assert agent.clip_norms == dict.fromkeys(("world", "actor", "critic"), 100.0)
    for mine, other in zip(agent.target_critic.parameters(), agent.critic.parameters(), strict=True):
        assert torch.equal(mine, other)


# An update


def gradients_of(agent: LatentSAC, part: str, value: Tensor) -> tuple[Tensor, ...]:
    gradients = torch.autograd.grad(value, parameters_of(agent, part), retain_graph=True)
    return clip_by_norm(gradients, agent.clip_norms[part]) if part in agent.clip_norms else gradients


@pytest.mark.parametrize("clip_norm", [1e6, 0.5])
def test_an_update_takes_all_gradients_before_any_step(clip_norm: float) -> None:
    """World model, critics and actor at the parameters that the update found; then their steps, the temperature's with
    the densities that the actor's loss had, and the target's towards the critics as they are by then."""
    agent, batch, draws = precise(clip_norm=clip_norm, model_lr=0.01, actor_lr=0.01, critic_lr=0.01), given(), noise()
    expected, found = deepcopy(agent), agent.world_loss(batch, draws.filter)
    features = found.states.features.detach()
    everywhere = between(batch, features)._replace(observation=features)
    actor_loss, log_prob = agent.actor_loss(everywhere, draws)
    losses = {"world": found.loss, "critic": loss(agent, "critic", features), "actor": actor_loss}
    losses["alpha"] = agent.alpha_loss(log_prob.detach())
    gradients = {part: gradients_of(agent, part, value) for part, value in losses.items()}
    for part, each in gradients.items():
        step(expected.optimisers[part], each)
    with torch.no_grad():
        for target, source in zip(expected.target_critic.parameters(), expected.critic.parameters(), strict=True):
            target.copy_(0.9 * target + 0.1 * source)
    metrics = agent.learn(batch, draws)
    for (name, mine), other in zip(agent.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14, msg=name)
    shown = {f"{part}_loss": number(losses[part]) for part in ("critic", "actor")}
    shown |= {"model_loss": number(found.loss), "entropy": -number(log_prob.mean())}
    shown["alpha"] = number(expected.log_alpha.exp())
    assert {key: number(metrics[key]) for key in shown} == pytest.approx(shown, rel=1e-12)
    assert metrics.keys() == {*shown, "image_log_prob", "reward_log_prob", "divergence"}


def test_seeds_learn_and_act_as_one_as_they_do_alone() -> None:
    """Clipped to a norm that every seed exceeds by a different factor."""
    assert_learn_and_act_as_one([precise(phase, clip_norm=0.5) for phase in (0.0, 4.0)], noise)


def test_draws_are_an_updates_own() -> None:
    assert_draws_are_its_own(partial(build().draw_noise, BATCH), noise())


def test_a_saved_agent_goes_on_bit_for_bit() -> None:
    assert_a_saved_agent_goes_on(build)


# At the official sizes

POLICY = 230 * 300 + 3 * 300 * 300 + 300 * 12  # products of one evaluation, for six actions
CRITICS = 2 * (236 * 300 + 2 * 300 * 300 + 300)


def test_sizes_and_cost_of_the_official_networks() -> None:
    """Beside the world model an update of 50 x 50 costs 21 G: two for each product, a policy's and critics' evaluation
    at every step and at every next one, and backward twice as much of what is learnt, where first layers need half."""
    agent = official()
    critics = 2 * (236 * 300 + 300 + 2 * (300 * 300 + 300) + 300 + 1)
    assert sum(parameter.numel() for parameter in agent.critic.parameters()) == critics == 504_002
    assert sum(parameter.numel() for parameter in agent.actor.parameters()) == 343_812
    for layer in agent.critic.first:
        if isinstance(layer, torch.nn.Linear):
            square = layer.weight @ layer.weight.T if layer.in_features >= layer.out_features else None
            gram = layer.weight.T @ layer.weight if square is None else square
            torch.testing.assert_close(gram.detach(), torch.eye(len(gram)), rtol=0, atol=1e-5)
            assert not layer.bias.any()
    features = torch.zeros(1, 50, 230)
    draws = agent.draw_noise(1, torch.Generator().manual_seed(0))
    zero = torch.zeros(1, 49)
    transitions = Batch(features[:, 1:], torch.zeros(1, 49, 6), zero, features[:, 1:], zero)
    with FlopCounterMode(display=False) as counter:
        agent.differentiate("critic", agent.critic_loss, transitions, draws)
        agent.differentiate("actor", agent.actor_loss, transitions._replace(observation=features), draws)
    critics_update = 49 * (POLICY + CRITICS + 3 * CRITICS - 2 * 236 * 300)
    actors_update = 50 * (3 * POLICY - 230 * 300 + 2 * CRITICS)
    assert counter.get_total_flops() == 2 * (critics_update + actors_update)
    assert 50 * counter.get_total_flops() / 1e9 == pytest.approx(20.6, abs=0.1)
