"""The identities of Marino & Yue, as a study records them."""

import math
from typing import Any

import numpy as np
import pytest

from relatent.studies.inference_identities import run

from .fake_record import FakeRecord

HYPER: dict[str, Any] = {
    "samples": 1000,
    "horizon": 3,
    "dimension": 2,
    "spreads": [0.05, 0.2, 1.0],
    "ratios": [1.5, 15.0, 1500.0],
    "environments": 4,
    "chances": [0.0, 0.3, 1.0],
    "states": 3,
    "percepts": 2,
    "actions": 2,
    "latents": 2,
    "tabular_horizon": 3,
}


def recorded(seed: int, **changes: Any) -> dict[str, np.ndarray]:
    record = FakeRecord()
    run({"hyper": HYPER | changes, "env": {}, "seed": seed}, record)
    assert record.reported[-1] == (3, 3)
    return record.kept


@pytest.fixture(scope="module")
def kept() -> dict[str, np.ndarray]:
    return recorded(0)


def test_what_is_one_number_is_one_number(kept: dict[str, np.ndarray]) -> None:
    for name in ("equation_difference", "marginal_difference", "information_difference", "optimum_difference"):
        assert kept[name].shape == (1,)
        assert kept[name][0] < 1e-10, name
    assert kept["gradient_difference"][0] < 1e-6
    assert kept["gradient_leak"][0] == 0
    assert kept["most_information"][0] < 0


def test_what_is_sampled_lies_around_what_is_known(kept: dict[str, np.ndarray]) -> None:
    assert kept["samples"].tolist() == [10, 100, 1000]
    assert kept["sampled_in_errors"][0] < 4
    assert kept["information_in_errors"][0] < 4
    closed = [0.5 * math.log(1 + 0.3 / spread) for spread in HYPER["spreads"]]
    np.testing.assert_allclose(kept["information_by_noise"], closed)
    np.testing.assert_allclose(kept["information_by_process"], [0.5 * math.log(1 + q / 0.2) for q in HYPER["spreads"]])
    np.testing.assert_allclose(kept["sampled_by_noise"], closed, atol=0.15)
    for name in ("sampled_scalar", "sampled_vector"):
        assert abs(kept[name][-1]) < 1
        assert kept[name][-1] != 0


def test_the_bound_is_tight_without_chance(kept: dict[str, np.ndarray]) -> None:
    assert kept["gap"].shape == kept["chance"].shape == (3,)
    assert kept["gap_of_certain"][0] < 1e-12
    assert kept["gap"][0] == pytest.approx(0, abs=1e-12)
    assert (kept["gap"][1:] > kept["gap_of_uncertain"][0] - 1e-12).all()
    assert kept["gap_of_uncertain"][0] > 1e-5
    assert kept["above_bound"][0] < 1e-12
    assert (kept["coin_evidence"][0], kept["coin_bound"][0]) == pytest.approx((-0.566219, -1), abs=5e-7)


def test_what_stands_for_the_marginal_breaks_the_bound_without_limit(kept: dict[str, np.ndarray]) -> None:
    ratio = np.array(HYPER["ratios"])
    np.testing.assert_allclose(kept["excess_exact"], 0, atol=1e-12)
    np.testing.assert_allclose(kept["excess_mean_of_logs"], ratio - 0.5 * np.log1p(ratio), rtol=0.5)
    assert (np.diff(kept["excess_mean_of_logs"]) > 0).all()
    assert (kept["excess_iwae_64"] < kept["excess_iwae_8"]).all()
    assert (kept["excess_iwae_8"] < kept["excess_mean_of_logs"]).all()
    assert kept["excess_iwae_64"][-1] > 1
    for name in ("exact", "mean_of_logs", "iwae_8", "iwae_64"):
        assert kept[f"largest_excess_{name}"].tolist() == [kept[f"excess_{name}"].max()]
    assert kept["replaced_above"][0] > 0.5


def test_the_seed_decides_everything() -> None:
    small = {"samples": 100, "environments": 1, "spreads": [0.2], "ratios": [1.0], "tabular_horizon": 2}
    first, again, other = (recorded(seed, **small) for seed in (3, 3, 4))
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    for name in ("sampled_vector", "gap", "excess_iwae_8"):
        assert (first[name] != other[name]).any(), name
