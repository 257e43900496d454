import json
from pathlib import Path

import pytest

from relatent.commands.progress import RunState, duration, expect, look
from tests.commands.jobs import job


def states(*rows: tuple[str, str, float, float | None]) -> list[RunState]:
    return [RunState(str(number), kind, state, part, secs) for number, (kind, state, part, secs) in enumerate(rows)]


@pytest.mark.parametrize(
    ("rows", "cores", "left"),
    [
        ([("a", "done", 1, 10), ("a", "waiting", 0, None)], 1, 10),
        # half of the second run is there, the third not begun: 5 + 10 seconds of work
        ([("a", "done", 1, 10), ("a", "running", 0.5, 5), ("a", "waiting", 0, None)], 1, 15),
        # on two cores the longest run decides
        ([("a", "done", 1, 10), ("a", "running", 0.5, 5), ("a", "waiting", 0, None)], 2, 10),
        # cores that have nothing to do shorten nothing
        ([("a", "done", 1, 10), ("a", "waiting", 0, None)], 8, 10),
        # a kind never seen lasts as long as the mean of the others: 40
        ([("a", "done", 1, 20), ("b", "done", 1, 60), ("c", "waiting", 0, None)], 1, 40),
        # the rate of a kind is all its seconds over all its parts: 30 s for 1.5 runs
        ([("a", "done", 1, 18), ("a", "running", 0.5, 12)], 1, 10),
        # a run that has hardly begun says nothing yet
        ([("a", "running", 0.01, 5)], 1, None),
        ([("a", "waiting", 0, None)], 1, None),
        ([("a", "done", 1, 10)], 1, 0),
        ([], 1, 0),
    ],
)
def test_time_left(rows: list[tuple[str, str, float, float | None]], cores: int, left: float | None) -> None:
    assert expect(states(*rows), cores).seconds_left == left


def test_line_counts_runs() -> None:
    rows = [("a", "done", 1, 60), ("a", "running", 0.5, 30), ("a", "stopped", 0.5, 30), ("a", "waiting", 0, None)]
    progress = expect(states(*rows), 1)
    assert progress.line() == "1 of 4 runs done, 1 running, 2 left, about 2 min to go"
    assert progress.fraction == 0.5


def test_states_come_from_the_run_folder(tmp_path: Path) -> None:
    one = job()
    folder = tmp_path / one.run
    folder.mkdir(parents=True)
    assert look(tmp_path, one).state == "waiting"

    report = {"frames": 25, "of": 100, "updates": 3, "seconds": 4.0, "updated": 1000.0}
    (folder / "progress.json").write_text(json.dumps(report))
    assert look(tmp_path, one, now=1001.0) == RunState(one.run, "smoke/toy/sac", "running", 0.25, 4.0)
    assert look(tmp_path, one, now=1999.0).state == "stopped"

    (folder / "progress.json").write_text('{"frames":')
    assert look(tmp_path, one).state == "waiting"

    (folder / "manifest.json").write_text(json.dumps({"phase_seconds": {"update": 5.0, "act": 1.5}}))
    (folder / "returns.csv").write_text("phase\n")
    assert look(tmp_path, one) == RunState(one.run, "smoke/toy/sac", "done", 1.0, 6.5)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (99, "99 s"), (100, "2 min"), (3600, "60 min"), (7200, "2.0 h"), (864000, "10.0 days")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
