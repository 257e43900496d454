"""SAC with a novelty bonus: its losses a second time, when it learns, and that others can run it."""

import io
import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from relatent.agents.sac_novelty import Drawn, Hyper, Noise, SACNovelty
from relatent.envs.probes import PROBES
from relatent.training.record import Record
from relatent.training.replay import Replay
from relatent.training.stack import Stack
from tests.agents.checks import assert_gradients_agree, assert_moves_all_its_own_parameters_only, train_on_probe
from tests.agents.test_losses import bellman, dense, drawn, squashed, twin
from tests.agents.tiny import ACTION, BATCH, OBSERVATION, batch, number, parameters_of, waves
from tests.agents.tiny_tdmpc import bonus as bonus_of
from tests.nets.test_learner import assert_identical, everything
from tests.training.specs import stop_and_continue

HYPER: dict[str, Any] = {
    "width": 6,
    "batch": BATCH,
    "lr": 3e-4,
    "gamma": 0.9,
    "tau": 0.1,
    "init_alpha": 0.5,
    "update_after": 20,
    "update_every": 5,
    "replay": 99,
    "novelty": 0.1,
    "novelty_width": 4,
    "novelty_memory": 50,
}
PARTS = ("critic", "actor", "alpha", "novelty")


def build(**changes: Any) -> SACNovelty:
    return SACNovelty(OBSERVATION, ACTION, Hyper(**{**HYPER, **changes}))


def precise(phase: float = 0.0, **changes: Any) -> SACNovelty:
    """In float64, of parameters that depend on no library's random numbers; its novelty network has seen batches."""
    agent = build(**changes).double()
    with torch.no_grad():
        for index, (key, parameter) in enumerate(agent.named_parameters()):
            if key == "log_alpha":
                parameter.fill_(math.log(0.5))
            else:
                parameter.copy_(0.8 * waves(tuple(parameter.shape), phase + index))
        if agent.hyper.novelty:
            agent.novelty.batches.fill_(200)
            agent.novelty.mean.fill_(0.4)
            agent.novelty.variance.fill_(2.0)
    return agent


def noise(phase: float = 0.7) -> Noise:
    return Noise(*(1.5 * waves((BATCH, ACTION), phase + index) for index in range(2)))


def loss(agent: SACNovelty, part: str) -> Tensor:
    if part == "critic":
        return agent.rewarded_critic_loss(batch(), noise())[0]
    if part == "actor":
        return agent.actor_loss(batch(), noise())[0]
    return agent.alpha_loss(waves((BATCH,), 0.9)) if part == "alpha" else agent.novelty_loss(waves((BATCH, 3), 0.2))[0]


@pytest.mark.parametrize("novelty", [0.0, 0.1, 2.0])
def test_the_critics_loss_is_sacs_on_reward_and_bonus(novelty: float) -> None:
    """The bonus of what a transition led to: the novelty network's error, of mean 0.4 and variance 2 so far."""
    agent, data, draws = precise(novelty=novelty), batch(), noise()
    bonus = torch.zeros(BATCH)
    if novelty:
        bonus = torch.stack([bonus_of(agent, observation) for observation in data.next_observation])
        assert bonus.std() > 0.02
    action, log_prob = drawn(squashed(agent.actor, data.next_observation), draws.next_action)
    rewarded = data._replace(reward=data.reward + novelty * bonus)
    value, mean_bonus = agent.rewarded_critic_loss(data, draws)
    assert number(value) == pytest.approx(number(bellman(agent, rewarded, action, -0.5 * log_prob)), rel=1e-10)
    assert number(mean_bonus) == pytest.approx(number(bonus.mean()), rel=1e-10)


def test_the_actors_loss_is_sacs_without_the_bonus() -> None:
    agent, data, draws = precise(), batch(), noise()
    action, log_prob = drawn(squashed(agent.actor, data.observation), draws.action)
    expected = (0.5 * log_prob - torch.minimum(*twin(agent.critic, data.observation, action))).mean()
    value, returned = agent.actor_loss(data, draws)
    assert number(value) == pytest.approx(number(expected), rel=1e-10)
    torch.testing.assert_close(returned, log_prob, rtol=1e-10, atol=1e-10)


