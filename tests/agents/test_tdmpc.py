"""TD-MPC: when it learns and from what, that it finds what is known, and that it is saved and stacked as others are."""

import io
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from relatent.agents.tdmpc import TDMPC, Hyper
from relatent.envs.probes import PROBES
from relatent.training.record import Record
from relatent.training.replay import Replay
from relatent.training.stack import Stack
from tests.agents.checks import assert_learn_as_one, train_on_probe
from tests.agents.tiny import number
from tests.agents.tiny_tdmpc import HYPER, OBSERVED, action_noise, batch, build, memory, noise, precise
from tests.nets.test_learner import assert_identical
from tests.training.specs import stop_and_continue


@pytest.mark.parametrize(
    ("before", "after", "due"),
    [
        (0, 5, 0),
        (4_990, 4_995, 0),
        (4_995, 5_000, 1_000),
        (5_000, 5_005, 1),
        (5_005, 5_006, 0),
        (5_004, 5_009, 1),
        (0, 2_000_000, 400_000),
    ],
)
def test_updates_are_a_fifth_of_the_steps_those_of_the_first_ones_at_once(before: int, after: int, due: int) -> None:
    assert build(update_after=5_000).updates_due(before, after) == due


def test_schedules_follow_the_agents_steps() -> None:
    """Five for each update, twenty until plans have their full length of three: one step, from ten on two."""
    agent, replay, seen = build(), memory(), []
    assert (number(agent.depth), number(agent.least_std)) == (1, 0.5)
    for update in range(6):
        agent.update(replay, torch.Generator().manual_seed(update))
        seen.append((number(agent.depth), round(number(agent.least_std), 6)))
    assert seen == [(1, 0.3875), (2, 0.275), (2, 0.1625), (3, 0.05), (3, 0.05), (3, 0.05)]


def test_nothing_is_learnt_before_replay_holds_a_batch() -> None:
    agent, replay = build(), memory((4,))
    before = {key: value.clone() for key, value in agent.named_parameters()}
    assert agent.update(replay, torch.Generator().manual_seed(0)) == {}
    assert (agent.updates, agent.phase()) == (0, (False, 0))
    assert all(torch.equal(value, before[key]) for key, value in agent.named_parameters())


@pytest.mark.parametrize("capacity", [60, 12])
def test_segments_begin_at_the_transitions_that_were_drawn(capacity: int) -> None:
    """Also where old transitions were overwritten: the step number modulo the capacity is the place."""
    agent, replay = build(replay=capacity), memory(capacity=capacity)
    given, _ = agent.draw_update(replay, torch.Generator().manual_seed(0))
    firsts = given.segments.observation[:, 0, 0].long()
    assert (firsts % capacity).tolist() == given.places.tolist()
    assert torch.equal(given.segments.reward[:, 0].long(), firsts)
    assert (firsts >= 25 - capacity).all()


def test_priorities_are_the_critics_errors() -> None:
    agent, replay = build(), memory()
    given, draws = agent.draw_update(replay, torch.Generator().manual_seed(0))
    assert agent.priorities.chances[:25].tolist() == [1] * 25
    reference = deepcopy(agent)
    reference.minimise("novelty", reference.novelty_loss, given.seen)  # comes first, and the bonus is part of the error
    errors = reference.world_loss(given.segments, given.weights, draws.next_action)[3]
    agent.learn(given, draws)
    torch.testing.assert_close(agent.priorities.chances[given.places], (errors + 1e-6) ** 0.6)
    others = [place for place in range(25) if place not in given.places.tolist()]
    assert agent.priorities.chances[others].tolist() == [1] * 20
    assert not agent.priorities.chances[25:].any()


def test_the_target_world_follows_at_every_second_update_and_nothing_else_does() -> None:
    agent, replay = build(), memory()
    for update in range(4):
        start, last = deepcopy(agent.target_world), deepcopy(agent.policy)
        agent.update(replay, torch.Generator().manual_seed(update))
        fraction = 0.1 if update % 2 else 0.0
        triples = zip(agent.target_world.parameters(), start.parameters(), agent.world.parameters(), strict=True)
        for target, old, new in triples:
            torch.testing.assert_close(target, old + fraction * (new - old), rtol=1e-5, atol=1e-7)
        assert agent.phase() == (True, (update + 1) % 2)
        if update:  # at first all values are zero
            assert any(not torch.equal(a, b) for a, b in zip(agent.policy.parameters(), last.parameters(), strict=True))


def test_gradients_are_clipped_but_for_the_novelty_networks() -> None:
    assert build().clip_norms == {"world": 10.0, "policy": 10.0}
    assert sorted(build(novelty=0.0).optimisers) == ["policy", "world"]


def test_optimisers_hold_every_trained_parameter_once() -> None:
    agent = build()
    held = [id(p) for optimiser in agent.optimisers.values() for p in optimiser.param_groups[0]["params"]]
    frozen = ("target_world.", "novelty.target.")
    assert sorted(held) == sorted(id(p) for key, p in agent.named_parameters() if not key.startswith(frozen))


