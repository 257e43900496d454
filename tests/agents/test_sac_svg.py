"""SAC-SVG: the order of its update, its schedules, and that it is saved, stacked and trained as others are."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from relatent.agents.sac_svg import SACSVG, Hyper
from relatent.envs.probes import PROBES
from relatent.nets.learner import move_towards
from relatent.training.stack import Stack
from tests.agents.checks import assert_act_as_one, assert_learn_as_one, train_on_probe
from tests.agents.tiny import ACTION, OBSERVATION, number, parameters_of, waves
from tests.agents.tiny_sac_svg import HORIZON, HYPER, MODEL_UPDATES, build, given, precise
from tests.nets.test_learner import assert_identical, everything, replay
from tests.training.specs import stop_and_continue

# Schedules


@pytest.mark.parametrize(
    ("first", "last", "power", "frames", "expected"),
    [
        (1, -3, 0.5, 0, 1.0),
        (1, -3, 0.5, 50_000, 0.4641016151),
        (1, -3, 0.5, 150_000, -1.0),
        (1, -3, 0.5, 200_000, -3.0),
        (1, -3, 0.5, 300_000, -3.0),
        (-1, -4, 1.0, 100_000, -2.5),
        (1, 0, 32.0, 10_000, 0.1937114895),
        (-2, -16, 1 / 64, 100_000, -2.1508077562),
        (-2, -16, 1 / 64, 199_999, -4.4309035433),
        (-2, -2, 1.0, 60_000, -2.0),
    ],
)
def test_target_entropies_of_the_official_tasks(
    first: float, last: float, power: float, frames: int, expected: float
) -> None:
    """Ant, cheetah, hopper, walker and humanoid."""
    agent = build(first_entropy=first, last_entropy=last, entropy_power=power, entropy_steps=200_000)
    assert agent.scheduled_entropy(frames) == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_schedules_follow_the_environments_steps() -> None:
    """The eleventh step brings the first update; the twentieth, the policy's first gradient through the dynamics."""
    agent, memory, phases = build(), replay(), []
    assert [agent.updates_due(step, step + 1) for step in (8, 9, 10, 11)] == [0, 0, 1, 1]
    for frame in range(11, 24):
        agent.update(memory, torch.Generator().manual_seed(frame))
        assert number(agent.target_entropy) == pytest.approx(-3 + 4 * (1 - frame / 200) ** 0.5, rel=1e-6)
        phases.append(agent.phase())
    assert phases == [False] * 9 + [True] * 4


# One update


@pytest.mark.parametrize("updates", [9, 10])
def test_an_update_goes_in_its_order(updates: int) -> None:
    """The ninth is the last one with SAC's policy loss."""
    agent, (data, noise) = precise(), given()
    agent.updates = updates
    expected = deepcopy(agent)
    for segments in data.segments:
        expected.minimise("dynamics", expected.dynamics_loss, segments)
    expected.minimise("critic", expected.critic_loss, data.transitions, noise.next_action)
    loss = expected.actor_loss if updates == 9 else expected.rollout_loss
    _, log_prob = expected.minimise("actor", loss, data.transitions.observation, noise.actions)
    expected.minimise("alpha", expected.alpha_loss, log_prob)
    expected.minimise("reward", expected.reward_loss, data.transitions)
    expected.minimise("termination", expected.termination_loss, data.transitions)
    move_towards(expected.target_critic, expected.critic, 0.1)
    metrics = agent.learn(data, noise)
    assert_identical(agent, expected)
    assert all(value.dim() == 0 and not value.requires_grad and value.isfinite() for value in metrics.values())


def test_the_dynamics_learn_four_times_as_often() -> None:
    """Here thrice; their gradient alone is limited."""
    agent, memory = build(), replay()
    for update in range(2):
        agent.update(memory, torch.Generator().manual_seed(update))
    steps = {key.split(".")[0]: number(value) for key, value in everything(agent).items() if key.endswith(".step")}
    others = ("critic", "actor", "alpha", "reward", "termination")
    assert steps == {"dynamics": 2 * MODEL_UPDATES, **dict.fromkeys(others, 2)}
    assert agent.clip_norms == {"dynamics": 1.0}


