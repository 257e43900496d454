"""Values, directions and identities of the entropy estimators."""

import math
from collections.abc import Callable
from itertools import pairwise, permutations, product

import numpy as np
import pytest
import torch
from torch import Tensor

from relatent.nets.distributions import Gaussian, tanh_log_det
from relatent.objectives.marginal_entropy import (
    ESTIMATORS,
    elbo,
    extra_particles,
    iwae,
    mlmc,
    mlmc_literal,
    nested,
)
from relatent.specs.errors import SpecError

from . import linear_gaussian
from .linear_gaussian import standard_error

Estimator = Callable[[Tensor], Tensor]
LEVELS = (1, 2, 4, 8, 16, 32)
FIXTURE = (0.0, -1.0, 0.5, 2.0, -3.0)
MLMC = pytest.mark.parametrize("estimator", [mlmc, mlmc_literal], ids=["official", "literal"])


@pytest.fixture(scope="module")
def log_probs() -> dict[int, Tensor]:
    """log π(a|s^0..s^32) of the linear-Gaussian policy in one and two dimensions, σ = 0.5."""
    return {dimension: linear_gaussian.sample(200_000, 32, dimension, seed=dimension) for dimension in (1, 2)}


def first(log_probs: Tensor, particles: int) -> Tensor:
    return log_probs[:, : particles + 1]


# Values


@pytest.mark.parametrize(
    ("name", "expected"),
    [("nested", 0.737685), ("mlmc", 0.169146), ("mlmc_literal", -0.107080), ("iwae", 0.860296), ("elbo", -1.0)],
)
def test_value_on_a_fixture(name: str, expected: float) -> None:
    assert float(ESTIMATORS[name](torch.tensor(FIXTURE, dtype=torch.float64))) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        (1, (1.0535, 1.1912, 1.3090, 1.3995, 1.4569, 1.4908)),
        (2, (1.9515, 2.1960, 2.4445, 2.6571, 2.8167, 2.9156)),
    ],
)
def test_nested_matches_an_independent_simulation(
    log_probs: dict[int, Tensor], dimension: int, expected: tuple[float, ...]
) -> None:
    """The reference values were simulated elsewhere with twice as many samples."""
    for particles, reference in zip(LEVELS, expected, strict=True):
        entropy = -nested(first(log_probs[dimension], particles))
        assert abs(float(entropy.mean()) - reference) < 4 * math.sqrt(1.5) * standard_error(entropy), particles


def test_no_particles_give_the_conditional_density(log_probs: dict[int, Tensor]) -> None:
    assert torch.equal(nested(first(log_probs[1], 0)), log_probs[1][:, 0])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_adding_a_constant_adds_it_without_overflow(name: str) -> None:
    estimate = ESTIMATORS[name]
    weights = torch.tensor(FIXTURE)
    for shift in (-1e4, 1e4):
        assert float(estimate(weights + shift)) == pytest.approx(float(estimate(weights)) + shift, abs=5e-3)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_leading_axes_are_a_batch(name: str) -> None:
    """vmap also refuses a function that branches on values or reads one out."""
    values = torch.randn((3, 5, 9), generator=torch.Generator().manual_seed(0))
    batched = ESTIMATORS[name](values)
    assert batched.shape == (3, 5)
    assert torch.equal(batched[1, 2], ESTIMATORS[name](values[1, 2]))
    torch.testing.assert_close(torch.vmap(torch.vmap(ESTIMATORS[name]))(values), batched)


# Directions


@pytest.mark.parametrize("dimension", [1, 2])
def test_nested_rises_to_the_truth_from_below(log_probs: dict[int, Tensor], dimension: int) -> None:
    entropies = [-nested(first(log_probs[dimension], particles)) for particles in LEVELS]
    for fewer, more in pairwise(entropies):
        gain = more - fewer
        assert float(gain.mean()) > 4 * standard_error(gain)
    below = linear_gaussian.entropy(dimension) - entropies[-1]
    assert float(below.mean()) > 4 * standard_error(below)


def test_nested_credits_the_latent_with_at_most_log_particles(log_probs: dict[int, Tensor]) -> None:
    """H̃_K <= H(π(·|s)) + log(K+1), sample by sample."""
    for particles in LEVELS:
        credit = first(log_probs[2], particles)[:, 0] - nested(first(log_probs[2], particles))
        assert float(credit.max()) <= math.log(particles + 1) + 1e-12


def test_estimators_without_the_source_particle_bound_from_above(log_probs: dict[int, Tensor]) -> None:
    """nested < H < IWAE_K < ELBO, each by more than four standard errors."""
    truth = linear_gaussian.entropy(2)
    for particles in (2, 8, 32):
        chosen = first(log_probs[2], particles)
        below, above, gap = truth + nested(chosen), -iwae(chosen) - truth, iwae(chosen) - elbo(chosen)
        for excess in (below, above, gap):
            assert float(excess.mean()) > 4 * standard_error(excess)


def test_leaving_out_the_source_particle_flips_the_side(log_probs: dict[int, Tensor]) -> None:
    excess = -nested(log_probs[1][:, 1:]) - linear_gaussian.entropy(1)
    assert float(excess.mean()) > 4 * standard_error(excess)


def test_iwae_falls_to_the_truth(log_probs: dict[int, Tensor]) -> None:
    for fewer, more in pairwise(LEVELS):
        fall = iwae(first(log_probs[1], more)) - iwae(first(log_probs[1], fewer))
        assert float(fall.mean()) > 4 * standard_error(fall)


@pytest.mark.parametrize("dimension", [1, 2])
def test_elbo_has_its_closed_form(log_probs: dict[int, Tensor], dimension: int) -> None:
    """H(π(·|s)) + d g²/σ²: 4.726 and 9.452."""
    entropy = -elbo(log_probs[dimension])
    expected = linear_gaussian.conditional_entropy(dimension) + 4 * dimension
    assert abs(float(entropy.mean()) - expected) < 4 * standard_error(entropy)


