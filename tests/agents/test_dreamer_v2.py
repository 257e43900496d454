"""DreamerV2 and Plan2Explore as others run them: the order of an update, who acts, sizes; saved, stacked."""

import io
import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relatent.agents import plan2explore
from relatent.envs.corner import Corner
from relatent.training import loop
from relatent.training.checkpoint import Checkpoint
from relatent.training.clock import PhaseClock
from relatent.training.record import Record
from relatent.training.seeds import Stream, generator
from relatent.training.session import make_replay
from relatent.training.stack import Stack
from tests.agents.checks import assert_learn_as_one
from tests.agents.plain_dreamer_v2 import (
    count,
    linear_sizes,
    one_hot,
    policy,
    posterior_logits,
    recur,
)
from tests.agents.tiny import number, parameters_of, waves
from tests.agents.tiny_dreamer_v2 import (
    ACTION,
    HORIZON,
    HYPER,
    KINDS,
    LENGTH,
    MORE,
    SHAPES,
    action_noise,
    build,
    data,
    loss,
    memory,
    noise,
    precise,
    same_parameters,
    states_of,
)
from tests.nets.test_learner import assert_identical

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
EVERY_SIGHT = pytest.mark.parametrize("seen", SHAPES)
# An update


def test_an_update_goes_model_actor_critic() -> None:
    """The actor learns in the updated model, from states that were inferred before; the critic from what the actor
    imagined before its step; the slow critic follows last."""
    agent, batch = precise(clip_norm=0.01), data()
    draws, before = noise(agent), deepcopy(agent)
    agent.updates = 1
    found = agent.learn(batch, draws)
    states, mixed = states_of(before, batch, draws), deepcopy(before)
    assert number(found["model_loss"]) == number(before.world_loss(batch, draws.filter).loss)
    old = number(mixed.actor_loss(states, draws.task)[0])
    mixed.world.load_state_dict(agent.world.state_dict())
    value, imagined, entropy = mixed.actor_loss(states, draws.task)
    assert number(found["actor_loss"]) == number(value) != old
    assert number(found["critic_loss"]) == number(mixed.critic_loss(imagined))
    assert number(found["entropy"]) == number(entropy)
    assert number(found["imagined_return"]) == pytest.approx(number(imagined.returns.mean()), rel=1e-14)
    assert not same_parameters(agent.task.critic, before.task.critic)
    assert not same_parameters(agent.task.actor, before.task.actor)
    assert same_parameters(agent.task.critic, agent.task.slow_critic)


def test_exploration_learns_with_the_updated_predictors() -> None:
    agent, batch = precise("explorer"), data()
    draws, before = noise(agent), deepcopy(agent)
    agent.updates = 2
    found = agent.learn(batch, draws)
    states, mixed = states_of(before, batch, draws), deepcopy(before)
    assert number(found["predictor_loss"]) == number(before.predictor_loss(states, batch.action))
    mixed.world.load_state_dict(agent.world.state_dict())
    old = number(mixed.explorer_loss(states, draws.exploration)[0])
    mixed.predictors.load_state_dict(agent.predictors.state_dict())
    value, imagined, _ = mixed.explorer_loss(states, draws.exploration)
    assert number(found["explorer_loss"]) == number(value) != old
    assert number(found["explorer_critic_loss"]) == number(mixed.explorer_critic_loss(imagined))
    assert number(found["explorer_return"]) == pytest.approx(number(imagined.returns.mean()), rel=1e-14)


@EVERY_KIND
def test_slow_critics_follow_in_leaps(kind: str) -> None:
    """At the first update, and at every third one after it."""
    agent, replay = build(kind), memory()
    pairs = [agent.task] if kind == "task" else [agent.task, agent.exploration]
    followed = []
    for update in range(7):
        held = [deepcopy(pair.slow_critic) for pair in pairs]
        agent.update(replay, torch.Generator().manual_seed(update))
        for pair, slow in zip(pairs, held, strict=True):
            assert same_parameters(pair.slow_critic, pair.critic) or same_parameters(pair.slow_critic, slow)
        followed.append({same_parameters(pair.slow_critic, pair.critic) for pair in pairs})
    assert followed == [{True}, {False}, {False}] * 2 + [{True}]


