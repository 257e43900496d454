"""One decision with a good peak and a better one: does the policy's class decide which it finds? (RPG, Figure 4)

Two policies are trained on the reward of relatent.objectives.two_peaks, as the official tutorial does
(haosulab/RPG@a7dc920, tiny_rpg/tiny-rpg-bandit.ipynb; the paper prints no setting of this experiment):

    latent      z ~ Categorical(logits), a = tanh(u), u ~ N(mean_z, std_z²), and p_φ(z|a), which guesses z from a.
                One step of the bound of Eq 2 with weights: w_r r - w_z log π(z) - w_a log π(a|z) + w_i log p_φ(z|a).
                The logits get a score-function gradient, the actions a pathwise one, through the reward too.
    gaussian    a = tanh(u), u ~ N(mean, std²), with REINFORCE on w_r r - w_a log π(a).

All weights but the reward's decay at every step, so that what began as entropy and consistency ends as reward alone.
The reward jumps, and a pathwise gradient does not see a jump: see relatent.studies.policy_gradient_directions.

The tutorial's REINFORCE does not hold the sample fixed when it differentiates log π(a), so that it follows E[A 2a] and
not the score function E[A ∇ log π(a)], A being the advantage. `follow` chooses between the two.

What `run` records, over updates; evaluations use exact probabilities, or `QUANTILES` equally likely actions of each z
    returns.csv             eval rows: E[r(a)]; the best is 1.1, on the left peak, the right one's supremum 0.5
    histogram               (n, BINS) probability of equal bins of (-1, 1)
    mass_per_peak           (n, 2) probability of the left peak's support and of the right one's
    mass_of_rarer_peak      (n,) the smaller of the two; no tanh-Gaussian has more than 0.2708
    usage, component_mean   (n, latents) π(z), and tanh(mean_z), in order of tanh(mean_z)
    information             (n,) I(z; a) in nats
    information_bound       (n,) H(z) + E log p_φ(z|a), a lower bound of it
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.distributions import Gaussian, tanh_log_det
from relatent.nets.mlp import mlp
from relatent.objectives.two_peaks import LEFT, RIGHT, interval_mass, normal_quantiles, reward
from relatent.specs.errors import RelatentError

BINS, QUANTILES = 50, 1000


@dataclass(frozen=True)
class Hyper:
    policy: Literal["latent", "gaussian"]
    """A mixture over a categorical latent variable, or one Gaussian."""
    follow: Literal["paper", "code"]
    """The Gaussian's gradient: `paper`, the score function; `code`, log π(a) of a sample that is differentiated too."""
    latents: int
    """Values of z (K)."""
    width: int
    """Units of the one hidden layer of π(a|z) and of p_φ(z|a)."""
    batch: int
    """Actions in one update."""
    steps: int
    """Updates."""
    lr: float
    """Adam's learning rate."""
    init_log_std: float
    """The Gaussian's log-deviation before the first update, its mean being 0. The latent policy's are its network's."""
    reward_weight: float
    """Weight of the reward, which does not decay."""
    information_weight: float
    """Weight of log p_φ(z|a) at first, which the paper calls β."""
    latent_entropy_weight: float
    """Weight of the entropy of π(z) at first."""
    action_entropy_weight: float
    """Weight of the entropy of π(a|z), or of the Gaussian, at first."""
    decay: float
    """What these three weights are multiplied by at every update."""
    eval_every: int
    """Updates between two evaluations."""


class Weights(NamedTuple):
    """Of the terms of one update's objective."""

    reward: float
    information: float
    latent_entropy: float
    action_entropy: float


class Noise(NamedTuple):
    """One batch's random numbers, each (batch,)."""

    latent: Tensor
    """Uniform in [0, 1)."""
    action: Tensor
    """Standard normal."""


