"""REDQ and SAC-AVG: targets against tables, gradients, what is drawn, and the order of an update."""

import math
from collections.abc import Callable
from copy import deepcopy
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor, nn

from relatent.agents.redq import REDQ, Hyper
from relatent.nets.learner import move_towards
from tests.agents.checks import assert_gradients_agree, assert_moves_all_its_own_parameters_only, train_on_probe
from tests.agents.test_losses import dense, drawn, squashed
from tests.agents.tiny import ACTION, BATCH, batch, number, parameters_of, waves
from tests.agents.tiny_redq import ALPHA, CRITICS, GAMMA, HYPER, STEPS, TARGETS, build, given, precise
from tests.nets.test_learner import assert_identical, everything, replay

# The target. # Algorithm 1, line 7


@pytest.mark.parametrize(
    ("target", "subset", "value"),
    [
        ("subset", (0, 1), 1.0),
        ("subset", (0, 2), 3.0),
        ("subset", (3, 0), 2.0),
        ("subset", (2, 3), 2.0),
        ("subset", (1, 3), 1.0),
        ("average", (0, 2), 2.75),
        ("average", (1, 3), 2.75),
    ],
)
def test_targets_are_those_of_a_table(target: str, subset: tuple[int, int], value: float) -> None:
    """Critics that say 5, 1, 3 and 2 wherever they are asked, and a policy of two standard normals before tanh: at a
    draw of zero its log-density is -log 2π."""
    agent, data = precise(target=target), batch()
    with torch.no_grad():
        for net in (agent.actor, agent.target_critic):
            for parameter in net.parameters():
                parameter.zero_()
        agent.target_critic.layers[-1].bias.copy_(torch.tensor([5.0, 1.0, 3.0, 2.0]).view(4, 1, 1))
    found = agent.target_value(data, torch.zeros(BATCH, ACTION, dtype=torch.float64), torch.tensor(subset))
    ended = (0, 1, 0, 1, 0)
    expected = [
        number(reward) + (0.0 if end else 0.9 * (value + 0.5 * math.log(2 * math.pi)))
        for reward, end in zip(data.reward, ended, strict=True)
    ]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def one_of(ensemble: Any, index: int) -> nn.Sequential:
    """A Q-function of an ensemble as a perceptron of its own."""
    layers: list[nn.Module] = []
    for layer in ensemble.layers:
        linear = nn.Linear(*layer.weight.shape[1:], dtype=layer.weight.dtype)
        with torch.no_grad():
            linear.weight.copy_(layer.weight[index].T)
            linear.bias.copy_(layer.bias[index, 0])
        layers.append(linear)
    return nn.Sequential(*layers)


def value_of(ensemble: Any, index: int, observation: Tensor, action: Tensor) -> Tensor:
    return dense(one_of(ensemble, index), torch.cat([observation, action], -1))[:, 0]


@TARGETS
def test_the_critics_loss_is_the_sum_of_their_errors_to_one_target(target: str) -> None:
    agent, data, (_, noise) = precise(target=target), batch(), given()
    draws, subset = noise.next_actions[1], noise.subsets[1]
    action, log_prob = drawn(squashed(agent.actor, data.next_observation), draws)
    asked = range(CRITICS) if target == "average" else subset.tolist()
    following = torch.stack([value_of(agent.target_critic, i, data.next_observation, action) for i in asked])
    best = following.mean(0) if target == "average" else following.min(0).values
    goal = data.reward + GAMMA * (1 - data.terminated) * (best - ALPHA * log_prob)
    errors = [(value_of(agent.critic, i, data.observation, data.action) - goal).square().mean() for i in range(CRITICS)]
    assert number(agent.critic_loss(data, draws, subset)) == pytest.approx(number(sum(errors)), rel=1e-10)


def test_the_policy_climbs_the_mean_of_all_critics() -> None:
    agent, (batches, noise) = precise(), given()
    observation = batches[0].observation
    action, log_prob = drawn(squashed(agent.actor, observation), noise.action)
    mean = sum(value_of(agent.critic, i, observation, action) for i in range(CRITICS)) / CRITICS
    value, returned = agent.actor_loss(observation, noise.action)
    assert number(value) == pytest.approx(number((ALPHA * log_prob - mean).mean()), rel=1e-10)
    torch.testing.assert_close(returned, log_prob, rtol=1e-10, atol=1e-10)


def test_the_temperature_rises_exactly_while_entropy_lies_below_its_target() -> None:
    agent = precise()
    for entropy, direction in ((-3.5, -1), (-2.5, 1)):
        gradient = torch.autograd.grad(agent.alpha_loss(torch.full((BATCH,), -entropy)), agent.log_alpha)[0]
        assert number(gradient) == pytest.approx(direction * 0.5, rel=1e-6)


def test_the_estimate_is_the_mean_of_all_critics() -> None:
    agent, data = precise(), batch()
    values = [value_of(agent.critic, i, data.observation, data.action) for i in range(CRITICS)]
    found = agent.value_estimate(data.observation, data.action)
    torch.testing.assert_close(found, sum(values) / CRITICS, rtol=1e-10, atol=1e-12)


# Gradients


LOSSES: dict[str, Callable[[REDQ], Tensor]] = {
    "critic": lambda agent: agent.critic_loss(batch(), given()[1].next_actions[0], given()[1].subsets[0]),
    "actor": lambda agent: agent.actor_loss(batch().observation, given()[1].action)[0],
    "alpha": lambda agent: agent.alpha_loss(waves((BATCH,), 0.9)),
}


@TARGETS
@pytest.mark.parametrize("part", LOSSES)
def test_gradients_are_central_differences(part: str, target: str) -> None:
    agent = precise(target=target)
    assert_gradients_agree(lambda: LOSSES[part](agent), parameters_of(agent, part))


