"""Drawn figures: the same bytes again, the gathered numbers beside them, and on them all that a reader must know."""

import csv
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch

from relatent.figures.check import check
from relatent.figures.draw import draw, draw_kind
from relatent.figures.drawing import read_drawing
from relatent.figures.gather import gather, read_gathered
from relatent.figures.style import APPEARANCES, SPARE, appearances, print_style
from relatent.specs.catalog import Catalog
from relatent.specs.figure import Kind
from relatent.training.record import NotANumber, Record

from .conftest import drawing_of

ROOT = Path(__file__).parents[2]
CLAIM = {
    "id": "one",
    "says": "SMAC improves upon SAC",
    "where": "Figure 4",
    "from": "laptop",
    "test": {"kind": "better", "algorithm": "smac", "than": "sac"},
}
Curve = Callable[[int], dict[int, list[float]]]


@pytest.fixture
def figure(tmp_path: Path, run_list) -> Callable[..., Path]:
    """Gather, check and draw; returns the figure's path without its suffix."""

    def make(drawing: dict[str, Any], runs: list[Path], out: str = "figure") -> Path:
        gather(run_list(runs), tmp_path / "x.parquet", partial=True)
        verdicts = check(tmp_path / "x.parquet", drawing, tmp_path)
        draw(tmp_path / "x.parquet", drawing, verdicts, tmp_path / out)
        return tmp_path / out

    return make


def texts(drawing: dict[str, Any], parquet: Path, root: Path) -> str:
    """All words of a figure, in one line."""
    with print_style():
        drawn, _ = draw_kind(drawing["kind"])(
            read_gathered(parquet), read_drawing(drawing), check(parquet, drawing, root)
        )
        found = drawn.findobj(matplotlib.text.Text)
        return " ".join(" ".join(text.get_text() for text in found if text.get_text()).split())


@pytest.fixture
def four_runs(make_run) -> list[Path]:
    level = {"smac": 900.0, "sac": 100.0}
    return [
        make_run(name, "reacher_easy", seed, {0: [0.0], 5: [level[name] / 3 + seed, 7.0], 10: [level[name] + seed]})
        for name in ("smac", "sac")
        for seed in range(2)
    ]


def test_the_csv_holds_the_gathered_numbers(figure, four_runs: list[Path]) -> None:
    table = pd.read_csv(figure(drawing_of(), four_runs).with_suffix(".csv"))
    row = table[(table["algorithm"] == "smac") & (table["frames"] == 5)].iloc[0]
    seeds = [(300.0 + 7.0) / 2, (301.0 + 7.0) / 2]
    assert (row["seed_0"], row["seed_1"], row["mean"], row["seeds"]) == (*seeds, np.mean(seeds), 2)
    assert (row["low"], row["high"], row["band"]) == (*seeds, "range")
    assert len(table) == 2 * 3


@pytest.mark.parametrize(("count", "band"), [(1, np.nan), (2, "range"), (3, "t95")])
def test_the_csv_holds_the_band_that_is_drawn(tmp_path: Path, figure, make_run, count: int, band: str | float) -> None:
    runs = [make_run("sac", "reacher_easy", seed, {0: [100.0 * seed], 5: [200.0 * seed]}) for seed in range(count)]
    drawing = drawing_of(data={"algorithms": ["sac"], "tasks": ["reacher_easy"]})
    table = pd.read_csv(figure(drawing, runs).with_suffix(".csv"))
    assert table["band"].tolist() == pytest.approx([band] * 2, nan_ok=True)
    gathered = read_gathered(tmp_path / "x.parquet")
    with print_style():
        drawn, _ = draw_kind("learning_curve")(gathered, read_drawing(drawing), check(tmp_path / "x.parquet", drawing))
    (polygon,) = [found for panel in drawn.axes for found in panel.collections if len(found.get_paths()) <= 1]
    corners = np.concatenate([np.empty((0, 2)), *(path.vertices for path in polygon.get_paths())])
    heights = pd.DataFrame(corners, columns=["x", "y"]).groupby("x")["y"].agg(["min", "max"]).to_numpy()
    written = table[["low", "high"]].dropna().to_numpy()
    assert heights.shape == written.shape
    assert np.allclose(heights, written, rtol=1e-7)


def test_drawing_again_gives_the_same_bytes(figure, four_runs: list[Path]) -> None:
    drawing = drawing_of(claims=[CLAIM])
    first, second = figure(drawing, four_runs, "one/figure.pdf"), figure(drawing, four_runs, "two/figure.pdf")
    for suffix in (".pdf", ".svg", ".csv", ".json"):
        content = first.with_suffix(suffix).read_bytes()
        assert content == second.with_suffix(suffix).read_bytes()
        assert b"CreationDate" not in content
        assert b"dc:date" not in content
    assert sorted(path.name for path in first.parent.iterdir()) == [
        f"figure.{s}" for s in ("csv", "json", "pdf", "svg")
    ]


