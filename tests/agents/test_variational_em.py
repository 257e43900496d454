"""Variational EM as others run it: from what it learns, measured, saved, stopped, stacked, and where the best action is
known."""

import io
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relatent.agents.variational_em import ITERATIONS, VariationalEM
from relatent.specs.errors import RelatentError
from relatent.training import train as training
from relatent.training.stack import Stack
from tests.agents.checks import assert_learn_as_one
from tests.agents.tiny import waves
from tests.agents.tiny_variational_em import (
    ACTION,
    HYPER,
    OBSERVATION,
    SEGMENT,
    VARIANTS,
    action_noise,
    build,
    given,
    memory,
    noise,
    precise,
)
from tests.nets.test_learner import assert_identical
from tests.training.specs import stop_and_continue

SEEN = np.array([0.3, -0.7], np.float32)


@pytest.mark.parametrize(("capacity", "steps"), [(99, 40), (30, 40), (99, 5)])
def test_every_step_comes_with_the_law_that_was_kept_with_it(capacity: int, steps: int) -> None:
    """Also where replay overwrites; numbers say which transition a row is of."""
    agent, replay = build(recent=8), memory(steps, capacity=capacity)
    for draw in range(20):
        found, _ = agent.draw_update(replay, torch.Generator().manual_seed(draw))
        mask = found.segments.mask.bool()
        firsts = found.segments.reward[:, 0].long()
        assert mask[:, 0].all()
        expected = firsts[:, None] + torch.arange(SEGMENT)
        assert torch.equal(found.segments.reward[mask].long(), expected[mask])
        for place in range(2 * ACTION):
            assert torch.equal(found.law[..., place][mask].long(), expected[mask])
        held = min(capacity, steps)
        assert (firsts >= steps - held).all()
        assert (firsts < steps).all()
        assert torch.equal(found.recent.bool(), firsts >= steps - 8)
        assert found.recent[HYPER["batch"] // 2 :].all()


def test_updates_are_so_many_in_a_step() -> None:
    agent = build(updates=3, update_after=100)
    assert [agent.updates_due(before, after) for before, after in ((92, 100), (96, 104), (104, 104))] == [0, 3, 0]


def test_nothing_is_inferred_with_a_model_that_has_learnt_nothing() -> None:
    """q is the prior, N(0, 1), until the first update."""
    agent = build(least_std=0.1)
    assert len(agent.draw_action_noise(True, torch.Generator().manual_seed(0)).plans) == 0
    _, belief = agent.act(SEEN, None, True, torch.Generator().manual_seed(0))
    kept = agent.keep(belief)
    assert (kept.dtype, kept.shape) == (np.float32, (agent.kept_size,))
    assert np.abs(kept).max() < 0.05
    agent.updates = 1
    assert len(agent.draw_action_noise(True, torch.Generator().manual_seed(0)).plans) == agent.hyper.iterations


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"planned": 4}, "planned: found 4, expected 1 to horizon, 3"),
        ({"planned": 0}, "planned: found 0"),
        ({"prior": "none", "planned": 2}, "prior: none has no actions beyond a plan, expected planned: 3"),
    ],
)
def test_futures_without_actions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RelatentError, match=message):
        build(**changes)


# Measured


def test_consolidation_is_the_divergence_of_what_was_kept() -> None:
    """A prior of N(0, 1) under q = N(m, s²) with m = log s: both coordinates of the newest eight steps."""
    agent = build(recent=8, batch=4000)
    for parameter in agent.habit.parameters():
        parameter.data.zero_()
    replay = memory(40, episode=100)
    found = agent.probe("consolidation", replay, torch.Generator().manual_seed(0))
    steps = [first + step for first in range(32, 40) for step in range(SEGMENT) if first + step < 40]
    numbers = np.array(steps, float)
    entropy = np.mean(ACTION * (numbers + 0.5 * np.log(2 * np.pi * np.e)))
    divergence = np.mean(ACTION * (0.5 * (np.exp(2 * numbers) + numbers**2 - 1) - numbers))
    # Four thousand draws of eight segments.
    assert found == pytest.approx({"divergence": divergence, "entropy": entropy}, rel=0.1)
    for refused in ("coverage", "planner"):
        with pytest.raises(NotImplementedError, match=refused):
            agent.probe(refused, replay, torch.Generator())


