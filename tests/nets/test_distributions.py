import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from relatent.nets.distributions import Gaussian, GaussianHead, tanh_log_det

GENERATOR = torch.Generator()


def standard_normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR.manual_seed(0), dtype=torch.float64)


def test_log_prob_is_that_of_independent_normals() -> None:
    mean, log_std, value = standard_normal(3, 7, 4)
    expected = Independent(Normal(mean, log_std.exp()), 1).log_prob(value)
    torch.testing.assert_close(Gaussian(mean, log_std).log_prob(value), expected, rtol=1e-12, atol=1e-12)


def test_shapes_broadcast() -> None:
    """One value under many components, as SMAC's particles need it."""
    mean, log_std = standard_normal(2, 5, 3, 4)
    value = standard_normal(5, 1, 4)
    together = Gaussian(mean, log_std).log_prob(value)
    assert together.shape == (5, 3)
    for component in range(3):
        alone = Gaussian(mean[:, component], log_std[:, component]).log_prob(value[:, 0])
        torch.testing.assert_close(together[:, component], alone)


def test_samples_are_the_noise_scaled_and_shifted() -> None:
    mean, log_std, noise = standard_normal(3, 6, 2)
    gaussian = Gaussian(mean, log_std)
    torch.testing.assert_close(gaussian.sample(noise), mean + torch.exp(log_std) * noise)
    base = -0.5 * noise.square() - 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(gaussian.log_prob(gaussian.sample(noise)), (base - log_std).sum(-1))


def test_tanh_log_det_is_exact_in_float32() -> None:
    """Up to |u| = 20, where 1 - tanh(u)² is zero in float32 from about 9 on; log cosh is written without overflow."""
    values = torch.linspace(-20, 20, 4_001, dtype=torch.float64)
    size = values.abs()
    exact = -2 * (size - math.log(2) + torch.log1p(torch.exp(-2 * size)))
    single = tanh_log_det(values.float().unsqueeze(-1)).double()
    assert single.isfinite().all()
    # A few roundings of numbers below 2 |u| + 2 log 2 in float32.
    assert ((single - exact).abs() < 4 * 2**-24 * (2 * size + 2)).all()
    # softplus is linear from 20 on, which leaves exp(-20) out
    torch.testing.assert_close(tanh_log_det(values.unsqueeze(-1)), exact, rtol=0, atol=2 * math.exp(-20))


@pytest.mark.parametrize("value", [0.0, -0.3, 2.5])
def test_tanh_log_det_is_the_derivatives_logarithm(value: float) -> None:
    assert float(tanh_log_det(torch.tensor([value], dtype=torch.float64))) == pytest.approx(
        math.log(1 - math.tanh(value) ** 2), rel=1e-12, abs=1e-15
    )


def test_the_gradient_of_tanh_log_det_is_finite_where_tanh_is_saturated() -> None:
    values = torch.tensor([-20.0, -9.0, 0.0, 9.0, 20.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(tanh_log_det(values), [values])
    torch.testing.assert_close(gradient, -2 * torch.tanh(values.detach()), rtol=1e-5, atol=1e-6)


def test_heads_clamp_the_log_deviation_only_if_told() -> None:
    inputs = torch.full((1, 2), 1e4)
    torch.manual_seed(0)
    clamped = GaussianHead(2, 8, width=4, layers=2)(inputs).log_std
    torch.manual_seed(0)
    free = GaussianHead(2, 8, width=4, layers=2, log_std_range=None)(inputs).log_std
    assert set(clamped.flatten().tolist()) == {-20.0, 2.0}
    assert free.abs().max() > 20
    torch.testing.assert_close(clamped, free.clamp(-20, 2))


def test_a_heads_trunk_has_the_given_number_of_hidden_layers() -> None:
    head = GaussianHead(3, 2, width=5, layers=2)
    linears = [module for module in head.trunk.modules() if isinstance(module, nn.Linear)]
    assert [(linear.in_features, linear.out_features) for linear in linears] == [(3, 5), (5, 5)]
    assert head.trunk(torch.randn(9, 3)).min() == 0  # its last activation is there
