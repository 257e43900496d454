"""What `relatent bench` measures, and for how long."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from relatent.commands.bench import Effort, beside_peak, loop_shares
from relatent.specs.catalog import Catalog
from tests.specs.toy import ROOT


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

    seconds, peak = beside_peak(work, Effort(7, 0.01, update_seconds, 0))
    assert len(calls) == 2 + rounds  # one asks for memory, one is to see how long it takes
    assert 0.05 <= seconds < 0.06
    assert peak > 0


@pytest.mark.parametrize(("update_seconds", "frames"), [(1e-6, 900), (0.1, 90 + 20), (1e6, 90 + 3)])
def test_a_short_run_makes_as_many_updates_as_there_is_time(
    update_seconds: float, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = []

    def train(spec: dict[str, Any], folder: Path) -> None:
        lengths.append(spec["training"]["frames"])
        (folder / "manifest.json").write_text(
            json.dumps({"phase_seconds": {"update": 3.0, "act": 1.0, "evaluate": 5.0}})
        )

    monkeypatch.setattr("relatent.commands.bench.train", train)
    spec = json.loads(next(job for job in Catalog.load(ROOT).jobs("smoke", "smac_fig4") if job.algorithm == "sac").spec)
    shares = loop_shares(spec, update_seconds, Effort(1, 0.1, 2.0, 900))
    assert lengths == [frames]
    assert (shares["update"], shares["act"]) == (0.75, 0.25)
