"""SLAC small enough to check by hand, in float64, data for it, and what it computes a second time: in numpy, from the
weights alone, one sequence, one step and one pixel after the other. No two sizes are the same."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from relatent.agents.slac import SLAC, Given, Hyper, Noise
from relatent.nets.sequences import Sequences
from relatent.nets.slac_model import SlacModel
from relatent.training.episodes import EpisodeReplay
from tests.agents.tiny import waves
from tests.nets.tiny_world import images, wavy

ACTION, ONE, TWO, SIDE, DEPTH = 2, 3, 5, 16, 1
FEATURES, LATENT = 8 * DEPTH, ONE + TWO
BATCH, LENGTH, VARIANCE = 4, 3, 0.3
ROWS = LENGTH + 1
FIRST = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0]])
"""A whole episode's beginning, one that began before, and two that were moved back."""

HYPER: dict[str, Any] = {
    "depth": DEPTH,
    "latent1": ONE,
    "latent2": TWO,
    "image_variance": VARIANCE,
    "width": 6,
    "layers": 2,
    "length": LENGTH,
    "model_batch": 2,
    "batch": BATCH,
    "model_lr": 1e-3,
    "actor_lr": 1e-3,
    "critic_lr": 1e-3,
    "alpha_lr": 1e-3,
    "gamma": 0.9,
    "tau": 0.1,
    "init_alpha": 0.5,
    "update_after": 20,
    "first_updates": 3,
    "replay": 200,
}

Array = np.ndarray


def build(**changes: Any) -> SLAC:
    """A float32 agent as the trainer builds it."""
    return SLAC((3, SIDE, SIDE), ACTION, Hyper(**{**HYPER, **changes}))


def weak(module: Any, phase: float) -> Any:
    """Parameters are `waves` of half the usual height: what follows itself for long grows with larger ones."""
    with torch.no_grad():
        for parameter in wavy(module, phase).parameters():
            parameter.mul_(0.5)
    return module


def precise(phase: float = 0.0, **changes: Any) -> SLAC:
    """A float64 agent whose parameters are `waves`, past the updates of the model alone."""
    agent = weak(build(**changes), phase)
    with torch.no_grad():
        agent.log_alpha.fill_(np.log(agent.hyper.init_alpha))
    agent.updates = agent.hyper.first_updates
    return agent


def model(phase: float = 0.0) -> SlacModel:
    return weak(SlacModel(SIDE, ACTION, DEPTH, (ONE, TWO)), phase)


def sequences(phase: float = 0.5, first: Tensor = FIRST) -> Sequences:
    """As they are after the agent has moved some back: rows that stand for a beginning have no action and no reward."""
    seen = images((len(first), ROWS), SIDE, phase)
    begins = first.bool()
    action = waves((len(first), ROWS, ACTION), phase + 1).masked_fill(begins[..., None], 0.0)
    reward = 2 * waves((len(first), ROWS), phase + 2).masked_fill(begins, 0.0)
    terminated = torch.zeros(len(first), ROWS).double()
    terminated[2, -1] = 1.0
    return Sequences(seen, action, reward, terminated, first.double())


def filter_noise(phase: float = 0.7, rows: int = BATCH) -> Tensor:
    return 1.5 * waves((rows, ROWS, LATENT), phase)


def given(phase: float = 0.5) -> Given:
    """Sequences of the model begin at a row that is an episode's first, or not; nowhere else does one."""
    whole = sequences(phase)
    return Given(Sequences(*(part[:2] for part in whole)), whole)


def noise(phase: float = 0.7) -> Noise:
    actions = (1.5 * waves((BATCH, ACTION), phase + number) for number in (1, 2))
    return Noise(filter_noise(phase), *actions)


def memory(episodes: int = 6, steps: int = 7, capacity: int = 200) -> EpisodeReplay:
    """Whose numbers say where a row is from: red is the episode, green the step; the reward, and both actions, of the
    step that arrived there are 100 times the one plus the other."""
    replay = EpisodeReplay(capacity, (3, SIDE, SIDE), np.uint8, ACTION)
    for episode in range(episodes):
        for step in range(1, steps + 1):
            name = 100 * episode + step
            here, there = (picture(episode, number) for number in (step - 1, step))
            action = np.full(ACTION, name, np.float32)
            replay.add(here, action, float(name), there, False, step == steps)
    return replay


def picture(episode: int, step: int) -> Array:
    seen = np.zeros((3, SIDE, SIDE), np.uint8)
    seen[0], seen[1] = episode, step
    return seen


