"""Replay returns the transitions that were added, uniformly, the oldest making room for the newest."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relatent.training.replay import Replay

from .specs import filled


def drawn(replay: Replay, count: int = 4_000) -> dict[tuple[float, float, float], int]:
    """How often each (observation, next observation, reward) was drawn."""
    batch = replay.sample(count, torch.Generator().manual_seed(0))
    keys = zip(
        batch.observation[:, 0].tolist(), batch.next_observation[:, 0].tolist(), batch.reward.tolist(), strict=True
    )
    counts: dict[tuple[float, float, float], int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    return counts


def test_each_transition_is_drawn_equally_often_and_none_crosses_an_episode() -> None:
    counts = drawn(filled(100, [3, 1, 4]))
    expected = {(100.0 * e + s, 100.0 * e + s + 1, 100.0 * e + s) for e, n in enumerate([3, 1, 4]) for s in range(n)}
    assert set(counts) == expected
    # 4000 draws over 8 transitions: a binomial with mean 500 and standard deviation 21
    assert all(abs(count - 500) < 5 * 21 for count in counts.values())


def test_fields_belong_together() -> None:
    batch = filled(100, [5, 5]).sample(200, torch.Generator().manual_seed(1))
    step = batch.reward % 100
    assert torch.equal(batch.action[:, 0], step)
    assert torch.equal(batch.terminated, step % 2)
    assert torch.equal(batch.observation[:, 0], batch.observation[:, 1])
    assert {field.dtype for field in batch} == {torch.float32}


def test_a_step_can_be_drawn_before_its_episode_ends() -> None:
    replay = Replay(10, 1, 1)
    replay.add(np.array([7.0]), np.array([0.5]), 2.0, np.array([8.0]), False, False)
    batch = replay.sample(4, torch.Generator())
    assert batch.observation.tolist() == [[7.0]] * 4
    assert batch.next_observation.tolist() == [[8.0]] * 4


@given(
    capacity=st.integers(1, 12),
    episodes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
)
@settings(max_examples=150, deadline=None)
def test_holds_exactly_the_newest_transitions(capacity: int, episodes: list[int]) -> None:
    everything = [100.0 * e + s for e, n in enumerate(episodes) for s in range(n)]
    replay = filled(capacity, episodes)
    assert len(replay) == min(capacity, len(everything))
    counts = drawn(replay, 600)
    assert {key[0] for key in counts} <= set(everything[-capacity:])
    assert all(after == here + 1 and reward == here for here, after, reward in counts)


@pytest.mark.parametrize("capacity", [3, 8, 100])
def test_restored_from_a_file_it_draws_the_same(capacity: int, tmp_path) -> None:
    original = Replay(capacity, 2, 1)
    path = tmp_path / "replay.f32"
    saved = 0
    source = filled(1_000, [4, 1, 6, 2, 5])
    for episode in range(5):  # append after each episode, as checkpoints do
        original = filled(capacity, [4, 1, 6, 2, 5][: episode + 1])
        with path.open("ab") as file:
            file.write(original.chunk(saved).tobytes())
        saved = original.rows
    assert path.read_bytes() == source.chunk(0).tobytes()
    restored = Replay(capacity, 2, 1)
    restored.restore(path, saved)
    assert (len(restored), restored.rows, restored.transitions) == (len(original), original.rows, original.transitions)
    one, other = (r.sample(500, torch.Generator().manual_seed(5)) for r in (original, restored))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_million_transitions_of_quadruped_take_less_than_their_naive_half() -> None:
    """Rows hold an observation once: 78 + 12 + 3 numbers, against 2 * 78 + 12 + 2 with next observations stored."""
    replay = Replay(1_000_000, 78, 12)
    per_transition = replay.table.shape[1] * replay.table.itemsize
    assert per_transition == (78 + 12 + 3) * 4
    assert 1.001 * 1e6 * per_transition < 0.38e9
