"""RPG's one-dimensional reward with two peaks (Figures 2A and 4), and what can be known of it exactly.

    r(a) = max(0, 1.1 - 18 (2a + 1.2)²) + 1[a < 7/8] max(0, 0.5 - (2a - 1.75)² / 8)        for actions a in (-1, 1)

A tall, narrow peak on the left, a low, wide one on the right that ends in a jump: most of the reward's area, a third
against 0.181, lies on the right, the best action on the left. Constants are those of the official tutorial,
haosulab/RPG@a7dc920 tiny_rpg/tiny-rpg-bandit.ipynb; the paper's figure is the same over 2a.

Policies are Gaussians under tanh and mixtures of them. `u` is the action before tanh, a = tanh(u).
"""

import math
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BEST, SECOND = 1.1, 0.5
"""Heights of the left peak and of the right one, which is approached but not reached."""
BEST_ACTION, JUMP = -0.6, 0.875
"""Where the left peak is, and where the right one ends."""
LEFT = (BEST_ACTION - math.sqrt(BEST / 72), BEST_ACTION + math.sqrt(BEST / 72))
RIGHT = (-0.125, JUMP)
"""Where each peak's reward is positive."""


def reward(action: Tensor) -> Tensor:
    """r(a), elementwise. Its derivative is that of the smooth pieces: autograd does not see the jump."""
    left = F.relu(BEST - 18 * (2 * action + 1.2).square())
    right = F.relu(SECOND - 0.125 * (2 * action - 1.75).square())
    return left + torch.where(action < JUMP, right, torch.zeros_like(right))


def normal_quantiles(count: int) -> Tensor:
    """Middles of `count` equally likely slices of a standard normal, float64: their average is an expectation."""
    return torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)


def interval_mass(mean: Tensor, std: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """P(low < tanh(u) < high) for u ~ N(mean, std²), exactly; shapes broadcast, ends may be -1 and 1."""
    ends = (torch.as_tensor(end, dtype=torch.float64).atanh() for end in (low, high))
    below, above = (torch.special.ndtr((end - mean) / std) for end in ends)
    return above - below


legendre = cache(np.polynomial.legendre.leggauss)


def panels(edges: list[float], count: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre points and weights, `count` between each two edges: exact for what is smooth between them."""
    points, weights = legendre(count)
    middle = (np.array(edges[1:]) + np.array(edges[:-1])) / 2
    half = (np.array(edges[1:]) - np.array(edges[:-1])) / 2
    at, per = middle[:, None] + half[:, None] * points, half[:, None] * weights
    return torch.from_numpy(at.ravel()), torch.from_numpy(per.ravel())


def support(count: int = 200) -> tuple[Tensor, Tensor]:
    """Points and weights over the actions whose reward is not zero."""
    (left, left_weight), (right, right_weight) = panels(list(LEFT), count), panels(list(RIGHT), count)
    return torch.cat([left, right]), torch.cat([left_weight, right_weight])


def line(count: int = 200, reach: float = 12.0) -> tuple[Tensor, Tensor]:
    """Points and weights over u in (-reach, reach), split where the reward has a kink or its jump."""
    return panels([-reach, *(math.atanh(edge) for edge in (*LEFT, *RIGHT)), reach], count)


def area_below(action: Tensor) -> Tensor:
    """∫ r over (-1, action), exactly: the antiderivatives of both parabolas."""
    left = action.clamp(*LEFT) - BEST_ACTION
    right = action.clamp(*RIGHT) - JUMP
    start_left, start_right = LEFT[0] - BEST_ACTION, RIGHT[0] - JUMP
    under_left = BEST * (left - start_left) - 24 * (left**3 - start_left**3)
    return under_left + SECOND * (right - start_right) - (right**3 - start_right**3) / 6
