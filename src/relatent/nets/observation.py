"""What an agent sees: a vector of numbers, or pictures of bytes, which pass through convolutions first."""

from collections.abc import Callable

from torch import nn

from relatent.nets.image import ShrinkingEncoder

Observation = int | tuple[int, ...]
"""Numbers in a vector, or the shape of pictures, (colours, side, side)."""
PICTURE_AXES = 3


def observation_of(shape: tuple[int, ...]) -> Observation:
    """Of an environment whose observations have this shape."""
    return shape if len(shape) == PICTURE_AXES else shape[0]


def seeing(
    observation: Observation,
    channels: int,
    perceptron: Callable[[int], nn.Module],
    init: Callable[[nn.Module], None] | None = None,
) -> nn.Module:
    """A perceptron, made for so many inputs; for pictures behind convolutions of so many channels (RPG, Sec 5.3), whose
    weights `init` sets. Without it they are PyTorch's own."""
    if isinstance(observation, int):
        return perceptron(observation)
    convolutions = ShrinkingEncoder(observation, channels)
    if init is not None:
        convolutions.apply(init)
    return nn.Sequential(convolutions, perceptron(convolutions.embed_size))
