"""A replay of pictures draws what a replay of the same bytes as numbers draws, and keeps them as bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relatent.training.replay import Replay

SHAPE, ACTION, KEPT, CAPACITY = (2, 2, 3), 2, 3, 40
BYTES = 2 * 2 * 3


def replay(pictures: bool, device: str = "cpu", lanes: int = 1) -> Replay:
    return Replay(CAPACITY, SHAPE if pictures else BYTES, ACTION, device, KEPT, lanes)


def steps(lanes: int, count: int) -> list[dict[str, Any]]:
    """Episodes of seven steps in each lane; of pictures no two are alike."""
    draws, made = np.random.default_rng(0), []
    seen = draws.integers(0, 256, (lanes, SHAPE[0], SHAPE[1], SHAPE[2]), np.uint8)
    for number in range(count):
        following = draws.integers(0, 256, seen.shape, np.uint8)
        ended = number % 7 == 6
        for lane in range(lanes):
            numbers = {"action": draws.normal(size=ACTION).astype(np.float32), "reward": float(draws.normal())}
            kept = draws.normal(size=KEPT).astype(np.float32)
            step = {"observation": seen[lane], "next_observation": following[lane], "terminated": ended and lane == 0}
            made.append({**step, **numbers, "kept": kept, "ended": ended, "lane": lane})
        seen = following
    return made


def add(to: Replay, made: list[dict[str, Any]]) -> Replay:
    for one in made:
        seen = {key: one[key].reshape(to.observation_shape) for key in ("observation", "next_observation")}
        to.add(**{**one, **seen})
    return to


def drawn(of: Replay, seed: int) -> list[Tensor]:
    stream = torch.Generator().manual_seed(seed)
    found = [*of.sample(16, stream), *of.sample_segments(16, 3, stream), *of.sample_beginnings(5, stream)]
    return [*found, of.sample_seen(16, 30, stream)]


def assert_alike(pictures: list[Tensor], numbers: list[Tensor]) -> None:
    """Pictures are bytes of their shape and the same numbers; all else is equal."""
    shown = 0
    for picture, number in zip(pictures, numbers, strict=True):
        if picture.dtype == torch.uint8:
            shown += 1
            assert picture.shape[-3:] == SHAPE
            assert torch.equal(picture.flatten(-3).float(), number)
        else:
            assert picture.dtype == torch.float32
            assert torch.equal(picture, number)
    assert shown == 5  # two of a transition, one of segments, of beginnings, and of what was seen


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("device", ["cpu", "cpu:0"], ids=["table", "twin"])
def test_it_draws_the_same_as_of_numbers(lanes: int, device: str) -> None:
    """While it wraps round, episodes go on and lanes wait."""
    pictures, numbers, made = replay(True, device, lanes), replay(False, device, lanes), steps(lanes, 100)
    for number in range(0, len(made), 33):
        add(pictures, made[number : number + 33])
        add(numbers, made[number : number + 33])
        if len(numbers):
            assert_alike(drawn(pictures, number), drawn(numbers, number))
    assert pictures.rows > len(pictures.table)


def test_a_row_is_the_pictures_bytes_and_four_for_each_number() -> None:
    assert replay(True).row_bytes == BYTES + 4 * (ACTION + KEPT + 3)
    assert Replay(3, (6, 64, 64), 2, kept_size=12).row_bytes == 24_576 + 4 * 17


@pytest.mark.parametrize("count", [7, 28, 70])  # whole episodes
def test_a_file_of_its_rows_restores_it(count: int, tmp_path: Path) -> None:
    made, path = steps(1, count), tmp_path / "rows"
    original = add(replay(True), made)
    path.write_bytes(original.chunk(0).tobytes())
    restored = replay(True)
    restored.restore(path, original.rows)
    assert (restored.rows, restored.transitions, restored.begins) == (original.rows, original.transitions, True)
    assert len(restored) == len(original)
    for mine, yours in zip(drawn(original, 1), drawn(restored, 1), strict=True):
        assert torch.equal(mine, yours)
