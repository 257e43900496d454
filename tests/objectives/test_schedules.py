"""A weight in two straight segments."""

import pytest
import torch

from relatent.objectives.schedules import two_segments


@pytest.mark.parametrize(
    ("updates", "weight"),
    [(0, 0.0), (200_000, 0.05), (400_000, 0.1), (500_000, 0.55), (600_000, 1.0), (900_000, 1.0)],
)
def test_weights_of_the_official_codes_ramp(updates: int, weight: float) -> None:
    assert float(two_segments(torch.tensor(float(updates)), 0.1, 4e5, 6e5)) == pytest.approx(weight)
