"""ALM's own kinds of figures: wall clock, bias, open loop, sweep and a table with the origin of its cells."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relatent.figures.check import check
from relatent.figures.derived import training_seconds
from relatent.figures.draw import draw
from relatent.figures.gather import gather
from relatent.figures.reference import read_reference
from relatent.specs.errors import RelatentError

from .conftest import drawing_of, page_of

ROOT = Path(__file__).parents[2]
PAPER = {"name": "paper", "order": ["smoke", "laptop", "paper"]}
Drawn = tuple[pd.DataFrame, str, list[str], dict[str, Any]]


@pytest.fixture
def drawn(tmp_path: Path, run_list: Any) -> Callable[..., Drawn]:
    """Draw runs: the CSV, all words of the figure, what is written beyond its page, and the verdicts."""

    def make(runs: list[Path], kind: str, **changes: Any) -> Drawn:
        given = {"paper": "alm", "figure": "alm_fig0", "kind": kind, "budget": PAPER, **changes}
        drawing = drawing_of(**given)
        parquet = tmp_path / "x.parquet"
        gather(run_list(runs), parquet, partial=True)
        verdicts = check(parquet, drawing, tmp_path)
        draw(parquet, drawing, verdicts, tmp_path / "figure")
        words, beyond = page_of(kind, parquet, drawing, verdicts)
        return pd.read_csv(tmp_path / "figure.csv"), words, beyond, verdicts

    return make


def missing(like: Path, algorithm: str, task: str) -> Path:
    """A run that is wanted and not finished."""
    return like.parents[2] / algorithm / task / "s0-0000000000ff"


# Wall clock

CLOCK: dict[str, Any] = {
    "phase_seconds": {
        **{"environment": 100.0, "act": 50.0, "replay": 30.0, "update": 600.0},
        **{"evaluation": 70.0, "logging": 5.0, "setup": 15.0},
    },
    "frames": 1000,
}
CLOCK_SPEC = {"training": {"eval_every": 500, "random_frames": 200}, "hyper": {"update_after": 400}}


def test_seconds_follow_what_each_phase_had_to_do() -> None:
    """Environment from the first step on, acting after 200 of 1000 steps, learning after 400."""
    found = training_seconds({**CLOCK, "spec": CLOCK_SPEC}, np.array([0.0, 100.0, 200.0, 400.0, 700.0, 1000.0]))
    assert found == pytest.approx([0, 10, 20, 40 + 50 / 4, 70 + 50 * 5 / 8 + 630 / 2, 780], rel=1e-12)


def clocked(make_run: Any, name: str, seed: int, returns: list[float], slower: float = 1.0) -> Path:
    """A run of `returns` at 0, 500 and 1000 frames that takes so many times as long as CLOCK."""
    clock = {**CLOCK, "phase_seconds": {phase: slower * value for phase, value in CLOCK["phase_seconds"].items()}}
    curve = {frames: [value] for frames, value in zip((0, 500, 1000), returns, strict=True)}
    return make_run(name, "half_cheetah", seed, curve, spec=CLOCK_SPEC, **clock)


WALL_CLOCK: dict[str, Any] = {
    "data": {"algorithms": ["alm", "sac", "redq"], "tasks": ["half_cheetah"]},
    "labels": {"alm": "ALM(3)", "sac": "SAC", "redq": "REDQ"},
    "look": {"matched": "sac", "y_range": None},
}


def test_the_wall_clock_shows_and_judges_seconds(make_run: Any, drawn: Any) -> None:
    half = training_seconds({**CLOCK, "spec": CLOCK_SPEC}, np.array([500.0]))[0]
    runs = [clocked(make_run, "alm", seed, [0, 200 + seed, 300]) for seed in range(2)]
    runs += [clocked(make_run, "sac", seed, [0, 50, 150 + 10 * seed], 1 + seed / 10) for seed in range(2)]
    runs += [missing(runs[0], "redq", "half_cheetah")]
    test = {"kind": "better", "algorithm": "sac", "than": "alm", "measure": "seconds_per_step", "times": 0.5}
    faster = {"id": "a", "says": "S", "where": "W", "from": "paper", "test": test}
    reached = {**faster, "test": {**test, "measure": "seconds_to_match", "times": 1.6}}
    table, words, beyond, verdicts = drawn(runs, "wall_clock", **WALL_CLOCK, claims=[faster, reached])

    points = table[table["band"] != "phase"].set_index(["algorithm", "frames"])
    assert points.loc[("alm", 500), "seconds"] == pytest.approx(half)
    assert points.loc[("sac", 1000), "seconds"] == pytest.approx(780 * 1.05)
    assert points.loc[("alm", 500), "mean"] == 200.5
    bars = table[table["band"] == "phase"].set_index(["algorithm", "phase"])["milliseconds_per_step"]
    assert bars["alm"].to_dict() == pytest.approx(
        {"environment": 100, "act": 50, "replay": 30, "update": 600, "evaluation": 70, "other": 20}
    )
    first, second = verdicts["claims"]
    assert first["effect"] == pytest.approx(0.78 * 1.05 - 0.5 * 0.78)
    # SAC's first seed ends below the mean of 155, its second above it: both need their whole training.
    assert second["effect"] == pytest.approx(780 * 1.05 - 1.6 * half)
    assert second["verdict"] == "supported"
    assert "SAC - 1.6 x ALM(3), final seconds to match" in words
    assert f"ALM(3) on half cheetah {half / (780 * 1.05):.2f}." in words
    for text in ("PARTIAL: 4 of 5 runs", "minutes of training", "780", "not trained", "all runs on a processor."):
        assert text in words
    assert beyond == []


def test_times_of_different_machines_are_called_incomparable(make_run: Any, drawn: Any) -> None:
    other = {"cpu": "another", "cores": 2, "gpus": ["a GPU"]}
    runs = [clocked(make_run, "alm", 0, [0, 1, 2]), clocked(make_run, "redq", 0, [0, 1, 2])]
    spec = {**CLOCK_SPEC, "seed": 0}
    runs.append(make_run("sac", "half_cheetah", 0, {0: [0.0], 1000: [9.0]}, spec=spec, **CLOCK, hardware=other))
    _, words, _, verdicts = drawn(runs, "wall_clock", **WALL_CLOCK)
    assert "not the same for all runs, so their times do not compare. a processor: ALM(3) 1, REDQ 1; another" in words
    assert "another and a GPU: SAC 1." in words
    assert "ALM(3) on half cheetah never" in words
    assert verdicts["claims"] == []


def test_a_copy_of_the_matched_algorithm_needs_as_long(make_run: Any, drawn: Any) -> None:
    """Both have learnt all by the middle of their training, and the rest of it counts for neither."""
    runs = [clocked(make_run, name, seed, [0, 100, 100]) for name in ("alm", "sac") for seed in range(2)]
    test = {"kind": "better", "algorithm": "sac", "than": "alm", "measure": "seconds_to_match"}
    _, words, _, verdicts = drawn(
        runs, "wall_clock", **WALL_CLOCK, claims=[{"id": "a", "says": "S", "where": "W", "from": "paper", "test": test}]
    )
    assert verdicts["claims"][0]["effect"] == 0
    assert verdicts["claims"][0]["verdict"] != "supported"
    assert "ALM(3) on half cheetah 1.00." in words


def test_times_of_runs_that_shared_a_process_are_called_incomparable(make_run: Any, drawn: Any) -> None:
    runs = [clocked(make_run, "alm", 0, [0, 1, 2]), clocked(make_run, "redq", 0, [0, 1, 2])]
    spec, graph = {**CLOCK_SPEC, "seed": 0}, {"compiled": False, "graph": True}
    shared = {"batched_with": ["runs/other", "runs/another"], "acceleration": graph}
    runs.append(make_run("sac", "half_cheetah", 0, {0: [0.0], 1000: [9.0]}, spec=spec, **CLOCK, **shared))
    _, words, _, _ = drawn(runs, "wall_clock", **WALL_CLOCK)
    assert "so their times do not compare" in words
    assert "a processor, graph, 3 runs in one process: SAC 1." in words


# Bias


def test_bias_has_a_row_for_its_mean_and_one_for_its_deviation(make_run: Any, drawn: Any) -> None:
    runs = []
    for name, level in (("alm", -0.1), ("redq", 0.3)):
        for seed in range(3):
            probes = {"bias_mean": np.array([0.0, level - seed]), "bias_deviation": np.array([1.0, abs(level)])}
            probes |= {f"{key}_frames": np.array([5000, 10000]) for key in list(probes)}
            runs.append(make_run(name, "ant", seed, {5000: [1.0], 10000: [2.0]}, probes))
    runs.append(missing(runs[0], "alm", "walker2d"))
    data = {"algorithms": ["alm", "redq"], "tasks": ["ant", "walker2d"], "measure": "bias_mean"}
    table, words, beyond, _ = drawn(
        runs, "bias", data=data, labels={"alm": "ALM(3)", "redq": "REDQ"}, seeds_wanted=3, look={"y_range": None}
    )
    last = table[table["frames"] == 10000].set_index(["algorithm", "measure"])
    assert last.loc[("alm", "bias_mean"), "mean"] == pytest.approx(-1.1)
    assert last.loc[("alm", "bias_mean"), ["seed_0", "seed_1", "seed_2"]].tolist() == pytest.approx([-0.1, -1.1, -2.1])
    assert last.loc[("redq", "bias_deviation"), "mean"] == pytest.approx(0.3)
    assert set(table["band"]) == {"t95"}
    for text in ("mean of the bias", "sd of the bias", "walker2d", "not trained", "0 to 3 of 3 seeds", "thousands"):
        assert text in words
    assert beyond == []


# Open loop


def predictions(error: np.ndarray) -> dict[str, np.ndarray]:
    true = np.sin(np.arange(51) / 5)
    return {"open_loop_error": error, "open_loop_true": true, "open_loop_predicted": true + np.arange(51) / 50}


def test_open_loop_counts_the_steps_that_a_prediction_holds(make_run: Any, drawn: Any) -> None:
    """0.025 more with each step stays within half of the variance for 20 steps, whatever comes after."""
    rising = np.arange(1, 51) * 0.025
    after = np.where(np.arange(1, 51) > 30, 0.1, rising)
    errors = {"alm": [rising, after, rising * 0.5], "alm_no_kl": [rising * 7, rising * 12, np.full(50, np.nan)]}
    runs = [
        make_run(name, "half_cheetah", seed, {0: [0.0], 300_000: [1.0]}, predictions(error))
        for name, of in errors.items()
        for seed, error in enumerate(of)
    ]
    test = {"kind": "at_least", "algorithm": "alm", "measure": "open_loop_steps", "value": 20}
    claim = {"id": "a", "says": "S", "where": "W", "from": "paper", "test": test}
    table, words, beyond, verdicts = drawn(
        runs,
        "open_loop",
        data={"algorithms": ["alm", "alm_no_kl"], "tasks": ["half_cheetah"], "measure": "open_loop_error"},
        labels={"alm": "ALM(3)", "alm_no_kl": "no KL"},
        seeds_wanted=3,
        claims=[claim, {**claim, "test": {**test, "algorithm": "alm_no_kl"}}],
    )
    assert verdicts["claims"][0]["effect"] == pytest.approx((20 + 20 + 40) / 3)
    assert verdicts["claims"][1]["effect"] == pytest.approx((2 + 1 + 0) / 3)
    assert verdicts["claims"][1]["verdict"] == "contradicted"
    drawn_seeds = table[table["measure"] == "open_loop_true"].groupby("algorithm")["seed"].unique().str[0]
    assert drawn_seeds.to_dict() == {"alm": 1, "alm_no_kl": 1}  # 20, 20, 40 and 2, 1, 0: the lower of equals first
    assert len(table[table["measure"] == "open_loop_predicted"]) == 2 * 51
    chosen = table.query("algorithm == 'alm' and measure == 'open_loop_error' and seed == 2")
    assert chosen["step"].tolist() == list(range(1, 51))
    assert chosen["value"].to_numpy() == pytest.approx(rising * 0.5)
    for text in ("ALM(3), seed 1", "no KL, seed 1", "first number of z", "squared error / variance"):
        assert text in words
    assert beyond == []


def test_open_loop_without_one_of_its_algorithms(make_run: Any, drawn: Any) -> None:
    run = make_run("alm", "half_cheetah", 0, {0: [0.0]}, predictions(np.ones(50)))
    _, words, beyond, _ = drawn(
        [run, missing(run, "alm_no_kl", "half_cheetah")],
        "open_loop",
        data={"algorithms": ["alm_no_kl", "alm"], "tasks": ["half_cheetah"], "measure": "open_loop_error"},
    )
    assert "not trained" in words
    assert "0 to 1 of 2 seeds" in words
    assert beyond == []


# Sweep


def swept(make_run: Any, name: str, weight: float, seed: int, level: float) -> Path:
    return make_run(name, "ant", seed, {0: [0.0], 10: [level + seed]}, spec={"hyper": {"classifier_weight": weight}})


SWEEP: dict[str, Any] = {
    "data": {"algorithms": ["alm", "alm_c1", "alm_c005"], "tasks": ["ant", "humanoid"]},
    "labels": {"alm": "c = 0.1", "alm_c1": "c = 1", "alm_c005": "c = 0.05"},
    "look": {"along": "classifier_weight", "y_range": None},
}


def test_a_sweep_reads_its_axis_from_the_runs(make_run: Any, drawn: Any) -> None:
    runs = [swept(make_run, "alm", 0.1, seed, 500.0) for seed in range(2)]
    runs += [swept(make_run, "alm_c1", 1.0, seed, 100.0) for seed in range(2)]
    runs += [missing(runs[0], "alm_c005", "ant")]
    table, words, beyond, _ = drawn(runs, "sweep", **SWEEP)
    assert table[["algorithm", "at", "mean", "seed_0", "seed_1"]].to_numpy().tolist() == [
        ["alm", 0.1, 500.5, 500.0, 501.0],
        ["alm_c1", 1.0, 100.5, 100.0, 101.0],
    ]
    for text in ("classifier weight", "Not trained: c = 0.05.", "0 to 2 of 2 seeds", "humanoid", "final return"):
        assert text in words
    assert beyond == []


def test_a_sweep_along_what_is_no_hyperparameter_is_refused(make_run: Any, drawn: Any) -> None:
    runs = [swept(make_run, "alm", 0.1, 0, 500.0)]
    with pytest.raises(RelatentError, match="has no hyperparameter 'weight'"):
        drawn(runs, "sweep", **{**SWEEP, "look": {"along": "weight"}})


# Table 1


def test_the_table_has_three_parts(tmp_path: Path, make_run: Any, drawn: Any) -> None:
    """Ours are read at the reference's frame, though runs go on."""
    (tmp_path / "printed.csv").write_text((ROOT / "config/reference/alm_table1.csv").read_text())
    runs = [
        make_run("alm", "half_cheetah", seed, {200_000: [1.0], 205_000: [9000.0 + 100 * seed], 300_000: [5.0]})
        for seed in range(3)
    ]
    runs += [make_run("td3", "hopper", 0, {100_000: [2000.0]}), missing(runs[0], "sac", "hopper")]
    tasks = ["humanoid_truncated", "ant_truncated", "half_cheetah", "walker2d", "hopper"]
    test = {"kind": "within", "algorithm": "alm", "frames": 205_000, "tasks": ["half_cheetah"]}
    table, words, beyond, verdicts = drawn(
        runs,
        "provenance_table",
        data={"algorithms": ["alm", "td3", "sac"], "tasks": tasks},
        labels={"alm": "ALM(3)", "td3": "TD3", "sac": "SAC"},
        reference={"file": "printed.csv", "frames": 205_000},
        claims=[{"id": "a", "says": "S", "where": "W", "from": "paper", "test": test}],
    )
    printed, ours = (table[table["part"] == part].set_index(["algorithm", "task"]) for part in ("printed", "ours"))
    assert (len(printed), len(ours)) == (35, 15)
    assert ours.loc[("alm", "half_cheetah"), ["mean", "std", "seeds"]].tolist() == [9100.0, 100.0, 3.0]
    assert ours.loc[("td3", "hopper"), "seeds"] == 1
    assert ours.loc[("sac", "hopper"), "seeds"] == 0
    assert printed.loc[("td3", "walker2d"), ["mean", "environment"]].tolist() == [-516, "mbbl Walker2D"]
    assert verdicts["claims"][0]["verdict"] == "contradicted"
    assert "band [1.006e+04, 1.152e+04] of 1 source" in verdicts["claims"][0]["text"]
    beside = {(row["algorithm"], row["task"]): row for row in verdicts["reference"]}
    assert beside["alm", "half_cheetah"]["frames"] == 205_000
    assert beside["alm", "half_cheetah"]["ours"]["mean"] == 9100.0  # not the 5 that they end at
    assert beside["td3", "hopper"]["ours"] is None  # never evaluated there
    assert ("sac", "humanoid_truncated") not in beside  # of how many seeds is not known
    for text in (
        "As printed",
        "10789 ± 366",
        "811.8 ± 241",
        "9100 ± 100 (3)",
        "2000 (1)",
        "not trained",
        "after 205,000 environment frames",
        "released, step 190k",
        "mbbl Walker2D-ET",
        "SLBO, quoted",
        "ALM(3) on walker2d: released: 1954 ± 1773",
    ):
        assert text in words
    assert beyond == []


