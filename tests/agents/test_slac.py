"""SLAC as others run it: when it learns what, the histories that it acts by, saved, stacked, and in the loop."""

import io
import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relatent.agents.slac import SLAC, Given, Noise, Seen, moved_back
from relatent.envs.corner import HORIZON, Corner
from relatent.nets.distributions import Gaussian
from relatent.nets.sequences import Sequences
from relatent.training import loop
from relatent.training.checkpoint import Checkpoint
from relatent.training.clock import PhaseClock
from relatent.training.episodes import EpisodeReplay
from relatent.training.record import Record
from relatent.training.seeds import Stream, generator
from relatent.training.stack import Stack
from tests.agents.checks import assert_learn_as_one
from tests.agents.tiny import number, waves
from tests.agents.tiny_slac import (
    ACTION,
    BATCH,
    FEATURES,
    LENGTH,
    ROWS,
    SIDE,
    build,
    compress,
    filter_noise,
    given,
    memory,
    noise,
    picture,
    precise,
    sequences,
)
from tests.nets.test_learner import assert_identical
from tests.nets.tiny_world import images

# When it learns what


def test_updates_are_one_a_step_and_at_first_those_of_the_model() -> None:
    agent = build(update_after=20, first_updates=3)
    steps = [(0, 2), (18, 20), (20, 22), (22, 24), (24, 26), (30, 30)]
    assert [agent.updates_due(*step) for step in steps] == [0, 0, 4, 1, 1, 0]
    assert [agent.updates_due(*step) for step in [(19, 21), (21, 23)]] == [4, 1]
    assert [build(update_after=0).updates_due(*step) for step in [(0, 2), (2, 4)]] == [4, 1]


def test_the_model_learns_alone_from_smaller_batches_first() -> None:
    agent, replay, stream = build(), memory(), torch.Generator().manual_seed(0)
    phases, sizes = [], []
    for _ in range(5):
        batch, draws = agent.draw_update(replay, stream)
        phases.append(agent.phase())
        sizes.append((len(batch.model.reward), len(batch.acting[0]) if batch.acting else 0, len(draws.filter)))
        assert all(part.shape[1] == ROWS for part in batch.model)
        agent.learn(batch, draws)
    assert phases == [True] * 3 + [False] * 2
    assert sizes == [(2, 0, 2)] * 3 + [(2, BATCH, BATCH)] * 2
    assert agent.updates == 5


@pytest.mark.parametrize("updates", [0, 3])
def test_draws_are_the_generators(updates: int) -> None:
    replay, drawn = memory(), []
    for seed in (0, 0, 1):
        agent = build()
        agent.updates = updates
        torch.manual_seed(seed)
        batch, draws = agent.draw_update(replay, torch.Generator().manual_seed(seed))
        drawn.append([*batch.model, *(batch.acting or ()), *(part for part in draws if isinstance(part, Tensor))])
    assert all(torch.equal(one, other) for one, other in zip(drawn[0], drawn[1], strict=True))
    assert not torch.equal(drawn[0][0], drawn[2][0])
    assert len(drawn[0]) == (5 + 1 if updates == 0 else 5 + 5 + 3)


def test_losses_draw_nothing_and_change_no_input() -> None:
    agent, data, draws = precise(), given(), noise()
    before, kept = torch.get_rng_state(), [part.clone() for part in (*data.model, *data.acting, *draws)]
    assert number(agent.model_loss(data, draws)[0]) == number(agent.model_loss(data, draws)[0])
    agent.updates += 1
    agent.learn(data, draws)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(*pair) for pair in zip((*data.model, *data.acting, *draws), kept, strict=True))


# Histories


