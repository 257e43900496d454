"""π(z|s), from which a reparameterised policy draws its z as an episode begins. # RPG, Eq 2, Algorithm 1, Table 1

Each maps an encoded state and the noise that its `draw_noise` makes to what the kind of z (latent_variable.py) draws
from. Where rewards are sparse that is the noise itself, so that no state has a say. Where they are dense it is learnt:
a Gaussian in the paper, the softmax of regressed values of categories in haosulab/RPG@a7dc920.
"""

import math

from torch import Tensor, nn

from relatent.nets.distributions import Gaussian
from relatent.nets.latent_world import two_layers
from relatent.nets.noise import gumbel, normal
from relatent.nets.tanh_policy import bounded


class GivenLatentPolicy(nn.Module):
    """N(0, I) in every state; of a z that is a constant, nothing."""

    draw_noise = staticmethod(normal)

    def __init__(self, state: int, size: int, width: int, temperature: float) -> None:
        del state, size, width, temperature
        super().__init__()

    def forward(self, state: Tensor, noise: Tensor) -> Tensor:
        """The noise, (..., size)."""
        del state
        return noise


class SoftmaxLatentPolicy(nn.Module):
    """A softmax of learnt values of categories, divided by a temperature."""

    draw_noise = staticmethod(gumbel)

    def __init__(self, state: int, size: int, width: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.values = two_layers(state, size, width)

    def forward(self, state: Tensor, noise: Tensor) -> Tensor:
        """Logits with a Gumbel draw each, (..., size), the largest of which is the category that is drawn."""
        return noise + self.values(state) / self.temperature


class GaussianLatentPolicy(nn.Module):
    """A diagonal Gaussian with learnt means and log-deviations.

    The paper does not say how it is made. Ours: the perceptron is that of every other head; its last layer is zero at
    first, so that learning begins at N(0, I), which the sparse tasks keep; deviations have the bounds of π(a|s, z).
    """

    draw_noise = staticmethod(normal)

    def __init__(self, state: int, size: int, width: int, temperature: float) -> None:
        del temperature
        super().__init__()
        self.net = two_layers(state, 2 * size, width)
        *_, last = self.net.children()
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, state: Tensor, noise: Tensor) -> Tensor:
        """z (..., size), differentiable by the mean and the deviation that it was drawn with."""
        return self.given(state).sample(noise)

    def given(self, state: Tensor) -> Gaussian:
        """The Gaussian in a state (..., state)."""
        mean, log_std = self.net(state).chunk(2, -1)
        return Gaussian(mean, bounded(log_std))

    def entropy(self, state: Tensor) -> Tensor:
        """H(π(z|s)) in nats, (...)."""
        return (self.given(state).log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    def entropy_excess(self, state: Tensor) -> Tensor:
        """H(π(z|s)) - H(N(0, I)), (...)."""
        return self.given(state).log_std.sum(-1)


LatentPolicy = GivenLatentPolicy | SoftmaxLatentPolicy | GaussianLatentPolicy
LATENT_POLICIES: dict[str, type[LatentPolicy]] = {
    "gaussian": GivenLatentPolicy,
    "learnt_gaussian": GaussianLatentPolicy,
    "categorical": SoftmaxLatentPolicy,
    "none": GivenLatentPolicy,
}
