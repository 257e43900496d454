"""Inference of actions, where every law on the way is known: a quadratic gain under a Gaussian."""

import math
from itertools import pairwise

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from relatent.nets.distributions import Gaussian
from relatent.objectives.action_inference import Uniform, expected_log_prob, infer

RATE, ITERATIONS, SAMPLES = 0.4, 6, 2**14
CENTRE = torch.tensor([[2.0, -1.5], [0.5, 0.0], [-3.0, 1.0]], dtype=torch.float64)  # three actions of two numbers
CURVATURE = torch.tensor([[4.0, 0.5], [1.0, 2.0], [0.2, 9.0]], dtype=torch.float64)
PRIOR = Gaussian(torch.full((3, 2), 0.3, dtype=torch.float64), torch.full((3, 2), math.log(0.8), dtype=torch.float64))
START = Gaussian(torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, 2, dtype=torch.float64))


def float64(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def draws(seed: int) -> Tensor:
    """Normal numbers that are spread evenly, (SAMPLES, 3, 2), so that their moments are nearly exact."""
    points = torch.quasirandom.SobolEngine(6, scramble=True, seed=seed).draw(SAMPLES, dtype=torch.float64)
    return (math.sqrt(2) * torch.erfinv((2 * points - 1).clamp(-1 + 1e-9, 1 - 1e-9))).reshape(SAMPLES, 3, 2)


NOISE = [draws(seed) for seed in range(ITERATIONS)]


def log_optimality(samples: Tensor) -> Tensor:
    return -0.5 * (CURVATURE * (samples - CENTRE).square()).sum((-1, -2))


def with_prior(samples: Tensor, law: Gaussian) -> Tensor:
    return log_optimality(samples) + (PRIOR.log_prob(samples) - law.log_prob(samples)).sum(-1)


def without_prior(samples: Tensor, law: Gaussian) -> Tensor:
    del law
    return log_optimality(samples)


def after(iterations: int, gain: object, start: Gaussian = START, least: float = 1e-3) -> Gaussian:
    return infer(gain, start, NOISE[:iterations], RATE, least)  # type: ignore[arg-type]


def precision(law: Gaussian) -> Tensor:
    return torch.exp(-2 * law.log_std)


def bound(law: Gaussian) -> float:
    """E_q[log p(O|u)] - KL(q || p_a), in closed form."""
    variance, prior_variance = torch.exp(2 * law.log_std), torch.exp(2 * PRIOR.log_std)
    reward = -0.5 * (CURVATURE * ((law.mean - CENTRE).square() + variance)).sum()
    ratio = (variance + (law.mean - PRIOR.mean).square()) / prior_variance
    return float(reward - 0.5 * (ratio - 1 - (variance / prior_variance).log()).sum())


def test_the_bound_rises_with_every_iteration_to_the_best_one() -> None:
    bounds = [bound(after(iterations, with_prior)) for iterations in range(ITERATIONS + 1)]
    assert all(later > earlier for earlier, later in pairwise(bounds))
    best = precision(PRIOR) + CURVATURE
    mean = (precision(PRIOR) * PRIOR.mean + CURVATURE * CENTRE) / best
    top = bound(Gaussian(mean, -0.5 * best.log()))
    assert bounds[-1] < top
    assert top - bounds[-1] < 0.02 * (top - bounds[0])


@pytest.mark.parametrize("iterations", range(ITERATIONS + 1))
def test_every_law_on_the_way_is_a_geometric_mean_of_the_first_and_the_best(iterations: int) -> None:
    law, left = after(iterations, with_prior), (1 - RATE) ** iterations
    best = precision(PRIOR) + CURVATURE
    expected = left * precision(START) + (1 - left) * best
    lead = left * precision(START) * START.mean
    lead = lead + (1 - left) * (precision(PRIOR) * PRIOR.mean + CURVATURE * CENTRE)
    torch.testing.assert_close(precision(law), expected, rtol=0.03, atol=0.0)
    torch.testing.assert_close(law.mean, lead / expected, rtol=0.0, atol=0.02)


@pytest.mark.parametrize("iterations", range(ITERATIONS + 1))
def test_without_a_prior_the_likelihood_is_counted_again_and_again(iterations: int) -> None:
    law = after(iterations, without_prior)
    expected = precision(START) + RATE * iterations * CURVATURE
    torch.testing.assert_close(precision(law), expected, rtol=0.03, atol=0.0)
    torch.testing.assert_close(law.mean, RATE * iterations * CURVATURE * CENTRE / expected, rtol=0.0, atol=0.02)


def test_deviations_stay_between_the_least_one_and_two() -> None:
    narrow = after(ITERATIONS, without_prior, least=0.9)
    assert float(narrow.log_std.min()) == pytest.approx(math.log(0.9))
    wide = after(1, lambda samples, _law: 4 * samples.square().sum((-1, -2)))
    assert float(wide.log_std.max()) == pytest.approx(math.log(2))


def test_nothing_is_inferred_without_an_iteration() -> None:
    assert after(0, with_prior) is START


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1.3, 0.4), (-2.0, 0.1), (0.5, 2.0)])
def test_expectations_are_integrals(mean: float, std: float) -> None:
    law = Gaussian(float64(mean, 0.2), float64(std, 0.7).log())
    prior = Gaussian(float64(0.4, -0.1), float64(0.6, 1.5).log())
    of_uniform = of_prior = 0.0
    for place, spread, m, s in ((mean, std, 0.4, 0.6), (0.2, 0.7, -0.1, 1.5)):

        def own(u: float, place: float = place, spread: float = spread) -> float:
            return float(stats.norm.pdf(u, place, spread))

        ends = place - 9 * spread, place + 9 * spread
        of_uniform += integrate.quad(lambda u, own=own: own(u) * (-math.log(2) - 2 * math.log(math.cosh(u))), *ends)[0]
        of_prior += integrate.quad(lambda u, own=own, m=m, s=s: own(u) * stats.norm.logpdf(u, m, s), *ends)[0]
    assert float(expected_log_prob(prior, law)) == pytest.approx(of_prior, rel=1e-8)
    assert float(expected_log_prob(Uniform(law.mean), law)) == pytest.approx(of_uniform, abs=1e-3)


def test_the_uniform_law_is_uniform() -> None:
    """Its density before tanh integrates to one, and its samples after tanh have the moments of [-1, 1]."""
    law = Uniform(torch.zeros(SAMPLES, 1, dtype=torch.float64))
    actions = torch.tanh(law.sample(NOISE[0][:, 0, :1]))
    assert float(actions.mean()) == pytest.approx(0.0, abs=1e-3)
    assert float(actions.square().mean()) == pytest.approx(1 / 3, abs=1e-3)
    assert float(actions.abs().max()) < 1

    def density(u: float) -> float:
        return math.exp(float(law.log_prob(float64(u))))

    assert integrate.quad(density, -20, 20)[0] == pytest.approx(1.0, rel=1e-8)
