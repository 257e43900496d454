"""SLAC's networks against numpy loops over their weights, their official sizes, and where a sequence begins anew."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from relatent.nets.slac_model import Compressor, Decoder, SlacModel
from relatent.specs.errors import RelatentError
from tests.agents.checks import assert_gradients_agree
from tests.agents.tiny import waves
from tests.agents.tiny_slac import (
    ACTION,
    BATCH,
    DEPTH,
    FEATURES,
    FIRST,
    LATENT,
    ONE,
    ROWS,
    SIDE,
    TWO,
    compress,
    decode,
    filter_noise,
    filter_one,
    law,
    model,
)
from tests.nets.tiny_world import images, wavy


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def sizes_of(module: nn.Module) -> list[int]:
    return [size(layer) for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]


def perceptron(inputs: int, outputs: int) -> int:
    return inputs * 256 + 256 + 256 * 256 + 256 + 256 * outputs + outputs


def test_the_official_sizes() -> None:
    """Of alexlee-gk/slac, model_distribution_network.py, for an action of 6 numbers."""
    net = SlacModel(64, 6, 32, (32, 256))
    down = [5 * 5 * 3 * 32 + 32, *(9 * (32 * n) * (64 * n) + 64 * n for n in (1, 2, 4)), 16 * 256 * 256 + 256]
    up = [16 * 288 * 256 + 256, *(9 * (64 * n) * (32 * n) + 32 * n for n in (4, 2, 1)), 25 * 32 * 3 + 3]
    assert sizes_of(net.compress) == down == [2_432, 18_496, 73_856, 295_168, 1_048_832]
    assert sizes_of(net.decode) == up == [1_179_904, 295_040, 73_792, 18_464, 2_403]
    laws = {
        "infer_initial": perceptron(256, 2 * 32),
        "infer": perceptron(256 + 256 + 6, 2 * 32),
        "predict": perceptron(256 + 6, 2 * 32),
        "second_initial": perceptron(32, 2 * 256),
        "second": perceptron(32 + 256 + 6, 2 * 256),
        "reward": perceptron(2 * 288 + 6, 2),
    }
    found = {name: size(part) for name, part in net.named_children() if name not in ("compress", "decode")}
    assert found == laws
    assert size(net) == 1_438_784 + 1_569_603 + sum(laws.values()) == 4_215_365


@pytest.mark.parametrize(
    ("side", "down", "up"),
    [(64, [32, 16, 8, 4, 1], [4, 8, 16, 32, 64]), (16, [8, 4, 1], [4, 8, 16])],
    ids=["64", "16"],
)
def test_sides_of_what_lies_between(side: int, down: list[int], up: list[int]) -> None:
    seen: dict[Any, list[int]] = {nn.Conv2d: [], nn.ConvTranspose2d: []}
    compressor, decoder = Compressor(side, 2, 7), Decoder(5, side, 2)
    for layer in [*compressor.modules(), *decoder.modules()]:
        if type(layer) in seen:
            layer.register_forward_hook(lambda layer, _, image: seen[type(layer)].append(image.shape[-1]))
    assert compressor(images((1,), side, 0.1)).shape == (1, 7)
    assert decoder(torch.zeros(1, 5)).shape == (1, 3, side, side)
    assert seen == {nn.Conv2d: down, nn.ConvTranspose2d: up}


def test_other_sides_are_refused_in_a_line() -> None:
    for make in (lambda: Compressor(32, 2, 7), lambda: Decoder(5, 32, 2)):
        with pytest.raises(RelatentError) as refusal:
            make()
        assert str(refusal.value) == "images of side 32: there are networks for 64 and 16"


def test_initial_weights_are_glorots() -> None:
    """Uniform up to the root of 6 over both fans; and no biases."""
    torch.manual_seed(0)
    for layer in SlacModel(64, 6, 32, (32, 256)).modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            inputs, outputs = layer.weight.shape[:2]
            bound = math.sqrt(6 / ((inputs + outputs) * math.prod(layer.weight.shape[2:])))
            largest = float(layer.weight.detach().abs().max())
            assert 0.98 * bound < largest <= bound
            assert float(layer.weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.08)
            assert not layer.bias.any()  # type: ignore[union-attr]


# Pictures, again


@pytest.mark.parametrize(("side", "depth"), [(16, 2), (64, 1)])
def test_images_are_compressed_as_the_weights_say(side: int, depth: int) -> None:
    net, seen = wavy(Compressor(side, depth, 7)), images((2, 1), side, 0.3)
    found = net(seen).detach().numpy()
    assert found.shape == (2, 1, 7)
    for index in range(2):
        np.testing.assert_allclose(found[index, 0], compress(net, seen[index, 0].numpy()), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("side", "depth"), [(16, 2), (64, 1)])
def test_images_are_decoded_as_the_weights_say(side: int, depth: int) -> None:
    """With leaky ReLU upon the picture: what is negative is a fifth."""
    net, told = wavy(Decoder(6, side, depth)), waves((2, 1, 6), 0.3)
    found = net(told).detach().numpy()
    assert found.shape == (2, 1, 3, side, side)
    assert found.min() < 0 < found.max()
    for index in range(2):
        np.testing.assert_allclose(found[index, 0], decode(net, told[index, 0].numpy()), rtol=1e-10, atol=1e-12)


def test_bytes_become_numbers_from_zero_to_one() -> None:
    net = wavy(Compressor(16, 1, 2))
    black, white = (torch.full((3, 16, 16), value, dtype=torch.uint8) for value in (0, 255))
    hooked: list[Tensor] = []
    net.layers[0].register_forward_hook(lambda _, inputs, __: hooked.append(inputs[0]))
    net(black), net(white)
    assert [part.unique().tolist() for part in hooked] == [[0.0], [1.0]]


# Inference


def features(phase: float = 0.5) -> tuple[Tensor, Tensor]:
    """Features, and actions, which at an episode's first row are to be ignored."""
    return waves((BATCH, ROWS, FEATURES), phase), waves((BATCH, ROWS, ACTION), phase + 1)