@pytest.mark.parametrize("part", LOSSES)
def test_each_loss_moves_its_own_parameters_only(part: str) -> None:
    agent = precise()
    assert_moves_all_its_own_parameters_only(agent, part, lambda: LOSSES[part](agent))


def test_targets_give_no_gradient_and_critics_give_each_other_none() -> None:
    agent = precise()
    others = [*agent.actor.parameters(), agent.log_alpha]
    loss = LOSSES["critic"](agent)
    assert torch.autograd.grad(loss, others, allow_unused=True, retain_graph=True) == (None,) * len(others)
    assert not any(parameter.requires_grad for parameter in agent.target_critic.parameters())
    before = torch.autograd.grad(loss, list(agent.critic.parameters()))
    with torch.no_grad():
        for parameter in agent.critic.parameters():
            parameter[2].mul_(1.5)
    after = torch.autograd.grad(LOSSES["critic"](agent), list(agent.critic.parameters()))
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old[[0, 1, 3]], new[[0, 1, 3]])
        assert not torch.equal(old[2], new[2])


# What is drawn


@pytest.mark.parametrize("size", [1, 2, 3])
def test_subsets_are_uniform_and_without_replacement(size: int) -> None:
    drawn_steps = 6_000
    agent = build(critic_updates=drawn_steps, subset=size, batch=1)
    subsets = agent.draw_noise(1, torch.Generator().manual_seed(0)).subsets
    assert len(subsets) == drawn_steps
    counts = dict.fromkeys(combinations(range(CRITICS), size), 0)
    for subset in subsets:
        counts[tuple(sorted(subset.tolist()))] += 1  # a repeated member is no key
    assert sum(counts.values()) == drawn_steps
    assert chisquare(list(counts.values())).pvalue > 0.01


def test_every_step_has_a_batch_of_its_own() -> None:
    agent, memory = build(), replay()
    batches, noise = agent.draw_update(memory, torch.Generator().manual_seed(5))
    whole = memory.sample(STEPS * BATCH, torch.Generator().manual_seed(5))
    assert len(batches) == len(noise.next_actions) == len(noise.subsets) == STEPS
    for pieces, leaf in zip(zip(*batches, strict=True), whole, strict=True):
        assert torch.equal(torch.cat(pieces), leaf)
    assert len({tuple(draws.flatten().tolist()) for draws in (*noise.next_actions, noise.action)}) == STEPS + 1
    assert all(draws.shape == (BATCH, ACTION) for draws in (*noise.next_actions, noise.action))


# One update


@TARGETS
def test_an_update_is_all_critic_steps_then_the_policy_with_the_last_batch(target: str) -> None:
    agent, (batches, noise) = precise(target=target), given()
    expected = deepcopy(agent)
    for step in range(STEPS):
        inputs = batches[step], noise.next_actions[step], noise.subsets[step]
        expected.minimise("critic", expected.critic_loss, *inputs)
        move_towards(expected.target_critic, expected.critic, 0.1)
    _, log_prob = expected.minimise("actor", expected.actor_loss, batches[2].observation, noise.action)
    expected.minimise("alpha", expected.alpha_loss, log_prob)
    metrics = agent.learn(batches, noise)
    assert_identical(agent, expected)
    assert all(value.dim() == 0 and not value.requires_grad and value.isfinite() for value in metrics.values())


def test_targets_move_once_after_each_critic_step() -> None:
    """Where critics stand still, the distance to them shrinks by 0.9 at each of the three."""
    agent = precise(critic_lr=0.0)
    start = deepcopy(agent.target_critic)
    agent.learn(*given())
    for target, source, old in zip(
        agent.target_critic.parameters(), agent.critic.parameters(), start.parameters(), strict=True
    ):
        torch.testing.assert_close(target, source + 0.9**STEPS * (old - source), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("before", "after", "due"), [(4_999, 5_000, 0), (5_000, 5_001, 1), (5_001, 5_002, 1)])
def test_one_update_is_due_for_each_step_once_5000_are_taken(before: int, after: int, due: int) -> None:
    assert build(update_after=5_000).updates_due(before, after) == due


def steps_of(agent: REDQ) -> dict[str, float]:
    """What Adam counted for each optimiser."""
    return {key.split(".")[0]: number(value) for key, value in everything(agent).items() if key.endswith(".step")}


def test_twenty_steps_of_the_critics_for_one_of_the_policy(tmp_path: Path) -> None:
    """In a real run of 37 steps of which 32 come before the first update."""
    agent = REDQ(1, 1, Hyper(**{**HYPER, "critic_updates": 20, "update_after": 32}))
    record = train_on_probe(agent, "truncated", tmp_path, 37, 37)
    assert (record.updates, agent.updates) == (5, 5)
    assert steps_of(agent) == {"critic": 100, "actor": 5, "alpha": 5}


def test_parameters_at_full_size() -> None:
    """Of HalfCheetah, 17 observed numbers and 6 actions: three layers in each of ten critics and in the policy, which
    has two heads."""
    agent = build(17, 6, width=256, critics=10)
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in agent.named_children()}
    assert sizes == {"actor": 73_484, "critic": 721_930, "target_critic": 721_930}
    assert sizes["critic"] == 10 * (24 * 256 + 257 * 256 + 257)
    assert sizes["actor"] == 18 * 256 + 257 * 256 + 2 * 257 * 6


def test_optimisers_hold_every_trained_parameter_once() -> None:
    agent = build()
    held = [id(p) for part in agent.optimisers for p in parameters_of(agent, part)]
    assert sorted(held) == sorted(id(p) for key, p in agent.named_parameters() if not key.startswith("target_"))