def test_the_users_own_matplotlib_settings_change_nothing(figure, four_runs: list[Path]) -> None:
    before = figure(drawing_of(), four_runs, "one").with_suffix(".svg").read_bytes()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "none"}):
        assert figure(drawing_of(), four_runs, "two").with_suffix(".svg").read_bytes() == before


def test_what_a_reader_must_know_is_on_the_figure(tmp_path: Path, figure, four_runs: list[Path]) -> None:
    drawing = drawing_of(claims=[CLAIM], origin=["the task list"])
    manifest = json.loads(figure(drawing, four_runs).with_suffix(".json").read_text())
    words = texts(drawing, tmp_path / "x.parquet", tmp_path)
    assert "SMAC, Figure 4." in words
    assert "LAPTOP BUDGET, not the paper's" in words
    assert "frames 1,000,000 → 10" in words
    assert "mean over 2 seeds" in words
    assert "the task list" in words
    assert 'supported "SMAC improves upon SAC" (Figure 4): SMAC - SAC, final return: +800 [' in words
    assert "environment frames (thousands)" in words
    assert "episode return" in words
    assert "PARTIAL" not in words
    assert manifest["claims"][0]["verdict"] == "supported"
    assert (manifest["seeds_drawn"], manifest["seeds_wanted"], manifest["partial"]) == (2, 2, False)


def test_the_papers_own_budget_has_no_badge(tmp_path: Path, figure, four_runs: list[Path]) -> None:
    drawing = drawing_of(budget={"name": "paper", "order": ["smoke", "laptop", "paper"]})
    figure(drawing, four_runs)
    assert "BUDGET" not in texts(drawing, tmp_path / "x.parquet", tmp_path)


def test_a_partial_figure_says_so(tmp_path: Path, figure, four_runs: list[Path]) -> None:
    """Two algorithms of which one lacks a seed and one is missing altogether."""
    absent = [four_runs[0].parents[2] / "sac/reacher_easy" / f"s{seed}-0000000000ff" for seed in range(2)]
    drawing = drawing_of(claims=[CLAIM])
    out = figure(drawing, [*four_runs[:2], *absent])
    words = texts(drawing, tmp_path / "x.parquet", tmp_path)
    assert "PARTIAL: 2 of 4 runs" in words
    assert "mean over 2 seeds" in words
    assert "SAC, no run yet" in words
    assert 'inconclusive "SMAC improves upon SAC"' in words
    assert json.loads(out.with_suffix(".json").read_text())["partial"] is True


def test_a_figure_says_which_runs_diverged(tmp_path: Path, figure, four_runs: list[Path]) -> None:
    """Its means are over those that did not."""
    diverged = four_runs[0].parents[2] / "sac/reacher_easy/s2-0000000000ff"
    with pytest.raises(NotANumber) as stopped:
        Record(diverged).metrics(7, {"actor_loss": torch.tensor(float("nan"))})
    diverged.mkdir()
    (diverged / "train.log").write_text(f"{diverged}: from frame 0 of 10\nerror: {stopped.value}; last good: none\n")
    begun = four_runs[0].parents[2] / "sac/reacher_easy/s3-0000000000fe"
    begun.mkdir()
    (begun / "train.log").write_text((diverged / "train.log").read_text() + f"{begun}: from frame 5 of 10\n")
    drawing = drawing_of()
    manifest = json.loads(figure(drawing, [*four_runs, diverged, begun]).with_suffix(".json").read_text())
    assert manifest["diverged"] == [diverged.as_posix()]
    assert manifest["missing"] == [diverged.as_posix(), begun.as_posix()]
    words = texts(drawing, tmp_path / "x.parquet", tmp_path)
    assert "Diverged 1 run became NaN and is left out of all means: SAC on reacher easy, seed 2." in words


