"""What a study is given, kept in memory."""

from typing import Any

import numpy as np


class FakeRecord:
    def __init__(self) -> None:
        self.rows: list[tuple[str, int, int, float]] = []
        self.kept: dict[str, np.ndarray] = {}
        self.reported: list[tuple[int, int]] = []

    def episode(self, phase: str, frames: int, episode: int, return_: float, success: bool | None = None) -> None:
        assert success is None
        self.rows.append((phase, frames, episode, return_))

    def arrays(self, **arrays: Any) -> None:
        self.kept.update(arrays)

    def progress(self, done: int, total: int) -> None:
        self.reported.append((done, total))
