"""The flow's density is that of its samples, and each coordinate reads only those before it."""

import pytest
import torch

from relatent.nets.autoregressive_flow import AffineAutoregression, TanhFlow


def flow(action_size: int) -> TanhFlow:
    torch.manual_seed(3)
    return TanhFlow(4, action_size, 16, 0.4).double()


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_jacobian_is_triangular_and_its_determinant_is_stated(size: int) -> None:
    torch.manual_seed(1)
    layer, context = AffineAutoregression(size, 3).double(), torch.randn(3, dtype=torch.float64)
    where = torch.randn(size, dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda x: layer(x, context)[0])(where)
    assert torch.equal(jacobian.triu(1), torch.zeros_like(jacobian))
    stretched = float(jacobian.diagonal().log().sum().detach())
    assert float(layer(where, context)[1].detach()) == pytest.approx(stretched, rel=1e-12)
    if size > 1:
        assert float(jacobian.tril(-1).abs().max().detach()) > 1e-4  # later coordinates do read earlier ones


@pytest.mark.parametrize("size", [1, 3])
def test_log_densities_follow_from_the_change_of_variables(size: int) -> None:
    policy = flow(size)
    inputs, noise = torch.randn(4, dtype=torch.float64), torch.randn(size, dtype=torch.float64)
    action, log_prob = policy(inputs, noise)
    jacobian = torch.func.jacrev(lambda x: policy(inputs, x)[0])(noise)
    base = torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum()
    assert float(log_prob.detach()) == pytest.approx(float((base - jacobian.det().abs().log()).detach()), rel=1e-9)
    assert float(action.abs().max().detach()) < 1


def test_one_dimensions_density_integrates_to_one() -> None:
    """Over all that 12 deviations of noise can reach, by the trapezoidal rule on the actions themselves."""
    policy, inputs = flow(1), torch.randn(4, dtype=torch.float64)
    noise = torch.linspace(-12, 12, 20_001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        action, log_prob = policy(inputs.expand(len(noise), 4), noise)
    assert float(torch.trapezoid(log_prob.exp(), action[:, 0])) == pytest.approx(1.0, abs=1e-5)
