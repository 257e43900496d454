"""ALM's networks (Ghugare et al. 2023, App D and Table 4), with the initial weights of RajGhugare19/alm@3b70f5b: all
orthogonal with gain 1, all biases zero.

The paper has ELU everywhere and normalises rewards' and values' layers; the official code has tanh after the
normalised layer, and normalises the classifier as well. `first_activation` chooses; the classifier is as in the code.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.latent_world import elu
from relatent.nets.mlp import mlp, orthogonal

MEAN_LIMIT = 30.0  # largest absolute value of a latent's mean
STD_MIN, STD_MAX = 0.1, 10.0  # of a latent, approached smoothly
FIXED_STD = 0.1  # of the identity encoder that learns none
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"tanh": nn.Tanh, "elu": elu}


class Latent(NamedTuple):
    """A diagonal Gaussian over z."""

    mean: Tensor
    std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """The reparameterised sample for standard normal `noise`."""
        return self.mean + self.std * noise


def divergence(model: Latent, encoder: Latent) -> Tensor:
    """KL(model || encoder), summed over the last axis. # the term of Eq 7"""
    spread = model.std.square() + (model.mean - encoder.mean).square()
    return (torch.log(encoder.std / model.std) + spread / (2 * encoder.std.square()) - 0.5).sum(-1)


def bounded_std(raw: Tensor, lowest: float = STD_MIN, highest: float = STD_MAX) -> Tensor:
    """A deviation between `lowest` and about `highest`."""
    below = highest - F.softplus(highest - raw)
    return lowest + F.softplus(below - lowest)


class GaussianNet(nn.Module):
    """A diagonal Gaussian over z, of what is known: e(z|s) of an observation."""

    def __init__(self, inputs: int, latent_size: int, width: int) -> None:
        super().__init__()
        self.net = mlp([inputs, width, width, 2 * latent_size], activation=elu, init=orthogonal)

    def forward(self, *inputs: Tensor) -> Latent:
        mean, raw = self.net(torch.cat(inputs, dim=-1)).chunk(2, -1)
        return Latent(MEAN_LIMIT * torch.tanh(mean / MEAN_LIMIT), bounded_std(raw))


class LatentModel(GaussianNet):
    """m(z'|z, a)."""

    def __init__(self, latent_size: int, action_size: int, width: int) -> None:
        super().__init__(latent_size + action_size, latent_size, width)

    def follow(self, latent: Tensor, actions: tuple[Tensor, ...], noise: Tensor) -> tuple[Tensor, Latent]:
        """Sampled latents along K actions, (K + 1, B, latent_size), and what is predicted after each action."""
        latents, predictions = [latent], []
        for action, draws in zip(actions, noise, strict=True):
            predictions.append(self(latents[-1], action))
            latents.append(predictions[-1].sample(draws))
        return torch.stack(latents), Latent(*(torch.stack(each) for each in zip(*predictions, strict=True)))


class IdentityEncoder(nn.Module):
    """z is the observation with noise whose deviation is learnt. # Figure 13"""

    def __init__(self, observation_size: int) -> None:
        super().__init__()
        self.raw_std = nn.Linear(observation_size, observation_size)
        orthogonal(self.raw_std)

    def forward(self, observation: Tensor) -> Latent:
        return Latent(observation, bounded_std(self.raw_std(observation)))


class FixedEncoder(nn.Module):
    """z is the observation with noise of a fixed deviation, or without any."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, observation: Tensor) -> Latent:
        return Latent(observation, torch.full_like(observation, self.std))


def make_encoder(kind: str, observation_size: int, latent_size: int, width: int) -> nn.Module:
    """e(z|s) of a kind; z has `latent_size` numbers where it is not the observation."""
    match kind:
        case "gaussian":
            return GaussianNet(observation_size, latent_size, width)
        case "identity":
            return IdentityEncoder(observation_size)
        case _:
            return FixedEncoder(FIXED_STD if kind == "identity_fixed" else 0.0)


class Rows(nn.Sequential):
    """Layers that see all leading axes as one. Each would do so by itself, and return a view of what it computed, which
    an activation in place then has to copy, both ways."""

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = super().forward(inputs.reshape(-1, inputs.shape[-1]))
        return outputs.reshape(*inputs.shape[:-1], outputs.shape[-1])


def head(inputs: int, outputs: int, width: int, first_activation: str) -> Rows:
    """Reward, Q-function or classifier: the first of two hidden layers is normalised."""
    layers = mlp([inputs, width, width, outputs], activation=elu, init=orthogonal)
    return Rows(layers[0], nn.LayerNorm(width), ACTIVATIONS[first_activation](), layers[2:])


class Classifier(nn.Module):
    """Whether z' was encoded (1) or predicted (0) after (z, a). # Eq 9"""

    def __init__(self, latent_size: int, action_size: int, width: int, linear: bool) -> None:
        super().__init__()
        inputs = 2 * latent_size + action_size
        self.net = mlp([inputs, 2], init=orthogonal) if linear else head(inputs, 2, width, "tanh")

    def forward(self, latent: Tensor, action: Tensor, next_latent: Tensor) -> Tensor:
        """Logits, (..., 2)."""
        return self.net(torch.cat([latent, action, next_latent], dim=-1))

    def log_odds(self, latent: Tensor, action: Tensor, next_latent: Tensor) -> Tensor:
        """log C / (1 - C), which estimates log e(z'|s') - log m(z'|z, a); (...)."""
        predicted, encoded = self(latent, action, next_latent).unbind(-1)
        return encoded - predicted


class Heads(nn.Module):
    """Reward r(z, a), or both Q-functions."""

    def __init__(self, count: int, latent_size: int, action_size: int, width: int, first_activation: str) -> None:
        super().__init__()
        self.nets = nn.ModuleList(head(latent_size + action_size, 1, width, first_activation) for _ in range(count))

    def forward(self, latent: Tensor, action: Tensor) -> Tensor:
        """One number each, (count, ...)."""
        inputs = torch.cat([latent, action], dim=-1)
        return torch.stack([net(inputs).squeeze(-1) for net in self.nets])

    def smaller(self, latent: Tensor, action: Tensor) -> Tensor:
        """The smallest of them, (...)."""
        return self(latent, action).amin(0)
