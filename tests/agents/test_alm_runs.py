"""ALM as others run it: measured, saved, stopped and continued, and on environments whose values are known."""

import io
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relatent.agents.alm import ALM, Hyper
from relatent.envs.probes import PROBES
from relatent.nets.batch import Played
from tests.agents.checks import train_on_probe
from tests.agents.test_alm import OBSERVED, memory
from tests.agents.tiny import number, waves
from tests.agents.tiny_alm import ACTION, HYPER, OBSERVATION, VARIANTS, build, linears
from tests.nets.test_learner import assert_identical
from tests.training.specs import stop_and_continue


def played(steps: int = 6) -> list[Played]:
    seen, done = waves((steps, OBSERVATION), 0.3).float(), waves((steps, ACTION), 0.6).float()
    return [Played(seen.numpy(), done.numpy(), np.ones(steps, np.float32))]


def test_what_it_measures() -> None:
    agent, draws = build(), torch.Generator().manual_seed(0)
    assert set(agent.probe("collapse", memory(), draws)) == {"variance", "divergence", "odds"}
    assert set(agent.watch("open_loop", played(), draws)) == {"error", "true", "predicted"}
    assert set(build("model_free").watch("bias", played(), draws)) == {"mean", "deviation"}
    for refused in ("coverage", "nothing"):
        with pytest.raises(NotImplementedError, match=refused):
            agent.probe(refused, memory(), draws)
        with pytest.raises(NotImplementedError, match=refused):
            agent.watch(refused, played(), draws)
    assert build("model_free").probe("collapse", memory(), draws) == {}
    assert build("model_free").watch("open_loop", played(), draws) == {}


def test_its_bias_is_that_of_the_bound_against_returns() -> None:
    """With no network but a critic of 7 at all z: 0.9³ 7, against (1 - 0.9^k) / 0.1 and a size of 10 at least."""
    agent = build(classifier_weight=0.0)
    for part in (agent.reward, agent.critic):
        for parameter in part.parameters():
            parameter.data.zero_()
    for net in agent.critic.nets:
        linears(net)[-1][1].data.fill_(7.0)
    errors = [(0.9**3 * 7 - (1 - 0.9**left) / 0.1) / 10 for left in range(6, 0, -1)]
    found = agent.watch("bias", played(), torch.Generator().manual_seed(0))
    assert found == pytest.approx({"mean": np.mean(errors), "deviation": np.std(errors)}, rel=1e-5)


@pytest.mark.parametrize("name", ["official", "entropy"])
def test_a_saved_agent_goes_on_bit_for_bit(name: str) -> None:
    """With the deviation of its noise, which the next action takes before any update."""
    replay, buffer = memory(), io.BytesIO()

    def updated(agent: ALM, numbers: range) -> ALM:
        for index in numbers:
            agent.update(replay, torch.Generator().manual_seed(index))
        return agent

    torch.manual_seed(7)
    first = build(name)
    whole = updated(deepcopy(first), range(4))
    torch.save(updated(first, range(2)).state_dict(), buffer)
    buffer.seek(0)
    second = build(name)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    assert_identical(first, second)
    acted = [one.act(OBSERVED, None, True, torch.Generator().manual_seed(0))[0] for one in (first, second)]
    assert np.array_equal(*acted)
    assert_identical(whole, updated(second, range(2, 4)))


def test_stopped_it_writes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of its second episode; it has learnt for 20 updates by the end of the first. With all that is
    measured of it."""
    spec = {
        "agent": "alm",
        "revision": 1,
        "hyper": {**HYPER, "batch": 16, "update_after": 980, "replay": 1_020, "action_limit": 1.0},
        "env": {"suite": "mujoco", "task": "half_cheetah"},
        "training": {"frames": 1_060, "random_frames": 960, "eval_every": 530, "eval_episodes": 1},
        "probes": ["collapse", "bias", "open_loop"],
        "seed": 0,
    }
    stop_and_continue(spec, tmp_path, (1_030,), monkeypatch)
    for name in ("returns.csv", "probes.npz"):
        assert (tmp_path / "pieces" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    probes = np.load(tmp_path / "whole/probes.npz")
    for key in ("collapse_variance", "collapse_divergence", "collapse_odds", "bias_mean", "bias_deviation"):
        assert probes[f"{key}_frames"].tolist() == [530, 1_060]
        assert np.isfinite(probes[key]).all()
        assert probes[key][0] != probes[key][1]
    assert [probes[f"open_loop_{key}"].shape for key in ("error", "true", "predicted")] == [(50,), (51,), (51,)]
    assert (probes["open_loop_error"] > 0).all()


GAMMA = 0.6
PROBE = {"width": 32, "model_width": 32, "batch": 32, "lr": 1e-2, "gamma": GAMMA, "tau": 0.2, "update_after": 32}


def trained(name: str, task: str, folder: Path, updates: int, random_frames: int, **changes: Any) -> tuple[ALM, Any]:
    torch.manual_seed(1)
    settings = {**HYPER, **VARIANTS[name], **PROBE, "replay": 1_000, "action_limit": 1.0, **changes}
    agent = ALM(1, 1, Hyper(**settings))
    agent.optimisers["actor"].param_groups[0]["lr"] = 3e-4  # slower than what it climbs: at ±1 tanh has no gradient
    record = train_on_probe(agent, task, folder, 32 + updates, random_frames)
    assert record.updates == updates
    return agent, record


@pytest.mark.parametrize("task", ["terminated", "truncated"])
def test_critics_find_the_value(task: str, tmp_path: Path) -> None:
    """Of environments whose values are known, for every action; what a defect would give is 0.24 away, as in
    tests/agents/test_probes.py, and a critic must be nearer to the truth than to that."""
    agent, _ = trained("official", task, tmp_path, 200, 232, horizon=2)
    actions = torch.linspace(-0.9, 0.9, 7).unsqueeze(-1)
    for x in (-1.0, 1.0):
        with torch.no_grad():
            latent = agent.target_encoder(torch.full_like(actions, x)).mean
            error = (agent.critic(latent, actions) - PROBES[task].value(x, 0.0, GAMMA)).abs().max()
        assert number(error) < 0.12


@pytest.mark.parametrize("name", ["official", "entropy"])
def test_policies_find_the_best_action(name: str, tmp_path: Path) -> None:
    """One is the best return; a policy that is blind to what it sees gets 0.75 on average, and so does a saturated
    one."""
    changes = {"init_alpha": 1e-8, "alpha_lr": 0.0} if name == "entropy" else {}
    _, record = trained(name, "action_reward", tmp_path, 260, 64, horizon=1, **changes)
    last = [float(reward) for phase, frames, _, reward, _ in record.rows if (phase, frames) == ("eval", 292)]
    assert len(last) == 16
    assert sum(last) / 16 > 0.9
