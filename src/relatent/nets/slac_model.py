"""The sequential latent variable model of SLAC (Lee et al. 2020), whose z_t has two layers, z¹_t and z²_t.

    p(z¹_1) = N(0, 1)                 q(z¹_1 | x_1)                         where a sequence begins
    p(z²_1 | z¹_1)                    the same
    p(z¹_t | z²_{t-1}, a_{t-1})       q(z¹_t | x_t, z²_{t-1}, a_{t-1})
    p(z²_t | z¹_t, z²_{t-1}, a_{t-1}) the same
    p(x_t | z_t)                      fixed deviation
    p(r_t | z_{t-1}, a_{t-1}, z_t)    learnt deviation

What is told x_t is z¹_t alone: the posterior of z²_t is its prior, one network, and has no divergence. Sizes, layers
and initial weights as in alexlee-gk/slac@14a366e, with depth 32: 256 features, laws of two hidden layers of 256 units,
leaky ReLU of slope 0.2, also upon the decoded image, Glorot's uniform weights, biases of zero. With side 64:

    compressor    kernels 5, 3, 3, 3, stride 2, then 4 without    64 -> 32 -> 16 -> 8 -> 4 -> 1    32, 64, 128, 256, 256
    decoder       kernel 4, then 3, 3, 3, 5, stride 2             1 -> 4 -> 8 -> 16 -> 32 -> 64    256, 128, 64, 32, 3

Side 16 is ours: two convolutions less, 16 -> 8 -> 4 -> 1 and back. Padding is the same on both sides, as in
toshikwa/slac.pytorch@8b9d520; TensorFlow's is a pixel more on one.

A sequence begins at its first row, whether or not an episode does: q(z¹_1 | x_1) and N(0, 1) hold there for any x_1.
Rows at which `first` is 1 begin anew. An action stands beside what it led to; time is the last axis but one.
"""

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.aligned_latent import Latent
from relatent.nets.image import COLOURS, kernels_of, unit
from relatent.nets.mlp import mlp, xavier
from relatent.nets.rssm import stacked

LEAST_STD = 1e-5
LAST_SIDE = 4  # of the last image but one
leaky = partial(nn.LeakyReLU, 0.2, inplace=True)


class Filtered(NamedTuple):
    """Along sequences of T observations, each (..., T, size)."""

    latents: Tensor
    """Samples of q(z_t), z¹_t before z²_t."""
    posterior: Latent
    """Of z¹_t, told the z²_{t-1} that was sampled."""
    prior: Latent
    """Of z¹_t, told the same but x_t."""