def test_the_temperature_rises_exactly_while_entropy_lies_below_minus_the_action_size() -> None:
    agent = precise()
    for entropy, direction in ((-2.5, -1), (-1.5, 1)):
        (gradient,) = torch.autograd.grad(agent.alpha_loss(torch.full((BATCH,), -entropy)), agent.log_alpha)
        assert number(gradient) == pytest.approx(direction * 0.5, rel=1e-6)


@pytest.mark.parametrize("part", PARTS)
def test_gradients_agree_with_finite_differences(part: str) -> None:
    agent = precise()
    assert_gradients_agree(lambda: loss(agent, part), parameters_of(agent, part))


@pytest.mark.parametrize("part", PARTS)
def test_a_loss_moves_its_own_parameters_only(part: str) -> None:
    agent = precise()
    assert_moves_all_its_own_parameters_only(agent, part, lambda: loss(agent, part))


def test_optimisers_hold_every_trained_parameter_once() -> None:
    agent = build()
    held = [id(p) for optimiser in agent.optimisers.values() for p in optimiser.param_groups[0]["params"]]
    frozen = ("target_critic.", "novelty.target.")
    assert sorted(held) == sorted(id(p) for key, p in agent.named_parameters() if not key.startswith(frozen))
    assert sorted(build(novelty=0.0).optimisers) == ["actor", "alpha", "critic"]


# When it learns


@pytest.mark.parametrize(
    ("before", "after", "novelty", "due"),
    [
        (0, 5, 0.1, 0),  # five observations are no more than a batch
        (5, 10, 0.1, 1),
        (10, 14, 0.1, 0),
        (14, 15, 0.1, 1),
        (10, 30, 0.1, 4),
        (15, 20, 0.0, 0),
        (20, 25, 0.0, 1),
    ],
)
def test_an_update_is_due_at_every_fifth_step_once_there_is_enough(
    before: int, after: int, novelty: float, due: int
) -> None:
    assert build(novelty=novelty).updates_due(before, after) == due


def memory(steps: int) -> Replay:
    made = Replay(99, OBSERVATION, ACTION)
    for step in range(steps):
        x, following = waves((OBSERVATION,), step).numpy(), waves((OBSERVATION,), step + 1).numpy()
        made.add(x, waves((ACTION,), step + 0.5).numpy(), float(x[0]), following, step % 10 == 4, step % 10 == 9)
    return made


@pytest.mark.parametrize(
    ("steps", "moved"), [(20, {"novelty"}), (21, {"novelty", "actor", "critic", "target_critic", "log_alpha"})]
)
def test_the_novelty_network_learns_first(steps: int, moved: set[str]) -> None:
    agent, replay = build(), memory(steps)
    before = {key: value.clone() for key, value in agent.named_parameters()}
    metrics = agent.update(replay, torch.Generator().manual_seed(0))
    assert {
        key.split(".")[0] for key, value in agent.named_parameters() if not torch.equal(value, before[key])
    } == moved
    assert bool(metrics) == (steps > 20)
    assert agent.updates == agent.phase() == int(steps > 20)
    assert agent.novelty.batches == 1


def test_the_target_critic_follows_the_updated_critic() -> None:
    agent = build()
    start = deepcopy(agent.critic)
    agent.update(memory(30), torch.Generator().manual_seed(0))
    for target, new, old in zip(
        agent.target_critic.parameters(), agent.critic.parameters(), start.parameters(), strict=True
    ):
        torch.testing.assert_close(target, old + 0.1 * (new - old), rtol=1e-5, atol=1e-7)


def test_evaluated_actions_are_tanh_of_the_mean() -> None:
    agent, seen = build(), waves((OBSERVATION,), 0.4).float()
    action, _ = agent.act(seen.numpy(), None, False, torch.Generator().manual_seed(0))
    features = dense(agent.actor.trunk, seen).clamp(min=0)
    expected = torch.tanh(features @ agent.actor.mean.weight.T + agent.actor.mean.bias)
    torch.testing.assert_close(torch.from_numpy(action), expected.detach(), rtol=1e-5, atol=1e-6)
    explored = [agent.act(seen.numpy(), None, True, torch.Generator().manual_seed(seed))[0] for seed in (0, 0, 1)]
    assert (explored[0] == explored[1]).all()
    assert (explored[0] != explored[2]).all()


# As others run it


