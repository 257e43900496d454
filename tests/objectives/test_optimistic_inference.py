"""Inference that takes success for granted: against grids, optimisers, enumerated Gaussians and simulated episodes."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_are
from scipy.optimize import minimize
from torch import Tensor

from relatent.objectives import optimistic_inference
from relatent.objectives.linear_gaussian import Gaussian, LinearGaussian
from relatent.objectives.optimistic_inference import (
    Step,
    Task,
    future,
    imagined,
    inferred,
    log_optimality,
    outcome,
    tilted,
)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def positive(size: int, seed: int) -> Tensor:
    root = drawn(size, size, seed=seed)
    return root @ root.mT + 0.2 * torch.eye(size, dtype=torch.float64)


def system(steps: int = 4) -> tuple[LinearGaussian, Task, Gaussian]:
    """Two states, one action, one observation, nothing symmetric."""
    model = LinearGaussian(
        0.6 * drawn(2, 2, seed=1), drawn(2, 1, seed=2), drawn(1, 2, seed=3), 0.3 * positive(2, 4), positive(1, 5)
    )
    return model, Task(positive(2, 6), positive(1, 7), steps), Gaussian(drawn(2, seed=8), 0.5 * positive(2, 9))


def scalar(steps: int = 3) -> tuple[LinearGaussian, Task, Gaussian]:
    def number(value: float) -> Tensor:
        return torch.tensor([[value]], dtype=torch.float64)

    model = LinearGaussian(number(0.9), number(1.0), number(1.0), number(0.3), number(0.2))
    return model, Task(number(0.7), number(0.5), steps), Gaussian(number(1.3)[0], number(0.6))


def test_filter_of_the_scalar_agent() -> None:
    """A = .9, B = C = 1, Q = .3, R = .2: given z, gain .6 and variance .12; planned adds the Hessian's precision."""
    model, task, _ = scalar(3)
    prior = Gaussian(torch.zeros(1, dtype=torch.float64), model.process)
    assert float(model.gain(prior)) == pytest.approx(0.6)
    belief = model.corrected(prior, torch.ones(1, dtype=torch.float64))
    assert float(belief.covariance) == pytest.approx(0.12)
    last = future(model, task)[-1]
    # One action is left: M = .7, H = .5 + .7, P = .81 · .7 · (1 - .7 / 1.2).
    assert float(last.hessian) == pytest.approx(0.81 * 0.7 * 0.5 / 1.2)
    planned = inferred("planned", belief, last)
    assert float(1 / planned.covariance) == pytest.approx(1 / 0.12 + 0.81 * 0.7 * 0.5 / 1.2)
    assert float(planned.mean) == pytest.approx(float(planned.covariance) * 0.6 / 0.12)


def test_value_is_that_of_a_sum_over_grids() -> None:
    """V_t(z) = log Σ_a p_a(a) exp Σ_z' p(z'|z, a) (r(z') + V_{t+1}(z')), without a formula for any of them."""
    model, task, _ = scalar(3)
    grid, actions = np.linspace(-12, 12, 801), np.linspace(-12, 12, 601)
    prior = np.exp(-0.5 * 0.5 * actions**2)
    prior /= prior.sum()
    value = np.zeros_like(grid)
    inside = np.abs(grid) < 1.5
    for step in reversed(future(model, task)):
        worth = -0.5 * 0.7 * grid**2 + value
        centres = np.linspace(-24, 24, 1601)
        law = np.exp(-0.5 * (grid - centres[:, None]) ** 2 / 0.3)
        expected = (law / law.sum(1, keepdims=True)) @ worth
        each = np.interp(0.9 * grid[:, None] + actions, centres, expected)
        value = np.log(np.exp(each - each.max(1, keepdims=True)) @ prior) + each.max(1)
        closed = -0.5 * float(step.hessian) * grid**2 - float(step.constant)
        np.testing.assert_allclose(value[inside], closed[inside], rtol=0, atol=2e-3)


def test_hessian_and_gain_tend_to_those_of_the_riccati_equation() -> None:
    model, task, _ = system(200)
    first = future(model, task)[0]
    arrays = [one.numpy() for one in (model.transition, model.control, task.weight, task.action_precision)]
    ahead = torch.from_numpy(solve_discrete_are(*arrays))  # W + P
    torch.testing.assert_close(first.hessian + task.weight, ahead)
    precision = task.action_precision + model.control.mT @ ahead @ model.control
    torch.testing.assert_close(first.action_precision, precision)
    torch.testing.assert_close(first.gain, -torch.linalg.solve(precision, model.control.mT @ ahead @ model.transition))


