"""What comes of taking success for granted: relations between the three ways of inference, all of it once."""

from typing import Any

import numpy as np
import pytest
import torch

from relatent.objectives.linear_gaussian import Gaussian
from relatent.objectives.optimistic_inference import Task, outcome
from relatent.studies.optimistic_state import random_system, run

from .fake_record import FakeRecord

HYPER: dict[str, Any] = {
    "inference": "filter",
    "states": 3,
    "radius": 1.0,
    "steps": 6,
    "noises": [0.001, 0.3, 1.0],
    "gravity": 5.0,
    "interval": 0.05,
    "pendulum_steps": 12,
    "disturbances": [0.2, 2.0],
    "sight": 0.05,
    "arc": 0.3,
    "blur": 0.03,
    "weights": [20.0, 1.0],
    "action_deviation": 2.0,
    "start": [0.3, 0.3],
    "episodes": 20,
    "particles": 100,
}
LINEAR = ("return_sample", "return_mean", "lost_sample", "lost_mean", "objective", "objective_gain", "expected",
          "expected_gain", "log_optimality", "error", "bias", "optimism")  # fmt: skip
PENDULUM = ("return_sample", "return_mean", "objective", "error", "bias", "optimism", "fallen")


def ran(seed: int = 0, **changes: Any) -> dict[str, np.ndarray]:
    record = FakeRecord()
    run({"hyper": {**HYPER, **changes}, "seed": seed}, record)
    assert record.reported == [(1, 2), (2, 2)]
    return record.kept


@pytest.fixture(scope="module")
def arms() -> dict[str, dict[str, np.ndarray]]:
    return {name: ran(inference=name) for name in ("filter", "planned", "told")}


def test_all_of_it_is_recorded(arms: dict[str, dict[str, np.ndarray]]) -> None:
    for kept in arms.values():
        table = dict.fromkeys(LINEAR, 3) | {f"pendulum_{name}": 2 for name in PENDULUM}
        scalars = {f"noisy_{name}" for name in LINEAR} | {f"pendulum_noisy_{name}" for name in PENDULUM}
        scalars |= {"loss_growth_sample", "loss_growth_mean", "least_gap"}
        assert set(kept) == {"noise", "pendulum_noise"} | set(table) | scalars
        assert all(kept[name].shape == (count,) for name, count in table.items())
        assert all(kept[name].shape == (1,) for name in scalars)
        assert all(np.isfinite(values).all() for values in kept.values())
        for name in table:
            noisy = f"pendulum_noisy_{name[9:]}" if name.startswith("pendulum") else f"noisy_{name}"
            assert kept[noisy][0] == kept[name][-1]


def test_relations_of_the_three_ways(arms: dict[str, dict[str, np.ndarray]]) -> None:
    plain, planned, told = arms.values()
    for name in ("lost_sample", "lost_mean", "objective_gain", "expected_gain", "bias", "optimism"):
        assert (abs(plain[name]) < 1e-12).all()
    # Each is the best at what it maximises.
    assert (planned["expected"] > told["expected"]).all()
    assert (told["expected"] > plain["expected"]).all()
    assert (told["objective"] > plain["objective"]).all()
    assert (told["objective"] > planned["objective"]).all()
    # Told is centred on the filter, so it acts on the same mean.
    assert told["bias"] == pytest.approx(0, abs=1e-12)
    assert told["return_mean"] == pytest.approx(plain["return_mean"], rel=1e-10)
    assert (planned["bias"] > 0).all()
    for kept in arms.values():
        assert kept["log_optimality"] == pytest.approx(plain["log_optimality"], rel=1e-12)
        assert kept["least_gap"][0] == pytest.approx((kept["log_optimality"] - kept["objective"]).min())
        assert kept["least_gap"][0] > 0
        assert kept["objective_gain"] == pytest.approx(kept["objective"] - plain["objective"])
        for way in ("sample", "mean"):
            lost = kept[f"return_{way}"] / plain[f"return_{way}"] - 1
            assert kept[f"lost_{way}"] == pytest.approx(lost, abs=1e-12)
            assert kept[f"loss_growth_{way}"][0] == pytest.approx(lost[-1] - lost[0], abs=1e-12)


def test_optimism_vanishes_with_noise(arms: dict[str, dict[str, np.ndarray]]) -> None:
    plain, planned, told = arms.values()
    for other in (planned, told):
        for name in ("return_sample", "return_mean", "objective", "expected"):
            assert other[name][0] == pytest.approx(plain[name][0], rel=1e-4)
    assert planned["bias"][0] < 1e-4 < 1e-3 < planned["bias"][1] < planned["bias"][2]


def test_the_pendulum_is_the_same_for_all_three_but_for_what_is_inferred(
    arms: dict[str, dict[str, np.ndarray]],
) -> None:
    plain, planned, told = arms.values()
    assert plain["pendulum_bias"] == pytest.approx(0, abs=1e-12)
    assert plain["pendulum_optimism"] == pytest.approx(0, abs=1e-12)
    assert (planned["pendulum_optimism"] > told["pendulum_optimism"]).all()
    assert (planned["pendulum_bias"] > told["pendulum_bias"]).all()
    assert len({kept["pendulum_return_mean"][0] for kept in arms.values()}) == 3


def test_random_systems() -> None:
    model, mean = random_system(torch.Generator().manual_seed(0), 3, 0.8)
    assert float(torch.linalg.eigvals(model.transition).abs().max()) == pytest.approx(0.8)
    assert [tuple(one.shape) for one in model] == [(3, 3), (3, 1), (1, 3), (3, 3), (1, 1)]
    assert (model.process == torch.eye(3)).all()
    assert mean.shape == (3,)


def test_one_noise_is_that_of_motion_of_sight_and_of_the_start(arms: dict[str, dict[str, np.ndarray]]) -> None:
    model, mean = random_system(torch.Generator().manual_seed(0), 3, 1.0)
    identity = torch.eye(3, dtype=torch.float64)
    model = model._replace(process=0.09 * identity, noise=0.09 * identity[:1, :1])
    task, start = Task(identity, identity[:1, :1], 6), Gaussian(mean, 0.09 * identity)
    expected = outcome(model, task, start, "planned", "sample")
    kept = arms["planned"]
    assert kept["return_sample"][1] == pytest.approx(float(expected.total))
    assert kept["objective"][1] == pytest.approx(float(expected.objective))


def test_same_seed_same_numbers(arms: dict[str, dict[str, np.ndarray]]) -> None:
    again, other = ran(inference="planned"), ran(seed=1, inference="planned")
    for name, values in arms["planned"].items():
        np.testing.assert_array_equal(values, again[name])
    for name in ("return_mean", "pendulum_return_mean"):
        assert (other[name] != again[name]).all()