@pytest.mark.parametrize("steps", [18, 40])
def test_a_saved_agent_goes_on_bit_for_bit(steps: int) -> None:
    """Also while only the novelty network learns."""
    torch.manual_seed(7)
    first, replay, buffer = build(), memory(steps), io.BytesIO()
    draws = [torch.Generator().manual_seed(seed) for seed in (1, 2, 3, 2, 3)]
    first.update(replay, draws[0])
    whole = deepcopy(first)
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    second = build()
    second.load_state_dict(torch.load(buffer, weights_only=True))
    for agent, own in ((whole, draws[1]), (whole, draws[2]), (second, draws[3]), (second, draws[4])):
        agent.update(replay, own)
    assert_identical(whole, second)


def test_stopped_twice_it_writes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {**HYPER, "batch": 8, "update_after": 60, "update_every": 2}
    frames = {"frames": 140, "random_frames": 0, "eval_every": 60, "eval_episodes": 2, "parallel_envs": 2}
    spec = {
        "agent": "sac_novelty",
        "revision": 1,
        "hyper": small,
        "env": {"suite": "probe", "task": "truncated", "action_repeat": 1},
        "training": frames,
        "seed": 0,
    }
    stop_and_continue(spec, tmp_path, (44, 104), monkeypatch)
    assert (tmp_path / "pieces/returns.csv").read_bytes() == (tmp_path / "whole/returns.csv").read_bytes()


def test_seeds_learn_as_one_as_they_do_alone() -> None:
    alone = [precise(phase) for phase in (0.0, 4.0)]
    stack = Stack(deepcopy(alone))
    for update in range(20):
        given = []
        for seed in range(2):
            phase = 0.5 + update + 10 * seed
            only_novelty = update < 3
            seen = waves((BATCH, OBSERVATION), phase + 5)
            given.append((Drawn(seen), Noise()) if only_novelty else (Drawn(seen, batch(phase)), noise(phase)))
        for agent in (*alone, *stack.agents):
            agent.updates += update >= 3
        mine = [agent.learn(*one) for agent, one in zip(alone, given, strict=True)]
        yours = stack.learn([one for one, _ in given], [draws for _, draws in given])
        for left, right in zip(mine, yours, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-10)
    for left, right in zip(alone, stack.agents, strict=True):
        one, other = everything(left), everything(right)
        assert one.keys() == other.keys()
        for key, value in one.items():
            torch.testing.assert_close(value, other[key], rtol=1e-9, atol=1e-10, msg=key)
    observations, draws = [waves((OBSERVATION,), 0.4), waves((OBSERVATION,), 1.4)], list(noise().action[:2])
    chosen = stack.choose(observations, [None] * 2, draws)
    for (action, _), agent, *given in zip(chosen, alone, observations, draws, strict=True):
        torch.testing.assert_close(action, agent.choose(given[0], None, given[1])[0], rtol=1e-9, atol=1e-10)


# The temperature stays near 1e-8, so that entropy moves no value.
PROBE = {"width": 32, "batch": 32, "lr": 5e-3, "tau": 0.2, "init_alpha": 1e-8, "update_after": 32, "update_every": 1}


def trained(task: str, folder: Path, frames: int, random_frames: int) -> tuple[SACNovelty, Record]:
    torch.manual_seed(1)
    agent = SACNovelty(1, 1, Hyper(**{**HYPER, **PROBE, "gamma": 0.6, "novelty": 0.0}))
    record = train_on_probe(agent, task, folder, frames, random_frames)
    return agent, record


@pytest.mark.parametrize("task", ["terminated", "truncated"])
def test_critics_find_the_value(task: str, tmp_path: Path) -> None:
    agent, _ = trained(task, tmp_path, 230, 230)
    actions = torch.linspace(-0.9, 0.9, 7).unsqueeze(-1)
    for x in (-1.0, 1.0):
        with torch.no_grad():
            values = torch.stack(agent.critic(torch.full_like(actions, x), actions))
        assert float((values - PROBES[task].value(x, 0.0, 0.6)).abs().max()) < 0.1


def test_the_actor_finds_the_best_action(tmp_path: Path) -> None:
    """One is the best return; an agent that is blind to what it sees gets 0.75 on average."""
    _, record = trained("action_reward", tmp_path, 350, 64)
    last = [float(reward) for phase, frames, _, reward, _ in record.rows if (phase, frames) == ("eval", 350)]
    assert len(last) == 16
    assert sum(last) / 16 > 0.95