def same(found: Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("first", [FIRST, 0 * FIRST, FIRST.flip(1)], ids=["moved", "midst", "within"])
def test_sequences_are_filtered_as_the_weights_say(first: Tensor) -> None:
    net, (seen, actions), draws = model(), features(), filter_noise()
    found = net.filter(seen, actions, first, draws)
    assert found.latents.shape == (BATCH, ROWS, LATENT)
    for row in range(BATCH):
        plain = filter_one(net, *(part[row].numpy() for part in (seen, actions, first, draws)))
        for step in range(ROWS):
            same(found.latents[row, step], np.concatenate([plain.one[step], plain.two[step]]))
            for mine, yours in ((found.posterior, plain.posterior), (found.prior, plain.prior)):
                same(mine.mean[row, step], yours[step][0])
                same(mine.std[row, step], yours[step][1])


def test_rewards_are_of_both_ends_of_an_action() -> None:
    net, told, actions = model(), waves((BATCH, ROWS, LATENT), 0.2), features()[1]
    found = net.rewarded(told, actions)
    assert found.mean.shape == (BATCH, ROWS - 1, 1)
    for row in range(BATCH):
        for step in range(1, ROWS):
            inputs = (part.numpy() for part in (told[row, step - 1], actions[row, step], told[row, step]))
            mean, std = law(net.reward, *inputs)
            same(found.mean[row, step - 1], mean)
            same(found.std[row, step - 1], std)


def test_the_second_layer_is_told_no_picture_but_by_the_first() -> None:
    """Its posterior is its prior: for the same z¹ and z²_{t-1} another picture makes no other z²."""
    net, (seen, actions), draws = model(), features(), filter_noise()
    found = net.filter(seen, actions, FIRST, draws)
    changed = seen.clone()
    changed[:, -1] += 1.0
    posterior = net.filter(changed, actions, FIRST, draws).posterior
    # The noise that leads to the same z¹.
    again = draws.clone()
    again[:, -1, :ONE] = (found.latents[:, -1, :ONE] - posterior.mean[:, -1]) / posterior.std[:, -1]
    assert (again - draws).abs().max() > 0.01
    torch.testing.assert_close(net.filter(changed, actions, FIRST, again).latents, found.latents, rtol=1e-9, atol=1e-11)


def test_a_sequence_begins_at_its_first_row_whatever_it_is() -> None:
    """That an episode began there changes nothing, and the action that led there is not read."""
    net, (seen, actions), draws = model(), features(), filter_noise()
    within = 0 * FIRST
    begins = within.clone()
    begins[:, 0] = 1
    other = actions.clone()
    other[:, 0] = 9.0
    for one, two in zip(net.filter(seen, actions, within, draws), net.filter(seen, other, begins, draws), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_what_was_before_an_episode_is_forgotten() -> None:
    net, (seen, actions), draws = model(), features(), filter_noise()
    first = torch.zeros(BATCH, ROWS)
    first[:, 2] = 1
    for part in (seen, actions, draws):
        part.requires_grad_()
    found = net.filter(seen, actions, first, draws)
    parts = [found.latents, *found.posterior, *found.prior]
    total = sum(part[:, 2:].square().sum() for part in parts)
    of_seen, of_actions, of_draws = torch.autograd.grad(total, [seen, actions, draws])  # type: ignore[arg-type]
    for gradient, reached in ((of_seen, 2), (of_actions, 3), (of_draws, 2)):
        assert not gradient[:, :reached].any()
        assert gradient[:, reached:].abs().amin() > 0 or gradient[:, reached:].any()
    assert torch.equal(found.prior.mean[:, 2], torch.zeros(BATCH, ONE).double())
    assert torch.equal(found.prior.std[:, 2], torch.ones(BATCH, ONE).double())


def test_the_least_deviation() -> None:
    net = model()
    for layer in net.predict.net:
        if isinstance(layer, nn.Linear):
            layer.weight.data.zero_()
            layer.bias.data.fill_(-200.0)
    found = net.predict(torch.zeros(TWO).double(), torch.zeros(ACTION).double())
    assert found.std.tolist() == [1e-5] * ONE


def test_gradients_are_finite_differences() -> None:
    net, (seen, actions), draws, weights = model(), features(), filter_noise(), waves((BATCH, ROWS, LATENT), 0.9)

    def loss() -> Tensor:
        found = net.filter(seen, actions, FIRST, draws)
        laws = [*found.posterior, *found.prior, *net.rewarded(found.latents, actions)]
        return (weights * found.latents).sum() + sum(part.square().mean() for part in laws)

    parts = (net.infer_initial, net.infer, net.predict, net.second_initial, net.second, net.reward)
    assert_gradients_agree(loss, [parameter for part in parts for parameter in part.parameters()])
    pictures = images((2,), SIDE, 0.3)
    assert_gradients_agree(lambda: net.compress(pictures).square().sum(), list(net.compress.parameters()))
    told = waves((2, LATENT), 0.1)
    assert_gradients_agree(lambda: net.decode(told).square().sum(), list(net.decode.parameters()))


def test_models_of_many_seeds_at_once() -> None:
    """Values and gradients of models whose parameters have an axis of seeds in common."""

    class Call(nn.Module):
        def __init__(self, net: SlacModel) -> None:
            super().__init__()
            self.net = net

        def forward(self, seen: Tensor, actions: Tensor, draws: Tensor) -> Tensor:
            found = self.net.filter(self.net.compress(seen), actions, FIRST, draws)
            laws = [*found.prior, *self.net.rewarded(found.latents, actions)]
            return self.net.decode(found.latents).square().mean() + sum(part.square().mean() for part in laws)

    alone = [Call(model(phase)) for phase in (0.0, 10.0)]
    given = [
        (images((BATCH, ROWS), SIDE, phase), waves((BATCH, ROWS, ACTION), phase), filter_noise(phase))
        for phase in (0.5, 1.5)
    ]
    state, _ = stack_module_state(alone)  # type: ignore[arg-type]
    together = [torch.stack(parts) for parts in zip(*given, strict=True)]

    def loss(parameters: dict[str, Tensor], *inputs: Tensor) -> Tensor:
        return functional_call(alone[0], parameters, inputs)

    values, gradients = vmap(loss)(state, *together), vmap(grad(loss))(state, *together)
    for seed, (one, own) in enumerate(zip(alone, given, strict=True)):
        expected = one(*own)
        torch.testing.assert_close(values[seed], expected, rtol=1e-11, atol=0)
        for (name, _), mine in zip(
            one.named_parameters(), torch.autograd.grad(expected, list(one.parameters())), strict=True
        ):
            torch.testing.assert_close(gradients[name][seed], mine, rtol=1e-8, atol=1e-10)


def test_depth_says_all_widths() -> None:
    net = model()
    assert (net.features, net.latent_size) == (FEATURES, LATENT) == (8 * DEPTH, ONE + TWO)
    assert [layer.out_features for layer in net.second.net if isinstance(layer, nn.Linear)] == [8, 8, 2 * TWO]
