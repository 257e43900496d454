"""Constructed results that reach every verdict."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from relatent.figures.claims import Result, judge
from relatent.figures.drawing import read_drawing

from .conftest import drawing_of

Results = dict[str, list[float]]
"""Final returns, a seed each, by algorithm, or by `algorithm/task`."""


def frame_of(results: Results, measure: str = "return") -> pd.DataFrame:
    rows = []
    for name, values in results.items():
        algorithm, _, task = name.partition("/")
        for seed, value in enumerate(values):
            place = {"algorithm": algorithm, "task": task or "reacher_easy", "seed": seed, "episode": 0}
            phase = "eval" if measure == "return" else "probe"
            rows.append(place | {"frames": 100, "phase": phase, "measure": measure, "value": value})
    return pd.DataFrame(rows)


def verdict(
    test: dict[str, Any], results: Results, reference: pd.DataFrame | None = None, since: str = "laptop", **changes: Any
) -> Result:
    claim = {"id": "one", "says": "a sentence", "where": "Sec. 1", "from": since, "test": test}
    drawing = read_drawing(drawing_of(claims=[claim], **changes))
    return judge(drawing.claims[0], drawing, frame_of(results, test.get("measure", "return")), reference)


BETTER = {"kind": "better", "algorithm": "smac", "than": "sac"}
HIGH, LOW, WIDE = [900.0, 910.0, 905.0], [100.0, 110.0, 120.0], [0.0, 500.0, 1000.0]


@pytest.mark.parametrize(
    ("test", "results", "expected"),
    [
        (BETTER, {"smac": HIGH, "sac": LOW}, "supported"),
        (BETTER, {"smac": LOW, "sac": HIGH}, "contradicted"),
        (BETTER, {"smac": HIGH, "sac": WIDE}, "inconclusive"),
        (BETTER, {"smac": [5.0, 5.0], "sac": [5.0, 5.0]}, "inconclusive"),  # an exact tie
        (BETTER, {"smac": [100.0, 100.0], "sac": [0.0, 0.0]}, "inconclusive"),  # no seed differs from another
        (BETTER, {"smac": [0.1] * 3, "sac": [0.0] * 3}, "inconclusive"),  # nor here, whatever rounding makes of it
        (BETTER | {"pooled": True}, {"smac": [100.0, 100.0], "sac": [0.0, 0.0]}, "inconclusive"),
        (BETTER, {"smac": HIGH, "sac": [0.0, 0.0]}, "supported"),  # one of both groups varies
        (BETTER | {"lower": True}, {"smac": LOW, "sac": HIGH}, "supported"),
        (BETTER | {"lower": True}, {"smac": HIGH, "sac": LOW}, "contradicted"),
        (BETTER | {"pooled": True}, {"smac": HIGH, "sac": LOW}, "supported"),
        (BETTER | {"pooled": True}, {"smac": LOW, "sac": HIGH}, "contradicted"),
        (BETTER | {"pooled": True}, {"smac": [0.0, 0.0], "sac": [0.0, 0.0]}, "inconclusive"),
        (BETTER, {"smac": [900.0, float("nan"), 910.0], "sac": LOW}, "inconclusive"),
        (BETTER, {"smac": [900.0, float("inf"), 910.0], "sac": LOW}, "inconclusive"),
        (BETTER, {"smac": [900.0], "sac": LOW}, "inconclusive"),  # one seed of three
        (BETTER, {"sac": LOW}, "inconclusive"),  # none of three
        ({"kind": "at_least", "algorithm": "smac", "value": 800}, {"smac": HIGH}, "supported"),
        ({"kind": "at_least", "algorithm": "smac", "value": 1000}, {"smac": HIGH}, "contradicted"),
        ({"kind": "at_least", "algorithm": "smac", "value": 500}, {"smac": WIDE}, "inconclusive"),
        ({"kind": "at_least", "algorithm": "smac", "value": 4}, {"smac": [4.0, 4.0]}, "supported"),  # at least is >=
        ({"kind": "at_most", "algorithm": "smac", "value": 1000}, {"smac": HIGH}, "supported"),
        ({"kind": "at_most", "algorithm": "smac", "value": 800}, {"smac": HIGH}, "contradicted"),
        ({"kind": "at_most", "algorithm": "smac", "value": 4}, {"smac": [4.0, 4.0]}, "supported"),
        ({"kind": "order", "algorithms": ["a", "b", "c"]}, {"a": LOW, "b": [500, 510], "c": HIGH}, "supported"),
        ({"kind": "order", "algorithms": ["a", "b", "c"]}, {"a": HIGH, "b": [500, 510], "c": LOW}, "contradicted"),
        ({"kind": "order", "algorithms": ["a", "b", "c"]}, {"a": WIDE, "b": WIDE, "c": WIDE}, "inconclusive"),
        ({"kind": "order", "algorithms": ["a", "b"]}, {"a": [1.0, 1.0], "b": [2.0, 2.0]}, "inconclusive"),
        # The trend rises, but not at every step.
        ({"kind": "order", "algorithms": ["a", "b", "c"]}, {"a": [300, 310], "b": LOW, "c": HIGH}, "inconclusive"),
        ({"kind": "steadier", "algorithm": "a", "than": "b"}, {"a": HIGH, "b": WIDE}, "supported"),
        ({"kind": "steadier", "algorithm": "a", "than": "b"}, {"a": WIDE, "b": HIGH}, "contradicted"),
        ({"kind": "steadier", "algorithm": "a", "than": "b"}, {"a": HIGH, "b": LOW}, "inconclusive"),
        ({"kind": "steadier", "algorithm": "a", "than": "b"}, {"a": HIGH, "b": [1.0, 1.0]}, "inconclusive"),
        # What never learns is not steady.
        (
            {"kind": "steadier", "algorithm": "a", "than": "b"},
            {"a": [0.0] * 5, "b": [700.0, 720.0, 690.0, 710.0, 705.0]},
            "inconclusive",
        ),
    ],
)
def test_verdicts(test: dict[str, Any], results: Results, expected: str) -> None:
    assert verdict(test, results, seeds_wanted=3).verdict == expected


def test_effect_and_interval_are_welchs() -> None:
    found = verdict(BETTER, {"smac": HIGH, "sac": WIDE})
    expected = stats.ttest_ind(HIGH, WIDE, equal_var=False).confidence_interval(0.95)
    assert found.effect == pytest.approx(405.0)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert found.text.startswith("SMAC - SAC, final return: +405 [")


def test_below_its_budget_a_claim_is_not_tested_whatever_the_data_say() -> None:
    found = verdict(BETTER, {"smac": HIGH, "sac": LOW}, since="paper")
    assert (found.verdict, found.effect) == ("not tested at this budget", None)
    assert found.text == "needs the paper budget"


def test_one_seed_is_never_judged() -> None:
    found = verdict(BETTER, {"smac": [900.0], "sac": [1.0]}, seeds_wanted=1)
    assert found.verdict == "not tested at this budget"
    assert found.text == "one seed gives no interval"


def test_explosions_are_compared_by_their_order_of_magnitude() -> None:
    test = {"kind": "at_least", "algorithm": "smac", "value": 12, "measure": "entropy", "log10": True}
    found = verdict(test, {"smac": [1e17, 1e18]})
    assert found.verdict == "inconclusive"  # two seeds: 17.5 +- 6.4
    assert found.effect == pytest.approx(17.5)
    assert verdict(test, {"smac": [1e17, 1e18, 1e17, 1e18]}).verdict == "supported"


INFINITE, NOT_A_NUMBER = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-1.2, -1.1, 0.3, 2.0, -0.5], "contradicted"),  # nothing exploded
        ([-1.2, -1.2], "contradicted"),
        ([1e17, -3.0], "inconclusive"),
        ([1e17, 1e18, 1e17, INFINITE], "supported"),
        ([INFINITE, INFINITE], "supported"),
        ([INFINITE, 0.0, 0.0, 0.0, 0.0], "inconclusive"),  # four did not, but the mean is infinite
        ([1e17, 1e18, 1e17, NOT_A_NUMBER], "inconclusive"),
    ],
)
def test_an_explosion_can_be_contradicted_and_infinity_is_one(values: list[float], expected: str) -> None:
    test = {"kind": "at_least", "algorithm": "smac", "value": 6, "measure": "entropy", "log10": True}
    assert verdict(test, {"smac": values}).verdict == expected


def test_infinity_is_never_at_most_anything() -> None:
    test = {"kind": "at_most", "algorithm": "smac", "value": 6, "measure": "entropy", "log10": True}
    assert verdict(test, {"smac": [INFINITE, 1e17]}).verdict == "contradicted"
    assert verdict(test, {"smac": [INFINITE, 1.0, 1.0, 1.0]}).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        ([1e4, 2e4, 1e4], [1e4, 2e4, 1e4], "supported"),
        ([1e4, 2e4, 1e4], [1e9, 1e9, 1e9], "supported"),
        ([3.0, 2.0, 4.0], [5.0, 6.0, 5.0], "contradicted"),
        ([3.0, 2.0, 4.0], [1e4, 2e4, 1e4], "inconclusive"),  # the truth is not known well enough
        ([-1.0, -2.0, -1.0], [0.5, 0.6, 0.5], "contradicted"),
    ],
)
def test_an_excess_over_a_truth_between_bounds(least: list[float], most: list[float], expected: str) -> None:
    test = {"kind": "at_least", "algorithm": "smac", "value": 2, "measure": "entropy_excess", "log10": True}
    claim = {"id": "x", "says": "s", "where": "w", "from": "laptop", "test": test}
    drawing = read_drawing(drawing_of(claims=[claim]))
    frame = pd.concat(
        [frame_of({"smac": least}, "entropy_excess_least"), frame_of({"smac": most}, "entropy_excess_most")]
    )
    assert judge(drawing.claims[0], drawing, frame, None).verdict == expected


TASKS = ["t0", "t1", "t2", "t3"]


def over_tasks(better: int, worse: int, **test: Any) -> Result:
    """SMAC better on some tasks, worse on others, undecided on the rest of four."""
    results: Results = {}
    for number, task in enumerate(TASKS):
        ours, theirs = (HIGH, LOW) if number < better else (LOW, HIGH) if number < better + worse else (WIDE, WIDE)
        results |= {f"smac/{task}": ours, f"sac/{task}": theirs}
    return verdict(BETTER | test, results, data={"algorithms": ["smac", "sac"], "tasks": TASKS})


@pytest.mark.parametrize(
    ("better", "worse", "share", "expected"),
    [
        (4, 0, 1.0, "supported"),
        (3, 0, 1.0, "inconclusive"),
        (3, 1, 1.0, "contradicted"),  # one task that denies is enough where all must agree
        (3, 0, 0.75, "supported"),
        (3, 1, 0.75, "supported"),
        (2, 1, 0.75, "inconclusive"),
        (2, 2, 0.75, "contradicted"),
        (1, 3, 0.5, "contradicted"),
        (2, 2, 0.5, "supported"),
    ],
)
def test_a_sentence_about_several_tasks(better: int, worse: int, share: float, expected: str) -> None:
    found = over_tasks(better, worse, share=share)
    assert found.verdict == expected
    assert f"holds on {better}, fails on {worse} of 4 tasks" in found.text
    assert len(found.tasks) == 4


def test_a_task_where_nothing_varies_leaves_the_others_their_say() -> None:
    """As where neither algorithm has found a sparse reward."""
    results: Results = {f"{name}/t3": [0.0, 0.0] for name in ("smac", "sac")}
    for task in TASKS[:3]:
        results |= {f"smac/{task}": HIGH, f"sac/{task}": LOW}
    found = verdict(BETTER | {"share": 0.75}, results, data={"algorithms": ["smac", "sac"], "tasks": TASKS})
    assert found.verdict == "supported"
    assert "t3 +0 (no interval: its seeds do not differ)" in found.text


def test_one_task_of_many_must_be_clearer_to_contradict() -> None:
    """Eight tasks, one of which is worse at p = 0.02: no contradiction at 0.05 / 8, while alone it is one."""
    worse = {"smac/t0": [100.0, 110.0, 120.0], "sac/t0": [135.0, 145.0, 155.0]}
    p = stats.ttest_ind(worse["smac/t0"], worse["sac/t0"], equal_var=False).pvalue
    assert 0.05 / 8 < p < 0.05
    alone = verdict(BETTER, worse, data={"algorithms": ["smac", "sac"], "tasks": ["t0"]})
    assert alone.verdict == "contradicted"
    many = worse | {f"{name}/t{n}": values for n in range(1, 8) for name, values in (("smac", HIGH), ("sac", LOW))}
    found = verdict(BETTER, many, data={"algorithms": ["smac", "sac"], "tasks": [f"t{n}" for n in range(8)]})
    assert found.verdict == "inconclusive"


def test_pooling_weighs_every_task_alike() -> None:
    """Scaled by the larger mean, +100 % of a task with tiny returns balances -100 % of one with large returns."""
    results = {"smac/t0": [2.0, 2.2], "sac/t0": [0.0, 0.0], "smac/t1": [0.0, 0.0], "sac/t1": [800.0, 880.0]}
    data = {"algorithms": ["smac", "sac"], "tasks": ["t0", "t1"]}
    assert verdict(BETTER | {"pooled": True}, results, data=data).effect == pytest.approx(0.0)
    scaled = verdict(BETTER | {"pooled": True, "scale": 1000}, results, data=data)
    assert scaled.effect == pytest.approx((2.1 - 840) / 2 / 1000)


REFERENCE = pd.DataFrame(
    [
        ("sac", "reacher_easy", 100, 800.0, 50.0, 3, "A"),
        ("sac", "reacher_easy", 100, 880.0, 10.0, 10, "B"),
        ("sac", "reacher_easy", 500, 10.0, 0.0, 3, "A"),
    ],
    columns=["algorithm", "task", "frames", "mean", "std", "seeds", "source"],
)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([700.0, 702.0], "supported"),  # the band is [min(800 - 100, 880 - 20), max(800 + 100, 880 + 20)] = [700, 900]
        ([899.0, 901.0], "supported"),
        ([910.0, 910.5], "contradicted"),
        ([500.0, 500.5], "contradicted"),
        ([600.0, 750.0], "inconclusive"),  # outside, but its interval reaches in
    ],
)
def test_within_the_band_of_all_sources(values: list[float], expected: str) -> None:
    found = verdict({"kind": "within", "algorithm": "sac", "frames": 100}, {"sac": values}, REFERENCE)
    assert found.verdict == expected
    assert "band [700, 900] of 2 sources" in found.text


def test_a_band_that_reaches_zero_supports_nothing() -> None:
    wide = REFERENCE.assign(std=2 * REFERENCE["mean"])
    found = verdict({"kind": "within", "algorithm": "sac", "frames": 100}, {"sac": [400.0, 500.0, 600.0]}, wide)
    assert found.verdict == "inconclusive"
    assert "too wide to tell" in found.text


def test_within_says_what_is_missing() -> None:
    test = {"kind": "within", "algorithm": "sac", "frames": 200}
    assert verdict(test, {"sac": HIGH}, REFERENCE).text == "no reference number for sac on reacher_easy at 200 frames"
    assert verdict(test, {"sac": HIGH}, None).text == "the figure names no reference numbers"


@pytest.mark.parametrize(
    ("frames", "phase"),
    [
        ([90, 90], "eval"),
        ([100, 90], "eval"),  # one seed of two ends before
        ([100, 101], "eval"),  # one has no evaluation there
        ([100, 100], "train"),
    ],
)
def test_a_curve_that_lacks_the_references_frames_is_not_judged(frames: list[int], phase: str) -> None:
    test = {"kind": "within", "algorithm": "sac", "frames": 100}
    claim = {"id": "x", "says": "s", "where": "w", "from": "laptop", "test": test}
    drawing = read_drawing(drawing_of(claims=[claim]))
    earlier = frame_of({"sac": [800.0, 801.0]}).assign(frames=50)
    later = frame_of({"sac": [800.0, 801.0]}).assign(frames=frames, phase=phase)
    found = judge(drawing.claims[0], drawing, pd.concat([earlier, later]), REFERENCE)
    assert found.verdict == "inconclusive"
    assert found.text.startswith("sac on reacher_easy: no return at frame 100 of seed ")


def test_a_curve_is_read_at_the_references_frames() -> None:
    claim = {
        "id": "x",
        "says": "s",
        "where": "w",
        "from": "laptop",
        "test": {"kind": "within", "algorithm": "sac", "frames": 100},
    }
    drawing = read_drawing(drawing_of(claims=[claim]))
    early, late = frame_of({"sac": [800.0, 801.0]}), frame_of({"sac": [0.0, 0.0]}).assign(frames=101)
    found = judge(drawing.claims[0], drawing, pd.concat([early, late]), REFERENCE)
    assert found.effect == pytest.approx(np.mean([800.0, 801.0]))
