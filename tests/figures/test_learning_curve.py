"""Learning curves of training episodes, with what stands behind them: the paper's own curves and random policies."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from relatent.envs.maze import random_walk
from relatent.figures.background import shown_part
from relatent.figures.check import check
from relatent.figures.draw import draw_kind
from relatent.figures.drawing import read_drawing
from relatent.figures.gather import read_gathered, write_gathered
from relatent.figures.series import bin_width, curves, seed_values
from relatent.figures.style import print_style
from relatent.specs.errors import RelatentError

from .conftest import drawing_of

CURVES = """\
# as read
task,algorithm,frames,mean,source
door,rpg,100,0.25,Figure 7
door,rpg,400000,0.75,Figure 7
door,rpg,100,0.9,Figure 9
hammer,rpg,100,0.5,Figure 7
all,rpg,400000,0.6,Figure 1B
"""
Episodes = Mapping[int, Sequence[float]]


def rows(algorithm: str, seed: int, measure: str, phase: str, episodes: Episodes, task: str = "door") -> pd.DataFrame:
    """A gathered run's rows: a value for each episode that ended, or was judged, at a frame."""
    table = pd.DataFrame(
        [(frames, episode, value) for frames, values in episodes.items() for episode, value in enumerate(values)],
        columns=["frames", "episode", "value"],
    )
    return table.assign(algorithm=algorithm, task=task, seed=seed, digest="0" * 12, phase=phase, measure=measure)


@pytest.fixture
def drawn(tmp_path: Path) -> Callable[..., tuple[matplotlib.figure.Figure, pd.DataFrame, dict[str, Any]]]:
    """Judge and draw a table: the figure, its CSV's table, and the verdicts."""

    def make(tables: list[pd.DataFrame], **changes: Any) -> Any:
        (tmp_path / "theirs.csv").write_text(CURVES)
        write_gathered(tmp_path / "x.parquet", pd.concat(tables, ignore_index=True), [], [], [])
        data = {"algorithms": ["rpg", "mbsac_r"], "tasks": ["door"], "measure": "success", "phase": "train"}
        given = {"data": data, "figure": "rpg_fig7", "paper": "rpg", "x_label": "interactions", **changes}
        drawing = read_drawing(drawing_of(**given))
        found = check(tmp_path / "x.parquet", drawing, tmp_path)
        with print_style():
            figure, plotted = draw_kind(drawing.kind)(read_gathered(tmp_path / "x.parquet"), drawing, found)
        return figure, plotted, found

    return make


def words(figure: matplotlib.figure.Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text())


def trained(name: str, seed: int, level: float, frames: int = 400_000) -> list[pd.DataFrame]:
    """A run that succeeds at a rate of `level` throughout, in training and in all but one of its evaluations."""
    times = range(5_000, frames + 1, 5_000)
    judged = {frame: [level] for frame in range(20_000, frames + 1, 20_000)} | {0: [0.0]}
    return [
        rows(name, seed, "success", "train", {frame: [level] * 5 for frame in times}),
        rows(name, seed, "success", "eval", judged),
    ]


TWO_ARMS = [table for seed in range(3) for table in (*trained("rpg", seed, 1.0), *trained("mbsac_r", seed, seed / 2))]


def test_training_episodes_are_averaged_in_bins_of_10_000() -> None:
    """A bin reaches from its beginning, without it, to its end."""
    episodes = {5_000: [1.0], 10_000: [0.0, 0.5], 10_001: [0.25], 30_000: [1.0], 250_000: [0.75]}
    frame = rows("rpg", 0, "success", "train", episodes)
    found = curves(frame, "rpg", "door", "success", "train")
    assert found is not None
    assert found.frames.tolist() == [10_000, 20_000, 30_000, 250_000]
    assert found.values.tolist() == [[0.5, 0.25, 1.0, 0.75]]