def test_an_update_is_given_normalised_segments_and_transitions() -> None:
    agent, memory = build(), replay()
    data, noise = agent.draw_update(memory, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    drawn = memory.sample_segments(4 * MODEL_UPDATES, HORIZON, generator)
    batch = memory.sample(5, generator)
    assert agent.statistics.known == 40
    seen = torch.stack([waves((OBSERVATION,), step) for step in range(40)])
    mean, std = seen.mean(0), seen.std(0)  # unbiased
    for pieces, leaf in zip(zip(*data.segments, strict=True), drawn, strict=True):
        expected = (leaf - mean) / std if leaf is drawn.observation else leaf
        torch.testing.assert_close(torch.cat(pieces), expected.float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(data.transitions.observation, ((batch.observation - mean) / std).float())
    torch.testing.assert_close(data.transitions.next_observation, ((batch.next_observation - mean) / std).float())
    for name in ("action", "reward", "terminated"):
        assert torch.equal(getattr(data.transitions, name), getattr(batch, name))
    assert (noise.next_action.shape, noise.actions.shape) == ((5, ACTION), (HORIZON + 1, 5, ACTION))
    agent.draw_update(memory, generator)
    assert agent.statistics.known == 40


def test_actions_are_chosen_by_normalised_observations() -> None:
    agent, observation, noise = precise(), waves((OBSERVATION,), 0.2), waves((ACTION,), 0.4)
    policy = agent.policy((observation - agent.statistics.mean) / agent.statistics.std)
    for draws in (noise, torch.zeros_like(noise)):
        action, belief = agent.choose(observation, None, draws)
        assert belief is None
        torch.testing.assert_close(action, torch.tanh(policy.mean + policy.log_std.exp() * draws), rtol=1e-12, atol=0)


def test_parameters_at_full_size() -> None:
    """Of HalfCheetah, 17 observed numbers and 6 actions."""
    agent = build(17, 6, width=512, layers=4, model_width=512)
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in agent.named_children()}
    hidden, unit = 513 * 512, 2 * 3 * 513 * 512
    assert sizes == {
        "statistics": 0,
        "actor": 18 * 512 + 3 * hidden + 513 * 12,
        "critic": 2 * (24 * 512 + 3 * hidden + 513),
        "target_critic": 2 * (24 * 512 + 3 * hidden + 513),
        "dynamics": 24 * 512 + 2 * hidden + 2 * unit + 513 * 17,
        "reward": 24 * 512 + hidden + 513,
        "termination": 24 * 512 + hidden + 513,
    }
    assert (sizes["actor"], sizes["critic"], sizes["dynamics"]) == (803_340, 1_601_538, 3_698_193)


def test_optimisers_hold_every_trained_parameter_once() -> None:
    agent = build()
    held = [id(p) for part in agent.optimisers for p in parameters_of(agent, part)]
    assert sorted(held) == sorted(id(p) for key, p in agent.named_parameters() if not key.startswith("target_"))


# As others run it


def test_three_seeds_learn_and_act_as_one_as_they_do_alone() -> None:
    """Twenty updates, of which the last eleven go through the dynamics; each seed has statistics and a target entropy
    of its own, and exceeds the limit of the gradient by a factor of its own."""
    alone = [precise(phase, model_clip_norm=0.05) for phase in (0.0, 4.0, 9.0)]
    stack = Stack(deepcopy(alone))
    assert_learn_as_one(alone, stack, lambda update, seed: given(0.5 + update + 10 * seed), 1e-8, 1e-11)
    assert alone[0].phase()
    stack.agents[1].statistics.count(7 * waves((3, OBSERVATION), 0.1))
    alone[1].statistics.count(7 * waves((3, OBSERVATION), 0.1))
    assert_act_as_one(alone, stack, 1e-8, 1e-10)


def test_stopped_thrice_it_writes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first update, before the policy learns through the dynamics, and after replay has begun to
    overwrite."""
    spec = {
        "agent": "sac_svg",
        "revision": 1,
        "hyper": {**HYPER, "batch": 8, "update_after": 60, "warm_up": 110, "replay": 120},
        "env": {"suite": "probe", "task": "terminated", "action_repeat": 1},
        "training": {"frames": 200, "random_frames": 50, "eval_every": 80, "eval_episodes": 2},
        "seed": 0,
    }
    stop_and_continue(spec, tmp_path, (43, 101, 151), monkeypatch)
    assert (tmp_path / "pieces/returns.csv").read_bytes() == (tmp_path / "whole/returns.csv").read_bytes()


PROBE = {
    "width": 32,
    "layers": 2,
    "model_width": 16,
    "horizon": 1,
    "batch": 32,
    "segments": 16,
    "actor_lr": 5e-3,
    "critic_lr": 1e-2,
    "alpha_lr": 0.0,
    "model_lr": 5e-3,
    "gamma": 0.6,
    "tau": 0.2,
    "init_alpha": 1e-8,
    "warm_up": 10_000,
    "update_after": 32,
    "replay": 1_000,
}


def trained(task: str, folder: Path, frames: int, random_frames: int, **changes: Any) -> tuple[SACSVG, Any]:
    torch.manual_seed(1)
    agent = SACSVG(1, 1, Hyper(**{**HYPER, **PROBE, **changes}))
    return agent, train_on_probe(agent, task, folder, frames, random_frames)


@pytest.mark.parametrize("task", ["delayed_reward", "terminated", "truncated"])
def test_what_it_learns_of_an_environment_is_true(task: str, tmp_path: Path) -> None:
    """Values, rewards, terminations and where a step leads, for every action; see tests/agents/test_probes.py for how
    far away a defect's values would be."""
    agent, _ = trained(task, tmp_path, 182, 182)
    rules, actions = PROBES[task], torch.linspace(-0.9, 0.9, 7).unsqueeze(-1)
    for step, x in enumerate((-1.0, 1.0)):
        with torch.no_grad():
            seen = agent.statistics.normalised(torch.full_like(actions, x))
            values, pairs = torch.stack(agent.critic(seen, actions)), torch.cat([seen, actions], -1)
            reward, chance = agent.reward(pairs), torch.sigmoid(agent.termination(pairs))
            following = agent.dynamics.follow(seen, actions[:, None])[:, 0]
            expected = agent.statistics.normalised(torch.full_like(actions, -x))
        assert float((values - rules.value(x, 0.0, 0.6)).abs().max()) < 0.1
        assert float((reward - rules.reward(x, 0.0)).abs().max()) < 0.1
        assert float((chance - float(step == 1 and rules.terminates)).abs().max()) < 0.1
        assert float((following - expected).abs().max()) < 0.1


@pytest.mark.parametrize("through_dynamics", [False, True])
def test_the_policy_finds_the_best_action(through_dynamics: bool, tmp_path: Path) -> None:
    """One is the best return; a policy that is blind to what it sees gets 0.75 on average. Every step of this
    environment is its last, so that a rollout counts for less and less, which Adam makes up for."""
    _, record = trained("action_reward", tmp_path, 282, 96, warm_up=0 if through_dynamics else 10_000)
    last = [float(reward) for phase, frames, _, reward, _ in record.rows if (phase, frames) == ("eval", 282)]
    assert len(last) == 16
    assert sum(last) / 16 > 0.95
