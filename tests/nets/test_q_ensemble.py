"""An ensemble computed as one is ten perceptrons."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from relatent.nets.learner import step
from relatent.nets.mlp import mlp, xavier
from relatent.nets.q_ensemble import QEnsemble
from tests.agents.tiny import waves

OBSERVATION, ACTION, WIDTH, SIZE, ROWS = 3, 2, 7, 10, 6


def both(dtype: torch.dtype) -> tuple[QEnsemble, list[nn.Sequential]]:
    """An ensemble, and ten perceptrons drawn from the same seed."""
    torch.manual_seed(3)
    ensemble = QEnsemble(SIZE, OBSERVATION, ACTION, WIDTH, 2, init=xavier).to(dtype)
    torch.manual_seed(3)
    return ensemble, [mlp([OBSERVATION + ACTION, WIDTH, WIDTH, 1], init=xavier).to(dtype) for _ in range(SIZE)]


def inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return waves((ROWS, OBSERVATION), 0.1).to(dtype), waves((ROWS, ACTION), 0.2).to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_values_are_those_of_ten_perceptrons(dtype: torch.dtype, tolerance: float) -> None:
    ensemble, nets = both(dtype)
    observation, action = inputs(dtype)
    expected = torch.stack([net(torch.cat([observation, action], -1)).squeeze(-1) for net in nets])
    values = ensemble(observation, action)
    assert values.shape == (SIZE, ROWS)
    torch.testing.assert_close(values, expected, rtol=tolerance, atol=tolerance)
    assert len({tuple(row.tolist()) for row in values}) == SIZE


@pytest.mark.parametrize("members", [(7,), (2, 9), (9, 2, 0), tuple(range(SIZE))])
def test_those_that_are_asked_answer_in_order(members: tuple[int, ...]) -> None:
    ensemble, _ = both(torch.float64)
    with torch.no_grad():
        for index, layer in enumerate(ensemble.layers):
            layer.bias.copy_(waves(tuple(layer.bias.shape), index))
    asked = ensemble(*inputs(torch.float64), torch.tensor(members))
    torch.testing.assert_close(asked, ensemble(*inputs(torch.float64))[list(members)], rtol=1e-14, atol=1e-14)


def test_it_learns_as_ten_perceptrons_with_an_optimiser_each() -> None:
    """Five steps towards goals that differ, so that Adam has a past."""
    ensemble, nets = both(torch.float64)
    start = deepcopy(ensemble)
    observation, action = inputs(torch.float64)
    together = torch.optim.Adam(ensemble.parameters(), lr=1e-2, fused=True)
    alone = [torch.optim.Adam(net.parameters(), lr=1e-2) for net in nets]
    for number in range(5):
        goal = 3 * waves((ROWS,), 0.3 + number)
        loss = (ensemble(observation, action) - goal).square().mean(-1).sum()
        step(together, torch.autograd.grad(loss, list(ensemble.parameters())))
        for net, optimiser in zip(nets, alone, strict=True):
            optimiser.zero_grad()
            (net(torch.cat([observation, action], -1)).squeeze(-1) - goal).square().mean().backward()
            optimiser.step()
    for index, layer in enumerate(ensemble.layers):
        theirs = [[each for each in net if isinstance(each, nn.Linear)][index] for net in nets]
        weights, biases = torch.stack([one.weight.T for one in theirs]), torch.stack([one.bias[None] for one in theirs])
        torch.testing.assert_close(layer.weight, weights, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(layer.bias, biases, rtol=1e-10, atol=1e-12)
        assert float((layer.weight - start.layers[index].weight).abs().max().detach()) > 0.03
