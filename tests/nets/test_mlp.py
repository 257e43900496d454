import pytest
import torch
from torch import nn

from relatent.nets.mlp import TwinQ, mlp, orthogonal, xavier


def test_activations_stand_between_layers_only() -> None:
    kinds = [type(module) for module in mlp([3, 5, 4, 2])]
    assert kinds == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert mlp([3, 5, 2], activation=nn.ELU)[1](torch.tensor(-1.0)) < 0


def test_xavier_has_gain_one_and_no_bias() -> None:
    linear = nn.Linear(300, 100)
    xavier(linear)
    bound = (6 / 400) ** 0.5
    assert 0.99 * bound < linear.weight.abs().max() <= bound
    assert linear.bias.abs().max() == 0


def test_orthogonal_has_gain_one_and_no_bias() -> None:
    linear = nn.Linear(40, 10)
    orthogonal(linear)
    torch.testing.assert_close(linear.weight @ linear.weight.T, torch.eye(10), rtol=0, atol=1e-5)
    assert linear.bias.abs().max() == 0


@pytest.mark.parametrize("shape", [(), (7,), (7, 4)])
def test_twin_values_have_the_batchs_shape_and_are_two(shape: tuple[int, ...]) -> None:
    critic = TwinQ(3, 2, width=8, layers=2, init=xavier)
    observation, action = torch.randn(*shape, 3), torch.randn(*shape, 2)
    first, second = critic(observation, action)
    assert first.shape == second.shape == shape
    assert not torch.equal(first, second)
    assert {id(p) for p in critic.first.parameters()}.isdisjoint(id(p) for p in critic.second.parameters())
