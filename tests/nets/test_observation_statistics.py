"""Running statistics of observations against numpy's, of everything that replay was given."""

import io
from copy import deepcopy

import numpy as np
import pytest
import torch

from relatent.nets.observation_statistics import ObservationStatistics
from relatent.specs.errors import RelatentError
from tests.agents.tiny import waves
from tests.training.specs import filled

SCALES = torch.tensor([0.01, 1.0, 300.0], dtype=torch.float64)
SEEN = 5 * waves((50, 3), 0.4) * SCALES + torch.tensor([2.0, -70.0, 1e4])


@pytest.mark.parametrize("pieces", [(50,), (1, 1, 48), (2, 7, 41), (1,) * 50])
def test_they_are_numpys_however_observations_come(pieces: tuple[int, ...]) -> None:
    statistics = ObservationStatistics(3)
    for part in SEEN.split(pieces):
        statistics.count(part)
    mean, std = SEEN.numpy().mean(0), SEEN.numpy().std(0, ddof=1)
    assert std[0] < 0.1  # so that both limits act
    assert std[2] > 10
    np.testing.assert_allclose(statistics.mean.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(statistics.std.numpy(), [0.1, std[1], 10], rtol=1e-11)
    found = statistics.normalised(SEEN[:4].float())
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), ((SEEN[:4].numpy() - mean) / [0.1, std[1], 10]), rtol=1e-3, atol=1e-3)


def test_two_observations_by_hand() -> None:
    statistics = ObservationStatistics(1)
    observation = torch.tensor([[3.0]])
    assert statistics.normalised(observation).item() == 3.0
    statistics.count(observation)
    assert (statistics.mean.item(), statistics.std.item()) == (3.0, 1.0)
    statistics.count(torch.tensor([[7.0]]))
    assert (statistics.mean.item(), statistics.std.item()) == pytest.approx((5.0, 8**0.5))
    assert statistics.normalised(torch.tensor([[5.0 + 8**0.5]])).item() == pytest.approx(1.0, rel=1e-6)


def test_small_distances_of_many_large_observations_are_not_lost() -> None:
    """Two million of them, a hundred at a time; sums in float32 would miss by several percent."""
    statistics, block = ObservationStatistics(1), 1e3 + waves((100, 1), 0.2)
    for _ in range(20_000):
        statistics.count(block)
    assert statistics.std.item() == pytest.approx(block.std(unbiased=False).item(), rel=1e-6)


def test_every_transition_is_counted_once() -> None:
    """Also those that replay forgets in between, and none of the observations that closed an episode."""
    statistics, lengths = ObservationStatistics(2), [3, 5, 4, 6, 2]
    for episodes in range(1, len(lengths) + 1):
        replay = filled(7, lengths[:episodes])
        statistics.catch_up(replay)
        statistics.catch_up(replay)
        seen = [100 * number + step for number in range(episodes) for step in range(lengths[number])]
        assert statistics.known == len(seen)
        assert statistics.mean.tolist() == pytest.approx([np.mean(seen)] * 2)
        assert statistics.squares.tolist() == pytest.approx([np.var(seen) * len(seen)] * 2)


def test_what_was_forgotten_before_it_was_counted_is_an_error() -> None:
    with pytest.raises(RelatentError, match="replay of 7 transitions: too small"):
        ObservationStatistics(2).catch_up(filled(7, [8]))


def test_they_go_on_from_what_was_saved() -> None:
    first, buffer = ObservationStatistics(3), io.BytesIO()
    first.count(SEEN[:20])
    torch.save(deepcopy(first).state_dict(), buffer)
    buffer.seek(0)
    second = ObservationStatistics(3)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    for statistics in (first, second):
        statistics.count(SEEN[20:])
    assert all(torch.equal(one, other) for one, other in zip(first.buffers(), second.buffers(), strict=True))
    assert second.known == 50
