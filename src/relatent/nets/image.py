"""Convolutions between images of bytes and features.

Dreamer and SMAC's official code (Ha & Schmidhuber 2018) see (..., 3, side, side) as [-1/2, 1/2]; depth 32, side 64:

    encoder    four convolutions, kernel 4, stride 2        64 -> 31 -> 14 -> 6 -> 2      32, 64, 128, 256 channels
    decoder    linear to 1024 channels of one pixel, then four transposed convolutions, kernels 5, 5, 6, 6, stride 2
                                                            1 -> 5 -> 13 -> 30 -> 64      128, 64, 32, 3 channels

RPG (Sec 5.3; its encoder in haosulab/RPG@a7dc920 is TD-MPC's) sees two pictures, six colours, as [0, 1]:

    encoder    four convolutions, kernels 7, 5, 3, 3, stride 2        64 -> 29 -> 13 -> 6 -> 2    128 channels each

Side 16 is ours, for tasks that a test can learn: the first two of each, 16 -> 7 -> 2, 1 -> 6 -> 16 and 16 -> 5 -> 1.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn

from relatent.nets.mlp import relu
from relatent.specs.errors import RelatentError

COLOURS, KERNEL, STRIDE = 3, 4, 2
DECODER_KERNELS = {64: (5, 5, 6, 6), 16: (6, 6)}  # by side
SHRINKING_KERNELS = {64: (7, 5, 3, 3), 16: (7, 5)}  # RPG's, by side
LAST_SIDE = 2  # of what the encoder's last convolution gives


def unit(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Bytes as numbers in [0, 1]."""
    return images.to(dtype) / 255


def scaled(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Bytes as numbers in [-1/2, 1/2]."""
    return unit(images, dtype) - 0.5


def kernels_of(side: int, kernels: dict[int, tuple[int, ...]] = DECODER_KERNELS) -> tuple[int, ...]:
    """The kernels for a side. Raises RelatentError where images of this side have no networks."""
    if side not in kernels:
        raise RelatentError(f"images of side {side}: there are networks for {' and '.join(map(str, kernels))}")
    return kernels[side]


class Convolutions(nn.Module):
    """Of stride 2 and with ReLU after each, on what `numbers` makes of bytes."""

    def __init__(
        self, side: int, channels: list[int], kernels: Iterable[int], numbers: Callable[[Tensor, torch.dtype], Tensor]
    ) -> None:
        super().__init__()
        self.numbers, layers = numbers, []
        for (inputs, outputs), kernel in zip(pairwise(channels), kernels, strict=True):
            layers += [nn.Conv2d(inputs, outputs, kernel, STRIDE), relu()]
            side = (side - kernel) // STRIDE + 1
        self.embed_size = channels[-1] * side**2
        self.layers = nn.Sequential(*layers, nn.Flatten())

    def forward(self, images: Tensor) -> Tensor:
        """(..., embed_size), without negative numbers, from bytes (..., colours, side, side)."""
        inputs = self.numbers(images, next(self.parameters()).dtype)
        return self.layers(inputs.reshape(-1, *images.shape[-3:])).reshape(*images.shape[:-3], self.embed_size)


class ImageEncoder(Convolutions):
    """Dreamer's. Each convolution has twice the channels of the one before; the first has `depth`."""

    def __init__(self, side: int, depth: int) -> None:
        count = len(kernels_of(side))
        channels = [COLOURS, *(depth * 2**number for number in range(count))]
        super().__init__(side, channels, [KERNEL] * count, scaled)


class ShrinkingEncoder(Convolutions):
    """RPG's, of observations (colours, side, side); every convolution has the same number of channels.
    Raises RelatentError where there are none."""

    def __init__(self, observation_shape: tuple[int, ...], channels: int) -> None:
        if channels < 1:
            raise RelatentError(f"pictures need convolutions: expected picture_channels of at least 1, got {channels}")
        colours, _, side = observation_shape
        kernels = kernels_of(side, SHRINKING_KERNELS)
        super().__init__(side, [colours, *[channels] * len(kernels)], kernels, unit)


class ImageDecoder(nn.Module):
    """Mean of an image given features; channels as the encoder's, backwards. The image's deviation is 1."""

    def __init__(self, features: int, side: int, depth: int) -> None:
        super().__init__()
        kernels = kernels_of(side)
        first = depth * 2 ** (len(kernels) - 1) * LAST_SIDE**2
        channels = [first, *(depth * 2**number for number in reversed(range(len(kernels) - 1))), COLOURS]
        self.linear = nn.Linear(features, first)
        sizes = zip(channels[:-1], channels[1:], kernels, strict=True)
        *layers, _ = (layer for size in sizes for layer in (nn.ConvTranspose2d(*size, STRIDE), relu()))
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """(..., 3, side, side) from (..., features)."""
        images = self.layers(self.linear(features).reshape(-1, self.linear.out_features, 1, 1))
        return images.reshape(*features.shape[:-1], *images.shape[-3:])