# Claims and curves that these figures are the first to need


@pytest.mark.parametrize(
    ("change", "effect", "verdict"),
    [
        ({}, -100.0, "contradicted"),
        ({"times": 0.5}, 400.0, "supported"),  # 900 - 0.5 x 1000
        ({"times": 0.8}, 100.0, "supported"),
        ({"until": 5}, 20.0, "supported"),  # 120 - 100, at a frame before the last
        ({"until": 7, "times": 2.0}, -80.0, "contradicted"),
    ],
)
def test_claims_about_multiples_and_about_earlier_frames(
    make_run: Any, drawn: Any, change: dict[str, float], effect: float, verdict: str
) -> None:
    curves = {"alm": {5: 120.0, 10: 900.0}, "sac": {5: 100.0, 10: 1000.0}}
    runs = [
        make_run(name, "ant", seed, {frames: [value + seed] for frames, value in curve.items()})
        for name, curve in curves.items()
        for seed in range(3)
    ]
    test = {"kind": "better", "algorithm": "alm", "than": "sac", **change}
    _, _, _, verdicts = drawn(
        runs,
        "learning_curve",
        data={"algorithms": ["alm", "sac"], "tasks": ["ant"]},
        claims=[{"id": "a", "says": "S", "where": "W", "from": "paper", "test": test}],
        seeds_wanted=3,
    )
    found = verdicts["claims"][0]
    # Seeds add 0, 1 and 2 to either.
    assert found["effect"] == pytest.approx(effect + 1 - change.get("times", 1))
    assert found["verdict"] == verdict
    assert ("up to frame" in found["text"]) == ("until" in change)