def test_a_table_shows_ours_the_papers_and_what_is_not_trained(tmp_path: Path, figure, make_run) -> None:
    (tmp_path / "paper.csv").write_text(
        "task,algorithm,mean,std,seeds,source\n"
        "finger_spin+small,sac,912,138,5,Table 1\nfinger_spin+small,smac,959,30,5,Table 1\n"
    )
    curve = {0: [100.0], 90: [0.0], 95: [80.0], 100: [90.0]}  # the last tenth begins after frame 90
    runs = [make_run("sac", "finger_spin+small", seed, curve) for seed in range(3)]
    drawing = drawing_of(
        figure="smac_table1",
        kind="table",
        data={"algorithms": ["sac", "smac"], "tasks": ["finger_spin+small"]},
        reference={"file": "paper.csv", "statistic": "best"},
        seeds_wanted=3,
    )
    out = figure(drawing, [*runs, runs[0].parents[2] / "smac/finger_spin+small/s0-00000000000a"])
    words = texts(drawing, tmp_path / "x.parquet", tmp_path)
    assert "SMAC, Table 1." in words
    assert "finger spin, small" in words
    assert "100 ± 0 (3) 85 912 ± 138 (5) -812 [" in words  # the best over training, and the last tenth of it
    assert "Late: mean of the evaluations in the last tenth of training." in " ".join(words.split())
    assert "differs" in words
    assert "not trained 959 ± 30 (5)" in " ".join(words.split())
    assert "second - first [95 %]" in words
    assert "+47 [-123, +217]" in words  # of the paper's numbers
    table = pd.read_csv(out.with_suffix(".csv"), index_col="algorithm")
    # Welch by hand: 138²/5 + 30²/5 = 3988.8; 4.377 degrees of freedom, t = 2.685.
    gain = [47.0, 47 - 2.685 * 63.157, 47 + 2.685 * 63.157]
    assert table.loc["smac", ["paper_gain", "paper_gain_low", "paper_gain_high"]].tolist() == pytest.approx(
        gain, rel=1e-3
    )
    assert table.loc["sac", ["last_tenth", "gain"]].tolist() == pytest.approx([85.0, float("nan")], nan_ok=True)
    assert table["verdict"].to_dict() == {"sac": "differs", "smac": "not trained"}
    assert table.loc["sac", ["mean", "paper_mean", "difference"]].tolist() == [100.0, 912.0, -812.0]


def test_entropy_curves_reach_their_csv(figure, make_run) -> None:
    frames = np.array([0, 500, 1000])
    exploded = {"estimate": [1.0, 1e9, 1e18], "lower": [0.9, 0.5, -2.0], "upper": [1.1, 1e8, 1e17]}
    probes = {f"marginal_entropy_{key}": np.array(values) for key, values in exploded.items()}
    probes |= {f"marginal_entropy_{key}_frames": frames for key in exploded}
    drawing = drawing_of(kind="entropy_curve", figure="smac_fig3")
    out = figure(drawing, [make_run("smac", "reacher_easy", seed, {0: [1.0]}, probes) for seed in range(2)])
    table = pd.read_csv(out.with_suffix(".csv"))
    first = table[table["seed"] == 0]
    for key, values in exploded.items():
        assert first[f"marginal_entropy_{key}"].tolist() == values
    assert first["frames"].tolist() == frames.tolist()


def bandit_runs(make_run: Any, **env: float) -> list[Path]:
    generator, runs = np.random.default_rng(0), []
    spec = {"env": {"spacing": 1.5, "std": 0.5} | env, "hyper": {"alpha": 1.0}}
    for name, level in (("lvp_mlmc", 0.05), ("gaussian", 1.38)):
        for seed in range(2):
            probes = {"samples": generator.normal(size=(300, 2)), "modes_covered": np.array([4])}
            for key, values in (("", [3.0, level]), ("_lower", [2.0, level]), ("_se", [0.1, 0.01])):
                probes |= {f"reverse_kl{key}": np.array(values), f"reverse_kl{key}_frames": np.array([0, 3000])}
            runs.append(make_run(name, "four_modes", seed, {0: [0.0]}, probes, spec))
    return runs


BANDIT = drawing_of(
    figure="smac_fig7",
    kind="bandit",
    data={"algorithms": ["lvp_mlmc", "gaussian"], "tasks": ["four_modes"], "measure": "reverse_kl"},
)


def test_the_bandit_shows_divergences_and_actions(tmp_path: Path, figure, make_run) -> None:
    out = figure(BANDIT, bandit_runs(make_run))
    table = pd.read_csv(out.with_suffix(".csv"))
    gathered = read_gathered(tmp_path / "x.parquet").frame
    final = table[table["measure"] == "reverse_kl"]
    assert final.groupby("algorithm")["value"].apply(list).to_dict() == {"gaussian": [1.38] * 2, "lvp_mlmc": [0.05] * 2}
    drawn = table[(table["measure"] == "samples_0") & (table["seed"] == 1) & (table["algorithm"] == "gaussian")]
    all_of_it = gathered[
        (gathered["measure"] == "samples_0") & (gathered["seed"] == 1) & (gathered["algorithm"] == "gaussian")
    ]
    assert np.allclose(drawn["value"], all_of_it["value"][: len(drawn)], rtol=1e-7)
    words = texts(BANDIT, tmp_path / "x.parquet", tmp_path)
    for level in ("4 modes", "3 modes", "2 modes", "1 mode", "reverse KL (nats)", "target density"):
        assert level in words


