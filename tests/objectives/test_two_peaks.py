"""RPG's reward with two peaks: its shape, and the exact integrals over it."""

import math

import pytest
import torch

from relatent.objectives.two_peaks import LEFT, RIGHT, interval_mass, line, normal_quantiles, panels, reward, support


@pytest.mark.parametrize(
    ("action", "expected"),
    [(-0.6, 1.1), (-0.5, 0.38), (-0.7, 0.38), (-0.73, 0.0), (-0.47, 0.0), (-0.13, 0.0), (0.375, 0.375), (0.8749, 0.5)],
)
def test_reward(action: float, expected: float) -> None:
    assert float(reward(torch.tensor(action, dtype=torch.float64))) == pytest.approx(expected, abs=1e-6)


def test_the_right_peak_ends_in_a_jump() -> None:
    at = torch.tensor([0.875 - 1e-12, 0.875, 1.0], dtype=torch.float64)
    assert reward(at).tolist() == pytest.approx([0.5, 0.0, 0.0])


def test_most_of_the_area_is_on_the_right() -> None:
    areas = [sum(weight * reward(at)) for at, weight in (panels(list(LEFT), 20), panels(list(RIGHT), 20))]
    assert [float(area) for area in areas] == pytest.approx([4 / 3 * 1.1 * math.sqrt(1.1 / 72), 1 / 3], abs=1e-12)
    at, weight = support()
    assert float(weight @ reward(at)) == pytest.approx(float(sum(areas)), abs=1e-12)


def test_pathwise_derivative_is_that_of_the_smooth_pieces() -> None:
    action = torch.tensor([-0.65, -0.55, 0.3, 0.874, 0.876, 0.99, -0.99], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(reward(action).sum(), action)
    assert slope.tolist() == pytest.approx([7.2, -7.2, 0.575, 0.001, 0.0, 0.0, 0.0])


def test_mass_of_an_interval() -> None:
    mean, std = torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    assert float(interval_mass(mean, std, -1.0, 1.0)) == 1.0
    assert float(interval_mass(mean, std, -1.0, math.tanh(0.3))) == pytest.approx(0.5)
    one_sigma = interval_mass(mean, std, math.tanh(0.3 - 0.7), math.tanh(0.3 + 0.7))
    assert float(one_sigma) == pytest.approx(math.erf(math.sqrt(0.5)))
    edges = torch.linspace(-1, 1, 41, dtype=torch.float64)
    assert float(interval_mass(mean, std, edges[:-1], edges[1:]).sum()) == pytest.approx(1.0)


def test_no_tanh_gaussian_has_more_than_0271_on_both_peaks() -> None:
    """The level at which Figure 4's policy counts as on both peaks at once: the best there is, and that it is."""

    def rarer(mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
        return torch.minimum(interval_mass(mean, std, *LEFT), interval_mass(mean, std, *RIGHT))

    best = rarer(*torch.tensor([[-0.38889], [0.43139]], dtype=torch.float64))
    assert float(best) == pytest.approx(0.27084, abs=1e-5)
    mean = torch.arange(-300, 200, dtype=torch.float64)[:, None] * 0.005
    std = torch.arange(2, 600, dtype=torch.float64) * 0.005
    assert float(rarer(mean, std).max()) < float(best)


def test_quantiles_average_to_expectations() -> None:
    noise = normal_quantiles(20_000)
    moments = [float((noise**power).mean()) for power in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=5e-3)


def test_the_lines_rule_integrates_what_has_kinks_and_a_jump() -> None:
    at, weight = line()
    density = torch.exp(-0.5 * (at / 1.3).square()) / (1.3 * math.sqrt(2 * math.pi))
    assert float(weight @ density) == pytest.approx(1, abs=1e-12)
    fine = reward((1.3 * normal_quantiles(2_000_000)).tanh()).mean()
    assert float(weight @ (density * reward(at.tanh()))) == pytest.approx(float(fine), abs=1e-6)
