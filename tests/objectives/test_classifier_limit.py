"""The classifier's limit with both kinds of fakes: exact fractions, quadrature, optimality, logistic regression."""

import math
from typing import Any

import numpy as np
import pytest

from relatent.objectives.classifier_limit import (
    PAIRINGS,
    Array,
    LinearGaussian,
    Pairing,
    features,
    imagined,
    intrinsic,
    log_odds,
    mean_under,
    perfect,
)
from relatent.studies.classifier_odds import fit, run, sample

from ..studies.fake_record import FakeRecord

SIMPLE = LinearGaussian(1.0, 1.0, 0.0, 0.25, 1.0, 0.25)
OTHER = LinearGaussian(1.7, -0.8, 0.4, 0.6, 0.5, 0.9)
FRACTIONS = {
    "paper": [math.log(5 / 9) / 2, 58 / 45, 8 / 9, -20 / 9],
    "code": [math.log(14 / 9) / 2, -16 / 63, -25 / 63, 40 / 63],
}
LINE = np.linspace(-14, 14, 561)
STEP = LINE[1] - LINE[0]


def density(value: Array | float, mean: Array | float, variance: float) -> Array:
    return np.asarray(np.exp(-0.5 * (value - mean) ** 2 / variance) / math.sqrt(2 * math.pi * variance))


def pair_density(model: LinearGaussian, pairing: str, z: float, following: float) -> float:
    """p(z, z') by integrating over all that is not seen, on a grid; trapezoids are exact to rounding for these."""
    spread, gain, process, noise, model_gain, model_noise = model
    state = density(LINE, 0, spread) * density(z, LINE, noise)
    if pairing == "paper":
        return float(STEP * state.sum() * density(following, model_gain * z, model_noise))
    if pairing == "code":
        shown, told = density(LINE, LINE[:, None], noise), density(following, model_gain * LINE, model_noise)
        return float(STEP**2 * state @ shown @ told)
    after = density(LINE, gain * LINE[:, None], process)
    return float(STEP**2 * state @ after @ density(following, LINE, noise))


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_exact_fractions(pairing: Pairing) -> None:
    np.testing.assert_allclose(log_odds(SIMPLE, pairing), FRACTIONS[pairing], atol=1e-14)


def test_the_codes_fakes_turn_every_sign() -> None:
    assert (np.sign(log_odds(SIMPLE, "paper")) == -np.sign(log_odds(SIMPLE, "code"))).all()


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("pair", [(0.0, 0.0), (1.3, -0.4), (-2.0, 1.1)])
def test_densities_by_quadrature(pairing: Pairing, pair: tuple[float, float]) -> None:
    ratio = math.log(pair_density(OTHER, "real", *pair) / pair_density(OTHER, pairing, *pair))
    found = features(np.array([pair])) @ log_odds(OTHER, pairing)
    assert found[0] == pytest.approx(ratio, abs=1e-11)


def cross_entropy(coefficients: Array, model: LinearGaussian, pairing: Pairing, share_real: float) -> float:
    """Of the whole population of pairs, by quadrature. # Eq 9, negated"""
    z, following = (grid.ravel() for grid in np.meshgrid(LINE[::4], LINE[::4]))
    pairs = np.stack([z, following], axis=1)
    odds = features(pairs) @ coefficients
    total = 0.0
    for covariance, share, sign in ((model.real(), share_real, -1), (model.fake(pairing), 1 - share_real, 1)):
        form = np.einsum("ni,ij,nj->n", pairs, np.linalg.inv(covariance), pairs)
        weight = np.exp(-0.5 * form) / (2 * math.pi * math.sqrt(np.linalg.det(covariance)))
        total += share * (weight @ np.logaddexp(0, sign * odds)) * (4 * STEP) ** 2
    return total


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("share_real", [0.5, 0.8])
def test_the_limit_minimises_the_cross_entropy(pairing: Pairing, share_real: float) -> None:
    limit = log_odds(OTHER, pairing, share_real)
    least = cross_entropy(limit, OTHER, pairing, share_real)
    for direction in np.eye(4):
        up, down = (cross_entropy(limit + size * direction, OTHER, pairing, share_real) for size in (1e-3, -1e-3))
        assert min(up, down) > least
        assert abs(up - down) / 2e-3 < 1e-5  # the gradient, but for the third order


