"""REDQ and SAC-AVG are stacked, stopped and continued as others are, and find what is known."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from relatent.agents.redq import REDQ, Hyper
from relatent.envs.probes import PROBES
from relatent.training.stack import Stack, stacked
from tests.agents.checks import assert_act_as_one, assert_learn_as_one, train_on_probe
from tests.agents.tiny_redq import CRITICS, HYPER, TARGETS, given, precise
from tests.training.specs import stop_and_continue


@TARGETS
def test_three_seeds_learn_and_act_as_one_as_they_do_alone(target: str) -> None:
    alone = [precise(phase, target=target) for phase in (0.0, 4.0, 9.0)]
    stack = Stack(deepcopy(alone))
    facade: Any = stack.facade
    first = [
        (one[0][0], one[1].next_actions[0], one[1].subsets[seed]) for seed, one in enumerate(map(given, (1, 2, 3)))
    ]
    losses = facade.over_seeds("critic_loss")(facade.state, *(stacked(leaf) for leaf in zip(*first, strict=True)))
    for agent, inputs, loss in zip(alone, first, losses, strict=True):
        torch.testing.assert_close(loss, agent.critic_loss(*inputs), rtol=1e-12, atol=0)

    def data(update: int, seed: int) -> Any:
        batch, noise = given(0.5 + update + 10 * seed)
        return batch, noise._replace(subsets=noise.subsets[::-1]) if seed == 1 else noise

    assert_learn_as_one(alone, stack, data, 1e-9, 1e-12)
    assert_act_as_one(alone, stack, 1e-9, 1e-12)


def test_stopped_thrice_it_writes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first update, after it, and after replay has begun to overwrite."""
    spec = {
        "agent": "redq",
        "revision": 1,
        "hyper": {**HYPER, "batch": 8, "update_after": 60, "replay": 120},
        "env": {"suite": "probe", "task": "truncated", "action_repeat": 1},
        "training": {"frames": 200, "random_frames": 50, "eval_every": 80, "eval_episodes": 2},
        "seed": 0,
    }
    stop_and_continue(spec, tmp_path, (44, 101, 151), monkeypatch)
    assert (tmp_path / "pieces/returns.csv").read_bytes() == (tmp_path / "whole/returns.csv").read_bytes()


PROBE = {
    "width": 32,
    "critic_updates": 4,
    "batch": 32,
    "actor_lr": 5e-3,
    "critic_lr": 1e-2,
    "alpha_lr": 0.0,
    "init_alpha": 1e-8,
    "gamma": 0.6,
    "update_after": 32,
    "replay": 1_000,
}


@TARGETS
@pytest.mark.parametrize("task", ["delayed_reward", "terminated", "truncated"])
def test_critics_find_the_value(target: str, task: str, tmp_path: Path) -> None:
    """Of environments whose values are known, for every action; see tests/agents/test_probes.py for how far away a
    defect's values would be."""
    torch.manual_seed(1)
    agent = REDQ(1, 1, Hyper(**{**HYPER, **PROBE, "target": target}))
    train_on_probe(agent, task, tmp_path, 132, 132)
    actions = torch.linspace(-0.9, 0.9, 7).unsqueeze(-1)
    for x in (-1.0, 1.0):
        with torch.no_grad():
            values = agent.critic(torch.full_like(actions, x), actions)
        assert values.shape == (CRITICS, 7)
        assert float((values - PROBES[task].value(x, 0.0, 0.6)).abs().max()) < 0.1


def test_the_policy_finds_the_best_action(tmp_path: Path) -> None:
    """One is the best return; a policy that is blind to what it sees gets 0.75 on average."""
    torch.manual_seed(1)
    agent = REDQ(1, 1, Hyper(**{**HYPER, **PROBE}))
    record = train_on_probe(agent, "action_reward", tmp_path, 232, 64)
    last = [float(reward) for phase, frames, _, reward, _ in record.rows if (phase, frames) == ("eval", 232)]
    assert len(last) == 16
    assert sum(last) / 16 > 0.95
