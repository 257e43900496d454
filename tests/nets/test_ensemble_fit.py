"""What an ensemble is fitted to, when that ends and what is left, on scripted errors and on data that says its row."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from relatent.nets.ensemble_fit import Best, Fitting, fit
from relatent.nets.gaussian_ensemble import GaussianEnsemble

HOW = Fitting(batch=4, holdout=0.2, most_held=5_000, patience=2, epochs=0)


def ensemble(networks: int = 2) -> GaussianEnsemble:
    torch.manual_seed(0)
    return GaussianEnsemble(1, 1, 3, networks, (0.0, 0.0))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Errors of two networks after each epoch, and whether the fit ends there where it is patient for two.
SCRIPT = [
    ((1.0, 1.0), False),
    ((0.995, 0.9), False),  # the first is better by too little
    ((0.989, 0.9), False),  # by enough, against the best that counted
    ((0.985, 0.895), False),
    ((0.98, 0.892), False),
    ((0.9792, 0.8911), True),  # nobody by a hundredth for three epochs, though both by more since the last best
]


def test_it_ends_after_more_stale_epochs_than_its_patience_and_each_network_is_left_at_its_best() -> None:
    made = ensemble()
    best = Best(made, patience=2)
    for epoch, (errors, ends) in enumerate(SCRIPT):
        with torch.no_grad():
            for parameter in (*made.weights, *made.biases):
                parameter.fill_(epoch)
            made.max_log_var.fill_(epoch)
        assert best.ends(torch.tensor(errors)) is ends
    best.restore()
    for parameter in (*made.weights, *made.biases):
        assert parameter[0].unique().tolist() == [2]
        assert parameter[1].unique().tolist() == [1]
    assert made.max_log_var.tolist() == [5]


def test_one_network_that_improves_goes_on_for_all() -> None:
    best = Best(ensemble(), patience=0)
    assert [best.ends(torch.tensor([1.0, 0.9**epoch])) for epoch in range(4)] == [False] * 4
    assert best.ends(torch.tensor([1.0, 0.9**3]))


class Watched(GaussianEnsemble):
    """Notes what it is given; its errors are scripted, the holdout's number of rows beside them."""

    def __init__(self, networks: int, errors: list[float]) -> None:
        super().__init__(1, 1, 3, networks, (0.0, 0.0))
        self.script, self.trained, self.held = iter(errors), [], []  # type: ignore[var-annotated]

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        self.trained.append((inputs, targets))
        return super().loss(inputs, targets)

    def errors(self, inputs: Tensor, targets: Tensor) -> Tensor:
        self.held.append((inputs, targets))
        return torch.full((len(self),), next(self.script))


def watched(rows: int, errors: list[float], how: Fitting = HOW, networks: int = 3) -> Watched:
    """Fitted to inputs 0, 1, 2, ... and targets ten times as large."""
    torch.manual_seed(0)
    made, data = Watched(networks, errors), torch.arange(float(rows))[:, None]
    fit(made, torch.optim.Adam(made.parameters(), fused=True), data, 10 * data, how, generator())
    return made


def test_epochs_end_as_scripted() -> None:
    """Three stale epochs after the second one; then the error of what is left is measured once more."""
    made = watched(16, [1.0, 0.5, 0.5, 0.5, 0.5, 0.5])
    assert len(made.held) == 5 + 1
    assert len(made.trained) == 5 * 4  # 13 rows in batches of 4, 4, 4, 1
    assert [tuple(inputs.shape) for inputs, _ in made.trained[:4]] == [(3, 4, 1), (3, 4, 1), (3, 4, 1), (3, 1, 1)]


def test_what_is_left_is_the_best_epoch_but_for_the_range_of_log_variances() -> None:
    """As where the fit ends with that epoch, the second one."""
    made = watched(16, [1.0, 0.5, 0.5, 0.5, 0.5, 0.5])
    best = watched(16, [1.0, 0.5, 0.5], replace(HOW, epochs=2))
    for one, other in zip((*made.weights, *made.biases), (*best.weights, *best.biases), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(made.max_log_var, best.max_log_var)


@pytest.mark.parametrize(("epochs", "measured"), [(1, 2), (3, 4)])
def test_epochs_may_be_limited(epochs: int, measured: int) -> None:
    assert len(watched(16, [1.0, 0.5, 0.2, 0.1, 0.01], replace(HOW, epochs=epochs)).held) == measured


@pytest.mark.parametrize(
    ("rows", "most_held", "held"), [(10, 5_000, 2), (14, 5_000, 2), (15, 5_000, 3), (50, 10, 10), (50, 9, 9)]
)
def test_a_fifth_is_held_out_up_to_a_limit(rows: int, most_held: int, held: int) -> None:
    made = watched(rows, [1.0] * 9, replace(HOW, most_held=most_held, epochs=1))
    out = set(made.held[0][0].flatten().tolist())
    seen = {value for inputs, _ in made.trained for value in inputs.flatten().tolist()}
    assert len(out) == held
    assert not out & seen
    assert sum(inputs.shape[1] for inputs, _ in made.trained) == rows - held
    rest = torch.tensor(sorted(set(range(rows)) - out), dtype=torch.float32)
    assert made.mean.item() == pytest.approx(rest.mean().item(), rel=1e-6)
    assert made.std.item() == pytest.approx(rest.std(correction=0).item(), rel=1e-6)
    assert all(torch.equal(10 * inputs, targets) for inputs, targets in made.trained + made.held)


def test_each_network_has_a_bootstrap_sample_of_its_own_shuffled_in_each_epoch() -> None:
    made = watched(100, [1.0] * 9, replace(HOW, batch=80, epochs=2))
    (first, _), (second, _) = made.trained
    samples = [[epoch[network].flatten().tolist() for network in range(3)] for epoch in (first, second)]
    assert [sorted(sample) for sample in samples[0]] == [sorted(sample) for sample in samples[1]]
    assert all(one != other for one, other in zip(*samples, strict=True))
    assert len({tuple(sorted(sample)) for sample in samples[0]}) == 3
    for sample in samples[0]:  # 80 draws with replacement from 80 rows hold 50.7 of them, give or take 2.8
        assert 42 <= len(set(sample)) <= 60


def test_the_generator_decides_all() -> None:
    data = torch.linspace(-1, 1, 40)[:, None]
    fitted = []
    for seed in (0, 0, 1):
        made = ensemble()
        optimiser = torch.optim.Adam(made.parameters(), lr=0.01, fused=True)
        errors = fit(made, optimiser, data, data.square(), replace(HOW, epochs=3), generator(seed))
        fitted.append(torch.cat([errors, *(parameter.detach().flatten() for parameter in made.parameters())]))
    assert torch.equal(fitted[0], fitted[1])
    assert not torch.equal(fitted[0], fitted[2])
