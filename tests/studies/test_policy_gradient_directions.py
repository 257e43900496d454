"""Gradients and classes of policies on the reward with two peaks, RPG's Figure 2."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from relatent.objectives.peak_policies import (
    Mixture,
    best_softmax,
    gaussian_at,
    log_normaliser,
    mass_of_bins,
    mean_reward_of,
    reverse_kl,
)
from relatent.objectives.two_peaks import LEFT, RIGHT, area_below, normal_quantiles, reward
from relatent.studies.policy_gradient_directions import descend, directions, plain_score, run, sampled

from .fake_record import FakeRecord

HYPER: dict[str, Any] = {
    "init_log_std": 1.0,
    "temperature": 0.25,
    "bins": [2, 4, 8, 16],
    "latents": 5,
    "samples": 20_000,
    "steps": 150,
    "lr": 0.1,
}
MEANS = torch.tensor([-1.2, -0.3, 0.0, 0.4, 1.1, 2.0], dtype=torch.float64)
STDS = torch.tensor([0.2, 2.7, math.e, 0.5, 1.0, 0.9], dtype=torch.float64)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture(scope="module")
def found() -> dict[str, np.ndarray]:
    record = FakeRecord()
    run({"hyper": HYPER, "env": {"suite": "two_peaks", "task": "two_peaks"}, "seed": 0}, record)
    assert record.rows == []
    return record.kept


# Gradients


def test_gradients_at_the_start() -> None:
    at = directions(tensor(0.0), tensor(math.e))
    assert float(at.mean_reward) == pytest.approx(0.11939, abs=5e-6)
    assert float(at.score) == pytest.approx(0.004025, abs=5e-7)
    assert float(at.pathwise) == pytest.approx(0.068846, abs=2e-6)
    assert float(at.jump) == pytest.approx(-0.064820, abs=1e-6)
    assert float(at.tutorial) == pytest.approx(0.0424, abs=5e-5)


def test_score_of_plain_gaussians() -> None:
    assert plain_score(tensor(0.3, 0.5, 0.75, 1.0)).tolist() == pytest.approx(
        [0.2388, 0.0850, 0.0365, 0.0182], abs=5e-5
    )


def test_the_score_is_the_pathwise_gradient_and_the_jump() -> None:
    at = directions(MEANS, STDS)
    torch.testing.assert_close(at.score, at.pathwise + at.jump, atol=1e-10, rtol=0)


def test_the_score_is_the_derivative_of_the_mean_reward() -> None:
    step = 1e-5
    rise = directions(MEANS + step, STDS).mean_reward - directions(MEANS - step, STDS).mean_reward
    torch.testing.assert_close(directions(MEANS, STDS).score, rise / (2 * step), atol=1e-8, rtol=0)


def test_the_gradient_turns_to_the_left_beyond_027() -> None:
    left, right = directions(tensor(0.26, 0.28), torch.full((2,), math.e, dtype=torch.float64)).score.tolist()
    assert left > 0 > right


def test_sampled_gradients_agree() -> None:
    noise = torch.randn(400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = directions(tensor(0.3), tensor(0.8))._asdict()
    for name, (mean, error) in sampled(0.3, 0.8, noise).items():
        assert abs(float(mean - exact[name])) < 4 * float(error)


# Policies


def test_normaliser_and_areas() -> None:
    middles = (torch.arange(2_000_000, dtype=torch.float64) + 0.5) / 1_000_000 - 1
    assert log_normaliser(0.25) == pytest.approx(
        math.log(2 * float(torch.exp(reward(middles) / 0.25).mean())), abs=1e-5
    )
    edges = torch.linspace(-1, 1, 9, dtype=torch.float64)
    summed = reward(middles).reshape(8, -1).mean(-1) / 4
    torch.testing.assert_close(area_below(edges).diff(), summed, atol=1e-6, rtol=0)


def test_the_best_softmax_is_the_best() -> None:
    """Its divergence, by definition, and those of others."""
    best = best_softmax(8, 0.25)

    def divergence(probability: torch.Tensor) -> float:
        return float(probability @ (torch.log(probability * 4) - best.mean_reward / 0.25)) + log_normaliser(0.25)

    assert float(best.reverse_kl) == pytest.approx(divergence(best.probability))
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        tilt = 0.1 * torch.randn(8, generator=generator, dtype=torch.float64)
        other = torch.softmax(best.probability.log() + tilt, 0)
        assert divergence(other) > float(best.reverse_kl)


def test_more_bins_come_closer() -> None:
    divergences = [float(best_softmax(bins, 0.25).reverse_kl) for bins in (2, 4, 8, 16, 32, 64, 128, 1024)]
    assert all(later < earlier for earlier, later in pairwise(divergences))
    assert 0 < divergences[-1] < 1e-3


@pytest.mark.parametrize(("bins", "middle"), [(2, 0.5), (4, 0.75), (8, -0.625), (16, -0.5625)])
def test_too_few_bins_prefer_the_right_peak(bins: int, middle: float) -> None:
    """The mean reward of a wide bin hides the narrow peak."""
    best = best_softmax(bins, 0.25).mean_reward.argmax()
    assert (2 * float(best) + 1) / bins - 1 == middle


def test_mass_of_uniform_bins() -> None:
    expected = [(LEFT[1] - LEFT[0]) / 2, (RIGHT[1] - RIGHT[0]) / 2]
    assert mass_of_bins(torch.full((8,), 1 / 8, dtype=torch.float64)).tolist() == pytest.approx(expected)


def test_mixture_by_quadrature_and_by_quantiles() -> None:
    mixture = Mixture(tensor(0.0, 1.0), tensor(-0.7, 0.5), tensor(-1.5, -0.5))
    weight = torch.softmax(mixture.logits, 0)
    at = mixture.mean[:, None] + mixture.log_std.exp()[:, None] * normal_quantiles(100_000)
    assert float(mean_reward_of(mixture)) == pytest.approx(float(weight @ reward(at.tanh()).mean(-1)), abs=1e-5)
    log_density = torch.logsumexp(mixture.components(at.flatten()), -1).reshape(at.shape)
    log_ratio = log_density - torch.log(1 - at.tanh().square()) - reward(at.tanh()) / 0.25
    expected = float(weight @ log_ratio.mean(-1)) + log_normaliser(0.25)
    assert float(reverse_kl(mixture, 0.25)) == pytest.approx(expected, abs=1e-4)
    on_peaks = [
        float(weight @ ((at.tanh() > low) & (at.tanh() < high)).double().mean(-1)) for low, high in (LEFT, RIGHT)
    ]
    assert mixture.mass_per_peak().tolist() == pytest.approx(on_peaks, abs=1e-4)


def test_gradients_lead_to_the_nearest_best_gaussian() -> None:
    """From the left, to the left peak; from the broad start, away from it."""

    def away(policy: Mixture) -> torch.Tensor:
        return reverse_kl(policy, 0.25)

    narrow = descend(gaussian_at(-0.7, -2.0), away, 150, 0.05)
    broad = descend(gaussian_at(0.0, 1.0), away, 150, 0.1)
    assert LEFT[0] < float(narrow.mean.tanh()) < LEFT[1]
    assert 0.4 < float(away(narrow)) < 0.5 < 0.8 < float(away(broad))
    assert float(broad.mean) > 0
    again = descend(narrow, away, 50, 0.001)
    assert float(away(again)) == pytest.approx(float(away(narrow)), abs=1e-4)  # it was at its best


# The study


def test_only_what_is_random_depends_on_the_seed(found: dict[str, np.ndarray]) -> None:
    other = FakeRecord()
    run({"hyper": {**HYPER, "steps": 1}, "env": {}, "seed": 1}, other)
    again = FakeRecord()
    run({"hyper": {**HYPER, "steps": 1}, "env": {}, "seed": 0}, again)
    differs = {name for name, values in other.kept.items() if not np.array_equal(values, again.kept[name])}
    assert {"sampled_score", "sampled_pathwise", "sampled_tutorial", "latent_reverse_kl"} <= differs
    assert all(name.startswith(("sampled_", "latent_")) for name in differs)
    np.testing.assert_array_equal(found["sampled_score"], again.kept["sampled_score"])


def test_densities_are_densities(found: dict[str, np.ndarray]) -> None:
    for name in ("target_density", "gaussian_density", "latent_density"):
        assert np.trapezoid(found[name], found["grid"]) == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(found["latent_component_density"].sum(1), found["latent_density"])
    assert found["drawn_density"].sum() / 4 == pytest.approx(1)


def test_the_papers_three_classes(found: dict[str, np.ndarray]) -> None:
    """Figure 2: bins and a latent variable are on both peaks, a Gaussian from a broad start is not."""
    assert found["softmax_finds_best"].tolist() == [1]
    assert found["latent_mass_of_rarer_peak"][0] > 0.271 > found["gaussian_mass_of_rarer_peak"][0]
    assert found["latent_reverse_kl"][0] < 0.1 < found["gaussian_best_reverse_kl"][0] < found["gaussian_reverse_kl"][0]
    assert 0.45 < found["gaussian_ascent_reward"][0] < 0.5
    assert found["target_mass_per_peak"][0].sum() < 1
