"""The pendulum and its particles: derivatives, weights by hand, and the linear agent's numbers at small angles."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from relatent.objectives.linear_gaussian import Gaussian
from relatent.objectives.occluded_pendulum import Balance, Pendulum, balance, log_tilt, resampled
from relatent.objectives.optimistic_inference import future, outcome, tilted

PENDULUM = Pendulum(
    gravity=5.0,
    interval=0.1,
    disturbance=0.4,
    sight=0.05,
    arc=0.3,
    blur=0.03,
    weights=(20.0, 1.0),
    action_deviation=2.0,
)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def balanced(pendulum: Pendulum, inference: Any, act_on: Any, start: Tensor, shape: tuple[int, int], k: int) -> Balance:
    generator = torch.Generator().manual_seed(1)
    return balance(pendulum, inference, act_on, start, drawn(*shape, 3), generator, k)


def test_a_step_by_hand() -> None:
    state = torch.tensor([[0.5, -1.0]], dtype=torch.float64)
    found = PENDULUM.moved(state, torch.tensor([2.0]), torch.tensor([0.5])).tolist()[0]
    speed = -1 + 0.1 * (5 * math.sin(0.5) + 2) + math.sqrt(0.1) * 0.4 * 0.5
    assert found == pytest.approx([0.5 + 0.1 * speed, speed], rel=1e-6)
    assert float(PENDULUM.reward(state)) == pytest.approx(-20 * (1 - math.cos(0.5)) - 0.5)


def test_the_linear_model_is_the_derivative_at_the_top() -> None:
    zero = (
        torch.zeros(2, dtype=torch.float64),
        torch.zeros((), dtype=torch.float64),
        torch.zeros((), dtype=torch.float64),
    )
    by_state, by_action, by_noise = torch.autograd.functional.jacobian(PENDULUM.moved, zero)
    model = PENDULUM.linear()
    torch.testing.assert_close(model.transition, by_state)
    torch.testing.assert_close(model.control[:, 0], by_action)
    torch.testing.assert_close(model.process, by_noise[:, None] * by_noise)
    curvature = torch.autograd.functional.hessian(PENDULUM.reward, zero[0])
    torch.testing.assert_close(PENDULUM.task(3).weight, -curvature)


def test_hidden_or_seen() -> None:
    state = torch.tensor([[0.3, 9.0], [-0.3, 0.0], [0.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
    hidden, shown = (one.exp() for one in PENDULUM.log_hidden(state))
    torch.testing.assert_close(hidden + shown, torch.ones(4, dtype=torch.float64))
    assert hidden.tolist() == pytest.approx([0.5, 0.5, 1 / (1 + math.exp(-10)), 0.0])


def test_each_particle_is_kept_as_often_as_it_weighs() -> None:
    particles = torch.arange(8.0, dtype=torch.float64).reshape(1, 4, 2)
    weight = torch.tensor([[0.125, 0.5, 0.375, 0.0]], dtype=torch.float64)
    for offset, wanted in {0.3: [0, 1, 1, 2], 0.6: [1, 1, 2, 2]}.items():
        found = resampled(particles, weight.log(), torch.tensor([[offset]], dtype=torch.float64))
        assert found[0, :, 0].tolist() == [2.0 * each for each in wanted]
        assert (found[..., 1] == found[..., 0] + 1).all()


@pytest.mark.parametrize("inference", ["planned", "told"])
def test_tilt_is_that_of_gaussians(inference: Any) -> None:
    step = future(PENDULUM.linear(), PENDULUM.task(8))[0]
    law = Gaussian(drawn(2), torch.tensor([[0.5, 0.1], [0.1, 0.4]], dtype=torch.float64))
    points = drawn(6, 2, seed=1)
    hessian = step.hessian if inference == "planned" else step.gain.mT @ step.action_precision @ step.gain
    centre = torch.zeros(2, dtype=torch.float64) if inference == "planned" else law.mean
    expected = tilted(law, hessian, centre).log_prob(points) - law.log_prob(points)
    found = log_tilt(inference, points[None], law.mean[None, None], step)[0]
    torch.testing.assert_close(found - found[0], expected - expected[0])


@pytest.mark.parametrize("inference", ["filter", "planned", "told"])
@pytest.mark.parametrize("act_on", ["sample", "mean"])
def test_small_angles_that_are_always_seen_are_the_linear_agent(inference: Any, act_on: Any) -> None:
    """All lengths a hundredth, weights 10⁴ as large: rewards and divergences stay what they are."""
    small = PENDULUM._replace(disturbance=0.02, sight=3e-3, arc=-100.0, weights=(2e5, 1e4), action_deviation=0.02)
    start = torch.tensor([0.003, 0.003], dtype=torch.float64)
    found = balanced(small, inference, act_on, start, (4, 1000), 1000)
    model = small.linear()
    model = model._replace(emission=model.emission[:1], noise=torch.tensor([[9e-6]], dtype=torch.float64))
    law = Gaussian(torch.zeros(2, dtype=torch.float64), start.square().diag())
    exact = outcome(model, small.task(4), law, inference, act_on)
    compared = {"total": exact.total, "optimism": exact.optimism}
    if act_on == "sample":
        compared["objective"] = exact.objective
    for name, wanted in compared.items():
        values = getattr(found, name)
        error = float(values.std()) / math.sqrt(len(values))
        # A thousand particles leave a share of a hundredth.
        assert abs(float(values.mean() - wanted)) < 4 * error + 0.01 * abs(float(wanted)), name
    assert not found.fallen.any()


@pytest.mark.parametrize("inference", ["filter", "planned"])
def test_what_is_always_hidden_is_as_uncertain_as_before(inference: Any) -> None:
    start = torch.tensor([0.3, 0.2], dtype=torch.float64)
    found = balanced(PENDULUM._replace(arc=100.0), inference, "mean", start, (2, 4000), 200)
    error = float(found.error.std()) / math.sqrt(4000)
    assert abs(float(found.error.mean()) - 0.09) < 4 * error + 0.01 * 0.09
    # The particles' mean differs from zero by their number alone; planned draws it in further.
    assert float(found.error.mean()) > 0.09 - 4 * error


def test_what_is_seen_is_known() -> None:
    """Angles beyond the arc are seen to a twentieth."""
    start = torch.tensor([0.6, 0.1], dtype=torch.float64)
    found = balanced(PENDULUM._replace(blur=0.003), "filter", "mean", start, (2, 4000), 600)
    angle = (0.6 * drawn(2, 4000, 3)[0, :, 0]).abs()
    beyond = (angle > 0.5) & (angle < 0.9)
    assert float(found.error[beyond].mean()) == pytest.approx(0.05**2, rel=4 * math.sqrt(2 / int(beyond.sum())))


def test_what_is_hidden_is_known_to_be_inside() -> None:
    """What planned expects more than the filter does, by sums over a grid of the states that may be hidden."""
    start = torch.tensor([0.6, 0.1], dtype=torch.float64)
    found = balanced(PENDULUM, "planned", "mean", start, (2, 2000), 1000)
    surely = (0.6 * drawn(2, 2000, 3)[0, :, 0]).abs() < 0.1
    axis = torch.linspace(-1, 1, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(1.5 * axis, 0.6 * axis)
    belief = PENDULUM.log_hidden(grid)[0] - 0.5 * (grid / start).square().sum(-1)
    step = future(PENDULUM.linear(), PENDULUM.task(2))[0]
    value = -0.5 * ((grid @ step.hessian) * grid).sum(-1)
    wanted = float((((belief + value).softmax(0) - belief.softmax(0)) * value).sum())
    values = found.optimism[surely]
    error = float(values.std()) / math.sqrt(len(values))
    # A thousand particles leave a share of a hundredth.
    assert abs(float(values.mean()) - wanted) < 4 * error + 0.01 * wanted


def test_falls_are_counted() -> None:
    start = torch.tensor([2.0, 0.0], dtype=torch.float64)
    found = balanced(PENDULUM, "filter", "mean", start, (2, 4000), 50)
    first = (2 * drawn(2, 4000, 3)[0, :, 0]).abs() > math.pi / 2
    assert found.fallen[first].all()
    assert 0.3 < float(found.fallen.double().mean()) < 0.6
