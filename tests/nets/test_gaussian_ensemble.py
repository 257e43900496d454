"""The ensemble's predictions and loss, by networks that stand alone, by scipy and by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from relatent.nets.gaussian_ensemble import GaussianEnsemble
from tests.agents.checks import assert_gradients_agree
from tests.agents.tiny import number, waves

INPUTS, OUTPUTS, WIDTH, NETWORKS, ROWS = 3, 2, 5, 7, 4
DECAYS = (2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4)
LEAST, MOST = np.array([-1.5, -0.6]), np.array([0.7, 0.4])  # the narrow range of log-variances
MEAN, STD = np.array([0.3, -0.2, 0.1]), np.array([0.5, 2.0, 1.5])  # of inputs


def ensemble(decays: tuple[float, ...] = DECAYS) -> GaussianEnsemble:
    """In float64, of parameters that depend on no library's random numbers."""
    made = GaussianEnsemble(INPUTS, OUTPUTS, WIDTH, NETWORKS, decays).double()
    with torch.no_grad():
        for index, parameter in enumerate(made.parameters()):
            parameter.copy_(waves(tuple(parameter.shape), index))
        made.max_log_var.copy_(torch.from_numpy(MOST))
        made.min_log_var.copy_(torch.from_numpy(LEAST))
        made.mean.copy_(torch.from_numpy(MEAN))
        made.std.copy_(torch.from_numpy(STD))
    return made


def inputs() -> Tensor:
    return waves((NETWORKS, ROWS, INPUTS), 0.4)


def targets() -> Tensor:
    return waves((NETWORKS, ROWS, OUTPUTS), 1.4)


def alone(made: GaussianEnsemble, network: int, rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation that one network predicts, by PyTorch's own layers and numpy."""
    layers: list[nn.Module] = []
    for weight, bias in zip(made.weights, made.biases, strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[2], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(weight[network].T)
            linear.bias.copy_(bias[network, 0])
        layers += [linear, nn.SiLU()]
    standardised = (rows - torch.from_numpy(MEAN)) / torch.from_numpy(STD)
    raw = nn.Sequential(*layers[:-1])(standardised).detach().numpy()
    log_var = MOST - np.logaddexp(0, MOST - raw[:, OUTPUTS:])
    log_var = LEAST + np.logaddexp(0, log_var - LEAST)
    return raw[:, :OUTPUTS], np.exp(0.5 * log_var)


def test_it_is_seven_networks() -> None:
    mean, log_var = ensemble()(inputs())
    for network in range(NETWORKS):
        expected_mean, expected_std = alone(ensemble(), network, inputs()[network])
        np.testing.assert_allclose(mean[network].detach(), expected_mean, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(torch.exp(0.5 * log_var[network]).detach(), expected_std, rtol=1e-12)


def test_each_row_is_predicted_by_the_network_that_is_named() -> None:
    """In any order, with some networks named twice and some not at all."""
    chosen, rows = torch.tensor([5, 0, 5, 3, 6, 0]), waves((6, INPUTS), 2.0)
    mean, log_var = ensemble().predict(rows, chosen)
    for index, network in enumerate(chosen.tolist()):
        expected_mean, expected_std = alone(ensemble(), network, rows[index : index + 1])
        np.testing.assert_allclose(mean[index].detach(), expected_mean[0], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(torch.exp(0.5 * log_var[index]).detach(), expected_std[0], rtol=1e-12)


def test_the_loss_is_the_likelihood_the_decay_of_each_layer_and_the_width_of_the_range() -> None:
    expected = 0.0
    for network in range(NETWORKS):
        mean, std = alone(ensemble(), network, inputs()[network])
        log_likelihood = stats.norm.logpdf(targets()[network].numpy(), mean, std)
        expected += float((-2 * log_likelihood - math.log(2 * math.pi)).mean())
    for rate, weight in zip(DECAYS, ensemble().weights, strict=True):
        expected += rate * float(np.square(weight.detach().numpy()).sum()) / 2
    expected += 0.01 * (0.7 + 0.4 + 1.5 + 0.6)
    assert number(ensemble().loss(inputs(), targets())) == pytest.approx(expected, rel=1e-12)


def test_decay_draws_each_layers_weights_by_its_own_rate_and_biases_by_none() -> None:
    with_decay, without = ensemble(), ensemble((0.0,) * len(DECAYS))
    gradients = [
        torch.autograd.grad(made.loss(inputs(), targets()), [*made.weights, *made.biases])
        for made in (with_decay, without)
    ]
    difference = [one - other for one, other in zip(*gradients, strict=True)]
    for rate, weight, drawn in zip(DECAYS, with_decay.weights, difference, strict=False):
        torch.testing.assert_close(drawn, rate * weight.detach(), rtol=1e-9, atol=1e-15)
    assert not any(part.any() for part in difference[len(DECAYS) :])


def test_gradients_are_the_losss() -> None:
    made = ensemble()
    assert_gradients_agree(lambda: made.loss(inputs(), targets()), list(made.parameters()))


def test_errors_are_each_networks_on_the_same_rows() -> None:
    rows, wanted = inputs()[0], targets()[0]
    expected = [np.square(alone(ensemble(), n, rows)[0] - wanted.numpy()).mean() for n in range(NETWORKS)]
    np.testing.assert_allclose(ensemble().errors(rows, wanted), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("raw", "log_var"),
    [
        (-1e4, -10.0),
        (0.0, -10 + math.log1p(math.exp(10.5 - math.log1p(math.exp(0.5))))),
        (1e4, -10 + math.log1p(math.exp(10.5))),
    ],
)
def test_log_variances_stay_in_their_range(raw: float, log_var: float) -> None:
    """Which is that of the official code at first, -10 to 0.5."""
    made = GaussianEnsemble(INPUTS, OUTPUTS, WIDTH, NETWORKS, DECAYS).double()
    with torch.no_grad():
        made.weights[-1].zero_()
        made.biases[-1].fill_(raw)
    torch.testing.assert_close(
        made(inputs())[1], torch.full((NETWORKS, ROWS, OUTPUTS), log_var, dtype=torch.float64), rtol=1e-7, atol=0
    )


def test_inputs_are_standardised_but_for_constants() -> None:
    made, data = ensemble(), waves((50, INPUTS), 0.0)
    data[:, 1] = 3.25
    made.standardise(data)
    np.testing.assert_allclose(made.mean, data.numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(made.std, [data[:, 0].numpy().std(), 1.0, data[:, 2].numpy().std()], rtol=1e-12)


def test_first_weights_are_normal_and_cut_off_at_two_deviations() -> None:
    """Of one over twice the root of a layer's inputs; what is left has 0.8796 of that deviation. Biases are zero."""
    torch.manual_seed(0)
    made = GaussianEnsemble(100, 20, 100, NETWORKS, DECAYS[:3])
    for weight in made.weights:
        assert 0.0995 < weight.abs().max() <= 0.1
        assert number(weight.std()) == pytest.approx(0.05 * stats.truncnorm(-2, 2).std(), rel=0.01)
        assert abs(number(weight.mean())) < 0.001
    assert not any(bias.any() for bias in made.biases)
    assert [tuple(weight.shape) for weight in made.weights] == [(7, 100, 100), (7, 100, 100), (7, 100, 40)]
