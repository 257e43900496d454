"""Estimates and intervals. Pure functions on arrays; nothing is drawn from global randomness.

Intervals are 95 % unless told. An estimate from one value has no interval: its bounds are NaN.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    value: float
    low: float
    high: float
    degrees: float
    """Degrees of freedom of the interval; NaN when it is not a t or F interval."""

    @property
    def has_interval(self) -> bool:
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


@dataclass(frozen=True)
class Sample:
    """What a mean's test needs: enough for our values, and all that a paper prints."""

    mean: float
    std: float
    """Sample standard deviation (n - 1)."""
    count: int

    @classmethod
    def of(cls, values: Sequence[float] | Array) -> "Sample":
        values = np.asarray(values, dtype=float)
        if len(values) > 1 and (values == values[0]).all():
            return cls(float(values[0]), 0.0, len(values))  # not the little that rounding would make of it
        return cls(float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan"), len(values))

    @property
    def variance_of_mean(self) -> float:
        return self.std**2 / self.count


def mean_interval(values: Sequence[float] | Array, confidence: float = 0.95, least: float = float("-inf")) -> Estimate:
    """Mean and Student-t interval: mean +- t_(n-1) s / sqrt(n). It has no width where all values are the same.

    Where some are +inf, it has no upper end, and for the lower one they count as the largest of the others, or as
    `least` if that is larger: their own size would make every interval infinite at both ends.
    """
    values = np.asarray(values, dtype=float)
    infinite = np.isposinf(values)
    if infinite.any():
        largest = max(least, float(values[~infinite].max(initial=-np.inf)))
        found = mean_interval(np.where(infinite, largest, values), confidence)
        return Estimate(float("inf"), found.low, float("inf"), found.degrees)
    sample = Sample.of(values)
    if sample.std == 0:
        return Estimate(sample.mean, sample.mean, sample.mean, sample.count - 1)
    return combination([sample], [1.0], confidence)


def mean_band(curves: Array, confidence: float = 0.95) -> tuple[Array, Array, Array]:
    """(mean, low, high), each (points,), of curves (seeds, points). One seed: bounds are NaN."""
    count, mean = len(curves), curves.mean(axis=0)
    if count < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half = special.stdtrit(count - 1, 0.5 + confidence / 2) * curves.std(axis=0, ddof=1) / np.sqrt(count)
    return mean, mean - half, mean + half


def welch(ours: Sample, theirs: Sample, confidence: float = 0.95) -> Estimate:
    """Difference of two means, ours - theirs, with Welch's interval."""
    return combination([ours, theirs], [1.0, -1.0], confidence)


def combination(samples: Sequence[Sample], weights: Sequence[float], confidence: float = 0.95) -> Estimate:
    """sum_i w_i mean_i with the Welch-Satterthwaite interval; variances may differ between the samples.

    Without any variance there is no interval: seeds that do not differ, such as those of runs that never learn, do not
    say how far off a difference may be.
    """
    value = float(sum(w * s.mean for w, s in zip(weights, samples, strict=True)))
    if any(sample.count < 2 for sample in samples):
        return Estimate(value, float("nan"), float("nan"), float("nan"))
    terms = np.array([w**2 * s.variance_of_mean for w, s in zip(weights, samples, strict=True)])
    variance = float(terms.sum())
    if variance == 0:
        return Estimate(value, float("nan"), float("nan"), float("nan"))
    # Divided by the sum first: squares of very small terms would underflow.
    degrees = 1 / sum((term / variance) ** 2 / (s.count - 1) for term, s in zip(terms, samples, strict=True))
    half = float(special.stdtrit(degrees, 0.5 + confidence / 2)) * variance**0.5
    return Estimate(value, value - half, value + half, float(degrees))


def variance_ratio(ours: Sample, theirs: Sample, confidence: float = 0.95) -> Estimate:
    """Ratio of two normal samples' variances, ours / theirs, with the F interval. None if either is zero."""
    nothing = float("nan")
    if min(ours.count, theirs.count) < 2 or not (ours.std > 0 and theirs.std > 0):
        return Estimate(nothing, nothing, nothing, nothing)
    ratio, degrees = (ours.std / theirs.std) ** 2, (ours.count - 1, theirs.count - 1)
    tail = (1 - confidence) / 2
    low, high = ratio / special.fdtri(*degrees, 1 - tail), ratio / special.fdtri(*degrees, tail)
    return Estimate(ratio, float(low), float(high), degrees[0])


def interquartile_mean(values: Array) -> float:
    """Mean of the middle half: floor(n / 4) values are dropped at either end (Agarwal et al. 2021)."""
    ordered = np.sort(np.ravel(values))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def stratified_bootstrap(
    strata: Sequence[Array],
    statistic: Callable[[Array], float],
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Estimate:
    """Percentile interval of a statistic of all values together; seeds are redrawn within each stratum (task) only.

    The strata may differ in size. The same seed gives the same interval. Fewer than five values in a stratum have too
    few different resamples for an interval, which is then NaN.
    """
    generator = np.random.default_rng(seed)
    value = statistic(np.concatenate(strata))
    if any(len(stratum) < 5 for stratum in strata):
        return Estimate(value, float("nan"), float("nan"), float("nan"))
    drawn = np.concatenate(
        [stratum[generator.integers(0, len(stratum), (resamples, len(stratum)))] for stratum in strata], axis=1
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile([statistic(row) for row in drawn], [tail, 1 - tail])
    return Estimate(value, float(low), float(high), float("nan"))


def final(_: Array, curve: Array) -> float:
    """The last evaluation."""
    return float(curve[-1])


def last_tenth(frames: Array, curve: Array) -> float:
    """Mean of the evaluations in the last tenth of a run."""
    return float(curve[frames > 0.9 * frames[-1]].mean()) if len(curve) > 1 else float(curve[0])


def best(_: Array, curve: Array) -> float:
    """The highest evaluation. Optimistic: it is the maximum of noisy values. NaN if any is."""
    return float(curve.max())


def area(frames: Array, curve: Array) -> float:
    """Mean height of the curve between its first and last point (trapezoid)."""
    if len(curve) == 1:
        return float(curve[0])
    return float(np.trapezoid(curve, frames) / (frames[-1] - frames[0]))


STATISTICS: dict[str, Callable[[Array, Array], float]] = {
    "final": final,
    "last_tenth": last_tenth,
    "best": best,
    "area": area,
}