def test_sequences_that_begin_an_episode_are_moved_back() -> None:
    begins = torch.tensor([[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    batch = sequences(first=begins)
    found = moved_back(batch, torch.tensor([0, 1, 2, 2]))
    rows = [[0, 1, 2, 3], [0, 0, 1, 2], [0, 0, 0, 1], [0, 1, 2, 3]]
    for name, part in found._asdict().items():
        whole = getattr(batch, name)
        expected = torch.stack([torch.stack([whole[b, row] for row in rows[b]]) for b in range(BATCH)])
        assert torch.equal(part, expected)
        assert part.dtype == whole.dtype
    assert torch.equal(found.first, torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]).double())


def test_every_transition_of_an_episode_is_learnt_from() -> None:
    """Episodes of 7 steps: a sequence of 3 begins at any of 5 rows. The first three transitions come from the first of
    these, equally often, the others from one each."""
    agent, replay = build(batch=4000), memory()
    agent.updates = 3
    batch, _ = agent.draw_update(replay, torch.Generator().manual_seed(0))
    acting: Sequences = batch.acting
    arrived = (acting.reward[:, -1] % 100).long()
    counts = torch.bincount(arrived, minlength=8).double() / 4000
    expected = torch.tensor([0, *[1 / 15] * 3, *[1 / 5] * 4], dtype=torch.float64)
    # Four thousand draws: a deviation of 0.006 at most.
    torch.testing.assert_close(counts, expected, rtol=0, atol=0.025)
    # Numbers say where a row is from: nothing of another episode, and rows before the first are the first.
    step, episode = (acting.observation[:, :, colour, 0, 0].long() for colour in (1, 0))
    wanted = (arrived[:, None] - LENGTH + torch.arange(ROWS)).clamp(min=0)
    assert torch.equal(step, wanted)
    assert torch.equal(episode, (acting.reward[:, -1] // 100).long()[:, None].expand(-1, ROWS))
    assert torch.equal(acting.first.bool(), wanted == 0)
    assert torch.equal(acting.action[..., 0].long(), torch.where(wanted == 0, 0, 100 * episode + wanted))
    # The model's are as they were.
    model: Sequences = batch.model
    assert (model.observation[:, :, 1, 0, 0].long().diff(dim=1) == 1).all()


def acted(agent: SLAC, pictures: Tensor, explore: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Along an episode: actions, and the histories that the actor was given."""
    asked: list[Tensor] = []
    hook = agent.actor.register_forward_hook(lambda _, inputs, __: asked.append(inputs[0]))
    belief, actions = None, []
    for seen, draws in zip(pictures, explore, strict=True):
        action, belief = agent.choose(seen, belief, draws)
        actions.append(action)
    hook.remove()
    return actions, asked


def test_it_acts_by_the_histories_that_it_learns_from() -> None:
    """An episode that it acted in, replayed: at every step the actor is given the same numbers, the first steps too,
    whose history is filled with the first picture."""
    agent, steps = precise(), 6
    pictures = images((steps + 1,), SIDE, 0.9)
    with torch.no_grad():
        actions, histories = acted(agent, pictures, waves((steps + 1, ACTION), 0.2))
    for step in range(steps):
        rows = torch.arange(step + 1 - LENGTH, step + 2)
        led = torch.stack([actions[row - 1] if row > 0 else torch.zeros(ACTION).double() for row in rows.tolist()])
        first = (rows <= 0).double()
        batch = Sequences(pictures[rows.clamp(min=0)], led, torch.zeros(ROWS), torch.zeros(ROWS), first)
        learnt = agent.transitions(Sequences(*(part[None] for part in batch)), filter_noise(rows=1))
        torch.testing.assert_close(learnt.observation.history[0], histories[step], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(learnt.next_observation.history[0], histories[step + 1], rtol=1e-10, atol=1e-12)
        assert torch.equal(learnt.action[0], actions[step])


def test_the_first_decisions_in_numbers() -> None:
    """Features of the first picture, as often as there are none before it, and zeros for actions."""
    agent = precise()
    pictures = images((3,), SIDE, 0.9)
    with torch.no_grad():
        actions, histories = acted(agent, pictures, waves((3, ACTION), 0.2))
    one, two, three = (torch.from_numpy(compress(agent.model.compress, seen.numpy())) for seen in pictures)
    zero = torch.zeros(ACTION).double()
    expected = [
        torch.cat([one, one, one, zero, zero]),
        torch.cat([one, one, two, zero, actions[0]]),
        torch.cat([one, two, three, actions[0], actions[1]]),
    ]
    for mine, yours in zip(histories, expected, strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-10, atol=1e-12)


def test_actions_are_samples_and_tanh_of_the_mean_where_it_is_judged() -> None:
    agent = build()
    seen = images((), SIDE, 0.4).numpy()
    draws = agent.draw_action_noise(True, torch.Generator().manual_seed(3))
    assert draws.shape == (ACTION,)
    assert not agent.draw_action_noise(False, torch.Generator()).any()
    judged, belief = agent.act(seen, None, False, torch.Generator().manual_seed(0))
    law = agent.policy(Seen(torch.cat([belief.features.flatten(), torch.zeros((LENGTH - 1) * ACTION)]), None))  # type: ignore[arg-type]
    assert isinstance(law, Gaussian)
    np.testing.assert_allclose(judged, torch.tanh(law.mean).detach().numpy(), rtol=1e-6)
    explored, _ = agent.act(seen, None, True, torch.Generator().manual_seed(3))
    expected = torch.tanh(law.mean + law.log_std.exp() * draws).detach().numpy()
    np.testing.assert_allclose(explored, expected, rtol=1e-6)
    assert explored.dtype == np.float32
    assert np.abs(belief.actions[-1].numpy() - judged).max() == 0
    assert belief.features.shape == (LENGTH, FEATURES)
    assert belief.actions.shape == (LENGTH - 1, ACTION)


def test_features_stay_those_of_the_model_that_saw() -> None:
    """Of pictures before an update; those of later ones are the new model's."""
    agent, pictures = precise(), images((2,), SIDE, 0.9)
    with torch.no_grad():
        old = agent.model.compress(pictures)
        _, belief = agent.choose(pictures[0], None, torch.zeros(ACTION).double())
        for parameter in agent.model.compress.parameters():
            parameter.mul_(1.1)
        _, belief = agent.choose(pictures[1], belief, torch.zeros(ACTION).double())
        torch.testing.assert_close(belief.features[-2], old[0], rtol=1e-12, atol=0)
        torch.testing.assert_close(belief.features[-1], agent.model.compress(pictures[1]), rtol=1e-12, atol=0)
        assert (belief.features[-1] - old[1]).abs().max() > 1e-3


def test_acting_changes_nothing() -> None:
    agent = build()
    before, belief = deepcopy(agent), None
    for step, explore in enumerate((True, False, True)):
        _, belief = agent.act(picture(1, step), belief, explore, torch.Generator().manual_seed(0))
    assert_identical(agent, before)


# Saved, stacked


def test_a_saved_agent_goes_on_bit_for_bit() -> None:
    """From the midst of the updates of the model alone."""
    replay, buffer = memory(), io.BytesIO()

    def updated(agent: SLAC, numbers: range) -> SLAC:
        for index in numbers:
            agent.update(replay, torch.Generator().manual_seed(index))
        return agent

    torch.manual_seed(7)
    first = build()
    whole = updated(deepcopy(first), range(6))
    torch.save(updated(first, range(2)).state_dict(), buffer)
    buffer.seek(0)
    second = build()
    second.load_state_dict(torch.load(buffer, weights_only=True))
    assert_identical(first, second)
    assert_identical(whole, updated(second, range(2, 6)))


def drawn(update: int, seed: int) -> tuple[Given, Noise]:
    phase = 0.5 + update + 10 * seed
    data, draws = given(phase), noise(phase + 0.2)
    return data, draws


def test_seeds_learn_and_act_as_one_as_they_do_alone() -> None:
    alone = [precise(phase) for phase in (0.0, 4.0)]
    stack = Stack(deepcopy(alone))
    assert_learn_as_one(alone, stack, drawn, 1e-7, 1e-9)
    beliefs: list[Any] = [None, None]
    for step in range(3):
        seen = [images((), SIDE, phase + step) for phase in (0.1, 0.9)]
        draws = [waves((ACTION,), phase + step) for phase in (0.3, 0.7)]
        with torch.no_grad():
            expected = [agent.choose(*one) for agent, *one in zip(alone, seen, beliefs, draws, strict=True)]
        chosen = stack.choose(seen, beliefs, draws)
        for left, right in zip(expected, chosen, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-8)
        beliefs = [belief for _, belief in expected]


def test_seeds_models_learn_alone_as_one() -> None:
    alone = [precise(phase, first_updates=1000) for phase in (0.0, 4.0)]
    for agent in alone:
        agent.updates = 0

    def data(update: int, seed: int) -> tuple[Given, Noise]:
        both, draws = drawn(update, seed)
        return Given(both.model), Noise(draws.filter[:2])

    assert_learn_as_one(alone, Stack(deepcopy(alone)), data, 1e-7, 1e-9)


def test_it_runs_in_the_loop(tmp_path: Path) -> None:
    """Two episodes at random, then the model's updates at the first step of the third, and one at each of its steps."""
    agent = build(update_after=2 * HORIZON)
    plan = loop.Plan(seed=1, frames=3 * HORIZON, random_frames=40, eval_every=60, eval_episodes=1, action_repeat=1)
    replay, record = EpisodeReplay(60, (3, SIDE, SIDE), np.uint8, ACTION), Record(tmp_path)
    checkpoint = Checkpoint(tmp_path / "checkpoint", {}, replay, math.inf)
    parts = (replay, record, checkpoint, generator(1, Stream.UPDATES), PhaseClock())
    loop.train(plan, [Corner()], Corner(), agent, *parts)
    assert agent.updates == record.updates == agent.hyper.first_updates + HORIZON
    assert [row[:2] for row in record.rows] == [
        ["eval", 0],
        *[["train", 20 * n] for n in (1, 2)],
        ["eval", 60],
        ["train", 60],
    ]
