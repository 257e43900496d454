"""What follows from a run's clock."""

from types import SimpleNamespace
from typing import Any

import pytest

from relatent.figures.derived import pace, split

MANIFEST: dict[str, Any] = {
    "frames": 1000,
    "phase_seconds": {"environment": 10.0, "act": 4.0, "update": 50.0, "evaluation": 99.0},
    "spec": {
        "hyper": {"update_every": 50, "updates": 5, "update_after": 990},
        "training": {"random_frames": 500},
    },
}


def test_a_frames_share_of_updates_is_that_of_a_long_run() -> None:
    """10 s of updates in one of a run's times of updating, of which there is one every 50 frames; and so on."""
    assert split(MANIFEST) == [0.01, 0.008, 1.0]
    later = {**MANIFEST, "spec": {**MANIFEST["spec"], "hyper": {**MANIFEST["spec"]["hyper"], "update_after": 950}}}
    assert split(later)[2] == 0.5  # twice as many updates in the same seconds: at 950 and at 1,000


def test_only_agents_that_update_in_blocks_have_a_pace() -> None:
    who = {"algorithm": "a", "task": "t", "seed": 0, "digest": "d"}
    other = {"frames": 10, "spec": {"hyper": {"updates": 1}}}
    gathered: Any = SimpleNamespace(runs=[{**who, "manifest": MANIFEST}, {**who, "manifest": other}])
    drawing: Any = None
    found = {row["measure"]: row["value"] for row in pace(gathered, drawing)}
    assert found == pytest.approx(
        {
            "environment_milliseconds": 10.0,
            "act_milliseconds": 8.0,
            "update_milliseconds": 1000.0,
            "frames_per_second": 1 / 1.018,
        }
    )