def test_unequal_shares_only_move_the_constant() -> None:
    moved = log_odds(OTHER, "code", 0.8) - log_odds(OTHER, "code")
    np.testing.assert_allclose(moved, [math.log(4), 0, 0, 0], atol=1e-15)


def divergence(first: Array, second: Array) -> float:
    """KL(N(0, first) || N(0, second))."""
    ratio = np.linalg.det(second) / np.linalg.det(first)
    return 0.5 * float(np.trace(np.linalg.solve(second, first)) - 2 + math.log(ratio))


@pytest.mark.parametrize("model", [SIMPLE, OTHER])
@pytest.mark.parametrize("pairing", PAIRINGS)
def test_means_over_either_class_are_divergences(model: LinearGaussian, pairing: Pairing) -> None:
    limit, real, fake = log_odds(model, pairing), model.real(), model.fake(pairing)
    assert mean_under(limit, real) == pytest.approx(divergence(real, fake), abs=1e-13)
    assert mean_under(limit, fake) == pytest.approx(-divergence(fake, real), abs=1e-13)
    assert mean_under(limit, fake) < 0 < mean_under(limit, real)


def test_what_an_imagined_step_pays() -> None:
    """z' from the model of the z that is shown: punished with the paper's fakes, rewarded with the code's."""
    found = [mean_under(log_odds(SIMPLE, pairing), SIMPLE.fake("paper")) for pairing in PAIRINGS]
    by_hand = [(math.log(5 / 9) + 1 / 3) / 2, math.log(14 / 9) / 2 - 5 / 42]
    assert found == pytest.approx(by_hand, abs=1e-14)
    assert found == pytest.approx([-0.12723, 0.10187], abs=5e-6)
    constant, square = intrinsic(SIMPLE)
    assert (constant, square) == pytest.approx((-0.4, -0.08), abs=1e-15)
    assert constant + 1.25 * square == pytest.approx(-0.5)  # KL(N(z, 1/4) || N(s, 1/4)) = 2 (z - s)²


@pytest.mark.parametrize("model", [SIMPLE, OTHER])
def test_means_given_z(model: LinearGaussian) -> None:
    for pairing in PAIRINGS:
        limit = log_odds(model, pairing)
        for z in (-1.4, 0.0, 2.2):
            weight = STEP * density(LINE, model.model_gain * z, model.model_variance)
            expected = weight @ (features(np.stack([np.full_like(LINE, z), LINE], axis=1)) @ limit)
            constant, square = imagined(model, limit)
            assert constant + square * z**2 == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("z", [-1.4, 0.0, 2.2])
def test_the_intrinsic_term_by_quadrature(z: float) -> None:
    """Over s given z, s' given s, and z' from the model."""
    spread, gain, process, noise, model_gain, model_noise = OTHER
    state = density(LINE, 0, spread) * density(z, LINE, noise)
    after = (state / state.sum()) @ density(LINE, gain * LINE[:, None], process) * STEP
    following = STEP * density(LINE, model_gain * z, model_noise)
    log_encoder = -0.5 * (np.log(2 * math.pi * noise) + (LINE - LINE[:, None]) ** 2 / noise)
    log_model = -0.5 * (np.log(2 * math.pi * model_noise) + (LINE - model_gain * z) ** 2 / model_noise)
    expected = after @ log_encoder @ following - log_model @ following
    constant, square = intrinsic(OTHER)
    assert constant + square * z**2 == pytest.approx(expected, abs=1e-10)


def random_model(generator: np.random.Generator) -> LinearGaussian:
    gain, model_gain = generator.normal(size=2)
    spread, process, noise, model_noise = generator.gamma(2.0, size=4)
    return LinearGaussian(spread, gain, process, noise, model_gain, model_noise)


def test_the_papers_limit_is_never_below_what_it_stands_for() -> None:
    """log E[e(z'|s')] >= E[log e(z'|s')] at every z."""
    generator = np.random.default_rng(0)
    for _ in range(100):
        model = random_model(generator)
        above = imagined(model, log_odds(model, "paper")) - intrinsic(model)
        assert above[0] > 0
        assert above[1] > -1e-12


