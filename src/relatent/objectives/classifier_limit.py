"""What ALM's classifier converges to, in closed form, where everything is linear and Gaussian (Sec 4, Eq 9).

    s ~ N(0, S),  s' ~ N(g s, P),  e(z|s) = N(s, V),  m(z'|z) = N(b z, W)

A classifier trained with cross entropy on as many real as generated pairs (z, z') ends at the log-ratio of their
densities. All laws are Gaussian with mean zero, and in all of them z has the variance S + V. What differs is z':

    law         z' comes from                               variance of z'      covariance with z
    real        e(.|s')                                     g²S + P + V         gS
    paper       m(.|z), of the z that is shown              b²(S + V) + W       b(S + V)
    code        m(.|z̃), of another draw z̃ from e(.|s)       b²(S + V) + W       bS

`code` is what the official code generates (RajGhugare19/alm@3b70f5b, agents/alm.py, update_rest): given s, z and z̃ are
independent, so that z' shares with z what z̃ does, which is s alone. With covariances C, the limit is

    log-odds  =  ½ log(det C_fake / det C_real) - ½ (z, z') (C_real⁻¹ - C_fake⁻¹) (z, z')ᵀ

In S = g = b = 1, P = 0, V = W = ¼, as coefficients of 1, z², z'² and z z':

    paper       ½ log(5/9) + 58/45 z² +  8/9 z'² - 20/9 z z'
    code        ½ log(14/9) - 16/63 z² - 25/63 z'² + 40/63 z z'

The paper's limit is log p(z'|z) - log m(z'|z), the code's is not, and neither is log e(z'|s') - log m(z'|z), which it
stands for: p(z'|z) is the mean of e(z'|s') over what s' can be after z, so that the paper's limit is never below the
mean of that difference. `imagined` gives all three as the policy meets them, with z' from m(.|z) and s' from the
environment.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pairing = Literal["paper", "code"]
PAIRINGS: tuple[Pairing, ...] = ("paper", "code")


class LinearGaussian(NamedTuple):
    """S, g, P, V, b and W of the module's text; variances, not deviations."""

    state_variance: float
    gain: float
    process_variance: float
    encoder_variance: float
    model_gain: float
    model_variance: float

    def real(self) -> Array:
        """Covariance of (z, z') from the encoder, (2, 2)."""
        spread, noise = self.state_variance, self.encoder_variance
        following = self.gain**2 * spread + self.process_variance + noise
        return np.array([[spread + noise, self.gain * spread], [self.gain * spread, following]])

    def fake(self, pairing: Pairing) -> Array:
        """Covariance of (z, z') with z' from the model."""
        shown = self.state_variance + self.encoder_variance
        shared = shown if pairing == "paper" else self.state_variance
        following = self.model_gain**2 * shown + self.model_variance
        return np.array([[shown, self.model_gain * shared], [self.model_gain * shared, following]])


def features(pairs: Array) -> Array:
    """1, z², z'², z z' of pairs (n, 2): (n, 4)."""
    z, following = pairs.T
    return np.stack([np.ones_like(z), z**2, following**2, z * following], axis=1)


def log_odds(model: LinearGaussian, pairing: Pairing, share_real: float = 0.5) -> Array:
    """The limit's coefficients of `features`, (4,). With other shares than halves it is off by their log-ratio."""
    real, fake = model.real(), model.fake(pairing)
    constant = 0.5 * np.log(np.linalg.det(fake) / np.linalg.det(real)) + np.log(share_real / (1 - share_real))
    form = 0.5 * (np.linalg.inv(fake) - np.linalg.inv(real))
    return np.array([constant, form[0, 0], form[1, 1], 2 * form[0, 1]])


def mean_under(coefficients: Array, covariance: Array) -> float:
    """The mean of such a polynomial over pairs N(0, covariance)."""
    return float(coefficients @ [1.0, covariance[0, 0], covariance[1, 1], covariance[0, 1]])


def imagined(model: LinearGaussian, coefficients: Array) -> Array:
    """E[polynomial | z] over z' ~ m(.|z), as coefficients of 1 and z²."""
    constant, own, following, both = coefficients
    gain = model.model_gain
    return np.array([constant + following * model.model_variance, own + following * gain**2 + both * gain])


def intrinsic(model: LinearGaussian) -> Array:
    """E[log e(z'|s') - log m(z'|z) | z] over z' ~ m(.|z) and s' given z, as coefficients of 1 and z². # Eq 6 (b)

    That is -E[KL(m(.|z) || e(.|s'))], where s given z is N(k z, k V) with k = S / (S + V).
    """
    noise, spread = model.encoder_variance, model.model_variance
    known = model.state_variance / (model.state_variance + noise)
    unknown = model.gain**2 * known * noise + model.process_variance
    ratio = spread / noise
    missed = (model.model_gain - model.gain * known) ** 2 / noise
    return np.array([0.5 * (1 + np.log(ratio) - ratio - unknown / noise), -0.5 * missed])


def perfect(model: LinearGaussian) -> LinearGaussian:
    """The same with the model p(z'|z) itself, the regression of real z' on z, which no classifier can tell from it."""
    (variance, shared), (_, following) = model.real()
    return model._replace(model_gain=shared / variance, model_variance=following - shared**2 / variance)
