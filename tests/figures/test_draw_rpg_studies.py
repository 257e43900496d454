"""RPG's Figures 2 and 4 and its Table 2, drawn from small real studies."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relatent.figures.gather import read_gathered
from relatent.figures.identities import PAPER, power
from relatent.figures.multimodal_bandit import broken, colours
from relatent.figures.style import BLUE, VERMILION
from relatent.studies.elbo_identities import METHODS

BANDIT = {
    "policy": "latent",
    "follow": "paper",
    "latents": 3,
    "width": 8,
    "batch": 32,
    "steps": 1100,
    "lr": 1e-3,
    "init_log_std": 1.0,
    "reward_weight": 0.1,
    "information_weight": 0.8,
    "latent_entropy_weight": 0.2,
    "action_entropy_weight": 0.2,
    "decay": 0.999,
    "eval_every": 100,
}
DIRECTIONS = {
    "init_log_std": 1.0,
    "temperature": 0.25,
    "bins": [2, 8],
    "latents": 2,
    "samples": 500,
    "steps": 20,
    "lr": 0.1,
}
IDENTITIES = {"models": 4, "latents": 3, "actions": 4, "states": 3, "horizon": 2, "noisings": 4, "iterations": 5}


def test_the_bandit_shows_what_was_recorded(tmp_path: Path, drawn: Any) -> None:
    gaussian = {**BANDIT, "policy": "gaussian", "latents": 1}
    algorithms = {"bandit_gaussian": gaussian, "bandit_rpg": BANDIT}
    table, words, beyond = drawn("multimodal_bandit", algorithms, "multimodal_bandit")
    gathered = read_gathered(tmp_path / "x.parquet").frame
    of_rpg = gathered[gathered["algorithm"] == "bandit_rpg"]

    assert set(table[table["measure"] == "histogram_7"]["frames"]) == {
        0,
        1000,
        1100,
    }  # the paper's epochs, and the last
    expected = of_rpg[(of_rpg["measure"] == "mass_per_peak_1") & (of_rpg["frames"] == 1000)]["value"].mean()
    found = table.query("algorithm == 'bandit_rpg' and measure == 'mass_per_peak_1' and frames == 1000").iloc[0]
    assert found["mean"] == pytest.approx(expected, rel=1e-7)
    assert found["seeds"] == 2
    curve = table.query("algorithm == 'bandit_rpg' and measure == 'return' and frames == 500").iloc[0]
    each = of_rpg[(of_rpg["measure"] == "return") & (of_rpg["phase"] == "eval") & (of_rpg["frames"] == 500)]["value"]
    assert [curve["seed_0"], curve["seed_1"]] == pytest.approx(each.tolist(), rel=1e-7)
    assert curve["low"] < curve["mean"] < curve["high"]
    assert "bandit_gaussian" not in set(table[table["measure"] == "information"]["algorithm"])
    bars = table.query("algorithm == 'bandit_rpg' and frames == 0")
    assert bars[bars["measure"].str.startswith("histogram")]["mean"].sum() == pytest.approx(1)

    for text in (
        "epoch 0",
        "epoch 10",
        "epoch 11",
        "mean reward",
        "information (nats)",
        "no latent variable",
        "action a",
    ):
        assert text in words
    assert f"{100 * expected:.0f}" in words.split()
    assert beyond == []


def test_bars_are_coloured_by_the_peak_they_are_on() -> None:
    middles = np.array([-0.98, -0.6, -0.3, 0.1, 0.86, 0.9])
    named = [{VERMILION: "left", BLUE: "right"}.get(one, "") for one in colours(middles)]
    assert named == ["", "left", "", "right", "right", ""]


@pytest.mark.parametrize(
    ("label", "lines"), [("RPG", "RPG"), ("Gaussian, REINFORCE", "Gaussian,\nREINFORCE"), ("RPG, β = 0", "RPG, β = 0")]
)
def test_long_names_are_broken(label: str, lines: str) -> None:
    assert broken(label) == lines


def test_directions_shows_what_was_recorded(tmp_path: Path, drawn: Any) -> None:
    table, words, beyond = drawn("policy_gradient_directions", {"directions": DIRECTIONS}, "gradient_directions")
    gathered = read_gathered(tmp_path / "x.parquet").frame
    start = table[(table["panel"] == "E") & np.isclose(table["x"], 0)].set_index("series")["value"]
    exact = {"policy gradient": 0.0040254, "pathwise": 0.0688451, "of the jump": -0.0648196, "tutorial's": 0.0424329}
    assert {name: start[name] for name in exact} == pytest.approx(exact, abs=1e-7)
    sampled = gathered[gathered["measure"] == "sampled_score"]["value"]
    assert start["policy gradient, sampled"] == pytest.approx(sampled.mean(), rel=1e-7)
    turn = table[table["series"] == "policy gradient is zero"]["x"].item()
    assert turn == pytest.approx(0.27, abs=0.002)
    assert set(table["panel"]) == set("ABCDEFG")
    for text in (
        "area 0.181",
        "area 0.333",
        "∂J/∂μ = +0.0040",
        "turns at 0.27",
        "softmax over 8 bins",
        "latent policy, K = 2",
    ):
        assert text in words
    assert beyond == []


def test_identities_show_both_sides(drawn: Any) -> None:
    table, words, beyond = drawn("elbo_identities", {"identities": IDENTITIES}, "identities", "small_models")
    assert table["method"].tolist() == list(METHODS) == list(PAPER)
    rpg = table.set_index("method").loc["rpg"]
    assert (rpg["elbo"], rpg["divergence"], rpg["evidence"]) == pytest.approx((0.023964, 0.669183, 0.693147), abs=5e-7)
    assert (table["largest_difference"] < 1e-11).all()
    assert set(table["models"]) == {2 * 4}
    for text in ("MaxEntRL", "RPG, T = 2", "$0.669183$", "$-9.007053$", "ELBO + KL"):
        assert text in words
    assert beyond == []


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (3.2e-15, r"$4\cdot 10^{-15}$"), (9.5e-16, r"$1\cdot 10^{-15}$")]
)
def test_tiny_numbers_are_rounded_up(value: float, text: str) -> None:
    assert power(value) == text
