"""Convolutions between images and features (Ha & Schmidhuber 2018), as Dreamer and SMAC's official code have them.

Images are (..., 3, side, side) of bytes, and become [-1/2, 1/2] here. With depth 32 and side 64:

    encoder    four convolutions, kernel 4, stride 2        64 -> 31 -> 14 -> 6 -> 2      32, 64, 128, 256 channels
    decoder    linear to 1024 channels of one pixel, then four transposed convolutions, kernels 5, 5, 6, 6, stride 2
                                                            1 -> 5 -> 13 -> 30 -> 64      128, 64, 32, 3 channels

Side 16 is ours, for tasks that a test can learn: two convolutions of each kind, 16 -> 7 -> 2 and 1 -> 6 -> 16.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from relatent.nets.mlp import relu
from relatent.specs.errors import RelatentError

COLOURS, KERNEL, STRIDE = 3, 4, 2
DECODER_KERNELS = {64: (5, 5, 6, 6), 16: (6, 6)}  # by side
LAST_SIDE = 2  # of what the encoder's last convolution gives


def scaled(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Bytes as numbers in [-1/2, 1/2]."""
    return images.to(dtype) / 255 - 0.5


def kernels_of(side: int) -> tuple[int, ...]:
    """The decoder's. Raises RelatentError where images of this side have no networks."""
    if side not in DECODER_KERNELS:
        raise RelatentError(f"images of side {side}: there are networks for {' and '.join(map(str, DECODER_KERNELS))}")
    return DECODER_KERNELS[side]


class ImageEncoder(nn.Module):
    """Each convolution has twice the channels of the one before; the first has `depth`."""

    def __init__(self, side: int, depth: int) -> None:
        super().__init__()
        channels = [COLOURS, *(depth * 2**number for number in range(len(kernels_of(side))))]
        self.embed_size = channels[-1] * LAST_SIDE**2
        layers = (layer for pair in pairwise(channels) for layer in (nn.Conv2d(*pair, KERNEL, STRIDE), relu()))
        self.layers = nn.Sequential(*layers, nn.Flatten())

    def forward(self, images: Tensor) -> Tensor:
        """(..., embed_size), without negative numbers."""
        inputs = scaled(images, next(self.parameters()).dtype)
        return self.layers(inputs.reshape(-1, *images.shape[-3:])).reshape(*images.shape[:-3], self.embed_size)


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
