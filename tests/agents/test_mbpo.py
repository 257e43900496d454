"""MBPO: when it fits and imagines, from what, and what a batch is made of."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relatent.agents import mbpo
from relatent.agents.mbpo import MBPO, rollout_length
from relatent.nets.batch import Batch
from relatent.specs.errors import RelatentError
from relatent.training.replay import Replay
from tests.agents.tiny import batch, number, waves
from tests.agents.tiny_mbpo import ACTION, OBSERVATION, build, generator, memory, precise

# When


@pytest.mark.parametrize(
    ("before", "after", "due"), [(0, 1, 0), (4_999, 5_000, 0), (5_000, 5_001, 20), (5_001, 5_002, 20), (9, 9, 0)]
)
def test_twenty_updates_come_with_each_step_after_the_random_ones(before: int, after: int, due: int) -> None:
    assert build(update_after=5_000, updates_per_step=20).updates_due(before, after) == due


# Of the official configurations; lengths at some epochs, by hand.
SCHEDULES = {
    "half_cheetah": ((20, 150, 1, 1), {0: 1, 150: 1, 400: 1}),
    "hopper": ((20, 150, 1, 15), {0: 1, 20: 1, 29: 1, 30: 2, 85: 8, 149: 14, 150: 15, 400: 15}),
    "ant": ((20, 100, 1, 25), {0: 1, 20: 1, 23: 1, 24: 2, 30: 4, 60: 13, 99: 24, 100: 25, 400: 25}),
    "humanoid": ((20, 300, 1, 25), {0: 1, 20: 1, 31: 1, 32: 2, 160: 13, 299: 24, 300: 25, 400: 25}),
}


@pytest.mark.parametrize("task", SCHEDULES)
def test_rollouts_grow_as_in_the_official_code(task: str) -> None:
    schedule, by_hand = SCHEDULES[task]
    assert {epoch: rollout_length(schedule, epoch) for epoch in by_hand} == by_hand
    first, last, shortest, longest = schedule
    for epoch in range(500):
        share = min(max(epoch - first, 0) / (last - first), 1)
        assert rollout_length(schedule, epoch) == int(share * (longest - shortest) + shortest)


def test_it_fits_and_then_imagines_at_its_first_step_and_every_third_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two updates a step, six steps an epoch; lengths from 1 in epoch 1 to 3 in epoch 3."""
    agent, seen = build(), []
    monkeypatch.setattr(MBPO, "fit_model", lambda self, *_: seen.append(("fit", self.updates)))
    monkeypatch.setattr(MBPO, "imagine", lambda self, _, length, __: seen.append((length, self.updates)))
    agent.imagined.add(batch(0.5), 9)
    for _ in range(48):
        agent.draw_update(memory(), generator())
    lengths = {0: 1, 6: 1, 12: 1, 18: 1, 24: 2, 30: 2, 36: 3, 42: 3}
    assert seen == [pair for update, length in lengths.items() for pair in (("fit", update), (length, update))]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rollout_schedule": (20, 150, 1)}, "rollout_schedule: expected two epochs and two lengths"),
        ({"elites": 5}, "elites: expected at most all 4 networks, got 5"),
        ({"update_after": 4}, "update_after: 4 transitions cannot be parted by a holdout of 0.2"),
        ({"model_every": 7}, "model_every: expected at most the 6 steps that retain_epochs keeps, got 7"),
        ({"holdout": 1.0}, "update_after: 10 transitions cannot be parted by a holdout of 1.0"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RelatentError, match=message):
        build(**changes)


# The model


def test_it_is_fitted_to_rewards_and_changes_of_all_transitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also to each episode's last one; the networks with the smallest errors are the elites."""
    given: list[Any] = []

    def fit(*arguments: Any) -> Tensor:
        given.extend(arguments)
        return torch.tensor([0.4, 0.1, 0.7, 0.2])

    monkeypatch.setattr(mbpo, "fit", fit)
    agent = build()
    agent.fit_model(memory(), generator())
    model, optimiser, inputs, targets, how, _ = given
    assert (model, optimiser, how.most_held) == (agent.model, agent.optimisers["model"], 5_000)
    rows = [(100.0 * episode + step, step) for episode, length in enumerate((9, 20, 6)) for step in range(length)]
    assert inputs.tolist() == [[here] * OBSERVATION + [step] * ACTION for here, step in rows]
    assert targets.tolist() == [[here] + [1.0] * OBSERVATION for here, _ in rows]
    assert agent.elites.tolist() == [1, 3]
    assert number(agent.model_error) == pytest.approx(0.15)