class Law(nn.Module):
    """A diagonal Gaussian of what is known."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.net = mlp([inputs, width, width, 2 * outputs], leaky, xavier)

    def forward(self, *inputs: Tensor) -> Latent:
        mean, raw = self.net(torch.cat(inputs, dim=-1)).chunk(2, -1)
        return Latent(mean, F.softplus(raw) + LEAST_STD)


def widths(side: int, depth: int) -> list[int]:
    """Channels of the images between, the largest image first. Raises RelatentError where there are no networks."""
    return [depth * 2**number for number in range(len(kernels_of(side)))]


def sequential(layers: list[nn.Conv2d | nn.ConvTranspose2d]) -> nn.Sequential:
    """Convolutions with their initial weights, leaky ReLU after each."""
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*(part for layer in layers for part in (layer, leaky())))


class Compressor(nn.Module):
    """Features of an image."""

    def __init__(self, side: int, depth: int, features: int) -> None:
        super().__init__()
        channels, self.features = widths(side, depth), features
        self.layers = sequential(
            [
                nn.Conv2d(COLOURS, depth, 5, 2, 2),
                *(nn.Conv2d(*pair, 3, 2, 1) for pair in pairwise(channels)),
                nn.Conv2d(channels[-1], features, LAST_SIDE),
            ]
        )

    def forward(self, images: Tensor) -> Tensor:
        """(..., features) from bytes (..., 3, side, side)."""
        inputs = unit(images, next(self.parameters()).dtype)
        return self.layers(inputs.reshape(-1, *images.shape[-3:])).reshape(*images.shape[:-3], self.features)


class Decoder(nn.Module):
    """Mean of an image."""

    def __init__(self, inputs: int, side: int, depth: int) -> None:
        super().__init__()
        channels = widths(side, depth)[::-1]
        self.layers = sequential(
            [
                nn.ConvTranspose2d(inputs, channels[0], LAST_SIDE),
                *(nn.ConvTranspose2d(*pair, 3, 2, 1, 1) for pair in pairwise(channels)),
                nn.ConvTranspose2d(depth, COLOURS, 5, 2, 2, 1),
            ]
        )

    def forward(self, latents: Tensor) -> Tensor:
        """(..., 3, side, side) from (..., inputs)."""
        images = self.layers(latents.reshape(-1, latents.shape[-1], 1, 1))
        return images.reshape(*latents.shape[:-1], *images.shape[-3:])


class SlacModel(nn.Module):
    """All of its networks. `sizes` are of z¹ and z²."""

    def __init__(self, side: int, action_size: int, depth: int, sizes: tuple[int, int]) -> None:
        super().__init__()
        self.sizes, self.latent_size, self.features = sizes, sum(sizes), 8 * depth
        (one, two), law = sizes, partial(Law, width=8 * depth)
        self.compress = Compressor(side, depth, self.features)
        self.decode = Decoder(self.latent_size, side, depth)
        self.infer_initial = law(self.features, one)
        self.infer = law(self.features + two + action_size, one)
        self.predict = law(two + action_size, one)
        self.second_initial = law(one, two)
        self.second = law(one + two + action_size, two)
        self.reward = law(2 * self.latent_size + action_size, 1)

    def filter(self, features: Tensor, actions: Tensor, first: Tensor, noise: Tensor) -> Filtered:
        """Infer along features (..., T, features), actions (..., T, action_size) that led to them, and whether an
        episode began there (..., T); `noise` is (..., T, z¹ + z²). # q of Eq 6"""
        begins = first.bool().unsqueeze(-1)
        noise1, noise2 = noise.split(self.sizes, dim=-1)
        latents1: list[Tensor] = []
        latents2: list[Tensor] = []
        posteriors: list[Latent] = []
        for step in range(noise.shape[-2]):
            seen, action = features[..., step, :], actions[..., step, :]
            posterior = self.infer_initial(seen)
            if step:
                posterior = where(begins[..., step, :], posterior, self.infer(seen, latents2[-1], action))
            latent1 = posterior.sample(noise1[..., step, :])
            law = self.second_initial(latent1)
            if step:
                law = where(begins[..., step, :], law, self.second(latent1, latents2[-1], action))
            latents1.append(latent1)
            latents2.append(law.sample(noise2[..., step, :]))
            posteriors.append(posterior)
        both = [torch.stack(latents, dim=-2) for latents in (latents1, latents2)]
        prior = self.prior(both[1], actions, begins)
        return Filtered(torch.cat(both, dim=-1), Latent(*stacked(posteriors)), prior)

    def prior(self, latents2: Tensor, actions: Tensor, begins: Tensor) -> Latent:
        """p(z¹_t | z²_{t-1}, a_{t-1}) along samples of z² (..., T, z²), for `begins` (..., T, 1)."""
        mean, std = self.predict(latents2[..., :-1, :], actions[..., 1:, :])
        later = begins[..., 1:, :]
        mean, std = mean.masked_fill(later, 0.0), std.masked_fill(later, 1.0)
        return Latent(F.pad(mean, (0, 0, 1, 0)), F.pad(std, (0, 0, 1, 0), value=1.0))

    def rewarded(self, latents: Tensor, actions: Tensor) -> Latent:
        """p(r_t | z_{t-1}, a_{t-1}, z_t) for all rows but the first, (..., T - 1, 1)."""
        return self.reward(latents[..., :-1, :], actions[..., 1:, :], latents[..., 1:, :])


def where(condition: Tensor, law: Latent, otherwise: Latent) -> Latent:
    """One law or another."""
    return Latent(torch.where(condition, law.mean, otherwise.mean), torch.where(condition, law.std, otherwise.std))
