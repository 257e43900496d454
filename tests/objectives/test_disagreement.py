"""Disagreement of networks: none where they are one, little where there is much data; networks as one are networks
side by side."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from relatent.objectives.disagreement import Predictors, disagreement, prediction_loss
from tests.agents.checks import assert_gradients_agree
from tests.agents.tiny import number, waves
from tests.nets.tiny_world import plain_elu, wavy

MEMBERS, INPUTS, OUTPUTS, WIDTH, LAYERS = 3, 4, 5, 6, 2


def predictors() -> Any:
    return wavy(Predictors(MEMBERS, INPUTS, OUTPUTS, WIDTH, LAYERS))


def test_golden_numbers() -> None:
    """Deviations of members 0 and 2, and 1 and 7, are 1 and 3, over members, not over what is predicted."""
    assert number(disagreement(torch.tensor([[[0.0, 1.0]], [[2.0, 7.0]]]))) == 2.0
    predictions = waves((MEMBERS, 2, 3, OUTPUTS), 0.1)
    expected = (predictions - predictions.mean(0)).square().mean(0).sqrt().mean(-1)
    torch.testing.assert_close(disagreement(predictions), expected, rtol=1e-12, atol=0)


def test_identical_networks_do_not_disagree() -> None:
    """Exactly, and without a gradient; one that differs does."""
    nets = wavy(Predictors(4, INPUTS, OUTPUTS, WIDTH, LAYERS))  # a power of two, of which the mean is exact
    with torch.no_grad():
        for parameter in nets.parameters():
            parameter.copy_(parameter[:1].expand_as(parameter).clone())
    inputs = waves((2, 3, INPUTS), 0.1).requires_grad_()
    found = disagreement(nets(inputs))
    assert torch.equal(found, torch.zeros(2, 3, dtype=torch.float64))
    assert not torch.autograd.grad(found.sum(), inputs)[0].any()
    with torch.no_grad():
        nets.layers[-1].bias[0] += 0.3
    expected = 0.3 * math.sqrt(1 / 4 * 3 / 4)
    torch.testing.assert_close(disagreement(nets(inputs)), torch.full((2, 3), expected, dtype=torch.float64))


def test_networks_are_what_their_weights_say() -> None:
    nets, inputs = predictors(), waves((2, 3, INPUTS), 0.1)
    found = nets(inputs).detach().numpy()
    assert found.shape == (MEMBERS, 2, 3, OUTPUTS)
    for member in range(MEMBERS):
        hidden = inputs.numpy()
        for place, layer in enumerate(nets.layers):
            hidden = hidden @ layer.weight[member].detach().numpy() + layer.bias[member].detach().numpy()
            hidden = plain_elu(hidden) if place < LAYERS else hidden
        np.testing.assert_allclose(found[member], hidden, rtol=1e-12, atol=1e-13)


def test_sizes_and_first_weights() -> None:
    """The official ten networks of 4 x 400 on 1224 features and 2 actions, each with weights of its own."""
    torch.manual_seed(0)
    nets: Any = Predictors(10, 1226, 1024, 400, 4)
    each = 1226 * 400 + 400 + 3 * (400 * 400 + 400) + 400 * 1024 + 1024
    assert sum(parameter.numel() for parameter in nets.parameters()) == 10 * each == 13_826_240
    for layer in nets.layers:
        bound = math.sqrt(6 / sum(layer.weight.shape[1:]))
        assert (layer.weight.abs().amax((1, 2)) > 0.97 * bound).all()
        assert layer.weight.abs().max() <= bound
        assert not layer.bias.any()
        assert len(layer.weight[:, 0, 0].unique()) == 10


def test_the_loss_is_minus_the_log_density() -> None:
    predictions, targets = waves((MEMBERS, 2, 3, OUTPUTS), 0.1), waves((2, 3, OUTPUTS), 0.2)
    normal = torch.distributions.Normal(predictions, 1.0)
    expected = -sum(normal.log_prob(targets).sum(-1)[member].mean() for member in range(MEMBERS))
    torch.testing.assert_close(prediction_loss(predictions, targets), expected, rtol=1e-12, atol=0)


def test_gradients_are_finite_differences() -> None:
    nets, inputs = predictors(), waves((2, 3, INPUTS), 0.1).requires_grad_()
    targets = waves((2, 3, OUTPUTS), 0.2)
    assert_gradients_agree(lambda: prediction_loss(nets(inputs), targets), list(nets.parameters()))
    assert_gradients_agree(lambda: disagreement(nets(inputs)).square().sum(), [*nets.parameters(), inputs])


def test_every_network_learns_as_if_it_were_alone() -> None:
    nets, inputs, targets = predictors(), waves((2, 3, INPUTS), 0.1), waves((2, 3, OUTPUTS), 0.2)
    together = torch.autograd.grad(prediction_loss(nets(inputs), targets), list(nets.parameters()))
    for member in range(MEMBERS):
        alone = prediction_loss(nets(inputs)[member : member + 1], targets)
        for mine, yours in zip(together, torch.autograd.grad(alone, list(nets.parameters())), strict=True):
            torch.testing.assert_close(mine[member], yours[member], rtol=1e-12, atol=1e-14)
            assert not yours[[other for other in range(MEMBERS) if other != member]].any()


def fitted(rows: int) -> nn.Module:
    """To noisy numbers of x in [-1, 0]^6, of which there are so many."""
    torch.manual_seed(0)
    nets, draws = Predictors(5, 6, 1, 16, 2), torch.Generator().manual_seed(1)
    inputs = torch.rand((rows, 6), generator=draws) - 1
    targets = torch.sin(4 * inputs.sum(-1, keepdim=True)) + 0.3 * torch.randn((rows, 1), generator=draws)
    optimiser = torch.optim.Adam(nets.parameters(), lr=1e-2)
    for _ in range(300):
        optimiser.zero_grad()
        prediction_loss(nets(inputs), targets).backward()
        optimiser.step()
    return nets


def test_disagreement_falls_with_data_and_stays_where_there_is_none() -> None:
    """Although the noise in what is predicted stays, 0.3; and is larger on x in [1, 2]^6, which was never seen."""
    seen = torch.rand((200, 6), generator=torch.Generator().manual_seed(2)) - 1
    nets = [fitted(rows) for rows in (20, 100, 500)]
    few, some, many = (number(disagreement(net(seen)).mean()) for net in nets)
    assert many < some / 1.5 < few / 3
    assert many < 0.1
    assert number(disagreement(nets[2](seen + 2)).mean()) > 5 * many


@pytest.mark.parametrize("shape", [(7,), (2, 3), (2, 3, 2)])
def test_any_axes_may_lead(shape: tuple[int, ...]) -> None:
    nets, inputs = predictors(), waves((*shape, INPUTS), 0.3)
    rows = nets(inputs.reshape(-1, INPUTS))
    torch.testing.assert_close(nets(inputs).reshape(MEMBERS, -1, OUTPUTS), rows, rtol=1e-12, atol=1e-14)
    assert disagreement(nets(inputs)).shape == shape