class LatentPolicy(nn.Module):
    """π(z), π(a|z) and p_φ(z|a)."""

    def __init__(self, hyper: Hyper, generator: torch.Generator) -> None:
        super().__init__()
        count = hyper.latents

        def init(linear: nn.Linear) -> None:
            """PyTorch's own initial weights and biases, uniform by fan-in, from our generator."""
            bound = 1 / math.sqrt(linear.in_features)
            nn.init.uniform_(linear.weight, -bound, bound, generator=generator)
            nn.init.uniform_(linear.bias, -bound, bound, generator=generator)

        self.logits = nn.Parameter(torch.randn(count, generator=generator) / math.sqrt(count))
        self.decoder = mlp([count, hyper.width, 2], nn.ELU, init)
        self.encoder = mlp([1, hyper.width, count], nn.ELU, init)
        self.register_buffer("one_hot", torch.eye(count))
        self.one_hot: Tensor

    def components(self) -> Gaussian:
        """π(u|z) of every z, mean and log-deviation (latents,)."""
        mean, log_std = self.decoder(self.one_hot).unbind(-1)
        return Gaussian(mean, log_std)

    def log_posterior(self, action: Tensor) -> Tensor:
        """log p_φ(·|a) of actions (...,): shape (..., latents)."""
        return F.log_softmax(self.encoder(action[..., None]), dim=-1)


class GaussianPolicy(nn.Module):
    """One Gaussian under tanh."""

    def __init__(self, hyper: Hyper) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(1))
        self.log_std = nn.Parameter(torch.full((1,), hyper.init_log_std))

    def components(self) -> Gaussian:
        """As a mixture of one: mean and log-deviation (1,)."""
        return Gaussian(self.mean, self.log_std)


def tanh_log_prob(source: Gaussian, pre_tanh: Tensor) -> Tensor:
    """log π(a) at a = tanh(u), elementwise."""
    each = Gaussian(source.mean[..., None], source.log_std[..., None])
    return each.log_prob(pre_tanh[..., None]) - tanh_log_det(pre_tanh[..., None])


def latent_loss(policy: LatentPolicy, weights: Weights, noise: Noise) -> Tensor:
    """Minus the objective whose gradient is RPG's: Eq 2 for one step, with weights."""
    log_prior = F.log_softmax(policy.logits, dim=-1)
    edges = log_prior.detach().exp().cumsum(0)[:-1].contiguous()
    latent = torch.searchsorted(edges, noise.latent, right=True)
    chosen = policy.one_hot[latent]  # products with it are several times faster than indexing, forth and back
    source = Gaussian(*(chosen @ torch.stack(policy.components(), dim=-1)).unbind(-1))
    pre_tanh = source.mean + source.log_std.exp() * noise.action
    action = pre_tanh.tanh()
    gained = weights.reward * reward(action)

    log_latent = chosen @ log_prior
    latent_return = (gained - weights.latent_entropy * log_latent).detach()
    score = log_latent * (latent_return - latent_return.mean())

    entropy = weights.action_entropy * tanh_log_prob(source, pre_tanh)
    # Both at once: w_i log p_φ(z|a) for policy and p_φ, and log p_φ(z|a) for p_φ alone. What the action gets is scaled.
    total = 1 + weights.information
    partly = torch.lerp(action.detach(), action, weights.information / total)
    guess = F.cross_entropy(policy.encoder(partly[:, None]), latent)
    return -(score + gained - entropy).mean() + total * guess


def gaussian_loss(policy: GaussianPolicy, weights: Weights, noise: Noise, follow: str) -> Tensor:
    """Minus the objective whose gradient is REINFORCE's (`paper`), or the tutorial's (`code`)."""
    source = policy.components()
    pre_tanh = source.mean + source.log_std.exp() * noise.action
    log_prob = tanh_log_prob(source, pre_tanh.detach() if follow == "paper" else pre_tanh)
    gained = (weights.reward * reward(pre_tanh.tanh()) - weights.action_entropy * log_prob).detach()
    return -(log_prob * (gained - gained.mean())).mean()


