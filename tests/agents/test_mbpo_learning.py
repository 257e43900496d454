"""MBPO as others run it: what its model and its policy find, and that it is saved and stacked as others are."""

import io
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relatent.agents import sac
from relatent.agents.mbpo import MBPO, Hyper
from relatent.envs.probes import PROBES
from relatent.training.record import Record
from relatent.training.replay import Replay
from relatent.training.stack import Stack
from tests.agents.checks import train_on_probe
from tests.agents.tiny import batch, noise_for, number
from tests.agents.tiny_mbpo import ACTION, HYPER, OBSERVATION, SAC, build, generator, memory, precise
from tests.nets.test_learner import assert_identical, everything
from tests.training.specs import filled, stop_and_continue


def system(transitions: int, draws: torch.Generator) -> tuple[Replay, Any]:
    """A linear system with noise, s' = A s + B a + 0.1 ε and r = c s + d a + 0.05 ε, and what it does on average."""
    after, of_action = torch.tensor([[0.9, 0.2], [-0.2, 0.8]]), torch.tensor([[0.0], [0.5]])
    weights = torch.tensor([1.0, -0.5, 0.25])

    def mean(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cat([state, action], -1) @ weights, state @ after.T + action @ of_action.T

    replay, state = Replay(transitions, 2, 1), torch.zeros(2)
    for number_of in range(transitions):
        if number_of % 20 == 0:
            state = torch.randn(2, generator=draws)
        action = 2 * torch.rand(1, generator=draws) - 1
        reward, following = mean(state, action)
        reward = reward + 0.05 * torch.randn((), generator=draws)
        following = following + 0.1 * torch.randn(2, generator=draws)
        replay.add(state.numpy(), action.numpy(), float(reward), following.numpy(), False, number_of % 20 == 19)
        state = following
    return replay, mean


def test_the_ensemble_finds_a_linear_system_and_its_noise() -> None:
    """The noise is a tenth of the state, and what the networks are wrong by is a small part of the noise."""
    replay, mean = system(3_000, generator(1))
    changes = {"model_width": 32, "model_epochs": 60, "model_batch": 64, "model_lr": 3e-3, "replay": 3_000}
    torch.manual_seed(0)
    agent = MBPO(2, 1, Hyper(**{**HYPER, **changes}))
    agent.fit_model(replay, generator(2))
    draws = generator(3)
    state, action = torch.randn((1_000, 2), generator=draws), 2 * torch.rand((1_000, 1), generator=draws) - 1
    networks = agent.elites[torch.randint(2, (1_000,), generator=draws)]
    expected_reward, expected = mean(state, action)
    with torch.no_grad():
        made = agent.predict(state, action, networks, torch.zeros(1_000, 3))
        _, log_var = agent.model.predict(torch.cat([state, action], -1), networks)
    assert number((made.reward - expected_reward).square().mean().sqrt()) < 0.025
    assert number((made.next_observation - expected).square().mean().sqrt()) < 0.03
    np.testing.assert_allclose((0.5 * log_var).exp().mean(0), [0.05, 0.1, 0.1], rtol=0.1)
    assert number(agent.model_error) == pytest.approx((0.05**2 + 2 * 0.1**2) / 3, rel=0.1)


# Soft actor-critic


def test_it_learns_as_soft_actor_critic_does_but_for_the_target_entropy() -> None:
    """As agents/sac.py, whose losses are derived anew in tests of their own."""
    agent = precise()
    other = sac.SAC(OBSERVATION, ACTION, sac.Hyper(**SAC)).double()
    other.load_state_dict({key: value for key, value in agent.state_dict().items() if key in other.state_dict()}, False)
    other.target_entropy = -1.5
    start, draws = deepcopy(agent.model), noise_for(agent)
    for phase in (0.5, 1.5, 2.5):
        mine, yours = agent.learn(batch(phase), draws), other.learn(batch(phase), draws)
        assert {key: number(mine[key]) for key in yours} == {key: number(value) for key, value in yours.items()}
    theirs = dict(other.named_parameters())
    assert all(torch.equal(agent.get_parameter(key), value) for key, value in theirs.items())
    assert all(map(torch.equal, agent.model.parameters(), start.parameters()))


def test_optimisers_hold_every_trained_parameter_once() -> None:
    agent = build()
    held = [id(p) for optimiser in agent.optimisers.values() for p in optimiser.param_groups[0]["params"]]
    assert sorted(held) == sorted(id(p) for key, p in agent.named_parameters() if not key.startswith("target_critic."))


# As others run it


def updated(agent: MBPO, numbers: range, replay: Replay) -> MBPO:
    for index in numbers:
        agent.update(replay, generator(index))
    return agent


@pytest.mark.parametrize("before", [1, 6])
def test_a_saved_agent_goes_on_bit_for_bit(before: int) -> None:
    """With an update that needs what was imagined before, or with a fit that needs the last one's moments."""
    first, buffer = build(), io.BytesIO()
    whole = updated(deepcopy(first), range(before + 8), memory())
    torch.save(updated(first, range(before), memory()).state_dict(), buffer)
    buffer.seek(0)
    second = build(gamma=0.9)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    assert_identical(first, second)
    assert_identical(whole, updated(second, range(before, before + 8), memory()))
    assert torch.equal(whole.imagined.rows, second.imagined.rows)


def test_stopped_thrice_it_writes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first fit, between two, and after replay has begun to overwrite. Every action has its own return."""
    small = {"update_after": 40, "replay": 80, "model_every": 20, "rollouts": 16, "epoch": 40, "model_epochs": 2}
    spec = {
        "agent": "mbpo",
        "revision": 1,
        "hyper": {**HYPER, **small},
        "env": {"suite": "probe", "task": "action_reward", "action_repeat": 1},
        "training": {"frames": 130, "random_frames": 40, "eval_every": 65, "eval_episodes": 2},
        "seed": 0,
    }
    stop_and_continue(spec, tmp_path, (30, 65, 110), monkeypatch)
    assert (tmp_path / "pieces/returns.csv").read_bytes() == (tmp_path / "whole/returns.csv").read_bytes()


def test_seeds_learn_as_one_as_they_do_alone_each_with_its_own_model() -> None:
    """Twelve updates of two seeds in float32: both draw, and so fit and imagine, alone, and learn as one."""
    replays, alone = (memory(), filled(99, [12, 15], OBSERVATION, ACTION)), []
    for seed in range(2):
        torch.manual_seed(seed)
        alone.append(MBPO(OBSERVATION, ACTION, Hyper(**HYPER)))
    stack = Stack(deepcopy(alone))
    for update in range(12):
        mine = [
            agent.update(replay, generator(update + 50 * seed))
            for seed, (agent, replay) in enumerate(zip(alone, replays, strict=True))
        ]
        given = [
            agent.draw_update(replay, generator(update + 50 * seed))
            for seed, (agent, replay) in enumerate(zip(stack.agents, replays, strict=True))
        ]
        yours = stack.learn([one for one, _ in given], [draws for _, draws in given])
        for left, right in zip(mine, yours, strict=True):
            assert {key: number(value) for key, value in left.items()} == pytest.approx(
                {key: number(value) for key, value in right.items()}, rel=1e-4, abs=1e-5
            )
    for left, right in zip(alone, stack.agents, strict=True):
        one, other = everything(left), everything(right)
        assert one.keys() == other.keys()
        for key, value in one.items():
            torch.testing.assert_close(value, other[key], rtol=1e-3, atol=1e-4, msg=key)
    assert not torch.equal(alone[0].imagined.rows, alone[1].imagined.rows)


PROBE = {
    "width": 32,
    "batch": 64,
    "actor_lr": 5e-3,
    "critic_lr": 5e-3,
    "alpha_lr": 0.0,
    "gamma": 0.6,
    "tau": 0.2,
    "update_after": 64,
    "model_width": 16,
    "model_batch": 32,
    "model_lr": 3e-3,
    "model_every": 100,
    "model_epochs": 40,
    "rollouts": 200,
    "epoch": 100,
    "real_share": 0.0,
    "replay": 1_000,
}


def trained(task: str, folder: Path, frames: int, random_frames: int, **changes: Any) -> tuple[MBPO, Record]:
    """From imagined transitions alone, at a fixed temperature."""
    torch.manual_seed(1)
    agent = MBPO(1, 1, Hyper(**{**HYPER, **PROBE, **changes}))
    return agent, train_on_probe(agent, task, folder, frames, random_frames)


def test_critics_find_the_value(tmp_path: Path) -> None:
    """Of the probe whose episodes are cut off, for every action, since the first policy, which stays, takes all of
    them; a defect's value is 0.9 away or more."""
    agent, _ = trained("truncated", tmp_path, 264, 264, actor_lr=0.0, init_alpha=1e-8)
    actions = torch.linspace(-0.9, 0.9, 7).unsqueeze(-1)
    for x in (-1.0, 1.0):
        with torch.no_grad():
            values = torch.stack(agent.critic(torch.full_like(actions, x), actions))
        assert float((values - PROBES["truncated"].value(x, 0.0, 0.6)).abs().max()) < 0.1


def test_the_policy_finds_the_best_action(tmp_path: Path) -> None:
    """One is the best return; an agent that is blind to what it sees gets 0.75 on average. (The model goes on where
    the probe's episodes end; the best action is the same.)"""
    _, record = trained("action_reward", tmp_path, 264, 128, init_alpha=0.05)
    last = [float(reward) for phase, frames, _, reward, _ in record.rows if (phase, frames) == ("eval", 264)]
    assert len(last) == 16
    assert sum(last) / 16 > 0.95
