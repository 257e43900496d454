"""ALM's Figure 6, its bound and its classifier's limit, drawn from small real studies."""

from string import ascii_uppercase
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from relatent.figures.gather import read_gathered
from relatent.figures.log_rewards import DASHES
from relatent.figures.recorded import Recorded
from relatent.objectives.classifier_limit import LinearGaussian, log_odds
from relatent.objectives.log_reward import log_transformed
from relatent.specs.errors import RelatentError
from relatent.studies.log_rewards import run, shifted_log

from ..studies.fake_record import FakeRecord

BOUNDS = {
    "processes": 5,
    "states": 2,
    "latents": 3,
    "actions": 2,
    "horizon": 4,
    "discounts": [0.5, 0.99],
    "lambdas": [0.0, 0.95, 1.0],
}
REWARDS = {"shift": 10_000.0, "other_shifts": [10.0, 1_000.0], "largest": 100.0, "largest_sum": 1_000.0}
PAIRS = {**LinearGaussian(1.0, 1.0, 0.0, 0.25, 1.0, 0.25)._asdict(), "pairs": 4_000}


# Figure 6


@pytest.mark.parametrize(
    ("reward", "y", "digits"), [(10.0, 9.99500333, 5e-9), (100.0, 99.50330853, 5e-9), (0.0, 0.0, 0)]
)
def test_the_logarithm_of_a_shifted_reward(reward: float, y: float, digits: float) -> None:
    found = shifted_log(np.array([reward]), 10_000.0)[0]
    assert found == pytest.approx(y, abs=digits)
    assert found == pytest.approx(10_000 * (np.log(reward + 10_000) - np.log(10_000)), abs=1e-10)


def test_agents_take_the_same_logarithm() -> None:
    rewards = np.array([-100.0, -3.0, 10.0, 1_000.0])
    found = log_transformed(torch.from_numpy(rewards), "scaled", "policy", 10_000.0)
    np.testing.assert_allclose(found.numpy(), shifted_log(rewards, 10_000.0), rtol=1e-14)


def test_what_is_recorded_of_it() -> None:
    record = FakeRecord()
    run({"hyper": REWARDS, "env": {}, "seed": 0}, record)
    kept = record.kept
    assert kept["difference"] == pytest.approx([0.00499667, 0.49669147, 46.898202], rel=1e-6)
    largest = max(abs(1 - 100 * np.log(1.01)), abs(1 + 100 * np.log(0.99)))
    assert kept["largest_relative_difference"].tolist() == pytest.approx([largest], rel=1e-9)
    assert kept["second_order_error"][0] == pytest.approx(2 / 3 * 0.01, rel=0.01)  # r³/(3a²) of r²/(2a)
    assert kept["relative_difference"].shape == kept["slope"].shape == (101, 3)
    magnitude, step = kept["magnitude"], 1e-4
    for column, shift in enumerate((10.0, 1_000.0, 10_000.0)):
        rise = shifted_log(magnitude + step, shift) - shifted_log(magnitude - step, shift)
        np.testing.assert_allclose(kept["slope"][:, column], rise / (2 * step), rtol=1e-6)


def test_rewards_show_what_was_recorded(drawn: Any) -> None:
    table, words, beyond = drawn("log_rewards", {"shifted_log": REWARDS}, "log_rewards", "shifted_rewards")
    examples = table[(table["panel"] == "B") & (table["series"] == "example")]
    assert examples["x"].tolist() == [10, 100, 1000]
    assert examples["value"].tolist() == pytest.approx([0.000499667, 0.0049669147, 0.046898202], rel=1e-6)
    upper = table[table["series"] == "y = a (log(r + a) - log a), a = 10000"]
    assert upper["value"].iloc[-1] == pytest.approx(99.50330853)
    assert set(table["panel"]) == set("ABC")
    slopes = table[(table["panel"] == "C") & (table["series"] == "slope, a = 10")]
    assert slopes["value"].tolist() == pytest.approx((10 / (slopes["x"] + 10)).tolist(), rel=1e-6)
    for text in ("y(100) = 99.5033", "0.5 %", "4.7 %", "(C) what more reward is worth"):
        assert text in words
    assert beyond == []


def test_more_shifts_than_lines_are_refused(drawn: Any) -> None:
    many = {**REWARDS, "other_shifts": [10.0 * one for one in range(1, len(DASHES) + 2)]}
    with pytest.raises(RelatentError, match="5 other shifts, expected at most 4"):
        drawn("log_rewards", {"shifted_log": many}, "log_rewards", "shifted_rewards")