def test_released_curves_stand_behind_ours_and_claims_may_use_them(tmp_path: Path, make_run: Any, drawn: Any) -> None:
    (tmp_path / "theirs.csv").write_text(
        "task,algorithm,frames,mean,std,seeds,source\nant,alm,5,50,10,5,A\nant,alm,10,100,20,5,A\nant,sac,10,7,1,5,A\n"
    )
    runs = [make_run("alm", "ant", seed, {5: [40.0 + seed], 10: [150.0 + seed]}) for seed in range(3)]
    within = {"kind": "within", "algorithm": "alm"}
    claim = {"id": "a", "says": "S", "where": "W", "from": "paper"}
    table, words, _, verdicts = drawn(
        runs,
        "learning_curve",
        data={"algorithms": ["alm"], "tasks": ["ant"]},
        reference={"file": "theirs.csv", "curves": True, "released": True, "note": "Five seeds."},
        claims=[{**claim, "test": {**within, "frames": frames}} for frames in (5, 10)],
        seeds_wanted=3,
    )
    assert [one["verdict"] for one in verdicts["claims"]] == ["supported", "contradicted"]  # [30, 70] and [60, 140]
    assert verdicts["reference"] == []  # no mark at each of its points
    behind = table[table["band"] == "released: A"]
    assert behind[["frames", "mean", "low", "high"]].to_numpy().tolist() == [[5, 50, 40, 60], [10, 100, 80, 120]]
    assert "Released" in words
    assert "A. Five seeds." in words
    assert "read off the picture" not in words


