"""Convolutions against numpy loops over their weights, their sizes, and what bytes become."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from relatent.nets.image import ImageDecoder, ImageEncoder, ShrinkingEncoder, scaled, unit
from relatent.specs.errors import RelatentError
from tests.agents.checks import assert_gradients_agree
from tests.agents.tiny import waves
from tests.nets.tiny_world import DEPTH, FEATURES, SIDE, decode_image, encode_image, images, wavy

NETS: dict[str, Any] = {
    "encoder": (lambda: ImageEncoder(SIDE, DEPTH), lambda phase: images((4,), SIDE, phase)),
    "decoder": (lambda: ImageDecoder(FEATURES, SIDE, DEPTH), lambda phase: waves((4, FEATURES), phase)),
}


def sizes_of(module: nn.Module, kind: Any) -> list[int]:
    return [sum(p.numel() for p in layer.parameters()) for layer in module.modules() if isinstance(layer, kind)]


def test_the_papers_encoder_has_its_sizes() -> None:
    encoder = ImageEncoder(64, 32)
    convolutions = [3 * 32 * 16 + 32, 32 * 64 * 16 + 64, 64 * 128 * 16 + 128, 128 * 256 * 16 + 256]
    assert sizes_of(encoder, nn.Conv2d) == convolutions == [1_568, 32_832, 131_200, 524_544]
    assert sum(p.numel() for p in encoder.parameters()) == 690_144
    assert encoder.embed_size == encoder(images((), 64, 0.1)).numel() == 1024


def test_the_papers_decoder_has_its_sizes() -> None:
    decoder = ImageDecoder(230, 64, 32)
    transposed = [1024 * 128 * 25 + 128, 128 * 64 * 25 + 64, 64 * 32 * 36 + 32, 32 * 3 * 36 + 3]
    assert sizes_of(decoder, nn.ConvTranspose2d) == transposed == [3_276_928, 204_864, 73_760, 3_459]
    assert sizes_of(decoder, nn.Linear) == [230 * 1024 + 1024] == [236_544]
    assert sum(p.numel() for p in decoder.parameters()) == 3_795_555


def test_small_images_have_small_networks() -> None:
    encoder, decoder = ImageEncoder(16, 4), ImageDecoder(9, 16, 4)
    assert (encoder.embed_size, sizes_of(encoder, nn.Conv2d)) == (32, [3 * 4 * 16 + 4, 4 * 8 * 16 + 8])
    assert sizes_of(decoder, nn.Linear) == [9 * 32 + 32]
    assert sizes_of(decoder, nn.ConvTranspose2d) == [32 * 4 * 36 + 4, 4 * 3 * 36 + 3]


@pytest.mark.parametrize(
    ("side", "down", "up"), [(64, [31, 14, 6, 2], [5, 13, 30, 64]), (16, [7, 2], [6, 16])], ids=["64", "16"]
)
def test_sides_of_what_lies_between(side: int, down: list[int], up: list[int]) -> None:
    seen: dict[Any, list[int]] = {nn.Conv2d: [], nn.ConvTranspose2d: []}
    encoder, decoder = ImageEncoder(side, 2), ImageDecoder(5, side, 2)
    for layer in [*encoder.modules(), *decoder.modules()]:
        if type(layer) in seen:
            layer.register_forward_hook(lambda layer, _, image: seen[type(layer)].append(image.shape[-1]))
    encoder(images((1,), side, 0.1))
    decoder(torch.zeros(1, 5))
    assert seen == {nn.Conv2d: down, nn.ConvTranspose2d: up}


def test_other_sides_are_refused_in_a_line() -> None:
    for make in (lambda: ImageEncoder(32, 2), lambda: ImageDecoder(5, 32, 2)):
        with pytest.raises(RelatentError) as refusal:
            make()
        assert str(refusal.value) == "images of side 32: there are networks for 64 and 16"


def test_bytes_become_numbers_around_zero() -> None:
    bytes_of = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert scaled(bytes_of, torch.float64).tolist() == [-0.5, pytest.approx(-0.3, abs=1e-15), 0.5]
    assert scaled(bytes_of, torch.float32).dtype == torch.float32
    assert bytes_of.tolist() == [0, 51, 255]


@pytest.mark.parametrize(("side", "depth"), [(16, 2), (64, 1)])
def test_images_are_encoded_as_the_weights_say(side: int, depth: int) -> None:
    encoder, seen = wavy(ImageEncoder(side, depth)), images((2, 1), side, 0.3)
    found = encoder(seen)
    assert found.shape == (2, 1, encoder.embed_size)
    for row in range(2):
        expected = encode_image(encoder, seen[row, 0].numpy())
        np.testing.assert_allclose(found[row, 0].detach().numpy(), expected, rtol=1e-11, atol=1e-13)
        assert 0 < (expected > 0).mean() < 1


@pytest.mark.parametrize(("side", "sides"), [(16, [5, 1]), (64, [29, 13, 6, 2])])
def test_stacked_pictures_are_encoded_as_the_weights_say(side: int, sides: list[int]) -> None:
    """Two pictures, six colours, with kernels of falling size."""
    encoder = wavy(ShrinkingEncoder((6, side, side), 2))
    between: list[int] = []
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _, __, image: between.append(image.shape[-1]))
    seen = torch.cat([images((2, 1), side, 0.3), images((2, 1), side, 1.3)], dim=-3)
    found = encoder(seen)
    assert between == sides
    assert found.shape == (2, 1, encoder.embed_size) == (2, 1, 2 * sides[-1] ** 2)
    for row in range(2):
        expected = encode_image(encoder, seen[row, 0].numpy(), least=0.0)
        np.testing.assert_allclose(found[row, 0].detach().numpy(), expected, rtol=1e-11, atol=1e-13)
        assert (expected > 0).any()
    assert unit(torch.tensor([0, 51, 255], dtype=torch.uint8), torch.float64).tolist() == [0, pytest.approx(0.2), 1]


@pytest.mark.parametrize(("side", "depth"), [(16, 2), (64, 1)])
def test_images_are_decoded_as_the_weights_say(side: int, depth: int) -> None:
    decoder, features = wavy(ImageDecoder(FEATURES, side, depth)), waves((2, 1, FEATURES), 0.3)
    found = decoder(features)
    assert found.shape == (2, 1, 3, side, side)
    for row in range(2):
        expected = decode_image(decoder, features[row, 0].numpy())
        np.testing.assert_allclose(found[row, 0].detach().numpy(), expected, rtol=1e-11, atol=1e-13)
        assert 0 < (expected > 0).mean() < 1


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("shape", [(), (2, 2), (1, 2, 2)])
def test_leading_axes_are_only_that(name: str, shape: tuple[int, ...]) -> None:
    make, data = NETS[name]
    net, given = wavy(make()), data(0.2)
    shaped = given[0] if shape == () else given.reshape(*shape, *given.shape[1:])
    found, expected = net(shaped), net(given)
    torch.testing.assert_close(
        found, expected[0] if shape == () else expected.reshape(found.shape), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("name", NETS)
def test_gradients_are_finite_differences(name: str) -> None:
    make, data = NETS[name]
    net, given = wavy(make()), data(0.2)
    weights = waves(tuple(net(given).shape), 0.9)
    assert_gradients_agree(lambda: (weights * net(given)).sum(), list(net.parameters()))


@pytest.mark.parametrize("name", NETS)
def test_networks_of_many_seeds_at_once(name: str) -> None:
    """Values and gradients of networks whose parameters have an axis of seeds in common."""
    make, data = NETS[name]
    nets, given = [wavy(make(), phase) for phase in (0.0, 10.0, 20.0)], [data(phase) for phase in (0.1, 0.2, 0.3)]
    state, _ = stack_module_state(nets)

    def loss(parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return functional_call(nets[0], parameters, (inputs,)).square().sum()

    together = torch.stack(given)
    losses, gradients = vmap(loss)(state, together), vmap(grad(loss))(state, together)
    for seed, (net, own) in enumerate(zip(nets, given, strict=True)):
        alone = net(own).square().sum()
        torch.testing.assert_close(losses[seed], alone, rtol=1e-12, atol=0)
        for key, expected in zip(state, torch.autograd.grad(alone, list(net.parameters())), strict=True):
            torch.testing.assert_close(gradients[key][seed], expected, rtol=1e-10, atol=1e-11)