@pytest.mark.parametrize(("last", "width"), [(2_000_000, 10_000), (250_000, 10_000), (100_000, 5_000), (1_200, 60)])
def test_short_runs_have_narrower_bins(last: int, width: int) -> None:
    assert bin_width(pd.DataFrame({"frames": [0, last // 2, last]})) == width


def test_the_verdict_is_on_the_last_bin_and_not_on_the_last_episode() -> None:
    episodes = {190_001: [0.0], 195_000: [0.5, 1.0], 200_000: [0.5]}
    frame = rows("rpg", 0, "success", "train", episodes)
    assert seed_values(frame, "rpg", "door", "success", "train", "final").tolist() == [0.5]


def test_evaluations_stay_at_their_frames() -> None:
    frame = rows("rpg", 0, "success", "eval", {0: [0.0], 7: [1.0, 0.0], 200_000: [1.0]})
    found = curves(frame, "rpg", "door", "success", "eval")
    assert found is not None
    assert found.frames.tolist() == [0, 7, 200_000]
    assert found.values.tolist() == [[0.0, 0.5, 1.0]]


def test_training_and_evaluation_have_panels_of_their_own(drawn) -> None:
    figure, table, _ = drawn(TWO_ARMS, seeds_wanted=3)
    assert [panel.get_title() for panel in figure.axes] == ["door, training", "door, evaluation"]
    assert table.groupby(["phase", "algorithm"]).size().to_dict() == {
        ("eval", "mbsac_r"): 21,
        ("eval", "rpg"): 21,
        ("train", "mbsac_r"): 40,
        ("train", "rpg"): 40,
    }
    at = table[(table["algorithm"] == "mbsac_r") & (table["frames"] == 400_000)]
    assert at[["seed_0", "seed_1", "seed_2"]].to_numpy().tolist() == [[0.0, 0.5, 1.0]] * 2
    said = words(figure)
    assert "interactions (thousands)" in said
    assert "environment frames" not in said
    assert "mean over 3 seeds of training episodes in bins of 10,000 interactions, and of evaluation episodes" in said
    assert "thin lines: each seed; bars at the right: 95 % Student-t interval of the final mean" in said


def test_every_seed_has_a_line_and_every_algorithm_a_bar(drawn) -> None:
    figure, _, _ = drawn(TWO_ARMS)
    panel = figure.axes[0]
    thin = [line for line in panel.lines if line.get_linewidth() == 0.4]
    assert sorted(line.get_ydata()[-1] for line in thin) == [0.0, 0.5, 1.0, 1.0, 1.0, 1.0]
    assert len(panel.collections) == 0  # no bands
    half = stats.t.ppf(0.975, 2) * 0.5 / np.sqrt(3)  # of 0, 0.5 and 1
    bars = [line for line in panel.lines if line.get_xdata()[0] > 400 and len(line.get_xdata()) == 2]
    assert np.allclose([line.get_ydata() for line in bars], [[1.0, 1.0], [0.5 - half, 0.5 + half]])
    assert max(line.get_xdata()[0] for line in bars) < panel.get_xlim()[1]


def test_a_run_in_which_no_episode_ended_is_trained_all_the_same(drawn) -> None:
    figure, _, _ = drawn([rows("rpg", 0, "success", "eval", {0: [0.0], 1_200: [0.0]})])
    assert "no episode has ended" in words(figure)
    assert "not trained" not in words(figure)


def test_digitised_curves_are_drawn_behind_ours_and_compared_with_nothing(drawn) -> None:
    reference = {"file": "theirs.csv", "curves": True, "source": "Figure 7", "note": "Mean of 6 runs."}
    figure, table, found = drawn(TWO_ARMS, reference=reference)
    theirs = {"task": "door", "algorithm": "rpg", "source": "Figure 7", "frames": [100, 400_000], "mean": [0.25, 0.75]}
    assert found["digitised"] == [theirs]
    assert found["reference"] == []
    training, evaluation = figure.axes
    (line,) = [line for line in training.lines if line.get_linewidth() == 2.0]
    assert np.allclose(line.get_xydata(), [[0.1, 0.25], [400.0, 0.75]])
    assert all(line.get_zorder() < other.get_zorder() for other in training.lines if other is not line)
    assert [other for other in evaluation.lines if other.get_linewidth() == 2.0] == []
    said = words(figure)
    assert "pale: digitised from the paper" in said
    assert "Figure 7 of the paper, read off the picture. Mean of 6 runs." in said
    last = table[table["band"] == "digitised: Figure 7"]
    assert last[["frames", "mean"]].to_numpy().tolist() == [[100, 0.25], [400_000, 0.75]]


@pytest.mark.parametrize(
    ("frames", "shown"),
    [
        ([0, 100, 200], [0, 100, 103]),
        ([0, 50, 100], [0, 50, 100]),
        ([0, 103], [0, 103]),
        ([150, 200], []),
    ],
)
def test_a_curve_behind_ours_ends_with_the_panel(frames: list[int], shown: list[float]) -> None:
    """What lies beyond would set the limits of its axis of values."""
    curve = {"frames": frames, "mean": [10.0 * frame for frame in frames]}
    found, values = shown_part(curve, "mean", 103.0)
    assert found.tolist() == shown
    assert values.tolist() == pytest.approx([10.0 * frame for frame in shown])


def test_a_digitised_curve_is_in_its_tasks_panel_only(drawn) -> None:
    data = {"algorithms": ["rpg"], "tasks": ["hammer", "door"], "measure": "success", "phase": "train"}
    reference = {"file": "theirs.csv", "curves": True, "source": "Figure 7"}
    figure, _, _ = drawn(trained("rpg", 0, 1.0), data=data, reference=reference)
    pale = [[line for line in panel.lines if line.get_linewidth() == 2.0] for panel in figure.axes]
    assert [[line.get_ydata()[0] for line in lines] for lines in pale] == [[0.5], [0.25], [], []]
    assert "not trained" in words(figure)  # on the hammer, where theirs is shown all the same


def test_panels_end_with_our_curves(drawn) -> None:
    """At a small budget they would be a line on the axis beside the paper's."""
    tables = [table for seed in range(2) for table in trained("rpg", seed, 1.0, 100_000)]
    figure, _, _ = drawn(tables, reference={"file": "theirs.csv", "curves": True})
    assert [100 < panel.get_xlim()[1] < 115 for panel in figure.axes] == [True, True]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"file": "theirs.csv", "curves": True, "source": "Figure 8"}, "no row of source 'Figure 8', known: Figure 1B"),
        ({"file": "theirs.csv"}, "lacks the columns std, seeds"),
        ({"file": "none.csv", "curves": True}, "cannot be read as a table of reference numbers"),
    ],
)
def test_a_wrong_reference_is_one_clear_line(drawn, reference: dict[str, Any], message: str) -> None:
    with pytest.raises(RelatentError, match=message):
        drawn(TWO_ARMS, reference=reference)