def test_precisions_add_and_the_mean_is_drawn_to_the_centre() -> None:
    belief, hessian, centre = Gaussian(drawn(3), positive(3, 1)), positive(3, 2), drawn(3, seed=3)
    found = tilted(belief, hessian, centre)
    torch.testing.assert_close(
        torch.linalg.inv(found.covariance), torch.linalg.inv(belief.covariance) + hessian, rtol=1e-9, atol=1e-9
    )
    points = drawn(6, 3, seed=4)
    off = points - centre
    difference = belief.log_prob(points) - 0.5 * ((off @ hessian) * off).sum(-1) - found.log_prob(points)
    torch.testing.assert_close(difference, difference[:1].expand(6))


def test_planned_is_the_best_of_all_laws_of_the_state() -> None:
    """Not of Gaussians alone: the weights of a grid's points, freely maximised, find it."""
    model, task, _ = scalar(3)
    step = future(model, task)[0]
    belief = Gaussian(torch.tensor([1.4], dtype=torch.float64), torch.tensor([[0.5]], dtype=torch.float64))
    grid = torch.linspace(-3, 5.5, 41, dtype=torch.float64)
    log_belief = belief.log_prob(grid[:, None]).log_softmax(0)
    values = -0.5 * step.hessian.squeeze() * grid.square() - step.constant

    def minus(logits: np.ndarray) -> tuple[float, np.ndarray]:
        leaf = torch.from_numpy(logits).requires_grad_()
        law = leaf.log_softmax(0)
        loss = -(law.exp() * (values + log_belief - law)).sum()
        loss.backward()
        assert leaf.grad is not None
        return loss.item(), leaf.grad.numpy()

    best = minimize(minus, log_belief.numpy(), jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 2000})
    law = torch.from_numpy(best.x).softmax(0)
    posterior = inferred("planned", belief, step)
    assert -best.fun == pytest.approx(float(imagined(belief, posterior, step)), abs=1e-8)
    assert float(law @ grid) == pytest.approx(float(posterior.mean), abs=1e-4)
    assert float(law @ (grid - posterior.mean).square()) == pytest.approx(float(posterior.covariance), abs=1e-4)


def test_planned_expects_log_of_what_the_belief_expects_of_exp_value() -> None:
    model, task, start = system()
    step = future(model, task)[0]
    posterior = inferred("planned", start, step)
    points = start.sample(drawn(400_000, 2))
    payoffs = torch.exp(-0.5 * ((points @ step.hessian) * points).sum(-1) - step.constant)
    found = float(imagined(start, posterior, step).exp())
    assert abs(found - float(payoffs.mean())) < 4 * float(payoffs.std()) / math.sqrt(len(payoffs))
    for inference in ("filter", "told"):
        assert imagined(start, inferred(inference, start, step), step) < imagined(start, posterior, step)


@pytest.fixture
def laws(monkeypatch: pytest.MonkeyPatch) -> Any:
    """L of the scalar system for any laws q(z_t) = N(g_t m_t, v_t): there is no other way in."""
    model, task, start = scalar(3)
    steps = future(model, task)

    def objective(parameters: np.ndarray) -> float:
        chosen = iter(parameters.reshape(len(steps), 2))

        def response(_inference: str, covariance: Tensor, _step: Step) -> tuple[Tensor, Tensor]:
            gain, log_variance = next(chosen)
            return torch.full_like(covariance, gain), torch.full_like(covariance, math.exp(log_variance))

        with monkeypatch.context() as patch:
            patch.setattr(optimistic_inference, "response", response)
            return float(outcome(model, task, start, "filter", "sample").objective)

    return objective


def test_told_is_the_maximum_of_the_objective(laws: Any) -> None:
    model, task, start = scalar(3)
    told = outcome(model, task, start, "told", "sample")
    best = minimize(lambda parameters: -laws(parameters), np.array([0.5, -1.0] * 2), method="BFGS")
    assert -best.fun == pytest.approx(float(told.objective), abs=1e-7)
    assert best.x[::2].tolist() == pytest.approx([1.0, 1.0], abs=1e-3)
    for other in ("filter", "planned"):
        assert outcome(model, task, start, other, "sample").objective < told.objective - 1e-3