def test_a_perfect_model_cannot_be_told_but_by_the_codes_fakes() -> None:
    generator = np.random.default_rng(1)
    for _ in range(20):
        model = perfect(random_model(generator))
        np.testing.assert_allclose(log_odds(model, "paper"), 0, atol=1e-11)
        assert mean_under(log_odds(model, "code"), model.real()) > 0
    ideal = perfect(SIMPLE)
    assert (ideal.model_gain, ideal.model_variance) == pytest.approx((0.8, 0.45))


def test_without_noise_of_the_encoder_both_are_the_same() -> None:
    sharp = OTHER._replace(encoder_variance=1e-9)
    np.testing.assert_allclose(log_odds(sharp, "code"), log_odds(sharp, "paper"), atol=1e-6)


# The study


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_samples_have_the_laws_of_the_closed_form(pairing: Pairing) -> None:
    count = 200_000
    pairs, label = sample(OTHER, pairing, count, np.random.default_rng(0))
    assert label.sum() == count / 2
    for covariance, chosen in ((OTHER.real(), label == 1), (OTHER.fake(pairing), label == 0)):
        products = pairs[chosen][:, :, None] * pairs[chosen][:, None]
        error = products.std(0) / math.sqrt(count / 2)
        assert (np.abs(products.mean(0) - covariance) < 4.5 * error).all()


@pytest.mark.parametrize("model", [SIMPLE, OTHER])
def test_logistic_regression_finds_its_own_limit(model: LinearGaussian) -> None:
    """Within 4.5 standard errors of each coefficient, and nowhere near the other's."""
    for pairing, other in zip(PAIRINGS, reversed(PAIRINGS), strict=True):
        pairs, label = sample(model, pairing, 100_000, np.random.default_rng(2))
        inputs, limit = features(pairs), log_odds(model, pairing)
        probability = 1 / (1 + np.exp(-inputs @ limit))
        information = inputs.T @ (inputs * (probability * (1 - probability))[:, None])
        error = np.sqrt(np.diag(np.linalg.inv(information)))
        found = fit(inputs, label)
        assert (np.abs(found - limit) < 4.5 * error).all()
        assert (np.abs(found - log_odds(model, other)) > 10 * error).any()
        residual = label - 1 / (1 + np.exp(-inputs @ found))
        assert np.abs(inputs.T @ residual).max() / len(label) < 1e-10  # it is the maximum


def test_what_is_recorded() -> None:
    hyper: dict[str, Any] = {**SIMPLE._asdict(), "pairs": 20_000}
    first, other = FakeRecord(), FakeRecord()
    for seed, record in ((0, first), (1, other)):
        run({"hyper": hyper, "env": {}, "seed": seed}, record)
    kept = first.kept
    for pairing in PAIRINGS:
        np.testing.assert_allclose(kept[f"limit_{pairing}"], FRACTIONS[pairing], atol=1e-14)
    assert kept["classifier_error"][0] == pytest.approx(0.5 - 0.12723, abs=5e-6)
    assert (kept["mean_code"][0], kept["perfect_paper"][0]) == pytest.approx((0.10187, 0), abs=5e-6)
    assert kept["perfect_code"][0] == pytest.approx(0.07391, abs=5e-6)
    errors = [np.abs(kept[f"fitted_{pairing}"] - kept[f"limit_{pairing}"]).max() for pairing in PAIRINGS]
    assert kept["fitting_error"].tolist() == [max(errors)]
    at = np.argmin(np.abs(kept["variance"] - 1))
    assert kept["curve_intrinsic"] == pytest.approx(np.full(61, -0.5))
    equal = SIMPLE._replace(encoder_variance=kept["variance"][at], model_variance=kept["variance"][at])
    assert kept["curve_code"][at] == pytest.approx(mean_under(log_odds(equal, "code"), equal.fake("paper")))
    differs = {name for name, values in kept.items() if not np.array_equal(values, other.kept[name])}
    assert differs == {"fitted_paper", "fitted_code", "fitting_error"}
