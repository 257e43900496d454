"""Segments, lanes and what was seen: every place that could be drawn, against lists of what was added."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relatent.specs.errors import RelatentError
from relatent.training import replay as module
from relatent.training.replay import Replay

LENGTH = 3
HISTORIES = [[1], [4], [2, 1, 5], [3, 1, 4, 1, 5, 9, 2], [1, 1, 1, 1, 1, 1, 1], [20], [6, 5, 4, 3, 2, 1]]
CAPACITIES = [1, 3, 7, 100]


def step(episode: int, number: int, ended: bool) -> dict[str, Any]:
    """Numbers that say which step of which episode they belong to; every third episode ends in a terminal state."""
    code = 100.0 * episode + number
    return {
        "observation": np.array([code, -code], np.float32),
        "action": np.array([code + 0.25], np.float32),
        "reward": code + 0.5,
        "next_observation": np.array([code + 1, -code - 1], np.float32),
        "terminated": ended and episode % 3 == 0,
        "ended": ended,
        "kept": np.array([episode, 0.5, -episode], np.float32),
    }


def history(lengths: list[int], open_steps: int = 0) -> list[dict[str, Any]]:
    """All steps of episodes of these lengths, and those of one more that goes on."""
    steps = [step(e, n, n == length - 1) for e, length in enumerate(lengths) for n in range(length)]
    return steps + [step(len(lengths), n, False) for n in range(open_steps)]


def filled(capacity: int, steps: list[dict[str, Any]], device: str = "cpu") -> Replay:
    made = Replay(capacity, 2, 1, device, kept_size=3)
    for one in steps:
        made.add(**one)
    return made


@pytest.fixture
def every_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws are all places in their order instead of random ones."""

    def places(high: int, size: tuple[int, ...], **_: Any) -> torch.Tensor:
        return torch.arange(size[0]) % high

    monkeypatch.setattr(module.torch, "randint", places)


def check(replay: Replay, steps: list[dict[str, Any]], order: list[int] | None = None) -> None:
    """Each of the newest `capacity` steps begins one segment of `length` steps; `order` of the table's places."""
    for length in (1, LENGTH, 6):
        segments = replay.sample_segments(len(replay), length, torch.Generator())
        begun = [round(float(code)) for code in segments.observation[:, 0, 0]]
        codes = {round(float(one["observation"][0])): place for place, one in enumerate(steps)}
        assert sorted(begun) == sorted(list(codes)[-replay.capacity :])
        for row, code in enumerate(begun):
            place, ended = codes[code], False
            for ahead in range(length):
                inside = not ended and place + ahead < len(steps)
                assert float(segments.mask[row, ahead]) == inside
                if not inside:
                    continue
                one = steps[place + ahead]
                ended = one["ended"]
                assert segments.observation[row, ahead].tolist() == one["observation"].tolist()
                assert segments.observation[row, ahead + 1].tolist() == one["next_observation"].tolist()
                assert segments.action[row, ahead].tolist() == one["action"].tolist()
                assert float(segments.reward[row, ahead]) == one["reward"]
                assert bool(segments.terminated[row, ahead]) == one["terminated"]
                assert segments.kept[row].tolist() == one["kept"].tolist()
    assert {field.dtype for field in segments} == {torch.float32}
    assert order is None or begun == order


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])  # the latter has a twin of the table, as a GPU has
@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("lengths", HISTORIES, ids=str)
@pytest.mark.parametrize("open_steps", [0, 2])
@pytest.mark.usefixtures("every_place")
def test_every_segment_is_the_run_of_steps_that_was_added(
    lengths: list[int], capacity: int, open_steps: int, device: str
) -> None:
    """Sampled after each step, so that the table's rows are overwritten between samples; of an episode that goes on,
    too."""
    steps = history(lengths, open_steps)
    replay = Replay(capacity, 2, 1, device, kept_size=3)
    for number, one in enumerate(steps, 1):
        replay.add(**one)
        if number % 5 == 0 or number == len(steps):
            check(replay, steps[:number])