# Multi-level Monte Carlo


@MLMC
def test_mlmc_is_nested_plus_uncorrelated_noise(log_probs: dict[int, Tensor], estimator: Estimator) -> None:
    """The same mean, covariance zero with nested, and so a variance that is not smaller."""
    for particles in LEVELS[1:]:
        chosen = first(log_probs[2], particles)[:100_000]
        plain = nested(chosen)
        noise = estimator(chosen) - plain
        assert abs(float(noise.mean())) < 4 * standard_error(noise)
        products = (plain - plain.mean()) * noise
        assert abs(float(products.mean())) < 4 * standard_error(products)
        assert float(estimator(chosen).var()) >= float(plain.var())


@MLMC
def test_mlmc_with_one_particle_is_nested(log_probs: dict[int, Tensor], estimator: Estimator) -> None:
    torch.testing.assert_close(estimator(first(log_probs[1], 1)), nested(first(log_probs[1], 1)))


@MLMC
@pytest.mark.parametrize("particles", [2, 4, 8])
def test_mean_over_every_order_of_the_particles_is_nested(estimator: Estimator, particles: int) -> None:
    weights = 2 * torch.randn(particles + 1, generator=torch.Generator().manual_seed(particles), dtype=torch.float64)
    orders = torch.tensor(list(permutations(range(1, particles + 1))))
    source = torch.zeros((len(orders), 1), dtype=torch.long)
    values = estimator(weights[torch.cat([source, orders], dim=1)])
    assert values.std() > 0.01
    assert float(values.mean()) == pytest.approx(float(nested(weights)), abs=1e-12)


@MLMC
def test_mean_over_every_choice_of_blocks_is_nested(estimator: Estimator) -> None:
    """Exchanging halves of blocks lets every block of a level serve alike, which collapses the sum."""
    weights = 2 * torch.randn(9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    orders = [[0, *order] for order in halves_exchanged(list(range(1, 9)))]
    assert len(orders) == 2**7
    assert float(estimator(weights[torch.tensor(orders)]).mean()) == pytest.approx(float(nested(weights)), abs=1e-12)


def halves_exchanged(block: list[int]) -> list[list[int]]:
    """Every order reached by exchanging the two halves of blocks, of their halves, and so on."""
    if len(block) == 1:
        return [block]
    middle = len(block) // 2
    pairs = list(product(halves_exchanged(block[:middle]), halves_exchanged(block[middle:])))
    return [a + b for a, b in pairs] + [b + a for a, b in pairs]


@pytest.mark.parametrize("particles", [3, 5, 6, 12, 24])
def test_mlmc_refuses_what_is_no_power_of_two(particles: int) -> None:
    for name in ("mlmc", "mlmc_literal"):
        with pytest.raises(SpecError, match=f"expected 1, 2, 4, 8, 16, ..., got {particles}"):
            ESTIMATORS[name](torch.zeros(particles + 1))
        with pytest.raises(SpecError, match="halves them"):
            extra_particles(name, particles)


def test_extra_particles() -> None:
    assert [extra_particles(name, 8) for name in ("nested", "mlmc", "mlmc_literal", "elbo", "iwae")] == [8, 8, 8, 1, 8]
    assert extra_particles("nested", 5) == 5
    with pytest.raises(SpecError, match="did you mean 'nested'"):
        extra_particles("nestd", 8)
    with pytest.raises(SpecError, match="at least 1, got 0"):
        extra_particles("iwae", 0)


# Squashing


def test_entropy_of_a_squashed_policy() -> None:
    """E log|da/du| by quadrature over u ~ N(0, 1.25) added to the entropy of u gives 0.63523 nats."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    pre_tanh = torch.from_numpy(nodes * math.sqrt(1.25))[:, None]
    mean = float(tanh_log_det(pre_tanh) @ torch.from_numpy(weights / weights.sum()))
    assert linear_gaussian.entropy(1) + mean == pytest.approx(0.63523, abs=1e-5)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_jacobian_may_be_subtracted_once(name: str) -> None:
    """The mixture of squashed densities is the squashed mixture, for |u| < 3 where tanh can be inverted."""
    generator = torch.Generator().manual_seed(0)
    components = Gaussian(*torch.randn((2, 50, 9, 3), generator=generator, dtype=torch.float64))
    pre_tanh = 6 * torch.rand((50, 1, 3), generator=generator, dtype=torch.float64) - 3
    once = ESTIMATORS[name](components.log_prob(pre_tanh)) - tanh_log_det(pre_tanh)[:, 0]
    action = torch.tanh(pre_tanh)
    each = components.log_prob(torch.atanh(action)) - torch.log(1 - action.square()).sum(-1)
    torch.testing.assert_close(once, ESTIMATORS[name](each), atol=1e-8, rtol=0)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_saturated_actions_keep_finite_values_and_gradients(name: str) -> None:
    """In float32 tanh(u) is 1 from u = 10 on, where a density of the action cannot be had from the action."""
    pre_tanh = torch.linspace(-20, 20, 81)[:, None, None].requires_grad_()
    components = Gaussian(torch.linspace(-2, 2, 9)[:, None], torch.zeros((9, 1)))
    value = ESTIMATORS[name](components.log_prob(pre_tanh)) - tanh_log_det(pre_tanh)[:, 0]
    (gradient,) = torch.autograd.grad(value.sum(), pre_tanh)
    assert torch.isfinite(value).all()
    assert torch.isfinite(gradient).all()
    assert torch.isinf(torch.atanh(torch.tanh(pre_tanh[-1]))).all()
