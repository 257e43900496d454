"""The Q-function marginalised over latent states."""

import math

import pytest
import torch

from relatent.objectives.marginal_q import marginal_q

from .linear_gaussian import standard_error


def test_value() -> None:
    assert float(marginal_q(torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64))) == pytest.approx(3.0712337, abs=1e-7)


def test_one_particle_is_itself() -> None:
    values = torch.tensor([[-3.0], [2.5]])
    assert torch.equal(marginal_q(values), values[:, 0])


def test_between_mean_and_maximum() -> None:
    values = 3 * torch.randn((1000, 16), generator=torch.Generator().manual_seed(0))
    marginal = marginal_q(values)
    assert (values.mean(-1) < marginal).all()
    assert (marginal < values.amax(-1)).all()


@pytest.mark.parametrize("shift", [-1e4, 1e4])
def test_shifts_without_overflow(shift: float) -> None:
    value = marginal_q(torch.tensor([1.0, 2.0, 4.0]) + shift)
    assert float(value) == pytest.approx(3.0712337 + shift, abs=2e-3)


@pytest.mark.parametrize(
    ("std", "expected"), [(1.0, {2: 0.21, 8: 0.41, 33: 0.473}), (2.0, {2: 0.635, 8: 1.393, 33: 1.754})]
)
def test_mean_grows_with_particles_towards_the_log_of_the_mean(std: float, expected: dict[int, float]) -> None:
    """Of Q ~ N(0, std²), whose limit is std²/2. The reference values are rounded to two or three digits."""
    values = std * torch.randn((200_000, 33), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    means = []
    for particles, reference in expected.items():
        marginal = marginal_q(values[:, :particles])
        assert abs(float(marginal.mean()) - reference) < 0.005 + 4 * standard_error(marginal)
        means.append(float(marginal.mean()))
    assert 0 < means[0] < means[1] < means[2] < std**2 / 2


def test_two_particles_have_a_closed_form() -> None:
    assert float(marginal_q(torch.tensor([0.3, -0.3]))) == pytest.approx(math.log(math.cosh(0.3)), abs=1e-6)
