"""World models small enough to check by hand, in float64, data for them, and what they compute a second time: in numpy,
from the weights alone, one sequence, one step and one pixel after the other. No two sizes are the same."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from relatent.nets.image import Convolutions, ImageDecoder, ImageEncoder, scaled
from relatent.nets.latent_world import elu
from relatent.nets.mlp import mlp
from relatent.nets.rssm import RSSM, WorldModel
from relatent.nets.sequences import Sequences
from tests.agents.tiny import waves

BATCH, LENGTH, ACTION, DETER, STOCH, HIDDEN, EMBED, OBSERVATION = 3, 5, 2, 4, 6, 7, 9, 8
SIDE, DEPTH = 16, 2
FEATURES = STOCH + DETER
FIRST = torch.tensor([[1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [1, 0, 0, 1, 1]])
"""A whole episode, one that ends within, and one that ends twice; the second begins in the midst of one."""

Array = np.ndarray


def wavy(module: Any, phase: float = 0.0) -> Any:
    module.double()
    with torch.no_grad():
        for index, parameter in enumerate(module.parameters()):
            parameter.copy_(0.8 * waves(tuple(parameter.shape), phase + index))
    return module


def rssm(phase: float = 0.0) -> RSSM:
    return wavy(RSSM(ACTION, EMBED, DETER, STOCH, HIDDEN), phase)


class Inputs(NamedTuple):
    """What `filter` takes."""

    embedded: Tensor
    actions: Tensor
    first: Tensor
    noise: Tensor


def inputs(phase: float = 0.5) -> Inputs:
    return Inputs(
        waves((BATCH, LENGTH, EMBED), phase),
        waves((BATCH, LENGTH, ACTION), phase + 1),
        FIRST,
        1.5 * waves((BATCH, LENGTH, STOCH), phase + 2),
    )


def vector_world(phase: float = 0.0) -> WorldModel:
    encode = mlp([OBSERVATION, HIDDEN, EMBED], activation=elu)
    model = RSSM(ACTION, EMBED, DETER, STOCH, HIDDEN)
    heads = (mlp([FEATURES, HIDDEN, size], activation=elu) for size in (OBSERVATION, 1))
    return wavy(WorldModel(model, encode, *heads, target=Tensor.to), phase)


def image_world(phase: float = 0.0) -> WorldModel:
    encode = ImageEncoder(SIDE, DEPTH)
    model = RSSM(ACTION, encode.embed_size, DETER, STOCH, HIDDEN)
    reward = mlp([FEATURES, HIDDEN, 1], activation=elu)
    made = wavy(WorldModel(model, encode, ImageDecoder(FEATURES, SIDE, DEPTH), reward, target=scaled), phase)
    with torch.no_grad():
        for layer in made.encode.layers:
            if isinstance(layer, nn.Conv2d):
                layer.weight.mul_(0.5)  # so that the next layer is not saturated
    return made


WORLDS = {"vectors": vector_world, "images": image_world}


def images(shape: tuple[int, ...], side: int, phase: float) -> Tensor:
    """Bytes, 0 and 255 among them."""
    bytes_of = ((waves((*shape, 3, side, side), phase) + 1) * 127.6).round().to(torch.uint8)
    bytes_of[..., 0, 0, 0], bytes_of[..., 1, 0, 0] = 0, 255
    return bytes_of


def batch(kind: str, phase: float = 0.5) -> tuple[Sequences, Tensor]:
    """Sequences for a world of this kind, and noise."""
    seen = {
        "vectors": partial(waves, (BATCH, LENGTH, OBSERVATION), phase + 3),
        "images": partial(images, (BATCH, LENGTH), SIDE, phase + 3),
    }[kind]()
    _, actions, first, noise = inputs(phase)
    reward = 2 * waves((BATCH, LENGTH), phase + 4)
    return Sequences(seen, actions, reward, torch.zeros_like(first), first), noise


# The networks, from their weights alone; every vector is one example's at one step


def arrays(module: nn.Module) -> list[Array]:
    """Weights and biases in order."""
    return [parameter.detach().numpy() for parameter in module.parameters()]


def plain_elu(raw: Array) -> Array:
    return np.where(raw > 0, raw, np.exp(np.minimum(raw, 0)) - 1)


def sigmoid(raw: Array) -> Array:
    return 1 / (1 + np.exp(-raw))


def dense(module: nn.Module, vector: Array) -> Array:
    """Linear layers with ELU between each two."""
    *hidden, weight, bias = arrays(module)
    for one, shift in zip(hidden[::2], hidden[1::2], strict=True):
        vector = plain_elu(one @ vector + shift)
    return weight @ vector + bias


def law(raw: Array) -> tuple[Array, Array]:
    """Mean and deviation."""
    return raw[:STOCH], 0.1 + np.log1p(np.exp(raw[STOCH:]))


def recur(model: RSSM, stoch: Array, deter: Array, action: Array) -> Array:
    """h_t from z_{t-1}, h_{t-1} and a_{t-1}. The three gates' weights lie one below the other."""
    weight, bias = arrays(model.read)
    told = plain_elu(weight @ np.concatenate([stoch, action]) + bias)
    of_told, of_deter, told_bias, deter_bias = arrays(model.recurrence)
    from_told, from_deter = of_told @ told + told_bias, of_deter @ deter + deter_bias
    reset = sigmoid(from_told[:DETER] + from_deter[:DETER])
    update = sigmoid(from_told[DETER : 2 * DETER] + from_deter[DETER : 2 * DETER])
    new = np.tanh(from_told[2 * DETER :] + reset * from_deter[2 * DETER :])
    return (1 - update) * new + update * deter


