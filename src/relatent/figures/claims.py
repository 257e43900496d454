"""The paper's sentences, put to our runs.

A verdict is `supported`, `contradicted`, `inconclusive` or `not tested at this budget`, with the effect and its 95 %
interval. It never rests on one seed. A sentence about several tasks holds when it holds on `share` of them, judged as a
partial conjunction (Benjamini & Heller 2008): "at least r of T" is supported when r tasks are, each at level
0.05 / (T - r + 1), and contradicted when T - r + 1 tasks say the opposite, by the same rule.
"""

from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import pairwise
from math import ceil
from typing import Any, Literal

import numpy as np
import pandas as pd

from relatent.figures.drawing import Drawing, measure_name, task_title
from relatent.figures.reference import band, rows_for
from relatent.figures.series import seed_values, seeds_without
from relatent.figures.statistics import Array, Estimate, Sample, combination, mean_interval, variance_ratio
from relatent.specs.figure import AtLeast, AtMost, Better, Claim, Judged, Order, Steadier, Within

STATISTIC = {"final": "final {}", "best": "best {}", "area": "mean {} over training"}
FEW_TASKS = 4
"""So many tasks are written out one by one."""
EXCESS = "_excess"
"""End of a measure's name of which `relatent.figures.gather` has a least and a most, as the truth has bounds only."""

Verdict = Literal["supported", "contradicted", "inconclusive", "not tested at this budget"]


@dataclass(frozen=True)
class Outcome:
    """A test on one task, or on all tasks pooled. `text` holds effect and interval in the measure's own unit."""

    verdict: Verdict
    text: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    task: str = ""


@dataclass(frozen=True)
class Result:
    """A claim and what became of it, as written to <figure>.check.json."""

    id: str
    says: str
    where: str
    verdict: Verdict
    text: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    tasks: list[dict[str, Any]] = field(default_factory=list)
    """The outcome on each task, where the tasks are not pooled."""


class CannotJudge(Exception):
    """A group of runs allows no verdict; the message says which and why."""


def judge(claim: Claim, drawing: Drawing, frame: pd.DataFrame, reference: pd.DataFrame | None) -> Result:
    """One claim's verdict at this figure's budget."""
    said = partial(Result, claim.id, claim.says, claim.where)
    if not drawing.budget.reaches(claim.from_):
        return said("not tested at this budget", f"needs the {claim.from_} budget")
    if drawing.seeds_wanted < 2:
        return said("not tested at this budget", "one seed gives no interval")
    test, tasks = claim.test, list(claim.test.tasks or drawing.data.tasks)
    try:
        if isinstance(test, Better) and test.pooled:
            whole, outcomes = pooled(test, tasks, frame), []
        else:
            outcomes = [on_task(test, task, frame, reference) for task in tasks]
            whole = outcomes[0] if len(tasks) == 1 else over_tasks(test, tasks, outcomes, frame, reference)
    except CannotJudge as reason:
        return said("inconclusive", str(reason))
    text = f"{subject(test, drawing)}: {whole.text}"
    return said(whole.verdict, text, whole.effect, whole.low, whole.high, [asdict(one) for one in outcomes])


def over_tasks(
    test: Judged, tasks: list[str], outcomes: list[Outcome], frame: pd.DataFrame, reference: pd.DataFrame | None
) -> Outcome:
    """Count the tasks that say so and those that say the opposite, each at its partial conjunction's level."""
    required = ceil(test.share * len(tasks) - 1e-9)
    refuting = len(tasks) - required + 1
    says = [on_task(test, task, frame, reference, 1 - 0.05 / refuting).verdict == "supported" for task in tasks]
    denies = [on_task(test, task, frame, reference, 1 - 0.05 / required).verdict == "contradicted" for task in tasks]
    verdict: Verdict = "inconclusive"
    if sum(says) >= required:
        verdict = "supported"
    elif sum(denies) >= refuting:
        verdict = "contradicted"
    text = f"holds on {sum(says)}, fails on {sum(denies)} of {len(tasks)} tasks, must hold on {required}"
    if len(tasks) <= FEW_TASKS:
        text += f" ({'; '.join(f'{task_title(one.task)} {one.text}' for one in outcomes)})"
    return Outcome(verdict, text)


