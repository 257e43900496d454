"""TD-MPC's losses a second time, plainly, and who receives their gradients."""

import math

import pytest
import torch

from relatent.agents.tdmpc import TDMPC, Hyper
from relatent.nets.task_oriented_world import BoundedPolicy
from tests.agents.checks import assert_gradients_agree, assert_moves_all_its_own_parameters_only
from tests.agents.tiny import number, parameters_of
from tests.agents.tiny_tdmpc import (
    BATCH,
    GAMMA,
    HORIZON,
    HYPER,
    MASK,
    PARTS,
    RHO,
    TERMINATED,
    act,
    batch,
    bonus,
    critics,
    dense,
    loss,
    noise,
    precise,
    segments,
)


@pytest.mark.parametrize("novelty", [0.1, 0.0])
def test_the_worlds_loss_step_by_step(novelty: float) -> None:
    agent, given, draws = precise(novelty=novelty), batch(), noise()
    data, world, target = given.segments, agent.world, agent.target_world
    total, sums, errors = 0.0, {"state_loss": 0.0, "reward_loss": 0.0, "value_loss": 0.0}, []
    for row in range(BATCH):
        state, error = dense(world.encode, data.observation[row, 0]), 0.0
        of_row = dict.fromkeys(sums, 0.0)
        for step in range(int(MASK[row].sum())):
            action, following = data.action[row, step], data.observation[row, step + 1]
            reward = number(data.reward[row, step])
            if novelty:
                reward += 0.1 * number(bonus(agent, following))
            expected = reward
            if not TERMINATED[row, step]:
                next_state = dense(world.encode, following)
                next_action = act(agent, next_state, draws.next_action[row, step])
                expected += GAMMA * min(number(value) for value in critics(target, next_state, next_action))
            values = [number(value) for value in critics(world, state, action)]
            predicted = number(dense(world.predict_reward, torch.cat([state, action])))
            state = dense(world.dynamics, torch.cat([state, action]))
            counts = RHO**step
            of_row["state_loss"] += counts * number((state - dense(target.encode, following)).square().mean())
            of_row["reward_loss"] += counts * (predicted - reward) ** 2
            of_row["value_loss"] += counts * sum((value - expected) ** 2 for value in values)
            error += counts * sum(abs(value - expected) for value in values)
        errors.append(error)
        whole = 2 * of_row["state_loss"] + 0.5 * of_row["reward_loss"] + 0.1 * of_row["value_loss"]
        total += number(given.weights[row]) * whole / BATCH / HORIZON
        sums = {key: sums[key] + of_row[key] / BATCH for key in sums}
    value, parts, _, priority = agent.world_loss(data, given.weights, draws.next_action)
    assert number(value) == pytest.approx(total, rel=1e-10)
    assert {key: number(part) for key, part in parts.items()} == pytest.approx(sums, rel=1e-10)
    assert priority.tolist() == pytest.approx(errors, rel=1e-10)


def test_the_policys_loss_step_by_step() -> None:
    """At the states that the world predicted along the segments: the first, and every one that a taken step led to."""
    agent, given, draws = precise(), batch(), noise()
    states = agent.world_loss(given.segments, given.weights, draws.next_action)[2].detach()
    expected = 0.0
    for row in range(BATCH):
        state = dense(agent.world.encode, given.segments.observation[row, 0])
        for step in range(int(MASK[row].sum()) + 1):
            values = critics(agent.world, state, act(agent, state, draws.action[row, step]))
            expected -= RHO**step * min(number(value) for value in values) / BATCH
            if step < HORIZON:
                state = dense(agent.world.dynamics, torch.cat([state, given.segments.action[row, step]]))
    assert number(agent.policy_loss(states, MASK, draws.action)) == pytest.approx(expected, rel=1e-10)


def test_what_lies_after_an_episodes_end_changes_nothing() -> None:
    agent, given, draws = precise(), batch(), noise()
    data = given.segments
    after = torch.cat([torch.ones(BATCH, 1), MASK], dim=1) == 0
    other = data._replace(
        observation=torch.where(after[..., None], 5.0, data.observation),
        action=torch.where(MASK[..., None] == 0, 0.3, data.action),
        reward=torch.where(MASK == 0, 100.0, data.reward),
    )
    results = []
    for one in (data, other):
        value, parts, states, priority = agent.world_loss(one, given.weights, draws.next_action)
        results.append((value, parts, priority, agent.policy_loss(states, MASK, draws.action)))
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)