def test_values_ahead_are_the_slow_critics() -> None:
    agent = precise()
    draws = noise(agent)
    states = states_of(agent, data(), draws)
    value, imagined, _ = agent.actor_loss(states, draws.task)
    with torch.no_grad():
        for parameter in agent.task.critic.parameters():
            parameter.zero_()
    again, other, _ = agent.actor_loss(states, draws.task)
    assert number(again) == number(value)
    with torch.no_grad():
        for parameter in agent.task.slow_critic.parameters():
            parameter.zero_()
    last, other, _ = agent.actor_loss(states, draws.task)
    assert number(last) != number(value)
    # Without values, returns are discounted sums of rewards, γ λ a step.
    rewards = agent.task_reward(other.features, torch.zeros(0))
    factor = HYPER["gamma"] * HYPER["lambda_weight"]
    summed = sum(factor**step * rewards[..., step] for step in range(HORIZON))
    torch.testing.assert_close(other.returns[..., 0], summed, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(other.features, imagined.features)


def test_a_step_is_adams_after_a_loss_of_oneself() -> None:
    """The first step of Adam is -lr g / (|g| + eps), for a gradient g whose norm over all the group is at most 0.5."""
    agent = precise(weight_decay=0.01, clip_norm=0.5, adam_eps=0.1)
    for part, rate in (("world", 1e-3), ("actor", 2e-3), ("critic", 3e-3)):
        minimised, parameters = loss(agent, part), parameters_of(agent, part)
        before = [parameter.detach().clone() for parameter in parameters]
        gradients = torch.autograd.grad(minimised(), parameters)
        norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
        assert part != "world" or norm > 0.5
        agent.minimise(part, minimised)
        for old, new, gradient in zip(before, parameters, gradients, strict=True):
            clipped = gradient * min(1.0, 0.5 / (norm + 1e-6))
            expected = 0.99 * old - rate * clipped / (clipped.abs() + 0.1)
            torch.testing.assert_close(new.detach(), expected, rtol=1e-9, atol=1e-12)


def test_updates_are_due_at_multiples_with_more_of_them_at_first() -> None:
    agent = build(updates=2, update_after=20, update_every=5, pretrain=7)
    steps = [(18, 19), (19, 20), (20, 21), (24, 25), (25, 26), (28, 31), (18, 22)]
    assert [agent.updates_due(*step) for step in steps] == [0, 9, 0, 2, 0, 2, 9]


def test_noise_is_gumbel_and_normal() -> None:
    agent = build("explorer", batch=40, stoch=8, classes=8)
    drawn = agent.draw_noise(40, torch.Generator().manual_seed(0))
    assert [tuple(part.shape) for part in (drawn.filter, *drawn.task, *drawn.exploration)] == [
        (40, LENGTH, 64),
        *[(40, LENGTH, HORIZON, 64), (40, LENGTH, HORIZON, ACTION)] * 2,
    ]
    for part in (drawn.filter, drawn.task.state, drawn.exploration.state):
        assert number(part.mean()) == pytest.approx(0.5772, abs=0.05)
        assert number(part.std()) == pytest.approx(math.pi / math.sqrt(6), abs=0.05)
    assert number(drawn.task.action.mean()) == pytest.approx(0.0, abs=0.15)
    assert not torch.equal(drawn.task.state, drawn.exploration.state)


# Acting


@EVERY_SIGHT
def test_data_are_collected_by_the_explorer_and_the_task_is_judged(seen: str) -> None:
    """A decision infers h and z, then takes a sample of the explorer's policy, or the mode of the task's."""
    agent = precise("explorer", seen)
    for explore, behaviour in ((True, agent.exploration), (False, agent.task)):
        belief, stoch, deter, before = None, np.zeros(6), np.zeros(4), np.zeros(ACTION)
        for step in range(2):
            observation = data(seen).observation[0, step]
            draws = action_noise(agent, explore, 0.2 + step)
            action, belief = agent.choose(observation, belief, draws)
            deter = recur(agent.world.rssm, stoch, deter, before)
            embedded = agent.world.encode(observation).detach().numpy()
            stoch = one_hot(posterior_logits(agent.world.rssm, deter, embedded), draws.state.numpy())
            law = policy(behaviour.actor, np.concatenate([stoch, deter]))
            uniform = 0.5 * (1 + np.vectorize(math.erf)(draws.action.numpy() / math.sqrt(2)))
            expected = law.cut().ppf(uniform) if explore else law.mean
            np.testing.assert_allclose(action.detach().numpy(), expected, rtol=1e-8)
            np.testing.assert_allclose(belief.state.deter.detach().numpy(), deter, rtol=1e-11)
            before = action.detach().numpy()
            assert belief.action is action


def test_without_an_explorer_the_task_collects() -> None:
    agent = precise()
    assert agent.explorer is agent.task
    draws = action_noise(agent, explore=True)
    action, belief = agent.choose(data().observation[0, 0], None, draws)
    law = policy(agent.task.actor, belief.state.features.detach().numpy())
    assert np.abs(action.detach().numpy() - law.mean).min() > 1e-3
    judged, _ = agent.choose(data().observation[0, 0], None, action_noise(agent, explore=False))
    np.testing.assert_allclose(judged.detach().numpy(), law.mean, rtol=1e-12)


def test_when_judged_a_state_is_still_a_sample() -> None:
    """As in the official code; the action has no draw."""
    agent = build()
    drawn = [agent.draw_action_noise(False, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    assert not torch.equal(drawn[0].state, drawn[1].state)
    assert not any(part.action.any() or part.explore for part in drawn)
    assert agent.draw_action_noise(True, torch.Generator().manual_seed(0)).explore == 1


# Sizes


def test_sizes_of_the_official_settings() -> None:
    """Vectors of 94 numbers and actions of 2, as of two blocks to push; 32 x 32, h of 200, four layers of 400."""
    large = {"deter": 200, "stoch": 32, "classes": 32, "width": 400, "layers": 4}
    hyper = plan2explore.Hyper(**HYPER | MORE | {"predictors": 10} | large)
    agent = plan2explore.Plan2Explore((94,), 2, hyper)
    hidden = [400] * 4
    world = linear_sizes([94, *hidden]) + linear_sizes([1224, *hidden, 94]) + linear_sizes([1224, *hidden, 1])
    assert count(agent.world) == world + 1_019_248 == 3_518_943
    assert count(agent.task.actor) == linear_sizes([1224, *hidden, 2 * 2]) == 972_804
    assert count(agent.task.critic) == count(agent.task.slow_critic) == linear_sizes([1224, *hidden, 1]) == 971_601
    assert count(agent.exploration) == count(agent.task)
    assert count(agent.predictors) == 10 * linear_sizes([1226, *hidden, 1024]) == 13_826_240


def test_first_weights_are_glorots() -> None:
    """Of all perceptrons."""
    torch.manual_seed(0)
    for kind in KINDS:
        for name, module in build(kind, width=50, deter=50, stoch=8, classes=8).named_modules():
            if isinstance(module, torch.nn.Linear) and "infer" not in name:
                bound = math.sqrt(6 / (module.in_features + module.out_features))
                assert 0.8 * bound < module.weight.abs().max() <= bound, name
                assert not module.bias.any(), name


# Run, saved, stacked


@EVERY_KIND
@EVERY_SIGHT
def test_a_saved_agent_goes_on_bit_for_bit(kind: str, seen: str) -> None:
    replay, buffer = memory(seen), io.BytesIO()

    def updated(agent: Any, numbers: range) -> Any:
        for index in numbers:
            agent.update(replay, torch.Generator().manual_seed(index))
        return agent

    torch.manual_seed(7)
    first = build(kind, seen, weight_decay=1e-3)
    whole = updated(deepcopy(first), range(5))
    torch.save(updated(first, range(2)).state_dict(), buffer)
    buffer.seek(0)
    second = build(kind, seen, weight_decay=1e-3)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    assert_identical(first, second)
    assert_identical(whole, updated(second, range(2, 5)))


@EVERY_KIND
def test_it_runs_in_the_real_loop(kind: str, tmp_path: Path) -> None:
    """From pictures; 20 steps are an episode, of which updates begin with three."""
    agent, env = build(kind, "images", update_after=20, update_every=10), Corner()
    plan = loop.Plan(seed=100, frames=60, random_frames=20, eval_every=60, eval_episodes=2, action_repeat=1)
    replay, record = make_replay(agent, 60, env.observation_space, ACTION, "cpu"), Record(tmp_path)
    checkpoint = Checkpoint(tmp_path / "checkpoint", {}, replay, math.inf)
    updates = generator(100, Stream.UPDATES)
    loop.train(plan, [env], Corner(), agent, replay, record, checkpoint, updates, PhaseClock())
    assert agent.updates == 3 + 4
    assert len(replay) == 60


@EVERY_KIND
def test_seeds_learn_and_act_as_one_as_they_do_alone(kind: str) -> None:
    """Clipped to a norm that each seed exceeds by another factor; slow critics leap in between."""
    alone = [precise(kind, phase=phase, clip_norm=0.1, weight_decay=1e-4) for phase in (0.0, 4.0)]
    stack = Stack(deepcopy(alone))

    def given(update: int, seed: int) -> tuple[Any, Any]:
        phase = update + 10.0 * seed
        return data(phase=0.5 + phase), noise(alone[seed], 0.7 + phase)

    assert_learn_as_one(alone, stack, given, 1e-7, 1e-9)
    observations: list[Tensor] = [waves(SHAPES["vectors"], phase) for phase in (0.1, 0.9)]
    for explore in (True, False):
        beliefs: list[Any] = [None, None]
        for step in range(2):
            draws = [action_noise(agent, explore, step + seed) for seed, agent in enumerate(alone)]
            expected = [agent.choose(*one) for agent, *one in zip(alone, observations, beliefs, draws, strict=True)]
            chosen = stack.choose(observations, beliefs, draws)
            for left, right in zip(expected, chosen, strict=True):
                torch.testing.assert_close(left, right, rtol=1e-7, atol=1e-9)
            beliefs = [belief for _, belief in expected]