def prior(model: RSSM, deter: Array) -> tuple[Array, Array]:
    return law(dense(model.predict, deter))


def posterior(model: RSSM, deter: Array, embedded: Array) -> tuple[Array, Array]:
    named = {name: parameter.detach().numpy() for name, parameter in model.infer.named_parameters()}
    joint = np.concatenate([named["deter_weight"], named["embed_weight"]], axis=1)
    hidden = plain_elu(joint @ np.concatenate([deter, embedded]) + named["bias"])
    return law(named["output.weight"] @ hidden + named["output.bias"])


class Plain(NamedTuple):
    """Along one sequence."""

    stoch: list[Array]
    deter: list[Array]
    posterior: list[tuple[Array, Array]]
    prior: list[tuple[Array, Array]]


def filter_one(model: RSSM, embedded: Array, actions: Array, first: Array, noise: Array) -> Plain:
    """One sequence; every argument has its steps along the first axis."""
    found, stoch, deter = Plain([], [], [], []), np.zeros(STOCH), np.zeros(DETER)
    for seen, action, begins, draws in zip(embedded, actions, first, noise, strict=True):
        if begins:
            stoch, deter, action = np.zeros(STOCH), np.zeros(DETER), np.zeros(ACTION)
        deter = recur(model, stoch, deter, action)
        mean, std = posterior(model, deter, seen)
        stoch = mean + std * draws
        for kept, value in zip(found, (stoch, deter, (mean, std), prior(model, deter)), strict=True):
            kept.append(value)
    return found


def convolve(weight: Array, bias: Array, image: Array) -> Array:
    """Stride 2, no padding; weight (outputs, inputs, k, k), image (inputs, side, side)."""
    size = weight.shape[-1]
    side = (image.shape[-1] - size) // 2 + 1
    result = np.empty((len(weight), side, side))
    for row in range(side):
        for column in range(side):
            patch = image[:, 2 * row : 2 * row + size, 2 * column : 2 * column + size]
            result[:, row, column] = [(filter_ * patch).sum() for filter_ in weight] + bias
    return result


def spread(weight: Array, bias: Array, image: Array) -> Array:
    """Its transpose: every pixel paints a patch; weight (inputs, outputs, k, k)."""
    size, side = weight.shape[-1], image.shape[-1]
    last = 2 * (side - 1) + size
    result = np.zeros((weight.shape[1], last, last)) + bias[:, None, None]
    for row in range(side):
        for column in range(side):
            patch = sum(pixel * filter_ for pixel, filter_ in zip(image[:, row, column], weight, strict=True))
            result[:, 2 * row : 2 * row + size, 2 * column : 2 * column + size] += patch
    return result


def encode_image(encoder: Convolutions, image: Array, least: float = -0.5) -> Array:
    """Of bytes (colours, side, side), of which 0 becomes `least`."""
    values, layers = image.astype(np.float64) / 255 + least, arrays(encoder)
    for weight, bias in zip(layers[::2], layers[1::2], strict=True):
        values = np.maximum(convolve(weight, bias, values), 0)
    return values.reshape(-1)


def decode_image(decoder: ImageDecoder, features: Array) -> Array:
    first, shift, *layers = arrays(decoder)
    values = (first @ features + shift)[:, None, None]
    for number, (weight, bias) in enumerate(zip(layers[::2], layers[1::2], strict=True)):
        values = spread(weight, bias, np.maximum(values, 0) if number else values)
    return values
