"""What ALM's classifier learns with either pairing of fakes: the closed form, and logistic regression on samples.

The problem is that of relatent.objectives.classifier_limit; the classifier is a quadratic, which contains the limit.
Half of a sample's pairs (z, z') are real, half have z' from the model: of the z that is shown, as the paper writes
(`paper`, Eq 9), or of another draw of it, as in RajGhugare19/alm@3b70f5b (`code`). Coefficients are of 1, z², z'² and
z z'.

What `run` records; only what is fitted depends on the seed
    limit_X                 (4,) the limit's coefficients; X: paper, code
    fitted_X                (4,) logistic regression's
    fitting_error           (1,) largest |fitted - limit|, both pairings
    mean_X                  (1,) the limit's mean over imagined pairs: z from the encoder, z' from the model, both shown
    mean_intrinsic          (1,) that of log e(z'|s') - log m(z'|z), for which the classifier stands
    classifier_error        (1,) mean_paper - mean_intrinsic
    given_X, given_intrinsic    (2,) the same means given z, coefficients of 1 and z²
    real_X                  (1,) the limit's mean over real pairs
    perfect_X               (1,) mean_X where the model is p(z'|z) itself
    variance                (n,) V = W of the curves below, the other constants as given
    curve_X, curve_intrinsic    (n,) the means over imagined pairs
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from relatent.objectives.classifier_limit import (
    PAIRINGS,
    Array,
    LinearGaussian,
    Pairing,
    features,
    imagined,
    intrinsic,
    log_odds,
    mean_under,
    perfect,
)

VARIANCES = np.logspace(-2, 1, 61)
STEPS = 12
"""Newton steps from zero; the fit is exact after eight."""


@dataclass(frozen=True)
class Hyper:
    state_variance: float
    """S, of s."""
    gain: float
    """g of s' = g s + noise."""
    process_variance: float
    """P, of that noise."""
    encoder_variance: float
    """V of e(z|s) = N(s, V)."""
    model_gain: float
    """b of m(z'|z) = N(b z, W)."""
    model_variance: float
    """W."""
    pairs: int
    """Pairs of each sample, half of them real."""


def sample(model: LinearGaussian, pairing: Pairing, pairs: int, generator: np.random.Generator) -> tuple[Array, Array]:
    """Pairs (pairs, 2), the second half of them generated; and labels, 1 where real. # Eq 9"""
    noise = generator.normal(size=(5, pairs))
    state = np.sqrt(model.state_variance) * noise[0]
    after = model.gain * state + np.sqrt(model.process_variance) * noise[1]
    z, again = state + np.sqrt(model.encoder_variance) * noise[2:4]
    real = after + np.sqrt(model.encoder_variance) * noise[4]
    generated = model.model_gain * (z if pairing == "paper" else again)
    generated = generated + np.sqrt(model.model_variance) * generator.normal(size=pairs)
    label = (np.arange(pairs) < pairs // 2).astype(float)
    return np.stack([z, np.where(label == 1, real, generated)], axis=1), label


def fit(inputs: Array, label: Array) -> Array:
    """Logistic regression by Newton's method: coefficients of the inputs' columns."""
    coefficients = np.zeros(inputs.shape[1])
    for _ in range(STEPS):
        probability = expit(inputs @ coefficients)
        curvature = inputs.T @ (inputs * (probability * (1 - probability))[:, None])
        coefficients = coefficients + np.linalg.solve(curvature, inputs.T @ (label - probability))
    return coefficients


def imagined_means(model: LinearGaussian) -> dict[str, float]:
    """Over imagined pairs, of both limits and of what they stand for."""
    pairs = model.fake("paper")
    found = {str(pairing): mean_under(log_odds(model, pairing), pairs) for pairing in PAIRINGS}
    constant, square = intrinsic(model)
    return {**found, "intrinsic": float(constant + square * pairs[0, 0])}


def run(spec: dict[str, Any], record: Any) -> None:
    """Compute and record what the module's text lists."""
    hyper = Hyper(**spec["hyper"])
    generator = np.random.default_rng(spec["seed"])
    model = LinearGaussian(*(getattr(hyper, name) for name in LinearGaussian._fields))
    limits = {pairing: log_odds(model, pairing) for pairing in PAIRINGS}
    fitted = {}
    for number, pairing in enumerate(PAIRINGS):
        pairs, label = sample(model, pairing, hyper.pairs, generator)
        fitted[pairing] = fit(features(pairs), label)
        record.progress(number + 1, len(PAIRINGS))
    means = imagined_means(model)
    ideal = imagined_means(perfect(model))
    curves = [imagined_means(model._replace(encoder_variance=one, model_variance=one)) for one in VARIANCES]
    record.arrays(
        **{f"limit_{pairing}": limit for pairing, limit in limits.items()},
        **{f"fitted_{pairing}": found for pairing, found in fitted.items()},
        fitting_error=np.array([max(np.abs(fitted[pairing] - limits[pairing]).max() for pairing in PAIRINGS)]),
        **{f"mean_{name}": np.array([value]) for name, value in means.items()},
        classifier_error=np.array([means["paper"] - means["intrinsic"]]),
        **{f"given_{pairing}": imagined(model, limit) for pairing, limit in limits.items()},
        given_intrinsic=intrinsic(model),
        **{f"real_{pairing}": np.array([mean_under(limit, model.real())]) for pairing, limit in limits.items()},
        **{f"perfect_{pairing}": np.array([ideal[pairing]]) for pairing in PAIRINGS},
        variance=VARIANCES,
        **{f"curve_{name}": np.array([one[name] for one in curves]) for name in means},
    )
