import pytest
import torch
from torch import nn

from relatent.nets.latent_world import LatentWorld, Recurrence, two_layers
from tests.agents.tiny import waves


@pytest.mark.parametrize("shape", [(), (7,), (7, 4)])
def test_the_recurrence_is_pytorchs_cell(shape: tuple[int, ...]) -> None:
    recurrence, cell = Recurrence(3, 5).double(), nn.GRUCell(3, 5).double()
    pairs = {
        "weight_ih": "input_weight",
        "weight_hh": "hidden_weight",
        "bias_ih": "input_bias",
        "bias_hh": "hidden_bias",
    }
    with torch.no_grad():
        for phase, (theirs, ours) in enumerate(pairs.items()):
            getattr(recurrence, ours).copy_(2 * waves(tuple(getattr(cell, theirs).shape), phase))
            getattr(cell, theirs).copy_(getattr(recurrence, ours))
    inputs, hidden = waves((*shape, 3), 5.0), waves((*shape, 5), 6.0).requires_grad_()
    found = recurrence(inputs, hidden)
    expected = cell(inputs.reshape(-1, 3), hidden.reshape(-1, 5)).reshape(*shape, 5)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    (one,), (other,) = (torch.autograd.grad(result.square().sum(), [hidden]) for result in (found, expected))
    torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


def test_the_recurrence_begins_with_pytorchs_weights() -> None:
    """Uniform within 1/√width, biases too; it holds the four tensors of a cell and nothing else."""
    torch.manual_seed(0)
    recurrence = Recurrence(40, 100)
    torch.manual_seed(0)
    cell = nn.GRUCell(40, 100)
    for mine, theirs in zip(recurrence.parameters(), cell.parameters(), strict=True):
        assert torch.equal(mine, theirs)
        assert 0.09 < float(mine.detach().abs().max()) <= 0.1


def test_perceptrons_have_two_hidden_layers_with_elu() -> None:
    net = two_layers(3, 2, 5)
    assert [type(layer) for layer in net] == [nn.Linear, nn.ELU, nn.Linear, nn.ELU, nn.Linear]
    shapes = [(layer.in_features, layer.out_features) for layer in net if isinstance(layer, nn.Linear)]
    assert shapes == [(3, 5), (5, 5), (5, 2)]
    inputs = torch.tensor([[-3.0, 0.5, 2.0]])
    kept = inputs.clone()
    values = inputs
    for layer in net:
        values = layer(values) if isinstance(layer, nn.Linear) else torch.where(values > 0, values, values.exp() - 1)
    torch.testing.assert_close(net(inputs), values)
    assert torch.equal(inputs, kept)


def test_only_the_recurrence_is_not_orthogonal() -> None:
    """Gain 1 and no bias elsewhere."""
    world = LatentWorld(9, 2, 6, 8, 7)
    found = 0
    for module in world.modules():
        if isinstance(module, nn.Linear):
            found += 1
            assert module.bias.abs().max() == 0
            rows, columns = module.weight.shape
            small = module.weight if rows <= columns else module.weight.T
            torch.testing.assert_close(small @ small.T, torch.eye(min(rows, columns)), rtol=0, atol=1e-5)
    assert found == 3 * 7


def test_heads_read_what_they_should() -> None:
    """Sizes of inputs: a reward's an embedded action and the state it led to; a critic's what it is told."""
    world = LatentWorld(9, 2, 6, 8, critic_inputs=11)
    inputs = {
        name: next(iter(getattr(world, name).children())).in_features
        for name in ("encode", "embed", "begin", "decode", "predict_reward")
    }
    assert inputs == {"encode": 9, "embed": 2, "begin": 6, "decode": 8, "predict_reward": 14}
    assert [critic[0].in_features for critic in world.critics] == [11, 11]
    assert (world.recurrence.input_weight.shape, world.recurrence.hidden_weight.shape) == ((24, 8), (24, 8))


@pytest.mark.parametrize("shape", [(), (7,), (4, 7)])
def test_shapes_and_that_critics_are_two(shape: tuple[int, ...]) -> None:
    world = LatentWorld(9, 2, 6, 8, critic_inputs=9)
    state, action = torch.randn(*shape, 6), torch.randn(*shape, 2)
    embedded = world.embed(action)
    hidden, following = world.step(world.begin(state), embedded)
    assert (hidden.shape, following.shape) == ((*shape, 8), (*shape, 6))
    assert world.reward(embedded, following).shape == shape
    first, second = values = world.values(following, torch.ones(*shape, 3))
    assert values.shape == (2, *shape)
    assert not torch.equal(first, second)
    torch.testing.assert_close(second, world.critics[1](torch.cat([following, torch.ones(*shape, 3)], -1))[..., 0])


def test_following_actions_is_a_step_after_the_other() -> None:
    """The hidden state alone is carried on: a predicted state is never read again but by heads."""
    world = LatentWorld(9, 2, 6, 8, critic_inputs=9).double()
    observation, actions = waves((4, 9), 0.1), waves((4, 3, 2), 0.2)
    before, after, rewards = world.follow(observation, actions)
    hidden, state = world.begin(world.encode(observation)), world.encode(observation)
    for step in range(3):
        torch.testing.assert_close(before[:, step], state, rtol=1e-12, atol=1e-14)
        embedded = world.embed(actions[:, step])
        hidden, state = world.step(hidden, embedded)
        torch.testing.assert_close(after[:, step], state, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(rewards[:, step], world.reward(embedded, state), rtol=1e-12, atol=1e-14)
