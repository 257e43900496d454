"""Weights in straight segments, and which spans are one."""

import pytest
import torch

from relatent.objectives.schedules import check_span, fall, two_segments
from relatent.specs.errors import RelatentError


@pytest.mark.parametrize(
    ("updates", "weight"),
    [(0, 0.0), (200_000, 0.05), (400_000, 0.1), (500_000, 0.55), (600_000, 1.0), (900_000, 1.0)],
)
def test_weights_of_the_official_codes_ramp(updates: int, weight: float) -> None:
    assert float(two_segments(torch.tensor(float(updates)), 0.1, 4e5, 6e5)) == pytest.approx(weight)


@pytest.mark.parametrize(
    ("steps", "weight"),
    [
        (0, 1.0),
        (300_000, 1.0),
        (400_000, 6 / 7),
        (650_000, 0.5),
        (999_000, 1 / 700),
        (1_000_000, 0.0),
        (2_000_000, 0.0),
    ],
)
def test_weights_of_the_papers_entropy(steps: int, weight: float) -> None:
    """Table 1: "linearly decayed starting from 3e5 environment steps to 1M steps"."""
    assert float(fall(torch.tensor(float(steps)), 3e5, 1e6)) == pytest.approx(weight, abs=1e-7)


@pytest.mark.parametrize("span", [(1.0,), (1.0, 2.0, 3.0), (2.0, 2.0), (3.0, 2.0), (float("nan"), 2.0)])
def test_a_span_is_two_numbers_that_rise_or_none(span: tuple[float, ...]) -> None:
    with pytest.raises(RelatentError, match=r"^decay: \[.*\], expected \[\] or \[first, last\] with first < last$"):
        check_span("decay", span)
    check_span("decay", ())
    check_span("decay", (0.0, 1.0))