# As others run it


def updated(agent: TDMPC, numbers: range, replay: Replay) -> TDMPC:
    for index in numbers:
        agent.update(replay, torch.Generator().manual_seed(index))
    return agent


@pytest.mark.parametrize("before", [1, 2])
def test_a_saved_agent_goes_on_bit_for_bit(before: int) -> None:
    torch.manual_seed(7)
    first, replay, buffer = build(), memory(), io.BytesIO()
    whole = updated(deepcopy(first), range(before + 3), replay)
    torch.save(updated(first, range(before), replay).state_dict(), buffer)
    buffer.seek(0)
    second = build()
    second.load_state_dict(torch.load(buffer, weights_only=True))
    assert_identical(first, second)
    assert_identical(whole, updated(second, range(before, before + 3), replay))


def spec(**training_changes: Any) -> dict[str, Any]:
    small = {"batch": 8, "update_after": 60, "update_every": 2, "schedule_steps": 100, "replay": 150, "horizon": 2}
    return {
        "agent": "tdmpc",
        "revision": 1,
        "hyper": {**HYPER, **small},
        "env": {"suite": "probe", "task": "truncated", "action_repeat": 1},
        "training": {
            "frames": 240,
            "random_frames": 40,
            "eval_every": 80,
            "eval_episodes": 2,
            "parallel_envs": 2,
            **training_changes,
        },
        "seed": 0,
    }


def test_stopped_thrice_it_writes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first update, after it, and after replay has begun to overwrite."""
    stop_and_continue(spec(), tmp_path, (44, 104, 200), monkeypatch)
    assert (tmp_path / "pieces/returns.csv").read_bytes() == (tmp_path / "whole/returns.csv").read_bytes()


def test_seeds_learn_and_plan_as_one_as_they_do_alone() -> None:
    """Twenty updates of two seeds, clipped; then actions of plans of different lengths, with and without a belief."""
    alone = [precise(phase, clip_norm=0.5) for phase in (0.0, 4.0)]
    stack = Stack(deepcopy(alone))
    at = (0.5, 0.7)  # phases of the first batch and noise
    assert_learn_as_one(alone, stack, lambda u, s: (batch(at[0] + u + 10 * s), noise(at[1] + u + 10 * s)), 1e-9, 1e-12)
    assert not torch.equal(alone[0].priorities.chances, alone[1].priorities.chances)
    for depth, (agent, member) in enumerate(zip(alone, stack.agents, strict=True), 2):
        agent.depth.fill_(depth)
        member.depth.fill_(depth)
    observations, draws = [OBSERVED, -OBSERVED], [action_noise(), action_noise(3.0)]
    beliefs: list[Any] = [None, None]
    for _ in range(2):
        expected = [agent.choose(*given) for agent, *given in zip(alone, observations, beliefs, draws, strict=True)]
        chosen = stack.choose(observations, beliefs, draws)
        for left, right in zip(expected, chosen, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-10)
        beliefs = [belief for _, belief in expected]


PROBE = {
    "width": 32,
    "encoder_width": 16,
    "state": 8,
    "batch": 32,
    "lr": 3e-3,
    "tau": 0.2,
    "target_every": 1,
    "samples": 32,
    "elites": 8,
    "temperature": 5.0,
    "schedule_steps": 500,
    "update_after": 64,
    "update_every": 1,
    "replay": 1_000,
    "novelty": 0.0,
}


def trained(task: str, folder: Path, frames: int, random_frames: int, **changes: Any) -> tuple[TDMPC, Record]:
    torch.manual_seed(1)
    agent = TDMPC(1, 1, Hyper(**{**HYPER, **PROBE, **changes}))
    record = train_on_probe(agent, task, folder, frames, random_frames)
    assert record.updates == frames
    return agent, record


@pytest.mark.parametrize("task", ["delayed_reward", "terminated", "truncated"])
def test_critics_find_the_value(task: str, tmp_path: Path) -> None:
    """Of environments whose values are known, for every action; what a defect would give is 0.24 away, as in
    tests/agents/test_probes.py."""
    agent, _ = trained(task, tmp_path, 250, 250, gamma=0.6, horizon=2)
    actions = torch.linspace(-0.9, 0.9, 7).unsqueeze(-1)
    for x in (-1.0, 1.0):
        with torch.no_grad():
            values = agent.world.values(agent.world.encode(torch.full_like(actions, x)), actions)
        assert float((values - PROBES[task].value(x, 0.0, 0.6)).abs().max()) < 0.1


def test_plans_find_the_best_action(tmp_path: Path) -> None:
    """One is the best return; an agent that is blind to what it sees gets 0.75 on average."""
    _, record = trained("action_reward", tmp_path, 250, 128, horizon=1)
    last = [float(reward) for phase, frames, _, reward, _ in record.rows if (phase, frames) == ("eval", 250)]
    assert len(last) == 16
    assert sum(last) / 16 > 0.95