# The networks, from their weights alone


def arrays(module: nn.Module) -> list[Array]:
    """Weights and biases in order."""
    return [parameter.detach().numpy() for parameter in module.parameters()]


def leaky(raw: Array) -> Array:
    return np.maximum(raw, 0) + 0.2 * np.minimum(raw, 0)


def convolve(weight: Array, bias: Array, image: Array, stride: int, padding: int) -> Array:
    """Of an image (inputs, side, side); weight (outputs, inputs, k, k)."""
    image = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    size = weight.shape[-1]
    side = (image.shape[-1] - size) // stride + 1
    result = np.empty((len(weight), side, side))
    for row in range(side):
        for column in range(side):
            patch = image[:, stride * row : stride * row + size, stride * column : stride * column + size]
            result[:, row, column] = [(filter_ * patch).sum() for filter_ in weight] + bias
    return result


def spread(weight: Array, bias: Array, image: Array, padding: int) -> Array:
    """Every pixel paints a patch, two pixels apart; weight (inputs, outputs, k, k). `padding` pixels are cut off before
    the first and one less after the last."""
    size, side = weight.shape[-1], image.shape[-1]
    last = 2 * (side - 1) + size
    result = np.zeros((weight.shape[1], last, last)) + bias[:, None, None]
    for row in range(side):
        for column in range(side):
            patch = sum(pixel * filter_ for pixel, filter_ in zip(image[:, row, column], weight, strict=True))
            result[:, 2 * row : 2 * row + size, 2 * column : 2 * column + size] += patch
    end = last - padding + 1
    return result[:, padding:end, padding:end]


def compress(module: nn.Module, image: Array) -> Array:
    """Of bytes (3, side, side): kernel 5, then 3, at half the size each, then what is left at once."""
    (first, first_bias, *middle, last, last_bias), values = arrays(module), image.astype(np.float64) / 255
    values = leaky(convolve(first, first_bias, values, 2, 2))
    for weight, bias in zip(middle[::2], middle[1::2], strict=True):
        values = leaky(convolve(weight, bias, values, 2, 1))
    return leaky(np.einsum("oikl,ikl->o", last, values) + last_bias)


def decode(module: nn.Module, latent: Array) -> Array:
    first, first_bias, *middle, last, last_bias = arrays(module)
    values = leaky(np.einsum("i,iokl->okl", latent, first) + first_bias[:, None, None])
    for weight, bias in zip(middle[::2], middle[1::2], strict=True):
        values = leaky(spread(weight, bias, values, 1))
    return leaky(spread(last, last_bias, values, 2))


Law = tuple[Array, Array]  # mean and deviation


def law(module: nn.Module, *inputs: Array) -> Law:
    *hidden, weight, bias = arrays(module)
    vector = np.concatenate(inputs)
    for one, shift in zip(hidden[::2], hidden[1::2], strict=True):
        vector = leaky(one @ vector + shift)
    mean, raw = np.split(weight @ vector + bias, 2)
    return mean, 1e-5 + np.log1p(np.exp(raw))


class Plain(NamedTuple):
    """Along one sequence."""

    one: list[Array]
    two: list[Array]
    posterior: list[Law]
    prior: list[Law]


def filter_one(net: SlacModel, features: Array, actions: Array, first: Array, draws: Array) -> Plain:
    """One sequence; every argument has its steps along the first axis."""
    found = Plain([], [], [], [])
    for step, (seen, action, begins) in enumerate(zip(features, actions, first, strict=True)):
        if step == 0 or begins:
            prior, posterior = (np.zeros(ONE), np.ones(ONE)), law(net.infer_initial, seen)
        else:
            before = found.two[-1]
            prior, posterior = law(net.predict, before, action), law(net.infer, seen, before, action)
        one = posterior[0] + posterior[1] * draws[step, :ONE]
        initial = step == 0 or begins
        mean, std = law(net.second_initial, one) if initial else law(net.second, one, found.two[-1], action)
        two = mean + std * draws[step, ONE:]
        for kept, value in zip(found, (one, two, posterior, prior), strict=True):
            kept.append(value)
    return found


def latents(net: SlacModel, seen: Array, actions: Array, first: Array, draws: Array) -> Array:
    """z along one sequence of pictures, (T, z¹ + z²)."""
    features = np.stack([compress(net.compress, one) for one in seen])
    found = filter_one(net, features, actions, first, draws)
    return np.concatenate([np.stack(found.one), np.stack(found.two)], axis=1)
