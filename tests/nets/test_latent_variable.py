import math

import pytest
import torch
from torch import Tensor

from relatent.nets.latent_variable import CategoricalLatent, GaussianLatent, NoLatent
from tests.agents.tiny import waves

SIZE, STATE, ACTION = 12, 6, 2
PLAIN = 1 / math.sqrt(2 * math.pi)  # haosulab/RPG@a7dc920
WRITTEN = 0.38  # Table 1


def gaussian(std: float) -> GaussianLatent:
    """Of the published size; its mean is zero everywhere."""
    latent = GaussianLatent(SIZE, STATE + ACTION, 16, std).double()
    with torch.no_grad():
        for parameter in latent.mean[-1].parameters():
            parameter.zero_()
    return latent


def at(latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """z, with some state and action."""
    return latent, waves((*latent.shape[:-1], STATE), 0.3), waves((*latent.shape[:-1], ACTION), 0.4)


@pytest.mark.parametrize(("std", "uninformed", "best"), [(PLAIN, -37.699, 0.0), (WRITTEN, -40.9675, 0.5837)])
def test_the_scale_of_the_gaussian_posterior(std: float, uninformed: float, best: float) -> None:
    """Of a z with |z|² = 12, as it is on average, a mean of zero says -12 π where the constant vanishes; at best the
    mean is z."""
    latent = gaussian(std)
    ones = torch.ones(SIZE, dtype=torch.float64)
    with torch.no_grad():
        far, near = (float(latent.log_posterior(*at(factor * ones))) for factor in (1, 0))
    assert far == pytest.approx(uninformed, abs=5e-4)
    assert near == pytest.approx(best, abs=5e-5)
    if std == PLAIN:
        assert far == pytest.approx(-12 * math.pi, rel=1e-12)
        assert abs(near) < 1e-12


@pytest.mark.parametrize("std", [PLAIN, WRITTEN, 2.0])
def test_the_gaussian_posterior_is_a_density(std: float) -> None:
    """Over z, on a grid of one dimension, for three states at once."""
    latent = GaussianLatent(1, STATE + ACTION, 16, std).double()
    grid = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
    state, action = waves((3, 1, STATE), 0.3), waves((3, 1, ACTION), 0.4)
    density = latent.log_posterior(grid[:, None], state.expand(3, len(grid), -1), action.expand(3, len(grid), -1)).exp()
    torch.testing.assert_close(torch.trapezoid(density, grid), torch.ones(3).double(), rtol=1e-9, atol=0)


def test_the_bound_of_the_information_in_numbers() -> None:
    """6 log(12 π / CE) nats for the published size; nothing at the cross entropy of a mean that is zero."""
    latent = gaussian(PLAIN)
    expected = {30.0: 1.37, 25.0: 2.46, 10.0: 7.96, 12 * math.pi: 0.0}
    for cross_entropy, nats in expected.items():
        found = float(latent.information(torch.tensor(cross_entropy, dtype=torch.float64)))
        assert found == pytest.approx(nats, abs=5e-3)
        assert found == pytest.approx(6 * math.log(12 * math.pi / cross_entropy), abs=1e-12)


@pytest.mark.parametrize("std", [PLAIN, WRITTEN])
@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0])
def test_the_bound_is_the_information_where_it_is_known(std: float, spread: float) -> None:
    """z seen through Gaussian noise: I = (d/2) log(1 + 1/spread²), and the best mean errs by spread²/(1 + spread²). One
    that errs more gives less."""
    latent = gaussian(std)
    known = SIZE / 2 * math.log(1 + 1 / spread**2)
    error = spread**2 / (1 + spread**2)

    def bound(error: float) -> float:
        cross_entropy = SIZE * (error / (2 * std**2) + math.log(std * math.sqrt(2 * math.pi)))
        return float(latent.information(torch.tensor(cross_entropy, dtype=torch.float64)))

    assert bound(error) == pytest.approx(known, rel=1e-10)
    assert bound(1.1 * error) < known


def test_a_gaussian_z_is_its_noise() -> None:
    noise = waves((4, SIZE), 0.1)
    assert torch.equal(gaussian(PLAIN).draw(noise), noise)


