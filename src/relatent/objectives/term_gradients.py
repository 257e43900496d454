"""Gradients of an objective's terms, as its declarations let them through, beside finite differences.

Of sums over samples that stay, with weights that stay. Where parameters also decide which samples there are, the
gradient of the expectation has one part more, the mean of the term times the gradient of the samples' log density.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from relatent.objectives.terms import Densities, Objective, Parameters

STEP = 1e-5
NONE: frozenset[str] = frozenset()


class GradientErrors(NamedTuple):
    """Of all terms and groups."""

    difference: float
    """Largest, from finite differences; in units of that term and group's largest derivative if it exceeds 1."""
    leak: float
    """Largest gradient that arrives at a group which is not declared."""


def gradient_errors(
    objective_of: Callable[[frozenset[str]], Objective],
    densities_of: Callable[[Parameters], Densities],
    parameters: Parameters,
    weight: Tensor,
) -> GradientErrors:
    """Of Σ weight (n,) term (n, T), one group of `parameters` declared after the other; samples and weights stay."""
    difference = leak = 0.0
    for group, at in parameters.items():
        leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        found = means(objective_of(frozenset({group})), densities_of(leaves), weight)
        numeric = torch.stack(
            [
                means(objective_of(NONE), densities_of(parameters | {group: moved}), weight)
                for step in torch.eye(at.numel(), dtype=at.dtype).view(-1, *at.shape) * STEP
                for moved in (at + step, at - step)
            ]
        )
        expected = (numeric[0::2] - numeric[1::2]).T / (2 * STEP)  # (terms, entries)
        for total, row in zip(found, expected, strict=True):
            gradients = torch.autograd.grad(
                total, list(leaves.values()), retain_graph=True, allow_unused=True, materialize_grads=True
            )
            every = dict(zip(leaves, gradients, strict=True))
            off = (every.pop(group).flatten() - row).abs().max() / row.abs().max().clamp(min=1.0)
            difference = max(difference, float(off))
            leak = max(leak, *(float(one.abs().max()) for one in every.values()))
    return GradientErrors(difference, leak)


def means(objective: Objective, densities: Densities, weight: Tensor) -> Tensor:
    """Every term's weighted sum over trajectories, (terms,)."""
    return torch.stack([weight @ term.sum(1) for term in objective.terms(densities).values()])