@pytest.mark.parametrize("name", ["learned", "uniform", "none"])
def test_comparisons_play_with_every_number_of_iterations_from_both_starts(name: str) -> None:
    """Told apart by the law that the first decision ends with."""
    agent, laws = build(name), []

    def play(act: Any) -> float:
        _, belief = act(SEEN, None, torch.Generator().manual_seed(0))
        laws.append(belief.law)
        return float(len(laws))

    found = agent.compare("planner", play)
    starts = ("prior", "zero") if name == "learned" else ("zero",)
    assert found["iterations"].tolist() == list(ITERATIONS)  # type: ignore[union-attr]
    for number, start in enumerate(starts):
        counted = [5.0 * number + place for place in range(1, 6)]
        assert [found[f"from_{start}_{n}"] for n in ITERATIONS] == counted
        assert found[f"from_{start}"].tolist() == counted  # type: ignore[union-attr]
    more = {"habit_surplus": 1 - 0.8 * 4, **{f"gain_{n}": -5.0 for n in ITERATIONS}} if name == "learned" else {}
    assert {key: value for key, value in found.items() if not key.startswith(("from", "iterations"))} == more
    for start, offset in zip(starts, (0, 5), strict=False):
        for place, iterations in enumerate(ITERATIONS):
            draws = agent.draw_decision(False, torch.Generator().manual_seed(0), iterations)
            with torch.no_grad():
                _, belief = agent.decide(torch.from_numpy(SEEN), None, draws, start)  # type: ignore[arg-type]
            assert torch.equal(laws[offset + place].mean, belief.law.mean)
    with pytest.raises(NotImplementedError, match="nothing"):
        agent.compare("nothing", play)


def test_acting_and_measuring_changes_nothing() -> None:
    agent = build()
    agent.updates = 5
    before = deepcopy(agent)
    agent.compare("planner", lambda act: float(act(SEEN, None, torch.Generator().manual_seed(0))[0][0]))
    belief = None
    for explore in (True, False):
        _, belief = agent.act(SEEN, belief, explore, torch.Generator().manual_seed(0))
    agent.probe("consolidation", memory(), torch.Generator().manual_seed(0))
    assert_identical(agent, before)
    assert agent.updates == 5


def test_evaluations_do_not_explore() -> None:
    """The plan has draws, what comes of it has none."""
    draws = build().draw_action_noise(False, torch.Generator().manual_seed(0))
    assert not draws.latent.any()
    assert not draws.explore.any()
    assert draws.process.any()


# Saved, stopped, stacked


@pytest.mark.parametrize("name", ["learned", "detached"])
def test_a_saved_agent_goes_on_bit_for_bit(name: str) -> None:
    replay, buffer = memory(), io.BytesIO()

    def updated(agent: VariationalEM, numbers: range) -> VariationalEM:
        for index in numbers:
            agent.update(replay, torch.Generator().manual_seed(index))
        return agent

    torch.manual_seed(7)
    first = build(name, marginal_updates=2)
    whole = updated(deepcopy(first), range(5))
    torch.save(updated(first, range(3)).state_dict(), buffer)
    buffer.seek(0)
    second = build(name, marginal_updates=2)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    assert_identical(first, second)
    assert second.phase() == (1 if name == "detached" else 0)
    assert_identical(whole, updated(second, range(3, 5)))


