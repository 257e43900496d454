"""What `relatent bench` measures, and for how long."""

import time

import pytest

from relatent.commands.bench import Effort, beside_peak


@pytest.mark.parametrize(("update_seconds", "rounds"), [(0.0, 3), (0.25, 5), (60.0, 7)])
def test_what_takes_long_is_measured_three_times_or_as_often_as_there_is_time(
    update_seconds: float, rounds: int
) -> None:
    calls = []

    def work() -> None:
        began = time.process_time()
        while time.process_time() < began + 0.05:
            pass
        calls.append(began)

    seconds, peak = beside_peak(work, 1, Effort(7, 0.01, update_seconds, 0, 0.0))
    assert len(calls) == 2 + rounds  # one asks for memory, one is to see how long it takes
    assert 0.05 <= seconds < 0.06
    assert peak > 0


def test_every_round_has_its_share_of_longer_updates() -> None:
    calls = []

    def work() -> None:
        calls.append(0)
        began = time.process_time()
        while time.process_time() < began + (0.06 if len(calls) % 2 else 0.02):
            pass

    seconds, _ = beside_peak(work, 2, Effort(5, 0.01, 60.0, 0, 0.0))
    assert len(calls) == 4 + 5 * 2
    assert 0.04 <= seconds < 0.05