def pooled(test: Better, tasks: list[str], frame: pd.DataFrame) -> Outcome:
    """Mean over tasks of the scaled differences. The tasks are fixed, the seeds are what varies."""
    samples: list[Sample] = []
    weights: list[float] = []
    for task in tasks:
        pair = [Sample.of(seeds_of(frame, name, task, test)) for name in (test.algorithm, test.than)]
        share = 1 / len(tasks) / (test.scale or max(abs(sample.mean) for sample in pair) or 1.0)
        samples += pair
        weights += [share, -share * test.times]
    estimate = combination(samples, weights)
    if not estimate.has_interval:
        raise CannotJudge("no seed differs from another, so no interval")
    unit = f"of {test.scale:g}" if test.scale else "of the larger mean"
    percent = f"{100 * estimate.value:+.1f} % [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}] {unit}"
    text = percent + (f", averaged over {len(tasks)} tasks" if len(tasks) > 1 else "")
    return outcome(estimate, 0.0, not test.lower, text)


def on_task(
    test: Judged, task: str, frame: pd.DataFrame, reference: pd.DataFrame | None, confidence: float = 0.95
) -> Outcome:
    """One test on one task, at a given confidence."""
    of = partial(seeds_of, frame, task=task, test=test)
    match test:
        case Better():
            pair = [Sample.of(of(name)) for name in (test.algorithm, test.than)]
            difference = combination(pair, [1.0, -test.times], confidence)
            return outcome(difference, 0.0, not test.lower, written(difference, signed=True), task)
        case AtMost() | AtLeast():
            mean = level(test, task, frame, confidence)
            bound = f"{written(mean)}, {'at least' if isinstance(test, AtLeast) else 'at most'} {test.value:g} wanted"
            return outcome(mean, test.value, isinstance(test, AtLeast), bound, task, inclusive=True)
        case Within():
            mean = mean_interval(of(test.algorithm, until=test.frames), confidence)
            return within(test, task, frame, mean, reference)
        case Order():
            return order([of(name) for name in test.algorithms], confidence, task)
        case Steadier():
            ratio = variance_ratio(Sample.of(of(test.algorithm)), Sample.of(of(test.than)), confidence)
            return outcome(ratio, 1.0, False, f"variance over seeds x {written(ratio)}", task)
    raise TypeError(f"no test of kind {type(test).__name__}")


def level(test: AtMost | AtLeast, task: str, frame: pd.DataFrame, confidence: float) -> Estimate:
    """The mean of a measure. Of an excess, the interval also covers what is not known of the truth."""
    ends = ("_least", "_most") if test.measure.endswith(EXCESS) else ("",)
    least, *most = (
        mean_interval(
            seeds_of(frame, test.algorithm, task, test.model_copy(update={"measure": test.measure + end})),
            confidence,
            test.value,
        )
        for end in ends
    )
    return replace(least, high=most[0].high) if most else least


def within(test: Within, task: str, frame: pd.DataFrame, mean: Estimate, reference: pd.DataFrame | None) -> Outcome:
    """Supported: our mean lies in the sources' band, wherever its interval ends. Contradicted: all of it lies outside.

    A band that reaches down to a return of zero cannot be missed from below, so that lying in it supports nothing.
    """
    if reference is None:
        raise CannotJudge("the figure names no reference numbers")
    rows = rows_for(reference, test.algorithm, task, test.frames)
    if rows.empty:
        raise CannotJudge(f"no reference number for {test.algorithm} on {task} at {test.frames} frames")
    if test.frames is not None:
        lacking = seeds_without(frame, test.algorithm, task, test.measure, test.phase, test.frames)
        if lacking:
            seeds = ", ".join(str(seed) for seed in lacking)
            raise CannotJudge(f"{test.algorithm} on {task}: no {test.measure} at frame {test.frames} of seed {seeds}")
    low, high = band(rows)
    verdict: Verdict = "inconclusive"
    if low <= mean.value <= high:
        verdict = "supported" if low > 0 else "inconclusive"
    elif mean.high < low or mean.low > high:
        verdict = "contradicted"
    text = f"{written(mean)}, band [{low:.4g}, {high:.4g}] of {len(rows)} source{'s' * (len(rows) > 1)}"
    text += ", too wide to tell" * (low <= 0)
    return Outcome(verdict, text, mean.value, mean.low, mean.high, task)