# Reference data


def test_released_curves_are_the_means_of_their_seeds() -> None:
    table = read_reference(ROOT / "config/reference/alm_released.csv")
    alm = table[table["algorithm"] == "alm"]
    assert alm.groupby("task").size().to_dict() == {
        **{"ant": 99, "humanoid": 99, "half_cheetah": 59, "walker2d": 59},
        **{"ant_truncated": 59, "humanoid_truncated": 59},
    }
    seeds = alm[[f"seed_{number}" for number in range(1, 6)]].to_numpy()
    assert np.allclose(alm["mean"], seeds.mean(axis=1), atol=0.051)
    assert np.allclose(alm["std"], seeds.std(axis=1, ddof=1), atol=0.051)
    assert (alm["frames"] % 5_000 == 0).all()
    assert not table.duplicated(["task", "algorithm", "frames"]).any()


def released() -> pd.DataFrame:
    table = read_reference(ROOT / "config/reference/alm_released.csv")
    return table.set_index(["algorithm", "task", "frames"]).sort_index()


@pytest.mark.parametrize(
    ("task", "step", "mean", "std"),
    [  # computed from the released files themselves
        ("humanoid_truncated", 100_000, 4329, 1129),
        ("humanoid_truncated", 200_000, 4177, 1017),
        ("ant_truncated", 200_000, 4887.4, 1027.3),
        ("half_cheetah", 200_000, 10788.7, 366.4),
        ("walker2d", 200_000, 1954, 1773),
        ("ant", 495_000, 6002, 561),
        ("humanoid", 150_000, 835, 313),
        ("humanoid", 495_000, 5886, 1078),
    ],
)
def test_released_curves_have_these_points(task: str, step: int, mean: float, std: float) -> None:
    found = released().loc["alm", task, step + 5_000]
    assert (found["mean"], found["std"]) == pytest.approx((mean, std), abs=0.6)


