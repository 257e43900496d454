"""Bias and variance of the entropy estimators on the linear-Gaussian policy."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relatent.objectives.marginal_entropy import ESTIMATORS
from relatent.specs.errors import SpecError
from relatent.studies.entropy_estimators import (
    RunningMoments,
    component_log_probs,
    entropy_estimates,
    run,
    true_entropy,
    true_gradient,
)

from .fake_record import FakeRecord

HYPER: dict[str, Any] = {
    "estimators": ["nested", "mlmc", "mlmc_literal", "iwae", "elbo"],
    "particles": [1, 2, 4, 8, 16, 32],
    "dimensions": [1, 2],
    "sigma": 0.5,
    "samples": 20_000,
}


def measured(seed: int = 0, **hyper: Any) -> dict[str, np.ndarray]:
    record = FakeRecord()
    env = {"suite": "closed_form", "task": "linear_gaussian"}
    run({"study": "entropy_estimators", "revision": 1, "hyper": {**HYPER, **hyper}, "env": env, "seed": seed}, record)
    assert record.rows == []
    return record.kept


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return measured()


def rows(arrays: dict[str, np.ndarray], estimator: str, dimension: int) -> dict[str, np.ndarray]:
    index = HYPER["estimators"].index(estimator)
    chosen = (arrays["estimator_index"] == index) & (arrays["dimension"] == dimension)
    return {name: values[chosen] for name, values in arrays.items()}


def test_truth() -> None:
    assert true_entropy(1, 0.5) == pytest.approx(1.5305, abs=5e-5)
    assert true_entropy(2, 0.5) == pytest.approx(3.0610, abs=5e-5)
    assert true_gradient(2, 0.5).tolist() == pytest.approx([1.6, 0.4])
    step = 1e-5
    by_log_sigma = (true_entropy(3, 0.5 * math.exp(step)) - true_entropy(3, 0.5 * math.exp(-step))) / (2 * step)
    assert float(true_gradient(3, 0.5)[1]) == pytest.approx(by_log_sigma, rel=1e-8)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimates_and_gradients_match_autograd(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn((7, 9, 3), generator=generator, dtype=torch.float64)
    noise = torch.randn((7, 3), generator=generator, dtype=torch.float64)
    gain = torch.ones((7, 1, 1), dtype=torch.float64, requires_grad=True)
    log_sigma = torch.full((7, 1, 1), math.log(0.4), dtype=torch.float64, requires_grad=True)
    action = gain * latent[:, :1] + log_sigma.exp() * noise[:, None]
    log_probs: Tensor = torch.distributions.Normal(gain * latent, log_sigma.exp()).log_prob(action).sum(-1)
    value = -ESTIMATORS[name](log_probs)
    expected = torch.stack([value, *(g.flatten() for g in torch.autograd.grad(value.sum(), (gain, log_sigma)))])
    torch.testing.assert_close(
        entropy_estimates(ESTIMATORS[name], *component_log_probs(latent, noise, 0.4)), expected.detach()
    )


def test_running_moments() -> None:
    values = 1e4 + torch.randn((3, 1000), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moments = RunningMoments()
    for chunk in values.split([1, 499, 500], dim=1):
        moments.add(chunk)
    torch.testing.assert_close(moments.mean, values.mean(1), rtol=1e-14, atol=0)
    torch.testing.assert_close(moments.squares / 999, values.var(1), rtol=1e-10, atol=0)


def test_one_row_for_every_case(arrays: dict[str, np.ndarray]) -> None:
    assert {len(values) for values in arrays.values()} == {5 * 6 * 2}
    cases = set(zip(arrays["estimator_index"], arrays["particles"], arrays["dimension"], strict=True))
    assert len(cases) == 5 * 6 * 2
    assert all(np.isfinite(values).all() for values in arrays.values())
    np.testing.assert_allclose(arrays["bias_se"], np.sqrt(arrays["variance"] / HYPER["samples"]))


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        (1, (1.0535, 1.1912, 1.3090, 1.3995, 1.4569, 1.4908)),
        (2, (1.9515, 2.1960, 2.4445, 2.6571, 2.8167, 2.9156)),
    ],
)
def test_nested_and_mlmc_reach_the_reference(
    arrays: dict[str, np.ndarray], dimension: int, expected: tuple[float, ...]
) -> None:
    for name in ("nested", "mlmc", "mlmc_literal"):
        chosen = rows(arrays, name, dimension)
        excess = chosen["true_entropy"] + chosen["bias"] - np.array(expected)
        assert (abs(excess) < 4 * np.hypot(chosen["bias_se"], 0.002)).all()
        assert (chosen["bias"] < 0).all()


def test_mlmc_never_has_the_smaller_variance(arrays: dict[str, np.ndarray]) -> None:
    for dimension in HYPER["dimensions"]:
        plain = rows(arrays, "nested", dimension)
        for name in ("mlmc", "mlmc_literal"):
            levels = rows(arrays, name, dimension)
            for key in ("variance", "gradient_variance"):
                assert (levels[key][1:] > plain[key][1:]).all()
                assert levels[key][0] == pytest.approx(plain[key][0])


def test_elbo_has_its_closed_forms_at_every_particle_count(arrays: dict[str, np.ndarray]) -> None:
    """Entropy d/2 log(2πe σ²) + d g²/σ²; its gradient (2 d g²/σ², d - 2 d g²/σ²) = (8 d, -7 d)."""
    for dimension in HYPER["dimensions"]:
        chosen = rows(arrays, "elbo", dimension)
        assert len(set(chosen["bias"])) == 1
        bias = 0.5 * dimension * math.log(2 * math.pi * math.e * 0.25) + 4 * dimension - true_entropy(dimension, 0.5)
        assert (abs(chosen["bias"] - bias) < 4 * chosen["bias_se"]).all()
        gradient_bias = math.hypot(8 * dimension - 0.8 * dimension, -7 * dimension - 0.2 * dimension)
        assert (abs(chosen["gradient_bias"] - gradient_bias) < 4 * chosen["gradient_bias_se"]).all()
        assert (rows(arrays, "iwae", dimension)["bias"] > 0).all()


def test_nested_gradient_bias_falls_with_particles(arrays: dict[str, np.ndarray]) -> None:
    assert (np.diff(rows(arrays, "nested", 1)["gradient_bias"]) < 0).all()


def test_same_seed_same_numbers_and_more_samples_the_same_meaning() -> None:
    small = {"samples": 3000, "dimensions": [1], "particles": [2, 4]}
    first, again, other = measured(seed=1, **small), measured(seed=1, **small), measured(seed=2, **small)
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    assert not np.array_equal(first["bias"], other["bias"])


@pytest.mark.parametrize(
    ("hyper", "message"),
    [
        ({"estimators": ["nestd"]}, "did you mean 'nested'"),
        ({"particles": [3]}, "got 3"),
        ({"particles": [0]}, "got 0"),
    ],
)
def test_refuses_what_cannot_be(hyper: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        measured(**hyper)