def simulated(inference: Any, act_on: str, count: int = 50_000) -> dict[str, Tensor]:
    """Episodes, each filtered from what it sees."""
    model, task, start = system()
    generator = torch.Generator().manual_seed(3)

    def noise(size: int) -> Tensor:
        return torch.randn(count, size, generator=generator, dtype=torch.float64)

    def quadratic(matrix: Tensor, points: Tensor) -> Tensor:
        return -0.5 * ((points @ matrix) * points).sum(-1)

    state = start.sample(noise(2))
    totals = quadratic(task.weight, state)
    objective, errors, biases, optimisms = totals.clone(), [], [], []
    before, expected = start, None
    for step in future(model, task):
        belief = model.corrected(before, model.emitted(state).sample(noise(1)))
        posterior = inferred(inference, belief, step)
        latent = posterior.sample(noise(2)) if act_on == "sample" else posterior.mean
        law = Gaussian(latent @ step.gain.mT, torch.linalg.inv(step.action_precision))
        action = law.sample(noise(1)) if act_on == "sample" else law.mean
        prior = Gaussian(torch.zeros(1, dtype=torch.float64), torch.linalg.inv(task.action_precision))
        paid = posterior.log_prob(latent) - belief.log_prob(latent)
        if expected is None:
            expected = totals + quadratic(step.hessian, latent) - step.constant - paid
        objective = objective - paid - law.log_prob(action) + prior.log_prob(action)
        errors.append((posterior.mean - state).square().sum(-1))
        biases.append((posterior.mean - belief.mean).square().sum(-1))
        shown = posterior.sample(noise(2)), belief.sample(noise(2))
        optimisms.append(quadratic(step.hessian, shown[0]) - quadratic(step.hessian, shown[1]))
        before = model.advanced(belief, action)
        state = model.dynamics(state, action).sample(noise(2))
        reward = quadratic(task.weight, state)
        totals, objective = totals + reward, objective + reward
    assert expected is not None
    return {
        "total": totals,
        "objective": objective,
        "expected": expected,
        "error": torch.stack(errors).mean(0),
        "bias": torch.stack(biases).mean(0),
        "optimism": torch.stack(optimisms).mean(0),
    }


@pytest.mark.parametrize("inference", ["filter", "planned", "told"])
@pytest.mark.parametrize("act_on", ["sample", "mean"])
def test_expectations_are_those_of_simulated_episodes(inference: Any, act_on: Any) -> None:
    model, task, start = system()
    exact = outcome(model, task, start, inference, act_on)._asdict()
    if act_on == "mean":
        assert float(exact.pop("objective")) == -math.inf
        exact.pop("expected")  # its sample is that of a law that is not acted on
    found = simulated(inference, act_on)
    for name, value in exact.items():
        wanted = float(value.square() if name in ("error", "bias") else value)
        error = float(found[name].std()) / math.sqrt(len(found[name]))
        assert abs(wanted - float(found[name].mean())) < 4 * error + 1e-12, name


@pytest.mark.parametrize("inference", ["filter", "planned", "told"])
def test_expected_is_the_mean_over_the_first_observation(inference: Any) -> None:
    """What is imagined after x_1 is quadratic in it, so that three Gauss-Hermite nodes give its mean."""
    model, task, start = system()
    step, law = future(model, task)[0], model.predicted(start)
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    mean = float(-0.5 * (start.mean @ task.weight @ start.mean + (task.weight * start.covariance).sum()))
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        belief = model.corrected(start, law.sample(torch.tensor([node], dtype=torch.float64)))
        mean += weight * float(imagined(belief, inferred(inference, belief, step), step))
    assert float(outcome(model, task, start, inference, "sample").expected) == pytest.approx(mean, rel=1e-12)


def test_expected_does_not_depend_on_what_is_acted_on() -> None:
    expected = [outcome(*system(), "planned", act_on).expected for act_on in ("sample", "mean")]
    assert expected[0] == expected[1]


def test_log_optimality_is_the_integral_over_whole_trajectories() -> None:
    """E exp(-½ s' W s) of s ~ N(μ, Σ) over all steps together: -½ log det(I + ΣW) - ½ μ' W (I + ΣW)⁻¹ μ."""
    model, task, start = system(3)
    wandering = model.process + model.control @ torch.linalg.inv(task.action_precision) @ model.control.mT
    one, nothing = torch.eye(2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    powers = [one, model.transition, model.transition @ model.transition]
    lift = torch.cat([torch.cat([powers[i - j] if i >= j else nothing for j in range(3)], 1) for i in range(3)])
    covariance = lift @ torch.block_diag(start.covariance, wandering, wandering) @ lift.mT
    mean = torch.cat([power @ start.mean for power in powers])
    weight = torch.block_diag(*[task.weight] * 3)
    grown = torch.eye(6, dtype=torch.float64) + covariance @ weight
    expected = -0.5 * torch.linalg.slogdet(grown)[1] - 0.5 * mean @ weight @ torch.linalg.inv(grown) @ mean
    assert float(log_optimality(model, task, start)) == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize("inference", ["filter", "planned", "told"])
def test_the_objective_is_a_bound(inference: Any) -> None:
    for problem in (system(), scalar(5)):
        assert outcome(*problem, inference, "sample").objective < log_optimality(*problem)


def test_the_bound_is_tight_where_nothing_is_random() -> None:
    """All that is left to infer are actions, and their laws are the exact posterior."""
    model, task, start = system(5)
    still = model._replace(process=1e-10 * model.process, noise=1e-10 * model.noise)
    known = start._replace(covariance=1e-10 * start.covariance)
    for inference in ("filter", "planned", "told"):
        found = float(outcome(still, task, known, inference, "sample").objective)
        # What is not seen of two states by one observation is a share of the start's variance.
        assert found == pytest.approx(float(log_optimality(still, task, known)), abs=1e-6)
