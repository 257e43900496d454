"""A table's twin on another device gives the batches that the table gives."""

import numpy as np
import torch

from relatent.training.replay import Replay

CAPACITY, ROUNDS = 50, 40


def test_a_twin_gives_the_same_batches_while_rows_come_and_go() -> None:
    """`cpu:0` is a device of its own name, so that the twin is really used; the table wraps round many times."""
    replays = Replay(CAPACITY, 3, 2), Replay(CAPACITY, 3, 2, device="cpu:0")
    assert replays[0].twin is None
    assert replays[1].twin is not None
    draws, step = np.random.default_rng(0), 0
    for round_number in range(ROUNDS):
        for _ in range(draws.integers(1, 2 * CAPACITY)):
            x, following, action = (draws.normal(size=size).astype(np.float32) for size in (3, 3, 2))
            ended = bool(draws.random() < 0.1)
            for replay in replays:
                replay.add(x, action, float(step), following, ended, ended)
            step += 1
        plain, twin = (replay.sample(16, torch.Generator().manual_seed(round_number)) for replay in replays)
        for mine, yours in zip(plain, twin, strict=True):
            assert torch.equal(mine, yours)