# Theorem 3.1


def test_bounds_show_what_was_recorded(tmp_path: Any, drawn: Any) -> None:
    table, words, beyond = drawn("alm_bounds", {"bounds": BOUNDS}, "latent_bounds", "small_processes")
    recorded = Recorded.of(read_gathered(tmp_path / "x.parquet").frame, "gap_exact_0")
    assert set(table["panel"]) == set(ascii_uppercase[:5])  # two discounts, and three more
    chosen = recorded.arrays["discount"] == 0.99
    for weight in ("printed", "exact"):
        gaps = recorded.columns(f"gap_{weight}")[chosen]
        assert gaps.shape == (2 * 5, 5)
        rows = table[(table["panel"] == "B") & (table["series"] == weight)]
        assert rows["value"].tolist() == pytest.approx(np.median(gaps, axis=0).tolist(), rel=1e-6)
        assert rows["least"].tolist() == pytest.approx(gaps.min(0).tolist(), rel=1e-6)
        falls = table[(table["panel"] == "D") & (table["series"] == weight)]
        assert falls["x"].min() > 0
        assert falls["value"].iloc[-1] == 1
        mixture = table[(table["panel"] == "E") & (table["series"] == weight)]
        assert mixture["value"].tolist()[0] == pytest.approx(rows["value"].iloc[1])  # λ = 0 is L^1
        assert mixture["value"].tolist()[-1] == pytest.approx(rows["value"].iloc[-1])
    steps = table[table["panel"] == "C"].set_index("series")
    assert steps.loc["step_optimum", "high"] < 1e-14 < steps.loc["step_law", "value"]
    assert steps.loc["step_model", "value"] < steps.loc["step_drawn", "value"]
    for text in ("10 processes (5 for each of 2 seeds)", "discount $\\gamma=0.99$", "(C) what makes it tight"):
        assert text in words
    assert beyond == []


# The classifier


def test_odds_show_what_was_recorded(tmp_path: Any, drawn: Any) -> None:
    table, words, beyond = drawn("classifier_odds", {"classifier": PAIRS}, "classifier_odds", "gaussian_pairs")
    recorded = Recorded.of(read_gathered(tmp_path / "x.parquet").frame, "fitting_error")
    assert set(table["panel"]) == set("ABCDEF")
    model = LinearGaussian(1.0, 1.0, 0.0, 0.25, 1.0, 0.25)
    for letter, pairing in (("B", "paper"), ("C", "code")):
        constant, own, following, both = log_odds(model, pairing)
        along = table[(table["panel"] == letter) & (table["series"] == "limit along z' = z")]
        height = constant + (own + following + both) * along["x"] ** 2
        assert along["value"].tolist() == pytest.approx(height.tolist(), abs=1e-6)
        error = (recorded.arrays[f"fitted_{pairing}"] - log_odds(model, pairing)).mean(0)
        fitted = table[(table["panel"] == "D") & table["series"].str.startswith(pairing)]
        assert fitted["value"].tolist() == pytest.approx(error.tolist(), rel=1e-6)
        assert (fitted["low"] < fitted["value"]).all()
    outer = table[(table["panel"] == "A") & (table["series"] == "real, 2 deviations")]
    form = np.linalg.inv(model.real())
    lengths = np.einsum("ni,ij,nj->n", outer[["x", "value"]], form, outer[["x", "value"]])
    np.testing.assert_allclose(lengths, 4, rtol=1e-6)
    middle = table[(table["panel"] == "E") & np.isclose(table["x"], 0)].set_index("series")["value"]
    assert middle.to_dict() == pytest.approx({"intrinsic": -0.4, "paper": -0.0716711, "code": 0.1217100}, abs=1e-6)
    for text in ("-0.294 + 1.289 z² + 0.889 z'² - 2.222 z z'", "0.221 - 0.254 z² - 0.397 z'² + 0.635 z z'", "+0.102"):
        assert text in words
    assert beyond == []


def test_an_older_studys_arrays_are_refused() -> None:
    frame = pd.DataFrame({"phase": ["probe"], "seed": [0], "episode": [0], "measure": ["other"], "value": [1.0]})
    with pytest.raises(RelatentError, match="recorded no curve_intrinsic; was it made by an older revision"):
        Recorded.of(frame, "curve_intrinsic")