def test_coverage_is_drawn_with_policies_that_learn_nothing(drawn) -> None:
    tables = [
        rows(name, seed, "coverage_share", "probe", {0: [0.0], 1_000: [0.2], 2_000: [0.1 * seed]}, "gap_maze")
        for name in ("rpg", "mbsac_r")
        for seed in range(4)
    ]
    data = {"algorithms": ["rpg", "mbsac_r"], "tasks": ["gap_maze"], "measure": "coverage_share"}
    figure, table, _ = drawn(tables, data=data)
    controls = table[table["band"] == "control"]
    assert set(controls["algorithm"]) == {"random_uniform", "random_every_10"}
    for kind in ("uniform", "every_10"):
        last = controls[controls["algorithm"] == f"random_{kind}"].iloc[-1]
        each = [random_walk(kind, 2_000, seed)[-1] for seed in range(3)]
        assert last["frames"] == 2_000
        assert last[["seed_0", "seed_1", "seed_2"]].tolist() == each
        assert last["mean"] == pytest.approx(np.mean(each))
    assert "mean over 2 seeds of evaluation episodes" not in words(figure)
    assert "share of cells visited" in words(figure)
    assert len(figure.axes[0].collections) == 2  # a band an algorithm: coverage has no seeds that never begin


def test_the_mean_over_tasks_has_the_interval_of_that_mean(drawn) -> None:
    finals = {"door": [0.2, 0.4, 0.9], "hammer": [0.0, 0.5, 1.0]}
    tables = [
        rows("rpg", seed, "success", "train", {400_000: [value]}, task)
        for task, values in finals.items()
        for seed, value in enumerate(values)
    ]
    tables.append(rows("mbsac_r", 0, "success", "train", {400_000: [0.7]}, "door"))
    data = {"algorithms": ["rpg", "mbsac_r", "sac_r"], "tasks": list(finals), "measure": "success", "phase": "train"}
    reference = {"file": "theirs.csv", "curves": True, "source": "Figure 1B"}
    figure, table, _ = drawn(tables, kind="summary", data=data, reference=reference)
    whole = table[table["task"] == "all"].set_index("algorithm")
    parts = [np.var(values, ddof=1) / 3 / 4 for values in finals.values()]
    degrees = sum(parts) ** 2 / sum(part**2 / 2 for part in parts)
    half = stats.t.ppf(0.975, degrees) * np.sqrt(sum(parts))
    assert whole.loc["rpg", ["mean", "low", "high", "digitised"]].tolist() == pytest.approx(
        [0.5, 0.5 - half, 0.5 + half, 0.6]
    )
    assert whole.loc["mbsac_r", ["mean", "low", "high"]].isna().all()  # lacks a task
    assert table[table["task"] == "door"].set_index("algorithm")["mean"].to_dict() == {"rpg": 0.5, "mbsac_r": 0.7}
    assert "not trained" in words(figure)
