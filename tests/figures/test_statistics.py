"""Every interval against scipy or its closed form, and the bootstrap against what it promises."""

import math

import numpy as np
import pytest
from scipy import stats

from relatent.figures.statistics import (
    Sample,
    area,
    best,
    combination,
    final,
    interquartile_mean,
    mean_band,
    mean_interval,
    stratified_bootstrap,
    variance_ratio,
    welch,
)

VALUES = [3.0, 5.0, 4.0, 9.0, 1.0]
OTHERS = [2.0, 2.5, 1.5]


def test_mean_interval_of_five_seeds_is_the_textbook_one() -> None:
    found = mean_interval(VALUES)
    half = 2.7764451051977987 * np.std(VALUES, ddof=1) / math.sqrt(5)
    assert (found.value, found.degrees) == (pytest.approx(4.4), pytest.approx(4))
    assert (found.low, found.high) == (pytest.approx(4.4 - half), pytest.approx(4.4 + half))


def test_band_is_the_mean_interval_at_every_point() -> None:
    curves = np.array([VALUES, [2.0 * value for value in VALUES], [0.0] * 5])
    mean, low, high = mean_band(curves)
    for point in range(5):
        one = mean_interval(curves[:, point])
        assert (mean[point], low[point], high[point]) == pytest.approx((one.value, one.low, one.high))


def test_one_seed_has_no_interval() -> None:
    assert not mean_interval([3.0]).has_interval
    assert not welch(Sample.of([3.0]), Sample.of(VALUES)).has_interval
    assert np.isnan(mean_band(np.array([VALUES]))[1]).all()


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_welch_equals_scipy(confidence: float) -> None:
    found = welch(Sample.of(VALUES), Sample.of(OTHERS), confidence)
    expected = stats.ttest_ind(VALUES, OTHERS, equal_var=False)
    interval = expected.confidence_interval(confidence)
    assert found.degrees == pytest.approx(expected.df)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_welch_from_printed_numbers_finds_what_the_paper_has() -> None:
    """SMAC's Table 1, reacher_easy with small Gaussian noise: 928 +- 10 against 869 +- 28, 5 seeds each."""
    ours, theirs = Sample(928, 10, 5), Sample(869, 28, 5)
    expected = stats.ttest_ind_from_stats(928, 10, 5, 869, 28, 5, equal_var=False)
    found = welch(ours, theirs)
    assert expected.statistic == pytest.approx(4.437, abs=1e-3)
    assert found.low > 0
    half = (found.high - found.low) / 2
    assert stats.t.ppf(0.975, found.degrees) * found.value / half == pytest.approx(expected.statistic)


def test_a_combination_with_equal_variances_keeps_all_degrees_of_freedom() -> None:
    """Satterthwaite: k groups of n with one variance and weights of one size have k (n - 1) degrees of freedom."""
    group = Sample(10.0, 2.0, 6)
    found = combination([group] * 4, [0.5, -0.5, 0.5, -0.5])
    assert found.degrees == pytest.approx(20)
    assert found.high == pytest.approx(stats.t.ppf(0.975, 20) * math.sqrt(4 * 0.25 * 4.0 / 6))


@pytest.mark.parametrize("value", [0.0, 0.1, 700.0])  # the mean of three times 0.1 is not exactly 0.1
def test_values_that_never_differ_have_a_mean_but_no_interval_of_a_difference(value: float) -> None:
    found = mean_interval([value] * 3)
    assert (found.low, found.value, found.high) == (value, value, value)
    difference = welch(Sample.of([value] * 3), Sample.of([5.0, 5.0]))
    assert difference.value == value - 5
    assert not difference.has_interval
    assert welch(Sample.of([value] * 3), Sample.of(VALUES)).has_interval


def test_infinite_values_are_high_and_leave_no_upper_end() -> None:
    """They count as the largest finite value, or as the bound where that is higher."""
    found, expected = mean_interval([7.0, np.inf, 8.0], least=6.0), mean_interval([7.0, 8.0, 8.0])
    assert (found.value, found.low, found.high) == (np.inf, expected.low, np.inf)
    assert mean_interval([1.0, np.inf], least=6.0).low == mean_interval([1.0, 6.0]).low
    assert mean_interval([np.inf, np.inf], least=6.0).low == 6.0


