"""Exact EM as a study records it."""

import math
from typing import Any

import numpy as np
import pytest

from relatent.studies.exact_em import run

from .fake_record import FakeRecord

HYPER: dict[str, Any] = {
    "learns_prior": True,
    "noise": 0.3,
    "latents": 2,
    "processes": 3,
    "states": 4,
    "percepts": 3,
    "actions": 2,
    "horizon": 3,
    "reward_scale": 4.0,
    "iterations": 40,
}
CURVES = (
    "bound",
    "evidence",
    "gap",
    "action_divergence",
    "latent_divergence",
    "planned_return",
    "habitual_return",
)


def recorded(seed: int = 0, **changes: Any) -> dict[str, np.ndarray]:
    record = FakeRecord()
    run({"hyper": HYPER | changes, "env": {}, "seed": seed}, record)
    assert record.reported == [(number + 1, 3) for number in range(3)]
    return record.kept


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_curves_add_up(noise: float) -> None:
    kept = recorded(noise=noise)
    for name in ("iteration", *CURVES):
        assert kept[name].shape == (40,)
    np.testing.assert_allclose(kept["gap"], kept["evidence"] - kept["bound"], atol=1e-13)
    paid = kept["action_divergence"] + kept["latent_divergence"]
    np.testing.assert_allclose(kept["bound"], kept["planned_return"] - paid, atol=1e-13)
    assert (np.diff(kept["bound"]) > -1e-13).all()
    assert kept["bound"][-1] > kept["bound"][0] + 0.01
    assert kept["bound_fall"][0] < 1e-13
    assert kept["last_divergence"][0] == pytest.approx(paid[-1])
    assert kept["divergence_left"][0] == pytest.approx(paid[-1] / paid[0])
    lost = kept["planned_return"] - kept["habitual_return"]
    assert (kept["return_lost"][0], kept["loss_left"][0]) == pytest.approx((lost[-1], lost[-1] / lost[0]))
    assert kept["last_habitual_return"][0] == kept["habitual_return"][-1]
    assert (kept["planned_return"] >= kept["habitual_return"] - 1e-13).all()


def test_without_noise_both_are_the_same_number() -> None:
    kept = recorded(noise=0.0)
    assert max(abs(kept["least_gap"][0]), abs(kept["largest_gap"][0])) < 1e-12
    assert kept["evidence_fall"][0] < 1e-12
    assert kept["evidence_falls"][0] == kept["evidence_loses"][0] == 0
    noisy = recorded(noise=0.3)
    assert 1e-6 < noisy["least_gap"][0] < noisy["gap"].min() + 1e-13
    assert noisy["gap"].max() <= noisy["largest_gap"][0]


def test_falls_are_counted_where_the_evidence_falls() -> None:
    """In one of the three processes of this seed, wholly random and met without memory."""
    kept = recorded(seed=27, noise=1.0, latents=1)
    assert kept["bound_fall"][0] < 1e-13
    assert kept["evidence_fall"][0] > 1e-3
    assert kept["evidence_falls"][0] == kept["evidence_loses"][0] == pytest.approx(1 / 3)


def test_arms_start_alike_and_a_uniform_prior_keeps_its_divergence() -> None:
    learned, uniform = recorded(), recorded(learns_prior=False)
    for name in CURVES:
        assert learned[name][0] == uniform[name][0]
        np.testing.assert_allclose(uniform[name], uniform[name][0], atol=1e-12)
    assert uniform["divergence_left"][0] == pytest.approx(1)
    assert learned["divergence_left"][0] < 0.5


def test_bandits() -> None:
    kept = recorded(iterations=1)
    expected = [-0.691006, -0.264674, -0.091986, -0.032466, -0.011719, -0.004279]
    np.testing.assert_allclose(kept["bandit_evidence"][:6], expected, atol=5e-7)
    np.testing.assert_allclose(kept["bandit_bound"], kept["bandit_evidence"], atol=1e-13)
    np.testing.assert_allclose(kept["bandit_divergence"][:2], [0.266217, 0.115611], atol=5e-7)
    sure = 1 / (1 + np.exp(-0.1 * kept["bandit_iteration"]))
    evidence = np.log(sure * math.exp(-1) + (1 - sure) * (1 + math.exp(-2.2)) / 2)
    np.testing.assert_allclose(kept["gamble_evidence"], evidence, atol=1e-12)
    assert kept["gamble_evidence_change"][0] == pytest.approx(evidence[-1] - evidence[0])
    bound = np.log(sure * math.exp(-1) + (1 - sure) * math.exp(-1.1))
    np.testing.assert_allclose(kept["gamble_bound"], bound, atol=1e-12)