def test_estimators_have_a_panel_for_each_dimension(tmp_path: Path, figure, make_run) -> None:
    names, cases = ["nested", "elbo"], [(index, k, d) for d in (1, 6) for index in range(2) for k in (1, 2, 4)]
    probes = dict(zip(("estimator_index", "particles", "dimension"), np.array(cases, float).T, strict=True))
    for number, key in enumerate(("true_entropy", "bias", "bias_se", "variance")):
        probes[key] = np.arange(12.0) - 3.0 * (key == "bias") + number
    probes |= {f"gradient_{key}": probes[key] for key in ("bias", "bias_se", "variance")}
    spec = {"hyper": {"estimators": names, "samples": 20_000}}
    runs = [make_run("estimators", "linear_gaussian", seed, {0: [1.0]}, probes, spec) for seed in range(2)]
    drawing = drawing_of(
        kind="estimators", data={"algorithms": ["estimators"], "tasks": ["linear_gaussian"], "measure": "bias"}
    )
    table = pd.read_csv(figure(drawing, runs).with_suffix(".csv"))
    assert len(table) == 2 * 12
    chosen = table.query("seed == 1 and estimator == 'elbo' and dimension == 6 and particles == 2").iloc[0]
    assert chosen["bias"] == probes["bias"][cases.index((1, 2, 6))]
    words = texts(drawing, tmp_path / "x.parquet", tmp_path)
    assert "1 dimension" in words
    assert "6 dimensions" in words
    assert "20,000 independent estimates" in words


def test_the_manifest_vouches_for_the_files(figure, four_runs: list[Path]) -> None:
    out = figure(drawing_of(), four_runs)
    stated = json.loads(out.with_suffix(".json").read_text())["files_sha256"]
    assert set(stated) == {"pdf", "svg", "csv"}
    for suffix, digest in stated.items():
        assert hashlib.sha256(out.with_suffix(f".{suffix}").read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("width", [3.25, 6.75])
def test_nothing_is_written_beyond_the_page(tmp_path: Path, figure, four_runs: list[Path], width: float) -> None:
    absent = four_runs[0].parents[2] / "td3/reacher_easy/s0-0000000000ff"
    drawing = drawing_of(
        claims=[CLAIM], look={"width": width, "columns": 1}, title="A rather long title of a figure " * 3
    )
    figure(drawing, [*four_runs, absent])
    parquet = tmp_path / "x.parquet"
    with print_style():
        drawn, _ = draw_kind("learning_curve")(read_gathered(parquet), read_drawing(drawing), check(parquet, drawing))
        drawn.savefig(tmp_path / "page.png", dpi=100)
        page = drawn.bbox
        panels = [text for panel in drawn.axes for text in (panel.title, panel.xaxis.label, panel.yaxis.label)]
        boxes = {text.get_text(): text.get_window_extent() for text in [*drawn.texts, *panels]}
    outside = [
        text
        for text, box in boxes.items()
        if box.x0 < page.x0 or box.x1 > page.x1 or box.y0 < page.y0 or box.y1 > page.y1
    ]
    assert len(boxes) > 10
    assert outside == []


UNDRAWN = (
    *("estimators", "table", "multimodal_bandit", "gradient_directions", "identities"),
    *("latent_bounds", "log_rewards", "classifier_odds"),
)
"""Kinds whose algorithms are no lines of one plot."""


def test_every_algorithm_of_every_paper_has_its_own_look() -> None:
    """Fixed by name, the same in every figure, and different within each."""
    for entry in Catalog.load(ROOT).figures.values():
        names = entry.figure.data.algorithms
        if entry.figure.kind not in UNDRAWN:
            assert set(names) <= set(APPEARANCES)
        assert len(set(appearances(names).values())) == len(names)


def test_spare_looks_are_told_apart_and_do_not_depend_on_the_rest() -> None:
    names = [f"new_{number}" for number in range(len(SPARE))]
    assert len(set(appearances(names).values())) == len(SPARE)
    assert appearances(["new_3", "smac"])["new_3"] == appearances(["new_3"])["new_3"]


def test_numbers_of_the_csv_can_be_read_by_anything(figure, four_runs: list[Path]) -> None:
    rows = list(csv.reader(figure(drawing_of(), four_runs).with_suffix(".csv").open()))
    assert rows[0] == ["task", "algorithm", "band", "frames", "seeds", "mean", "low", "high", "seed_0", "seed_1"]
    assert all(re.fullmatch(r"-?[\d.e+-]+", cell) for row in rows[1:] for cell in row[3:])


def test_every_kind_of_figure_has_a_module() -> None:
    assert all(callable(draw_kind(kind)) for kind in get_args(Kind))


def test_drawing_curves_reads_no_torch() -> None:
    """Nor scipy.stats: each figure is drawn by its own process, which took longer to read them than to draw."""
    script = "import sys; from relatent.figures import check, draw; draw.draw_kind('learning_curve')"
    script += "; print([name for name in ('torch', 'scipy.stats', 'pandas') if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "['pandas']"