@pytest.mark.parametrize(("ours", "theirs"), [(VALUES, [2.0, 2.0]), ([2.0, 2.0], VALUES), ([2.0, 2.0], [3.0, 3.0])])
def test_a_variance_of_zero_has_no_ratio_to_another(ours: list[float], theirs: list[float]) -> None:
    assert not variance_ratio(Sample.of(ours), Sample.of(theirs)).has_interval


def test_variance_ratio_is_the_f_interval() -> None:
    found = variance_ratio(Sample.of(VALUES), Sample.of(OTHERS))
    ratio = np.var(VALUES, ddof=1) / np.var(OTHERS, ddof=1)
    assert found.value == pytest.approx(ratio)
    # P(F < ratio / high) = 0.025 and P(F < ratio / low) = 0.975
    assert stats.f.cdf(ratio / found.high, 4, 2) == pytest.approx(0.025)
    assert stats.f.cdf(ratio / found.low, 4, 2) == pytest.approx(0.975)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 15, 40])
def test_interquartile_mean_is_scipys_trimmed_mean(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25, axis=None))


def test_interquartile_mean_ignores_what_is_extreme() -> None:
    assert interquartile_mean(np.array([1e9, 4.0, 5.0, 6.0, 7.0, 5.0, -1e9, 3.0])) == pytest.approx(5.0)


def test_bootstrap_is_decided_by_its_seed_and_not_by_global_randomness() -> None:
    strata = [np.array([*VALUES, 3.0, 8.0]), np.array([*OTHERS, 1.0, 5.0, 9.0])]

    def interval(seed: int) -> tuple[float, float]:
        found = stratified_bootstrap(strata, interquartile_mean, seed=seed)
        return found.low, found.high

    np.random.seed(1)
    first = interval(3)
    np.random.seed(2)
    assert interval(3) == first
    assert interval(4) != first


def test_bootstrap_redraws_within_strata_only() -> None:
    """Where every task's seeds are equal, tasks that differ leave nothing to resample."""
    strata = [np.full(6, 0.0), np.full(8, 1000.0)]
    found = stratified_bootstrap(strata, lambda values: float(values.mean()))
    assert found.low == found.value == found.high == pytest.approx(8000 / 14)


def test_four_seeds_are_too_few_for_a_bootstrap_interval() -> None:
    found = stratified_bootstrap([np.arange(5.0), np.arange(4.0)], interquartile_mean)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isfinite(found.value)


def test_bootstrap_of_a_mean_has_the_closed_forms_width() -> None:
    """The bootstrap's standard deviation of a stratified mean is known: sqrt(sum n_i s_i^2 (population)) / n."""
    generator = np.random.default_rng(0)
    strata = [generator.normal(task, 1.0 + task, 12) for task in range(3)]
    found = stratified_bootstrap(strata, lambda values: float(values.mean()), resamples=20_000)
    deviation = math.sqrt(sum(12 * stratum.var() for stratum in strata)) / 36
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * deviation, rel=0.03)


def test_bootstrap_covers_the_truth() -> None:
    """400 experiments of 3 tasks x 20 seeds. Such intervals cover a little less than 95 %; 4 standard errors: 4.4 %."""
    generator = np.random.default_rng(1)
    covered = 0
    for experiment in range(400):
        strata = list(generator.normal(0.0, 1.0, (3, 20)))
        found = stratified_bootstrap(strata, lambda values: float(values.mean()), seed=experiment, resamples=300)
        covered += found.low <= 0.0 <= found.high
    assert 0.90 <= covered / 400 <= 0.98


def test_statistics_of_one_seeds_curve() -> None:
    frames, curve = np.array([0.0, 10.0, 40.0]), np.array([0.0, 8.0, 2.0])
    assert final(frames, curve) == 2.0
    assert best(frames, curve) == 8.0
    assert area(frames, curve) == pytest.approx((10 * 4 + 30 * 5) / 40)
    assert area(frames[:1], curve[2:]) == 2.0
    assert math.isnan(best(frames, np.array([1.0, math.nan, 2.0])))
