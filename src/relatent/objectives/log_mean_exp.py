"""The logarithm of a mean of exponentials."""

import math

import torch
from torch import Tensor


def log_mean_exp(values: Tensor, dim: int = -1) -> Tensor:
    """log of the mean of exp(values) along `dim`, which disappears. Safe against overflow and underflow."""
    return torch.logsumexp(values, dim) - math.log(values.shape[dim])
