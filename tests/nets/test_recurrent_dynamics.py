"""Recurrent dynamics against PyTorch's own GRU, step by step, and what their gradient passes through."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from relatent.nets.recurrent_dynamics import RecurrentDynamics
from tests.agents.checks import assert_gradients_agree
from tests.agents.tiny import number, waves

OBSERVATION, ACTION, WIDTH, BATCH, LENGTH = 3, 2, 5, 4, 3


def precise() -> RecurrentDynamics:
    made = RecurrentDynamics(OBSERVATION, ACTION, WIDTH).double()
    with torch.no_grad():
        for index, parameter in enumerate(made.parameters()):
            parameter.copy_(0.8 * waves(tuple(parameter.shape), index))
    return made


def as_torch_writes_it(dynamics: RecurrentDynamics) -> Callable[..., Tensor]:
    """`follow` for one row, by torch.nn.GRU with two layers. With `seen`, gradients pass through states too."""
    first = dynamics.recurrences[0]
    gru = nn.GRU(
        first.input_weight.shape[1], first.hidden_weight.shape[1], num_layers=2, dtype=first.input_weight.dtype
    )
    with torch.no_grad():
        for level, unit in enumerate(dynamics.recurrences):
            getattr(gru, f"weight_ih_l{level}").copy_(unit.input_weight)
            getattr(gru, f"weight_hh_l{level}").copy_(unit.hidden_weight)
            getattr(gru, f"bias_ih_l{level}").copy_(unit.input_bias)
            getattr(gru, f"bias_hh_l{level}").copy_(unit.hidden_bias)

    def follow(observation: Tensor, actions: Tensor, seen: bool = False) -> Tensor:
        hidden, predicted = None, []
        for action in actions:
            observation = observation if seen else observation.detach()
            inputs = torch.cat([observation, action])
            *layers, last = [layer for layer in dynamics.encode if isinstance(layer, nn.Linear)]
            for layer in layers:
                inputs = (layer.weight @ inputs + layer.bias).clamp(min=0)
            output, hidden = gru((last.weight @ inputs + last.bias)[None], hidden)
            decode = dynamics.decode[0]
            observation = observation + decode.weight @ output[0] + decode.bias
            predicted.append(observation)
        return torch.stack(predicted)

    return follow


@pytest.mark.parametrize("length", [1, 2, LENGTH])
def test_predictions_are_those_of_torchs_gru(length: int) -> None:
    dynamics, observation, actions = precise(), waves((BATCH, OBSERVATION), 0.1), waves((BATCH, length, ACTION), 0.2)
    found, follow = dynamics.follow(observation, actions), as_torch_writes_it(dynamics)
    assert found.shape == (BATCH, length, OBSERVATION)
    for row in range(BATCH):
        torch.testing.assert_close(found[row], follow(observation[row], actions[row]), rtol=1e-10, atol=1e-12)


def test_following_is_stepping_with_memory() -> None:
    dynamics, observation, actions = precise(), waves((BATCH, OBSERVATION), 0.1), waves((BATCH, LENGTH, ACTION), 0.2)
    predicted, memory = dynamics.follow(observation, actions), dynamics.begin(observation)
    for step in range(LENGTH):
        memory, observation = dynamics.step(memory, observation, actions[:, step])
        torch.testing.assert_close(predicted[:, step], observation, rtol=1e-12, atol=1e-13)
    forgetful = dynamics.step(dynamics.begin(observation), predicted[:, 1], actions[:, 2])[1]
    assert float((forgetful - observation).abs().max().detach()) > 1e-3


def test_gradients_of_following_pass_through_memory_only() -> None:
    """They are those of a prediction that is told its earlier ones as numbers."""
    dynamics, observation, actions = precise(), waves((BATCH, OBSERVATION), 0.1), waves((BATCH, LENGTH, ACTION), 0.2)
    known = [observation, *dynamics.follow(observation, actions).detach().unbind(1)]
    weights = waves((BATCH, LENGTH, OBSERVATION), 0.3)

    def told() -> Tensor:
        memory, total = dynamics.begin(observation), torch.zeros((), dtype=torch.float64)
        for step in range(LENGTH):
            memory, following = dynamics.step(memory, known[step], actions[:, step])
            total = total + (weights[:, step] * following).sum()
        return total

    parameters = list(dynamics.parameters())
    expected = torch.autograd.grad(told(), parameters)
    found = torch.autograd.grad((weights * dynamics.follow(observation, actions)).sum(), parameters)
    for mine, yours in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-10, atol=1e-11)
    seen = observation.clone().requires_grad_()
    assert torch.autograd.grad(dynamics.follow(seen, actions).sum(), seen, allow_unused=True) == (None,)
    assert_gradients_agree(told, parameters)


def test_it_starts_orthogonal_and_without_shifts_but_for_the_recurrent_units() -> None:
    torch.manual_seed(0)
    dynamics = RecurrentDynamics(17, 6, 32)
    for layer in [*dynamics.encode, *dynamics.decode]:
        if isinstance(layer, nn.Linear):
            weight = layer.weight if layer.weight.shape[0] < layer.weight.shape[1] else layer.weight.T
            torch.testing.assert_close(weight @ weight.T, torch.eye(len(weight)), rtol=0, atol=1e-5)
            assert not layer.bias.any()
    for unit in dynamics.recurrences:
        assert 0.9 / 32**0.5 < number(unit.hidden_weight.abs().max()) < 1 / 32**0.5
