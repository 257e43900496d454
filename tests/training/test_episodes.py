"""Replay of whole episodes: sequences lie within one, are drawn as documented, and survive a kill byte for byte."""

import hashlib
import multiprocessing
import os
import signal
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relatent.envs import make
from relatent.specs.errors import RelatentError
from relatent.training import loop
from relatent.training.checkpoint import Checkpoint, GeneratorState
from relatent.training.clock import PhaseClock
from relatent.training.episodes import EpisodeReplay
from relatent.training.record import Record
from relatent.training.seeds import Stream, generator

ACTIONS = 2


def code(episode: int, step: int) -> float:
    """A number that says which observation of which episode it is."""
    return 100.0 * episode + step


def add_episode(replay: EpisodeReplay, episode: int, length: int, lane: int = 0, upto: int | None = None) -> None:
    for step in range(length if upto is None else upto):
        here, following = (np.full(3, code(episode, s), np.float32) for s in (step, step + 1))
        action, last = np.full(ACTIONS, -code(episode, step + 1), np.float32), step == length - 1
        replay.add(here, action, code(episode, step + 1) / 2, following, last and episode % 2 == 1, last, lane=lane)


def filled(lengths: list[int], capacity: int = 1_000) -> EpisodeReplay:
    replay = EpisodeReplay(capacity, (3,), np.float32, ACTIONS)
    for episode, length in enumerate(lengths):
        add_episode(replay, episode, length)
    return replay


def kept(lengths: list[int], capacity: int) -> list[int]:
    """The newest episodes of at most `capacity` steps together."""
    return [number for number in range(len(lengths)) if sum(lengths[number:]) <= capacity]


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    capacity=st.integers(9, 40),
    length=st.integers(1, 10),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=150, deadline=None)
def test_sequences_are_consecutive_arrivals_of_one_of_the_newest_episodes(
    lengths: list[int], capacity: int, length: int, seed: int
) -> None:
    replay, here = filled(lengths, capacity), kept(lengths, capacity)
    assert len(replay) == sum(lengths[number] for number in here)
    if all(lengths[number] + 1 < length for number in here):
        with pytest.raises(RelatentError, match=f"of {len(here)} episodes: none has a sequence of {length} obs"):
            replay.sample_sequences(5, length, torch.Generator().manual_seed(seed))
        return
    drawn = replay.sample_sequences(20, length, torch.Generator().manual_seed(seed))
    assert [tuple(field.shape) for field in drawn] == [(20, length, 3), (20, length, ACTIONS), *[(20, length)] * 3]
    for row in range(20):
        episode, start = divmod(int(drawn.observation[row, 0, 0]), 100)
        assert episode in here
        steps = np.arange(start, start + length)
        assert steps[-1] <= lengths[episode]
        codes = torch.tensor([code(episode, int(step)) for step in steps])
        arrived = torch.from_numpy(steps > 0)  # an episode's first observation follows no action
        assert torch.equal(drawn.observation[row], codes[:, None].expand(length, 3))
        assert torch.equal(drawn.action[row], torch.where(arrived, -codes, 0.0)[:, None].expand(length, ACTIONS))
        assert torch.equal(drawn.reward[row], torch.where(arrived, codes / 2, 0.0))
        assert torch.equal(drawn.first[row], (~arrived).float())
        ended = torch.from_numpy(steps == lengths[episode]) & (episode % 2 == 1)
        assert torch.equal(drawn.terminated[row], ended.float())


def test_episodes_are_equally_likely_whatever_their_length_and_so_are_starts_within_one() -> None:
    lengths, count = [4, 30, 11, 2], 12_000
    drawn = filled(lengths).sample_sequences(count, 5, torch.Generator().manual_seed(0)).observation[:, 0, 0]
    counts: dict[int, int] = {}
    for value in drawn.tolist():
        counts[int(value)] = counts.get(int(value), 0) + 1
    for episode, length in enumerate(lengths[:3]):  # the last is too short
        starts = range(length + 1 - 5 + 1)
        share = 1 / 3 / len(starts)
        for start in starts:
            found = counts.pop(int(code(episode, start)))
            assert abs(found - count * share) < 5 * np.sqrt(count * share * (1 - share))
    assert not counts