def order(groups: list[Array], confidence: float, task: str) -> Outcome:
    """Rising along the list: the means never fall, and the linear trend's interval lies above zero."""
    steps = np.arange(len(groups)) - (len(groups) - 1) / 2
    samples = [Sample.of(values) for values in groups]
    slope = combination(samples, list(steps / (steps**2).sum()), confidence)
    ranks = np.repeat(np.arange(len(groups)), [len(values) for values in groups])
    values = pd.Series(np.concatenate(groups)).rank()
    rho = 0.0 if values.nunique() == 1 else float(values.corr(pd.Series(ranks).rank()))
    text = f"{written(slope, signed=True)} a step, rank correlation {rho:+.2f}"
    found = outcome(slope, 0.0, True, text, task)
    if found.verdict == "supported" and any(b.mean < a.mean for a, b in pairwise(samples)):
        return Outcome(
            "inconclusive", f"{text}, but not rising at every step", slope.value, slope.low, slope.high, task
        )
    return found


def seeds_of(frame: pd.DataFrame, algorithm: str, task: str, test: Judged, until: int | None = None) -> Array:
    """One finite number a seed, from two seeds at least.

    What has exploded to infinity is a number too where a bound of its order of magnitude is asked for.
    """
    values = seed_values(frame, algorithm, task, test.measure, test.phase, test.statistic, until or test.until)
    if len(values) < 2:
        raise CannotJudge(f"{algorithm} on {task}: {len(values)} seed{'s' * (len(values) != 1)}, so no interval")
    if test.log10:
        values = np.log10(np.maximum(values, 1.0))
    known = ~np.isnan(values) if test.log10 and isinstance(test, AtMost | AtLeast) else np.isfinite(values)
    bad = int((~known).sum())
    if bad:
        raise CannotJudge(
            f"{algorithm} on {task}: {test.measure} is not a finite number in {bad} of {len(values)} seeds"
        )
    return values


def outcome(
    estimate: Estimate, point: float, above: bool, text: str, task: str = "", inclusive: bool = False
) -> Outcome:
    """Which side of `point` the interval lies on, and whether the sentence wants it there.

    An interval that ends at the point decides nothing, unless the sentence says `at least` or `at most` (`inclusive`).
    """
    verdict: Verdict = "inconclusive"
    higher, lower = estimate.low > point, estimate.high < point
    if higher or lower:
        verdict = "supported" if higher == above else "contradicted"
    elif inclusive and (estimate.low if above else estimate.high) == point:
        verdict = "supported"
    return Outcome(verdict, text, estimate.value, estimate.low, estimate.high, task)


def written(estimate: Estimate, signed: bool = False) -> str:
    """Value and interval, of two seeds or more."""
    numbers = (f"{number:{'+' if signed else ''}.4g}" for number in (estimate.value, estimate.low, estimate.high))
    value, low, high = numbers
    if np.isnan(estimate.low):
        return f"{value} (no interval: its seeds do not differ)"
    return f"{value} [{low}, {high}]"


def subject(test: Judged, drawing: Drawing) -> str:
    """What the numbers after the colon are."""
    measure = f"{'log10 of ' * test.log10}{STATISTIC[test.statistic].format(measure_name(test.measure))}"
    measure += f" up to frame {test.until:,}" if test.until else ""
    match test:
        case Better():
            times = f"{test.times:g} x " if test.times != 1 else ""
            return f"{drawing.label(test.algorithm)} - {times}{drawing.label(test.than)}, {measure}"
        case Steadier():
            return f"{drawing.label(test.algorithm)} / {drawing.label(test.than)}, {measure}"
        case Order():
            return f"{' < '.join(drawing.label(name) for name in test.algorithms)}, {measure}"
        case AtMost() | AtLeast() | Within():
            return f"{drawing.label(test.algorithm)}, {measure}"
    raise TypeError(f"no test of kind {type(test).__name__}")