def spec(task: str = "truncated", **changes: Any) -> dict[str, Any]:
    hyper = {**HYPER, "batch": 8, "segment": 2, "update_after": 40, "recent": 50, "replay": 90, **changes}
    return {
        "agent": "variational_em",
        "revision": 1,
        "hyper": hyper,
        "env": {"suite": "probe", "task": task, "action_repeat": 1},
        "training": {"frames": 120, "random_frames": 0, "eval_every": 60, "eval_episodes": 2},
        "probes": ["consolidation", "planner"],
        "seed": 0,
    }


def test_stopped_twice_it_writes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first update, and after replay has begun to overwrite; with all that is measured."""
    stop_and_continue(spec(), tmp_path, (21, 101), monkeypatch)
    for name in ("returns.csv", "probes.npz"):
        assert (tmp_path / "pieces" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    probes = np.load(tmp_path / "whole/probes.npz")
    assert probes["consolidation_divergence_frames"].tolist() == [60, 120]
    assert probes["planner_from_prior"].shape == (len(ITERATIONS),)
    assert probes["planner_from_zero_5_frames"].tolist() == [120]  # the last evaluation alone


def test_what_is_measured_disturbs_nothing(tmp_path: Path) -> None:
    """A run without probes has the same returns, of training and of evaluations."""
    plain = {**spec("action_reward"), "probes": []}
    training.train(spec("action_reward"), tmp_path / "measured")
    training.train(plain, tmp_path / "plain")
    assert (tmp_path / "measured/returns.csv").read_bytes() == (tmp_path / "plain/returns.csv").read_bytes()


@pytest.mark.parametrize("name", ["learned", "marginal", "uniform"])
def test_seeds_learn_and_plan_as_one_as_they_do_alone(name: str) -> None:
    alone = [precise(name, phase) for phase in (0.0, 4.0)]
    stack = Stack(deepcopy(alone))
    assert_learn_as_one(alone, stack, lambda u, s: (given(0.5 + u + 10 * s), noise(0.7 + u + 10 * s)), 1e-7, 1e-9)
    observations = [waves((OBSERVATION,), phase) for phase in (0.1, 0.9)]
    draws, beliefs = [action_noise(alone[0]), action_noise(alone[1], 3.0)], [None, None]
    for _ in range(2):
        expected = [agent.choose(*one) for agent, *one in zip(alone, observations, beliefs, draws, strict=True)]
        chosen = stack.choose(observations, beliefs, draws)
        for left, right in zip(expected, chosen, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-7, atol=1e-9)
        beliefs = [belief for _, belief in expected]


# Where the best action is known

LEARNER = {
    "width": 32,
    "latent_size": 4,
    "batch": 48,
    "segment": 1,
    "lr": 3e-3,
    "prior_lr": 3e-3,
    "best_reward": 1.0,
    "reward_scale": 20.0,
    "horizon": 1,
    "planned": 1,
    "iterations": 5,
    "samples": 32,
    "scenarios": 2,
    "least_std": 0.1,
    "recent": 100,
    "update_after": 50,
    "updates": 3,
    "replay": 1_000,
}


@pytest.mark.parametrize("name", ["learned", "none"])
def test_it_finds_the_best_action(name: str, tmp_path: Path) -> None:
    """r = 1 - (a - x/2)²: one is the best return, an agent that is blind to x gets 0.75. A learned prior has become the
    planner by the end, so that it acts as well without one; N(0, 1)'s mean is the blind action."""
    one = spec("action_reward", **{**VARIANTS[name], **LEARNER})
    one["training"] |= {"frames": 300, "eval_every": 300, "eval_episodes": 16}
    training.train(one, tmp_path / "run")
    rows = [row.split(",") for row in (tmp_path / "run/returns.csv").read_text().splitlines()]
    last = [float(row[3]) for row in rows if row[:2] == ["eval", "300"]]
    assert len(last) == 16
    assert np.mean(last) > 0.9
    probes = np.load(tmp_path / "run/probes.npz")
    assert probes["planner_from_zero_0"] == pytest.approx(0.75, abs=1e-6)
    assert probes["planner_from_zero_10"] > 0.9
    if name == "learned":
        assert probes["planner_from_prior"].min() > 0.9