def test_which_printed_cells_are_released_ones() -> None:
    """Two are the evaluation at step 200,000; T-Humanoid's is the one before last, with the population's deviation;
    Walker2d's is nowhere on its curve."""
    curves = released()
    cells = read_reference(ROOT / "config/reference/alm_table1.csv").set_index(["algorithm", "task"]).loc["alm"]
    for task in ("ant_truncated", "half_cheetah"):
        found = curves.loc["alm", task, 205_000]
        assert found[["mean", "std"]].tolist() == pytest.approx(cells.loc[task, ["mean", "std"]].tolist(), abs=0.6)
    found = curves.loc["alm", "humanoid_truncated", 195_000]
    assert found[["mean", "std"]].tolist() == pytest.approx([5306.9, 438.0 * (5 / 4) ** 0.5], abs=0.2)
    walker = curves.loc["alm", "walker2d"]
    near = (walker["mean"] - cells.loc["walker2d", "mean"]).abs() < 1
    assert not near.any()


def test_the_printed_tables_are_there_in_full() -> None:
    first = read_reference(ROOT / "config/reference/alm_table1.csv")
    assert len(first) == 35
    assert first["mean"].sum() == pytest.approx(77_458.8)
    assert first["same"].value_counts().to_dict() == {"no": 21, "yes": 5, "nearly": 6, "unknown": 3}
    assert first["seeds"].isna().sum() == 3  # whose origin is not known
    fifth = read_reference(ROOT / "config/reference/alm_table5.csv").set_index(["algorithm", "task"])
    assert len(fifth) == 8
    assert fifth.loc[("sac_svg3", "ant_truncated"), "mean"] == fifth.loc[("alm", "humanoid_truncated"), "mean"] == 5306
    for swapped, other in (("sac_svg2", "sac_svg3"), ("sac_svg3", "sac_svg2")):
        mean = fifth.loc[(swapped, "humanoid_truncated"), "mean"]
        assert first.set_index(["algorithm", "task"]).loc[(other, "humanoid_truncated"), "mean"] == mean


def test_quoted_cells_are_those_of_the_benchmarks() -> None:
    """To the unit, but for what POPLIN has otherwise of SAC."""
    cells = read_reference(ROOT / "config/reference/alm_table1.csv").set_index(["algorithm", "task"])
    there = read_reference(ROOT / "config/reference/alm_benchmarks.csv").set_index(["algorithm", "task"]).sort_index()
    known = {
        "td3": ("walker2d", "mbbl_walker2d"),
        "sac": ("ant_truncated", "mbbl_ant"),
        "slbo": ("hopper", "mbbl_hopper_et"),
    }
    for algorithm, (task, name) in known.items():
        (quoted,) = there.loc[(algorithm, name), ["mean", "std"]].to_numpy().tolist()
        assert cells.loc[(algorithm, task), ["mean", "std"]].tolist() == quoted
    assert there.loc[("sac", "mbbl_hopper"), "std"].item() != cells.loc[("sac", "hopper"), "std"]