@torch.no_grad()
def evaluate(policy: LatentPolicy | GaussianPolicy) -> dict[str, Tensor]:
    """What the module's text lists, at one moment; `mean_reward` is the row of returns.csv."""
    source = Gaussian(*(one.double() for one in policy.components()))
    order = source.mean.argsort()
    mean, std = source.mean[order, None], source.log_std[order, None].exp()
    logits = policy.logits[order].double() if isinstance(policy, LatentPolicy) else torch.zeros(1, dtype=torch.float64)
    log_usage = F.log_softmax(logits, dim=-1)
    usage = log_usage.exp()
    edges = torch.linspace(-1, 1, BINS + 1, dtype=torch.float64)
    peaks = torch.cat([interval_mass(mean, std, *ends) for ends in (LEFT, RIGHT)], dim=-1)

    pre_tanh = mean + std * normal_quantiles(QUANTILES)  # (latents, QUANTILES)
    # log π(u|z') of every u; a = tanh(u) has the same mutual information with z.
    standardised = (pre_tanh[..., None] - mean[:, 0]) / std[:, 0]
    log_each = -0.5 * standardised.square() - std[:, 0].log()
    own = log_each.diagonal(dim1=0, dim2=2).T
    information = usage @ (own - torch.logsumexp(log_each + log_usage, dim=-1)).mean(-1)
    bound = torch.zeros((), dtype=torch.float64)
    if isinstance(policy, LatentPolicy):
        guesses = policy.log_posterior(pre_tanh.tanh().float()).double()[..., order]
        bound = usage @ (guesses.diagonal(dim1=0, dim2=2).T.mean(-1) - log_usage)
    mass = usage @ peaks
    return {
        "mean_reward": usage @ reward(pre_tanh.tanh()).mean(-1),
        "histogram": usage @ interval_mass(mean, std, edges[:-1], edges[1:]),
        "mass_per_peak": mass,
        "mass_of_rarer_peak": mass.min(),
        "usage": usage,
        "component_mean": mean[:, 0].tanh(),
        "information": information,
        "information_bound": bound,
    }


def run(spec: dict[str, Any], record: Any) -> None:
    """Train one policy and record what the module's text lists."""
    hyper = Hyper(**spec["hyper"])
    generator = torch.Generator().manual_seed(spec["seed"])
    policy: LatentPolicy | GaussianPolicy = (
        GaussianPolicy(hyper) if hyper.policy == "gaussian" else LatentPolicy(hyper, generator)
    )
    optimiser = torch.optim.Adam(policy.parameters(), hyper.lr, fused=True)
    history: list[tuple[int, dict[str, Tensor]]] = []
    for step in range(hyper.steps + 1):
        if step % hyper.eval_every == 0 or step == hyper.steps:
            found = evaluate(policy)
            mean_reward = float(found.pop("mean_reward"))
            if not math.isfinite(mean_reward):
                raise RelatentError(f"studies.multimodal_bandit: mean reward is {mean_reward} at update {step}")
            record.episode("eval", step, len(history), mean_reward)
            history.append((step, found))
        if step < hyper.steps:
            left = hyper.decay**step
            entropies = (hyper.latent_entropy_weight * left, hyper.action_entropy_weight * left)
            weights = Weights(hyper.reward_weight, hyper.information_weight * left, *entropies)
            uniform = torch.rand(hyper.batch, generator=generator)
            noise = Noise(uniform, torch.randn(hyper.batch, generator=generator))
            optimiser.zero_grad()
            if isinstance(policy, LatentPolicy):
                latent_loss(policy, weights, noise).backward()
            else:
                gaussian_loss(policy, weights, noise, hyper.follow).backward()
            optimiser.step()
        record.progress(step, hyper.steps)

    frames = torch.tensor([step for step, _ in history]).numpy()
    for name in history[0][1]:
        series = torch.stack([found[name] for _, found in history])
        record.arrays(**{name: series.numpy(), f"{name}_frames": frames})