def test_an_episode_of_500_steps_has_the_official_starts_0_to_451() -> None:
    replay = EpisodeReplay(1_000, (1,), np.float32, 1)
    for step in range(500):
        replay.add(np.array([step]), np.zeros(1), 0.0, np.array([step + 1]), False, step == 499)
    drawn = replay.sample_sequences(9_000, 50, torch.Generator().manual_seed(0)).observation[:, 0, 0]
    assert sorted(set(drawn.tolist())) == list(range(452))


def test_the_generator_alone_decides_what_is_drawn() -> None:
    replay = filled([8, 3, 9])
    one, same, other = (replay.sample_sequences(50, 3, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.observation, other.observation)


def test_pictures_stay_uint8_and_are_copied() -> None:
    replay, picture = EpisodeReplay(10, (3, 4, 4), np.uint8, 1), np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    following = picture + np.uint8(100)
    replay.add(picture, np.ones(1), 1.0, following, False, False)
    expected = np.stack([picture.copy(), following.copy()])
    last = following + np.uint8(50)
    for array in (picture, following):
        array[:] = 0  # as an environment does that draws into the same memory again
    replay.add(following, np.ones(1), 1.0, last, False, True)
    drawn = replay.sample_sequences(64, 2, torch.Generator().manual_seed(0))
    assert drawn.observation.dtype == torch.uint8
    begun = drawn.first[:, 0] == 1
    assert 0 < begun.sum() < 64
    assert (drawn.observation[begun] == torch.from_numpy(expected)).all()
    assert {field.dtype for field in drawn[1:]} == {torch.float32}


def test_an_episode_that_goes_on_waits_and_lanes_do_not_mix() -> None:
    replay = EpisodeReplay(100, (3,), np.float32, ACTIONS, lanes=2)
    add_episode(replay, 0, 6, lane=0, upto=3)
    assert (len(replay), replay.rows) == (0, 0)
    with pytest.raises(RelatentError, match="replay of 0 episodes"):
        replay.sample_sequences(1, 1, torch.Generator())
    replay = EpisodeReplay(100, (3,), np.float32, ACTIONS, lanes=2)
    for step in range(4):
        for lane in (0, 1):
            here, following = (np.full(3, code(lane, s), np.float32) for s in (step, step + 1))
            replay.add(here, np.zeros(ACTIONS), 0.0, following, False, step == 3, lane=lane)
    assert (len(replay), replay.rows) == (8, 10)
    np.testing.assert_array_equal(replay.chunk(0)["observation"][:, 0], [code(e, s) for e in (0, 1) for s in range(5)])


def test_reach_says_exactly_what_is_here() -> None:
    replay = filled([3, 4, 9], capacity=13)
    assert (replay.rows, replay.reach) == (4 + 5 + 10, 5 + 10)
    assert len(replay.chunk(4)) == 15
    assert len(replay.chunk(0)) == 15
    np.testing.assert_array_equal(replay.chunk(17)["observation"][:, 0], [code(2, 8), code(2, 9)])
    assert len(replay.chunk(19)) == 0


def test_what_it_cannot_hold_is_refused_in_one_line() -> None:
    with pytest.raises(RelatentError, match="replay of 5 steps: an episode has 6, make it larger"):
        filled([6], capacity=5)
    with pytest.raises(RelatentError, match="keeps nothing of an agent's belief"):
        filled([]).add(np.zeros(3), np.zeros(2), 0.0, np.zeros(3), False, False, np.zeros(1))


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    capacity=st.integers(9, 40),
    saves=st.lists(st.booleans(), min_size=12, max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_restored_from_what_was_appended_it_draws_the_same_and_goes_on_the_same(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], capacity: int, saves: list[bool]
) -> None:
    """However the episodes are spread over checkpoints, as long as none is forgotten before it is saved."""
    path = tmp_path_factory.mktemp("replay") / "replay.f32"
    replay, saved, unsaved = EpisodeReplay(capacity, (3,), np.float32, ACTIONS), 0, 0
    with path.open("ab") as file:
        for episode, (length, now) in enumerate(zip(lengths, saves, strict=False)):
            add_episode(replay, episode, length)
            unsaved, ahead = unsaved + length, [*lengths, capacity][episode + 1]
            if now or unsaved + ahead > capacity:
                assert replay.rows - saved <= replay.reach
                file.write(replay.chunk(saved).tobytes())
                saved, unsaved = replay.rows, 0
    assert path.stat().st_size == (sum(lengths) + len(lengths)) * replay.row_bytes
    restored = EpisodeReplay(capacity, (3,), np.float32, ACTIONS)
    restored.restore(path, saved)
    for one in (replay, restored):
        add_episode(one, 50, 5)
    assert (len(restored), restored.rows) == (len(replay), replay.rows)
    assert restored.chunk(0).tobytes() == replay.chunk(0).tobytes()
    ours, theirs = (one.sample_sequences(30, 2, torch.Generator().manual_seed(5)) for one in (restored, replay))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_million_frames_of_pictures_take_less_than_seven_gigabytes() -> None:
    """At action repeat 2: 1000 episodes of 500 steps. Nothing is taken before it is written."""
    tracemalloc.start()
    try:
        replay = EpisodeReplay(500_000, (3, 64, 64), np.uint8, 2)
        assert replay.row_bytes == 3 * 64 * 64 + 2 * 4 + 4 + 2
        assert tracemalloc.get_traced_memory()[0] < 100_000
        picture = np.zeros((3, 64, 64), np.uint8)
        for step in range(500):
            replay.add(picture, np.zeros(2), 0.0, picture, False, step == 499)
        an_episode = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 501 * replay.row_bytes < an_episode < 1.01 * 501 * replay.row_bytes
    assert 1_000 * an_episode < 6.3e9


# Killed


class Sampler:
    """Acts at random and 'learns' by adding up what it draws; ends its process without a word at an update."""

    def __init__(self, killed_at: int | None) -> None:
        self.killed_at = killed_at

    def act(self, _observation: np.ndarray, belief: Any, *, explore: bool, generator: torch.Generator) -> tuple:
        del explore
        return (2 * torch.rand(2, generator=generator) - 1).numpy(), belief

    def keep(self, _belief: Any) -> None:
        return None

    def updates_due(self, _before: int, after: int) -> int:
        self.frames = after
        return int(after > 20 and after % 7 == 0)

    def update(self, replay: EpisodeReplay, generator: torch.Generator) -> dict[str, torch.Tensor]:
        if self.killed_at is not None and self.frames >= self.killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        drawn = replay.sample_sequences(4, 10, generator)
        return {"pixels": drawn.observation.float().sum(), "reward": drawn.reward.sum()}


def go_on(run: Path, killed_at: int | None) -> None:
    """Train from the newest checkpoint, with one after every episode, and save a last one."""
    torch.set_num_threads(1)
    envs = [make({"suite": "corner", "task": "corner"}) for _ in range(2)]
    record, replay = Record(run), EpisodeReplay(100, (3, 16, 16), np.uint8, 2)
    updates = generator(0, Stream.UPDATES)
    parts = {"record": record, "updates": GeneratorState(updates)}
    checkpoint = Checkpoint(run / "checkpoint", parts, replay, 0.0)
    plan = loop.Plan(seed=0, frames=400, random_frames=40, eval_every=200, eval_episodes=1, action_repeat=1)
    agent = Sampler(killed_at)
    loop.train(plan, envs[:1], envs[1], agent, replay, record, checkpoint, updates, PhaseClock())
    drawn = replay.sample_sequences(50, 15, updates)
    sums = [hashlib.sha256(field.numpy().tobytes()).hexdigest() for field in drawn]
    checkpoint.save({"frames": 400})
    series = {name: np.array(values).tolist() for name, values in record.series.items()}
    (run / "end.txt").write_text(repr((sums, record.rows, series, len(replay), replay.rows)))


def killed(run: Path, at: int) -> None:
    child = multiprocessing.get_context("fork").Process(target=go_on, args=(run, at))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


def test_killed_thrice_it_continues_byte_for_byte(tmp_path: Path) -> None:
    """Within an episode, at an episode's end before it was saved, and once replay has forgotten its oldest."""
    go_on(tmp_path / "whole", None)
    for at in (90, 140, 333):
        killed(tmp_path / "pieces", at)
    go_on(tmp_path / "pieces", None)
    whole, pieces = ((tmp_path / name / "checkpoint/replay.f32").read_bytes() for name in ("whole", "pieces"))
    assert pieces == whole
    assert len(whole) == 20 * 21 * EpisodeReplay(1, (3, 16, 16), np.uint8, 2).row_bytes
    assert (tmp_path / "pieces/end.txt").read_text() == (tmp_path / "whole/end.txt").read_text()