def test_an_imagined_transition_is_a_draw_of_the_named_networks_change() -> None:
    agent, chosen = precise(termination="hopper"), torch.tensor([3, 0, 3, 1, 2])
    observation, action, noise = waves((5, OBSERVATION), 1), waves((5, ACTION), 2), waves((5, 1 + OBSERVATION), 3)
    made = agent.predict(observation, action, chosen, noise)
    every = torch.cat([observation, action], dim=-1).expand(4, 5, -1)
    for row, network in enumerate(chosen.tolist()):
        mean, log_var = (part[network, row] for part in agent.model(every))
        drawn = mean + log_var.exp().sqrt() * noise[row]
        torch.testing.assert_close(made.reward[row], drawn[0], rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(made.next_observation[row], observation[row] + drawn[1:], rtol=1e-12, atol=1e-14)
        alive = made.next_observation[row, 0] > 0.7 and made.next_observation[row, 1].abs() < 0.2
        assert number(made.terminated[row]) == float(not alive)
    assert torch.equal(made.observation, observation)
    assert torch.equal(made.action, action)


def test_each_row_of_each_step_has_an_elite_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    agent, seen = build(rollouts=4_000), []
    agent.elites.copy_(torch.tensor([3, 1]))
    predict = agent.predict

    def watched(observation: Tensor, action: Tensor, networks: Tensor, noise: Tensor) -> Batch:
        seen.append(networks)
        return predict(observation, action, networks, noise)

    monkeypatch.setattr(agent, "predict", watched)
    agent.imagine(memory(), 2, generator())
    assert all(sorted(networks.unique().tolist()) == [1, 3] for networks in seen)
    for share in ((seen[0] == 3), (seen[1] == 3), (seen[0] == seen[1])):
        assert abs(number(share.double().mean()) - 0.5) < 4 * 0.5 / 4_000**0.5


def test_rollouts_follow_the_policy_and_end_with_their_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that takes one from the height in each step, of a walker that falls at 0.8 and must stay below 2."""
    agent = build(termination="walker2d", rollouts=300, model_every=1, epoch=1)
    replay = Replay(9, OBSERVATION, ACTION)
    for height in (1.4, 2.5, 3.5):
        here = np.array([height, 0.0, height], np.float32)
        replay.add(here, np.zeros(ACTION, np.float32), 0.0, here, False, False)

    def falls(inputs: Tensor, networks: Tensor) -> tuple[Tensor, Tensor]:
        del networks
        change = torch.tensor([0.0, -1.0, 0.0, 0.0]).expand(len(inputs), -1).clone()
        change[:, 0] = inputs[:, -1]  # the reward is the action's last number
        return change, torch.full_like(change, -100.0)

    monkeypatch.setattr(agent.model, "predict", falls)
    agent.imagine(replay, 5, generator())
    made = agent.imagined.parts(agent.imagined.rows)
    columns = made.observation[:, 0], made.next_observation[:, 0], made.terminated
    heights = [
        (round(x, 3), round(y, 3), bool(ended)) for x, y, ended in zip(*map(Tensor.tolist, columns), strict=True)
    ]
    # From 1.4: one step, to 0.4. From 2.5: to 1.5, then to 0.5. From 3.5: to 2.5, which is too high.
    one, two, three = (heights.count(step) for step in ((1.4, 0.4, True), (2.5, 1.5, False), (3.5, 2.5, True)))
    assert one + two + three == 300
    assert min(one, two, three) > 60
    assert heights[300:] == [(1.5, 0.5, True)] * two
    assert torch.equal(made.reward, made.action[:, -1])
    assert made.action.abs().max() < 1
    assert made.action.std() > 0.3
    assert number(agent.rollout_length) == 5


@pytest.mark.parametrize(("batch_size", "share", "real"), [(256, 0.05, 12), (256, 1.0, 256), (5, 0.05, 0)])
def test_a_batch_is_a_whole_number_of_real_transitions_and_then_imagined_ones(
    batch_size: int, share: float, real: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, made = build(batch=batch_size, real_share=share), batch(0.5)
    monkeypatch.setattr(MBPO, "fit_model", lambda *_: None)
    monkeypatch.setattr(MBPO, "imagine", lambda *_: None)
    agent.imagined.add(made._replace(reward=torch.full_like(made.reward, -1.0)), 9)
    drawn, draws = agent.draw_update(memory(), generator())
    assert [part.shape[1:] for part in drawn] == [(3,), (2,), (), (3,), ()]
    assert (drawn.reward >= 0).tolist() == [True] * real + [False] * (batch_size - real)
    assert draws.action.shape == draws.next_action.shape == (batch_size, ACTION)


@pytest.mark.parametrize(("retained", "lengths", "held"), [(1, (1, 1, 1), 24), (2, (1, 1, 1), 36), (1, (1, 2, 2), 48)])
def test_imagined_transitions_are_kept_for_as_long_as_the_official_code_does(
    retained: int, lengths: tuple[int, ...], held: int
) -> None:
    """As many as are imagined in so many epochs, at the present length: twelve rollouts, two fits an epoch."""
    agent = build(retain_epochs=retained)
    for length in lengths:
        agent.imagine(memory(), length, generator())
    assert len(agent.imagined) == held
