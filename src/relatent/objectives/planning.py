"""Planning by a weighted cross-entropy search over sequences of actions, as TD-MPC does it (Hansen et al. 2022, Alg 1;
nicklashansen/tdmpc).

Sequences are drawn from a Gaussian, the best ones are its elites, and the next Gaussian has their mean and deviation,
each elite counted by exp(temperature * value). A sequence (H, A) has the action of the next step first.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

WIDEST = 2.0  # deviation of the first Gaussian, and the largest of all


class Plan(NamedTuple):
    """What a search ends with."""

    mean: Tensor  # (H, A) of the last Gaussian, where the search of the next step may start
    std: Tensor  # (H, A)
    elites: Tensor  # (H, K, A)
    log_weights: Tensor  # (K,), of weights that sum to one
    sequences: Tensor  # (H, N + P, A), all of the last iteration, those drawn first


def search(
    value: Callable[[Tensor, Tensor], Tensor],
    mean: Tensor,
    guesses: Tensor,
    noise: Iterable[tuple[Tensor, Tensor]],
    least_std: Tensor,
    elites: int,
    temperature: float,
    momentum: float,
) -> Plan:
    """Improve `mean` (H, A) once for each pair of draws: (H, N, A) for the sequences, and what `value` takes beside.

    `guesses` (H, P, A) are sequences that take part in every iteration. `value` maps sequences (H, N + P, A) in [-1, 1]
    to their values (N + P,). The mean keeps `momentum` of itself; deviations stay within `least_std` and 2.
    """
    std = torch.full_like(mean, WIDEST)
    for draws, others in noise:
        drawn = (mean[:, None] + std[:, None] * draws).clamp(-1, 1)
        sequences = torch.cat([drawn, guesses], dim=1)
        best, places = value(sequences, others).topk(elites)
        chosen = sequences[:, places]
        log_weights = (temperature * best).log_softmax(-1)
        weights = log_weights.exp()[:, None]
        centre = (weights * chosen).sum(1)
        std = (weights * (chosen - centre[:, None]).square()).sum(1).sqrt().clamp(max=WIDEST).maximum(least_std)
        mean = momentum * mean + (1 - momentum) * centre
    return Plan(mean, std, chosen, log_weights, sequences)


def one_step_later(mean: Tensor) -> Tensor:
    """Where the next step's search starts: the mean (H, A) without its first action, which was taken, and a zero."""
    return torch.cat([mean[1:], torch.zeros_like(mean[:1])])


def linear(start: float, end: float, duration: int, step: int) -> float:
    """From `start` at step 0 in a straight line to `end` at step `duration`, then `end`."""
    share = min(step / duration, 1.0)
    return (1 - share) * start + share * end
