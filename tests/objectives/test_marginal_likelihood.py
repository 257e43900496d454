"""Estimates of the marginal against closed forms. Means over their noise are Gauss-Hermite sums, not samples."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss
from scipy.stats import multivariate_normal
from torch import Tensor

from relatent.objectives.linear_gaussian import Gaussian, LinearGaussian
from relatent.objectives.marginal_likelihood import Transition, exact, from_dynamics, from_posterior, with_own

SCALAR = LinearGaussian(*(torch.tensor([[value]], dtype=torch.float64) for value in (0.9, 1.0, 1.0, 0.3, 0.2)))
Estimator = Callable[[LinearGaussian, Transition, Gaussian, Tensor], Tensor]
ESTIMATORS: dict[str, Estimator] = {
    "dynamics": lambda model, step, _, noise: from_dynamics(model, step, noise),
    "posterior": from_posterior,
    "own": with_own,
}


def vector() -> tuple[LinearGaussian, Transition]:
    """Two latents, three sensors, one transition."""
    generator = np.random.default_rng(1)
    roots = [generator.normal(size=(n, n)) for n in (2, 3)]
    matrices = [generator.normal(size=shape) for shape in ((2, 2), (2, 1), (3, 2))]
    model = LinearGaussian(*(torch.tensor(one) for one in (*matrices, *(root @ root.T for root in roots))))
    return model, Transition(*(torch.tensor(generator.normal(size=n)) for n in (2, 1, 3)))


def scalar() -> Transition:
    return Transition(*(torch.tensor([value], dtype=torch.float64) for value in (0.5, -0.2, 1.1)))


def posterior(model: LinearGaussian, step: Transition) -> Gaussian:
    """p_a(z | z_{t-1}, a, x)."""
    return model.corrected(model.dynamics(step.latent, step.action), step.observation)


def other(law: Gaussian) -> Gaussian:
    """Some q that is not `law`."""
    return Gaussian(law.mean + 0.3, 1.7 * law.covariance)


def grid(samples: int, latents: int, nodes: int) -> tuple[Tensor, Tensor]:
    """Noise (points, n, k), and weights whose sum is 1."""
    points, masses = hermegauss(nodes)
    masses = masses / masses.sum()
    shape = (-1, samples, latents)
    every = np.array(list(product(points, repeat=samples * latents))).reshape(shape)
    weights = np.array(list(product(masses, repeat=samples * latents))).prod(-1)
    return torch.tensor(every), torch.tensor(weights)


def mean(name: str, model: LinearGaussian, step: Transition, q: Gaussian, samples: int, nodes: int = 40) -> float:
    """Of an estimate over its noise."""
    noise, weights = grid(samples, len(step.latent), nodes)
    every = Transition(*(part.expand(len(noise), -1) for part in step))
    laws = Gaussian(q.mean.expand(len(noise), -1), q.covariance)
    return float(weights @ ESTIMATORS[name](model, every, laws, noise))


def remainder(model: LinearGaussian, step: Transition, q: Gaussian) -> float:
    """E_q of T3 + T4, the evidence bound."""
    log_marginal = float(exact(model, step))
    return log_marginal - float(q.divergence(posterior(model, step)))


def test_the_exact_number() -> None:
    """N(1.1; 0.9 x 0.5 - 0.2, 0.3 + 0.2), and three sensors by scipy."""
    assert float(exact(SCALAR, scalar())) == pytest.approx(-0.5 * (0.85**2 / 0.5 + np.log(2 * np.pi * 0.5)))
    model, step = vector()
    center = model.emission @ (model.transition @ step.latent + model.control @ step.action)
    spread = model.emission @ model.process @ model.emission.T + model.noise
    wanted = multivariate_normal(center.numpy(), spread.numpy()).logpdf(step.observation.numpy())
    assert float(exact(model, step)) == pytest.approx(wanted, rel=1e-12)


def test_one_sample_by_dynamics_is_low_by_the_divergence_of_prior_from_posterior() -> None:
    model, step = vector()
    prior = model.dynamics(step.latent, step.action)
    loss = float(prior.divergence(posterior(model, step)))
    found = mean("dynamics", model, step, prior, 1, 5)
    assert float(exact(model, step)) - found == pytest.approx(loss, rel=1e-10)
    assert loss > 1


def test_one_sample_by_the_posterior_is_the_evidence_bound() -> None:
    model, step = vector()
    q = other(posterior(model, step))
    assert mean("posterior", model, step, q, 1, 5) == pytest.approx(remainder(model, step, q), rel=1e-10)


@pytest.mark.parametrize("samples", [1, 3])
def test_the_right_posterior_leaves_nothing_to_chance(samples: int) -> None:
    model, step = vector()
    noise = torch.randn((7, samples, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    law = posterior(model, step)
    every = Transition(*(part.expand(7, -1) for part in step))
    found = from_posterior(model, every, Gaussian(law.mean.expand(7, -1), law.covariance), noise)
    torch.testing.assert_close(found, exact(model, step).expand(7), rtol=1e-10, atol=0)


def test_own_sample_alone_is_its_likelihood() -> None:
    model, step = vector()
    q = posterior(model, step)
    noise = torch.tensor([[0.4, -1.2]], dtype=torch.float64)
    sampled = q.mean + torch.linalg.cholesky(q.covariance) @ noise[0]
    wanted = model.emitted(sampled).log_prob(step.observation)
    assert float(with_own(model, step, q, noise)) == pytest.approx(float(wanted), rel=1e-12)


def test_many_samples_enclose_the_exact_number() -> None:
    """Lower by dynamics, rising with n; higher with one sample of the true posterior, falling with n."""
    step, q = scalar(), posterior(SCALAR, scalar())
    number = float(exact(SCALAR, step))
    low = [mean("dynamics", SCALAR, step, q, n, nodes) for n, nodes in ((1, 60), (2, 60), (3, 30))]
    high = [mean("own", SCALAR, step, q, n, nodes) for n, nodes in ((1, 60), (2, 60), (3, 30))]
    assert low[0] < low[1] < low[2] < number < high[2] < high[1] < high[0]


def test_two_samples_are_as_an_integral_says() -> None:
    """By a sum over a fine grid of both latents, which shares nothing with Gauss and Hermite."""
    step, q = scalar(), posterior(SCALAR, scalar())
    points = np.linspace(-9, 9, 1201)
    mass = np.exp(-(points**2) / 2) / np.exp(-(points**2) / 2).sum()
    prior = 0.25 + np.sqrt(0.3) * points
    first = {"dynamics": prior, "own": float(q.mean) + float(q.covariance) ** 0.5 * points}
    for name, own in first.items():
        likelihood = [np.exp(-((1.1 - z) ** 2) / 0.4) / np.sqrt(0.4 * np.pi) for z in (own, prior)]
        integral = mass @ np.log((likelihood[0][:, None] + likelihood[1]) / 2) @ mass
        assert mean(name, SCALAR, step, q, 2, 80) == pytest.approx(integral, abs=1e-6)


@pytest.mark.parametrize("name", ["posterior", "own"])
@pytest.mark.parametrize("samples", [1, 2])
def test_what_includes_the_belief_keeps_the_objective_a_bound(name: str, samples: int) -> None:
    """T3 + T4 - estimate is at most 0 for any q and model, and never below minus the divergence for `posterior`."""
    for process, mean_off, spread in product((1e-2, 1.0, 1e3), (0.0, 1.0, 5.0), (0.1, 1.0, 10.0)):
        model = SCALAR._replace(process=torch.tensor([[process]], dtype=torch.float64))
        law = posterior(model, scalar())
        q = Gaussian(law.mean + mean_off, spread * law.covariance)
        left = remainder(model, scalar(), q) - mean(name, model, scalar(), q, samples)
        assert left <= 1e-9
        if name == "posterior":
            assert left >= -float(q.divergence(law)) - 1e-9


def test_dynamics_alone_let_the_objective_grow_without_bound() -> None:
    """With the right q, T3 + T4 - estimate is log p(x) - estimate; for n = 1 half of Q / R, less the evidence."""
    found: dict[int, list[float]] = {1: [], 2: []}
    for process in (1e2, 1e4, 1e6):
        model = SCALAR._replace(process=torch.tensor([[process]], dtype=torch.float64))
        q = posterior(model, scalar())
        for samples, values in found.items():
            values.append(remainder(model, scalar(), q) - mean("dynamics", model, scalar(), q, samples, 20))
    assert found[1][-1] == pytest.approx(0.5 * 1e6 / 0.2, rel=1e-4)
    assert found[2][0] > 0
    assert np.diff(np.log10(found[2])) == pytest.approx([2, 2], abs=0.05)


# Gradients. Of the model, of q and of the transition: Experiment 7's loop decides which transitions there are.

PARTS = (
    "transition",
    "control",
    "emission",
    "process",
    "noise",
    "mean",
    "covariance",
    "latent",
    "action",
    "observation",
)
Roots = dict[str, Tensor]
"""Matrices of `PARTS` by name, covariances by their roots."""


def roots(model: LinearGaussian, step: Transition, q: Gaussian) -> Roots:
    spreads = ("process", "noise", "covariance")
    every = model._asdict() | q._asdict() | step._asdict()
    return {name: torch.linalg.cholesky(every[name]) if name in spreads else every[name] for name in PARTS}


def from_roots(parts: Roots) -> tuple[LinearGaussian, Transition, Gaussian]:
    process, noise, covariance = (parts[name] @ parts[name].mT for name in ("process", "noise", "covariance"))
    model = LinearGaussian(parts["transition"], parts["control"], parts["emission"], process, noise)
    return model, Transition(*(parts[name] for name in Transition._fields)), Gaussian(parts["mean"], covariance)


def estimated(name: str, parts: Roots, noise: Tensor) -> Tensor:
    """From noise (.., n, k), (..)."""
    model, step, q = from_roots(parts)
    every = Transition(*(part.expand(*noise.shape[:-2], -1) for part in step))
    return ESTIMATORS[name](model, every, Gaussian(q.mean.expand(*noise.shape[:-2], -1), q.covariance), noise)


def exact_gradient(parts: Roots) -> Roots:
    """Of log p(x), that of q being 0."""
    leaves = {name: part.clone().requires_grad_() for name, part in parts.items()}
    model, step, _ = from_roots(leaves)
    return gradients(exact(model, step), leaves)


def gradients(value: Tensor, leaves: Roots) -> Roots:
    found = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(leaves, found, strict=True))


def differences(value: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """Of a number, by central differences in every entry."""
    step = 1e-5
    ends = [value(at + sign * one.view_as(at)) for one in step * torch.eye(at.numel()).double() for sign in (1, -1)]
    return (torch.stack(ends[::2]) - torch.stack(ends[1::2])).view_as(at) / (2 * step)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("samples", [1, 4])
def test_an_estimates_gradient_is_the_finite_difference_at_the_same_draws(name: str, samples: int) -> None:
    """For every matrix, and for q and the transition. By dynamics no q is asked for, and q's own sample alone asks for
    no dynamics."""
    model, step = vector()
    at = roots(model, step, other(posterior(model, step)))
    noise = torch.randn((samples, 2), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    leaves = {part: value.clone().requires_grad_() for part, value in at.items()}
    unused = {"dynamics": {"mean", "covariance"}, "posterior": set[str](), "own": set[str]()}[name]
    if name == "own" and samples == 1:
        unused = {"transition", "control", "process", "latent", "action"}
    for part, gradient in gradients(estimated(name, leaves, noise), leaves).items():
        numeric = differences(lambda moved, part=part: estimated(name, at | {part: moved}, noise), at[part])  # type: ignore[misc]
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-7)
        assert bool(numeric.any()) == (part not in unused)


@pytest.mark.parametrize("samples", [1, 2])
def test_where_q_is_right_the_mean_gradient_by_the_posterior_is_exact(samples: int) -> None:
    """Of the model, the transition and q, whatever n: the gradient of log p(x, z) is that of log p(x) in the mean over
    p_a(z | x), and it is quadratic in z, so that three nodes are enough."""
    model, step = vector()
    parts = roots(model, step, posterior(model, step))
    noise, weights = grid(samples, 2, 3)
    leaves = {name: part.clone().requires_grad_() for name, part in parts.items()}
    found, expected = gradients(weights @ estimated("posterior", leaves, noise), leaves), exact_gradient(parts)
    for part, gradient in found.items():
        np.testing.assert_allclose(gradient, expected[part], atol=1e-10)
    assert not expected["mean"].any()
    assert expected["process"].abs().max() > 0.1


def sampled_gradient(name: str, parts: Roots, samples: int, repeats: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean over `repeats` of an estimate's gradient by n samples each, and the mean's standard error."""
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn((repeats, samples, 1), generator=generator, dtype=torch.float64)
    leaves = {part: value.expand(repeats, *value.shape).clone().requires_grad_() for part, value in parts.items()}

    def one(leaf: Roots, draws: Tensor) -> Tensor:
        return estimated(name, leaf, draws)

    total = torch.vmap(one)(leaves, noise).sum()
    found = gradients(total, leaves)
    return {part: (value.mean(0), value.std(0) / repeats**0.5) for part, value in found.items()}


