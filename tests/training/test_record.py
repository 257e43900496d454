"""metrics.csv, which agents that begin in stages give new columns, and whose rows outlive what they tell of."""

import csv
import itertools
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from relatent.training import record as recording
from relatent.training import train as training
from relatent.training.record import Record, append
from tests.training.specs import stop_at
from tests.training.test_continuation import spec


def test_a_table_gains_columns_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    for row in ({"a": 1}, {"a": 2}, {"a": 3, "b": 4}, {"b": 5, "a": 6}, {"a": 7}):
        append(path, row)
    assert path.read_text().split() == ["a,b", "1,", "2,", "3,4", "6,5", "7,"]


def metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("checkpoint_seconds", [0.0, 1e9], ids=["from its checkpoint", "from frame 0"])
def test_a_run_that_goes_on_has_no_metrics_of_what_was_lost(
    checkpoint_seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()  # a second passes whenever somebody looks
    monkeypatch.setattr(recording, "METRICS_EVERY", 10)
    monkeypatch.setattr(recording, "time", SimpleNamespace(monotonic=lambda: float(next(ticks)), time=time.time))
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    training.train(spec("sac"), whole, checkpoint_seconds)
    for frames in (101, 157):
        stop_at(frames, monkeypatch)
        with pytest.raises(training.Interrupted):
            training.train(spec("sac"), pieces, checkpoint_seconds)
        assert len(metrics(pieces)) > 3
    training.train(spec("sac"), pieces, checkpoint_seconds)
    rows, undisturbed = metrics(pieces), metrics(whole)
    for column in ("frames", "seconds"):
        values = [float(row[column]) for row in rows]
        assert all(before < after for before, after in itertools.pairwise(values)), column
    assert [{**row, "seconds": ""} for row in rows] == [{**row, "seconds": ""} for row in undisturbed]


def test_a_row_that_was_half_written_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "frames,updates,seconds,loss\n10,1,0.5,2.0\n20,11,1.5,1.0\n30,2\n30,21,2.5,1.0,1.0\n"
    )
    record = Record(tmp_path)
    record.updates = 40
    record.take_up_metrics()
    assert (tmp_path / "metrics.csv").read_text().split() == [
        "frames,updates,seconds,loss",
        "10,1,0.5,2.0",
        "20,11,1.5,1.0",
    ]


@pytest.mark.parametrize("damage", [b"30,\xc2\xb2,2.5,1.0\n", b"30,21,\xff\xff,1.0\n", b"\0\0\0\0"])
def test_a_damaged_table_stops_no_run(damage: bytes, tmp_path: Path) -> None:
    """It is for people only."""
    path = tmp_path / "metrics.csv"
    path.write_bytes(b"frames,updates,seconds,loss\n10,1,0.5,2.0\n" + damage)
    record = Record(tmp_path)
    record.updates = 1
    record.take_up_metrics()
    assert path.read_text().split() == ["frames,updates,seconds,loss", "10,1,0.5,2.0"]