def test_first_steps_are_drawn_uniformly_with_replacement() -> None:
    replay = filled(8, history([3, 1, 4, 5]))
    begun = replay.sample_segments(8_000, LENGTH, torch.Generator().manual_seed(0)).observation[:, 0, 0]
    values, counts = begun.unique(return_counts=True)
    assert values.tolist() == [201, 202, 203, 300, 301, 302, 303, 304]
    assert ((counts - 1_000).abs() < 5 * (8_000 / 8 * 7 / 8) ** 0.5).all()
    single, pair = (replay.sample_segments(16, n, torch.Generator().manual_seed(1)) for n in (1, 2))
    alone = replay.sample(16, torch.Generator().manual_seed(1))
    assert torch.equal(single.observation[:, 0], pair.observation[:, 0])
    assert torch.equal(single.observation[:, 0], alone.observation)
    assert torch.equal(single.observation[:, 1], alone.next_observation)


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_what_memory_held_before_reaches_no_loss(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were never written lie beyond the newest one. A mask of 0 does not remove a NaN."""
    empty, torch_empty = np.empty, torch.empty

    def dirty(shape: Any, dtype: Any = float) -> np.ndarray:
        made = empty(shape, dtype)
        made[...] = np.nan if np.issubdtype(made.dtype, np.floating) else 0
        return made

    def torch_dirty(*arguments: Any, **settings: Any) -> torch.Tensor:
        made = torch_empty(*arguments, **settings)
        return made.fill_(torch.nan) if made.is_floating_point() else made

    monkeypatch.setattr(module.np, "empty", dirty)
    monkeypatch.setattr(module.torch, "empty", torch_dirty)
    replay = filled(20, history([4, 2]), device)
    segments = replay.sample_segments(200, LENGTH, torch.Generator().manual_seed(0))
    assert all(field.isfinite().all() for field in segments)


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("lengths", HISTORIES, ids=str)
@pytest.mark.usefixtures("every_place")
def test_restored_from_a_file_it_has_the_same_segments(lengths: list[int], capacity: int, tmp_path: Path) -> None:
    """At the same places, so that the same draws find them."""
    whole = filled(1_000, history(lengths))
    path = tmp_path / "replay.f32"
    path.write_bytes(whole.chunk(0).tobytes())
    original, restored = filled(capacity, history(lengths)), Replay(capacity, 2, 1, kept_size=3)
    restored.restore(path, whole.rows)
    assert (restored.rows, restored.transitions, restored.seen) == (original.rows, original.transitions, original.seen)
    places = original.sample_segments(len(original), 1, torch.Generator()).observation[:, 0, 0]
    check(restored, history(lengths), [round(code) for code in places.tolist()])
    newest = [replay.sample_seen(len(replay), 5, torch.Generator()) for replay in (original, restored)]
    assert torch.equal(*newest)


# Lanes


def side_by_side(
    capacity: int, rounds: int, lanes: int, length: int, part: int = 0
) -> tuple[Replay, list[dict[str, Any]]]:
    """So many rounds of an episode in each lane, stepped in turn, and `part` steps of another; and all complete steps
    in the order of lanes."""
    replay, complete = Replay(capacity, 2, 1, kept_size=3, lanes=lanes), []
    for number in range(rounds + (part > 0)):
        episodes = [[step(number * lanes + lane, n, n == length - 1) for n in range(length)] for lane in range(lanes)]
        for n in range(length if number < rounds else part):
            for lane, episode in enumerate(episodes):
                assert lanes == 1 or len(replay) == min(capacity, len(complete))
                replay.add(**episode[n], lane=lane)
        complete += [one for episode in episodes for one in episode] if number < rounds else []
    return replay, complete


@pytest.mark.parametrize("capacity", [3, 14, 100])
@pytest.mark.parametrize(
    ("rounds", "lanes", "length", "part"), [(3, 2, 4, 0), (2, 3, 5, 2), (4, 5, 1, 0), (1, 2, 3, 1)]
)
@pytest.mark.usefixtures("every_place")
def test_lanes_enter_when_all_their_episodes_have_ended(
    capacity: int, rounds: int, lanes: int, length: int, part: int
) -> None:
    """Then one after the other, whole. Steps of episodes that still go on are in no segment."""
    replay, complete = side_by_side(capacity, rounds, lanes, length, part)
    assert replay.transitions == rounds * lanes * length
    check(replay, complete)


@pytest.mark.parametrize("newest", [1, 2, 5, 8, 11, 100])
@pytest.mark.parametrize("capacity", [4, 100])
@pytest.mark.parametrize(("lanes", "part"), [(1, 0), (1, 2), (2, 0), (2, 1), (3, 2)])
@pytest.mark.usefixtures("every_place")
def test_what_was_seen_is_a_window_of_the_newest(newest: int, capacity: int, lanes: int, part: int) -> None:
    """In the order of the table, then of time: what an action was taken at, of episodes that go on too; each once."""
    replay, complete = side_by_side(capacity, 2, lanes, 3, part)
    going_on = [step(2 * lanes + lane, n, False)["observation"][0] for n in range(part) for lane in range(lanes)]
    ended = [one["observation"][0] for one in complete]
    stored = [*ended, *going_on][-capacity:] if lanes == 1 else [*ended[-capacity:], *going_on]
    assert replay.seen == len(stored)
    expected = stored[-newest:]
    found = replay.sample_seen(len(expected), newest, torch.Generator())
    assert found.shape == (len(expected), 2)
    assert found[:, 0].tolist() == expected
    assert found[:, 1].tolist() == [-code for code in expected]


def test_what_was_seen_is_drawn_uniformly() -> None:
    replay, _ = side_by_side(100, 1, 2, 3, 2)
    found, counts = replay.sample_seen(8_000, 8, torch.Generator().manual_seed(0))[:, 0].unique(return_counts=True)
    assert len(found) == 8
    assert ((counts - 1_000).abs() < 5 * (8_000 / 8 * 7 / 8) ** 0.5).all()


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_step_is_stored_as_it_was_when_it_was_added(lanes: int) -> None:
    """An environment may write its next observation where the last one was."""
    replay = Replay(100, 2, 1, kept_size=3, lanes=lanes)
    arrays = ("observation", "action", "next_observation", "kept")
    shared = {key: np.zeros_like(step(0, 0, False)[key]) for key in arrays}
    for number in range(2):
        for lane in range(lanes):
            one = step(lane, number, number == 1)
            for key, array in shared.items():
                array[:] = one[key]
            replay.add(**{**one, **shared}, lane=lane)
    for array in shared.values():
        array[:] = 77
    segments = replay.sample_segments(100, 1, torch.Generator().manual_seed(0))
    assert set(segments.observation[:, 0, 0].tolist()) == {100.0 * lane + n for lane in range(lanes) for n in range(2)}
    assert set(segments.kept[:, 0].tolist()) == set(map(float, range(lanes)))
    assert not (segments.action == 77).any()


def test_beginnings_are_the_first_steps_of_episodes_that_are_still_whole(tmp_path: Path) -> None:
    """Of episodes whose first step has been overwritten there is none; a restored replay knows the others again."""
    memory = Replay(20, 2, 1, kept_size=1)
    step_of = []
    while memory.transitions < 50:
        episode, length = len(step_of), 3 + len(step_of) % 4
        step_of.append(memory.transitions)
        for step in range(length):
            here, following = np.array([episode, step], np.float32), np.array([episode, step + 1], np.float32)
            memory.add(here, np.zeros(1), 0.0, following, False, step == length - 1, np.array([7.0 + episode]))
    (tmp_path / "rows").write_bytes(b"")
    kept = [episode for episode, start in enumerate(step_of) if start >= memory.transitions - 20]
    assert 1 < len(kept) < len(step_of)
    for _ in range(2):
        drawn = memory.sample_beginnings(300, torch.Generator().manual_seed(0))
        assert drawn.observation.shape == (300, 2, 2)
        assert drawn.observation[:, 0].unique(dim=0).tolist() == [[episode, 0] for episode in kept]
        assert torch.equal(drawn.kept[:, 0], 7 + drawn.observation[:, 0, 0])
        assert drawn.mask.unique().tolist() == [1]
        rows = [np.concatenate([memory.chunk(0)])]
        first = memory.rows - len(rows[0])
        whole = np.zeros((memory.rows, memory.table.shape[1]), np.float32)
        whole[first:] = rows[0]
        (tmp_path / "rows").write_bytes(whole.tobytes())
        restored = Replay(20, 2, 1, kept_size=1)
        restored.restore(tmp_path / "rows", memory.rows)
        memory = restored


def test_a_replay_shorter_than_an_episode_says_so() -> None:
    memory = Replay(3, 2, 1)
    for number in range(5):
        memory.add(np.zeros(2), np.zeros(1), 0.0, np.zeros(2), False, number == 4)
    with pytest.raises(RelatentError, match="no episode's first step is left"):
        memory.sample_beginnings(2, torch.Generator())


# Whole segments


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_whole_segments_begin_wherever_no_end_cuts_them_each_place_as_often(length: int, device: str) -> None:
    lengths, open_steps = [3, 1, 4, 5], 2
    replay = filled(100, history(lengths, open_steps), device)
    segments = replay.sample_whole_segments(12_000, length, torch.Generator().manual_seed(0))
    assert (segments.mask == 1).all()
    assert segments.mask.shape == (12_000, length)
    whole = [100 * e + n for e, steps in enumerate([*lengths, open_steps]) for n in range(steps - length + 1)]
    values, counts = segments.observation[:, 0, 0].unique(return_counts=True)
    assert values.tolist() == whole
    share = 1 / len(whole)
    assert ((counts - 12_000 * share).abs() < 5 * (12_000 * share * (1 - share)) ** 0.5).all()
    steps = torch.arange(length + 1)
    assert torch.equal(segments.observation[:, :, 0], segments.observation[:, :1, 0] + steps)
    assert torch.equal(segments.reward, segments.observation[:, :-1, 0] + 0.5)


def test_whole_segments_that_there_are_none_of_are_refused() -> None:
    replay = filled(100, history([2, 1, 2]))
    with pytest.raises(RelatentError, match="replay of 5 transitions: hardly an episode lasts 3 steps"):
        replay.sample_whole_segments(4, 3, torch.Generator().manual_seed(0))
