"""Fitting an ensemble until it no longer improves on data held out, as jannerm/mbpo does.

Every network has a bootstrap sample of the training data, drawn once a fit and shuffled in every epoch. After each
epoch the networks that have become better by more than a hundredth on the holdout are remembered; once none has for
more than `patience` epochs, each goes back to where it was best. The range of log-variances stays where the last step
left it, and so do the optimiser's moments, which the next fit goes on with.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from relatent.nets.gaussian_ensemble import GaussianEnsemble
from relatent.nets.learner import step

IMPROVEMENT = 0.01  # least relative one that counts


@dataclass(frozen=True)
class Fitting:
    """How long an ensemble is fitted, and on what."""

    batch: int
    holdout: float  # share of the data
    most_held: int  # rows
    patience: int  # epochs
    epochs: int  # at most; 0 is no limit


class Best:
    """Each network's weights and biases where its error was smallest."""

    def __init__(self, ensemble: GaussianEnsemble, patience: int) -> None:
        self.parameters = [*ensemble.weights, *ensemble.biases]
        self.kept = [parameter.detach().clone() for parameter in self.parameters]
        self.errors = torch.full((len(ensemble),), torch.inf, device=self.kept[0].device)
        self.patience, self.stale = patience, 0

    @torch.no_grad()
    def ends(self, errors: Tensor) -> bool:
        """Remember the networks whose errors (networks,) have fallen; says whether to stop."""
        better = errors < (1 - IMPROVEMENT) * self.errors
        self.errors = torch.where(better, errors, self.errors)
        for kept, parameter in zip(self.kept, self.parameters, strict=True):
            kept[better] = parameter[better]
        self.stale = 0 if better.any() else self.stale + 1
        return self.stale > self.patience

    @torch.no_grad()
    def restore(self) -> None:
        """Let every network go back to its best."""
        for kept, parameter in zip(self.kept, self.parameters, strict=True):
            parameter.copy_(kept)


def fit(
    ensemble: GaussianEnsemble,
    optimiser: torch.optim.Adam,
    inputs: Tensor,
    targets: Tensor,
    how: Fitting,
    generator: torch.Generator,
) -> Tensor:
    """Fit to rows of inputs (N, inputs) and targets (N, outputs); returns each network's error on the holdout."""
    order = torch.randperm(len(inputs), generator=generator, device=generator.device)
    held, used = order.tensor_split([min(int(how.holdout * len(inputs)), how.most_held)])
    holdout = inputs[held], targets[held]
    inputs, targets = inputs[used], targets[used]
    ensemble.standardise(inputs)
    shape = (len(ensemble), len(used))
    rows = torch.randint(len(used), shape, generator=generator, device=generator.device)
    best, epochs, parameters = Best(ensemble, how.patience), 0, list(ensemble.parameters())
    ended = False
    while not ended:
        for chosen in rows.split(how.batch, dim=1):
            step(optimiser, torch.autograd.grad(ensemble.loss(inputs[chosen], targets[chosen]), parameters))
        shuffled = torch.rand(shape, generator=generator, device=generator.device).argsort(1)
        rows, epochs = rows.gather(1, shuffled), epochs + 1
        ended = best.ends(ensemble.errors(*holdout)) or epochs == how.epochs
    best.restore()
    return ensemble.errors(*holdout)
