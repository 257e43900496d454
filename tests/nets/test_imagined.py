"""Which imagined transitions are kept, drawn and saved."""

import io

import pytest
import torch

from relatent.nets.batch import Batch
from relatent.nets.imagined import Imagined


def transitions(first: int, count: int) -> Batch:
    """Of two numbers seen and one done; each field of a transition says which one it is."""
    numbers = torch.arange(first, first + count, dtype=torch.float32)
    seen = torch.stack([numbers, -numbers], dim=-1)
    return Batch(seen, numbers[:, None] / 100, 10 * numbers, seen + 0.5, numbers % 2)


def held(*counts: int, capacity: int) -> Imagined:
    made, first = Imagined(2, 1), 0
    for count in counts:
        made.add(transitions(first, count), capacity)
        first += count
    return made


@pytest.mark.parametrize(
    ("counts", "capacity", "first", "last"),
    [
        ((3,), 5, 0, 2),
        ((3, 2), 5, 0, 4),
        ((3, 2, 1), 5, 1, 5),
        ((3, 4), 5, 2, 6),
        ((2, 9), 5, 6, 10),
        ((5, 5), 5, 5, 9),
    ],
)
def test_the_newest_are_kept(counts: tuple[int, ...], capacity: int, first: int, last: int) -> None:
    made = held(*counts, capacity=capacity)
    assert made.rows[:, 0].tolist() == list(range(first, last + 1))
    assert made.rows.untyped_storage().nbytes() == 4 * made.rows.numel()  # nothing that was forgotten is saved


def test_capacity_may_grow() -> None:
    made = held(4, capacity=4)
    made.add(transitions(4, 3), 6)
    assert made.rows[:, 0].tolist() == [1, 2, 3, 4, 5, 6]


def test_transitions_are_drawn_whole_and_uniformly() -> None:
    drawn = held(8, 2, capacity=10).sample(20_000, torch.Generator().manual_seed(0))
    numbers = drawn.observation[:, 0]
    assert torch.equal(drawn.observation[:, 1], -numbers)
    assert torch.equal(drawn.action[:, 0], numbers / 100)
    assert torch.equal(drawn.reward, 10 * numbers)
    assert torch.equal(drawn.next_observation, drawn.observation + 0.5)
    assert torch.equal(drawn.terminated, numbers % 2)
    counts = numbers.long().bincount(minlength=10)
    assert ((counts - 2_000).abs() < 4 * (20_000 * 0.1 * 0.9) ** 0.5).all()


def test_they_are_saved_however_many_there_are_and_converted() -> None:
    buffer, other = io.BytesIO(), Imagined(2, 1)
    torch.save(held(7, capacity=9).state_dict(), buffer)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(other.rows, held(7, capacity=9).rows)
    assert other.double().rows.dtype == torch.float64