def test_the_categorical_posterior_is_a_fifth_even() -> None:
    """It sums to one, and lies between 0.2/12 and 0.8 + 0.2/12 however sure its network is."""
    latent = CategoricalLatent(SIZE, STATE + ACTION, 16, PLAIN).double()
    one_hot = torch.eye(SIZE, dtype=torch.float64)
    state, action = waves((STATE,), 0.3), waves((ACTION,), 0.4)
    found = latent.log_posterior(one_hot, state.expand(SIZE, -1), action.expand(SIZE, -1)).exp().detach()
    assert float(found.sum()) == pytest.approx(1, rel=1e-12)
    share = latent.logits(torch.cat([state, action])).softmax(-1)
    torch.testing.assert_close(found, 0.8 * share.detach() + 0.2 / 12, rtol=1e-12, atol=0)
    with torch.no_grad():
        latent.logits[-1].bias[3] = 1e4
    sure = latent.log_posterior(one_hot, state.expand(SIZE, -1), action.expand(SIZE, -1)).detach()
    assert (float(sure.min()), float(sure.max())) == pytest.approx((-4.0943, -0.2025), abs=1e-4)
    assert int(sure.argmax()) == 3


def test_a_categorical_z_is_the_largest_draw() -> None:
    latent = CategoricalLatent(4, STATE + ACTION, 16, PLAIN)
    drawn = latent.draw(torch.tensor([[0.1, 3.0, -1.0, 2.9], [5.0, 3.0, -1.0, 2.9]]))
    assert drawn.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]
    assert drawn.dtype == torch.float32


def test_categories_carry_at_most_their_entropy() -> None:
    latent = CategoricalLatent(SIZE, STATE + ACTION, 16, PLAIN)
    best = float(latent.information(torch.tensor(0.2025)))
    assert best == pytest.approx(math.log(12) - 0.2025, rel=1e-6)
    assert best < 2.4849
    assert float(latent.information(torch.tensor(math.log(12)))) == pytest.approx(0, abs=1e-6)


def test_a_constant_says_nothing_and_costs_nothing() -> None:
    latent = NoLatent(SIZE, STATE + ACTION, 16, PLAIN)
    assert latent.size == 1
    assert list(latent.parameters()) == []
    assert latent.draw(torch.randn(3, 1)).tolist() == [[1.0]] * 3
    states = torch.randn(5, 3, STATE)
    assert latent.log_posterior(torch.ones(3, 1), states, torch.randn(5, 3, ACTION)).tolist() == [[0.0] * 3] * 5
    assert float(latent.information(torch.tensor(0.0))) == 0


@pytest.mark.parametrize("kind", [GaussianLatent, CategoricalLatent])
def test_the_posteriors_network_has_pytorchs_own_weights(kind: type) -> None:
    """Neither orthogonal nor without biases, as haosulab/RPG@a7dc920 leaves it."""
    torch.manual_seed(0)
    net = next(kind(SIZE, STATE + ACTION, 16, PLAIN).children())
    for linear in (net[0], net[2], net[4]):
        bound = linear.in_features**-0.5
        assert 0.8 * bound < float(linear.bias.detach().abs().max()) <= bound
        assert 0.9 * bound < float(linear.weight.detach().abs().max()) <= bound


@pytest.mark.parametrize("kind", [GaussianLatent, CategoricalLatent, NoLatent])
def test_one_z_is_read_at_every_imagined_step(kind: type) -> None:
    """z (B, d) against states (H, B, ..) is what it is step by step."""
    latent = kind(4, STATE + ACTION, 16, PLAIN).double()
    z = torch.eye(4, dtype=torch.float64)[:3, : latent.size]
    states, actions = waves((5, 3, STATE), 0.3), waves((5, 3, ACTION), 0.4)
    together = latent.log_posterior(z, states, actions)
    assert together.shape == (5, 3)
    for step in range(5):
        alone = latent.log_posterior(z, states[step], actions[step])
        torch.testing.assert_close(together[step], alone, rtol=1e-12, atol=1e-14)