def own_share(parts: Roots, samples: int) -> Roots:
    """The gradient with respect to q of E_q p(x|z) / (n p(x)): q's own sample is one of n, which the limit forgets."""
    leaves = {name: part.clone().requires_grad_() for name, part in parts.items()}
    model, step, q = from_roots(leaves)
    share = (model.predicted(q).log_prob(step.observation) - exact(model, step)).exp() / samples
    return {name: one for name, one in gradients(share, leaves).items() if name in Gaussian._fields}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_many_samples_gradient_is_the_exact_one_in_the_mean(name: str) -> None:
    """With n = 2,000 within four standard errors of 2,000 repeats, which are below 0.003; with one sample far off.
    Gradients are about 1, that of q is 0 but for what is of the order of 1/n."""
    step = scalar()
    parts = roots(SCALAR, step, other(posterior(SCALAR, step)))
    expected = exact_gradient(parts)
    near = dict(expected)
    if name == "own":
        near |= {part: expected[part] + one for part, one in own_share(parts, 2_000).items()}
    for part, (mean_gradient, error) in sampled_gradient(name, parts, 2_000, 2_000).items():
        assert mean_gradient.shape == parts[part].shape
        assert float(error) < 3e-3
        assert float((mean_gradient - near[part]).abs()) <= 4 * float(error), part
    alone = sampled_gradient(name, parts, 1, 2_000)
    assert max(float((value - expected[part]).abs() - 10 * error) for part, (value, error) in alone.items()) > 0.5