def test_a_segments_error_is_limited_and_then_carries_no_gradient() -> None:
    agent, given, draws = precise(novelty=0.0), batch(), noise()
    reward = given.segments.reward.clone()
    reward[0, 0] = 1e3  # reward and value errors of the first segment exceed the limit, the state's does not
    data = given.segments._replace(reward=reward)
    only_first = torch.tensor([1.0, 0, 0, 0, 0], dtype=torch.float64)
    value, _, _, priority = agent.world_loss(data, only_first, draws.next_action)
    plain, *_ = agent.world_loss(given.segments, only_first, draws.next_action)
    gradients = torch.autograd.grad(value, list(agent.world.predict_reward.parameters()))
    assert all(not gradient.any() for gradient in gradients)
    assert number(value) == pytest.approx((0.6 * 1e4) / BATCH / HORIZON, abs=number(plain))
    assert 1e3 < priority[0] <= 1e4


@pytest.mark.parametrize("part", PARTS)
def test_gradients_agree_with_finite_differences(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = precise()
    if part == "world":  # its targets, which no gradient goes to, depend on the encoder, too
        fixed = agent.policys_value(
            agent.target_world, agent.world.encode(segments().observation[:, 1:]), noise().next_action
        ).detach()
        monkeypatch.setattr(agent, "policys_value", lambda *_: fixed)
    assert_gradients_agree(lambda: loss(agent, part), parameters_of(agent, part))


@pytest.mark.parametrize("part", PARTS)
def test_a_loss_moves_its_own_parameters_only(part: str) -> None:
    agent = precise()
    assert_moves_all_its_own_parameters_only(agent, part, lambda: loss(agent, part))


def test_targets_carry_no_gradient() -> None:
    """Neither to the policy nor to the novelty network nor to the target world, nor through the encoding of what
    follows: the encoder's gradient is that of the first observation alone."""
    agent, given, draws = precise(), batch(), noise()
    others = [p.requires_grad_() for key, p in agent.named_parameters() if not key.startswith("world.")]
    following = given.segments.observation.clone().requires_grad_()
    value, *_ = agent.world_loss(given.segments._replace(observation=following), given.weights, draws.next_action)
    gradients = torch.autograd.grad(value, [following, *others], allow_unused=True)
    assert all(gradient is None for gradient in gradients[1:])
    assert gradients[0][:, 0].any()
    assert not gradients[0][:, 1:].any()


def test_the_policys_action_is_bounded_but_its_gradient_is_not() -> None:
    policy = BoundedPolicy(1, 1, 4, 0.05).double()
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.zero_()
        policy.net[-1].bias.fill_(2.0)
    for draws, action in ((2.0, 1 - 1e-6), (-40.0, math.tanh(2) - 0.3), (0.0, math.tanh(2))):
        value = policy(torch.zeros(1, dtype=torch.float64), torch.tensor([draws], dtype=torch.float64))
        assert number(value) == pytest.approx(action, abs=1e-12)
        (gradient,) = torch.autograd.grad(value.sum(), policy.net[-1].bias)
        assert number(gradient) == pytest.approx(1 / math.cosh(2) ** 2, rel=1e-12)


def test_networks_have_the_sizes_and_the_first_values_of_the_official_ones() -> None:
    """30 numbers seen and 6 done; every layer's weights and biases, with two for each normalised unit."""
    agent = TDMPC(30, 6, Hyper(**{**HYPER, "width": 512, "encoder_width": 256, "state": 50, "replay": 1}))
    encoder = 31 * 256 + 257 * 50
    trunk = 57 * 512 + 513 * 512
    world = encoder + trunk + 513 * 50 + trunk + 513 + 2 * (trunk + 1024 + 513)
    assert sum(p.numel() for p in agent.world.parameters()) == world
    assert sum(p.numel() for p in agent.policy.parameters()) == 51 * 512 + 513 * 512 + 513 * 6
    state, action = torch.randn(7, 50), torch.rand(7, 6)
    assert not agent.world.step(state, action)[1].any()
    assert not agent.world.values(state, action).any()
    for layer in (agent.world.dynamics[2], agent.policy.net[2]):
        torch.testing.assert_close(layer.weight @ layer.weight.T, torch.eye(512), rtol=0, atol=1e-5)
