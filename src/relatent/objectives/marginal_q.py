"""The Q-function of a history, marginalised over the latent states that it allows (SMAC, Eq 13 and 14)."""

from torch import Tensor

from relatent.objectives.log_mean_exp import log_mean_exp


def marginal_q(values: Tensor) -> Tensor:
    """Q̃(h, a) = log (1/K) Σ_k exp Q(s^k, a) for `values` Q(s^k, a) of shape (..., K). # Eq 14

    It lies between the values' mean and their maximum, and is the value itself for K = 1. In expectation it grows with
    K towards log E exp Q. Q is not divided by the temperature, as in the paper and the official code.
    """
    return log_mean_exp(values)
