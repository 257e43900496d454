"""Where gradients point on a reward with two peaks, and which policies can be on both: all of it exact (RPG, Figure 2).

The paper's figure is a drawing. Here its reward is that of relatent.objectives.two_peaks and its Gaussian the one that
Figure 4 starts from, so that every panel is a number. With a = tanh(u), u ~ N(μ, σ²), the gradient of J = E[r(a)] by μ
is the score; what else is taken for it:

    score       E[r(a) (u - μ)/σ²], the policy gradient, true whatever r is;
    pathwise    E[r'(a) da/du], what autograd gives: true only where r is continuous;
    jump        -r(7/8-) N(atanh(7/8); μ, σ²), what the jump at 7/8 adds: score = pathwise + jump;
    tutorial    E[(r(a) - J) 2a], what the official tutorial follows instead of the score, by differentiating log π of a
                sample that depends on μ (haosulab/RPG@a7dc920, tiny_rpg/tiny-rpg-bandit.ipynb).

Which policies can be on both peaks is judged by the policy that is wanted, p*(a) = exp(r(a)/T)/Z, the maximum of
J + T H(π) over all policies. Three classes maximise it: a softmax over equal bins, one Gaussian, and a mixture over a
latent variable of `latents` values; the last two by exact gradients, which are those of KL(π || p*).

What `run` records; only what is sampled and where the latent policy starts depend on the seed
    score, pathwise, jump, tutorial, mean_reward
                            (1,) at the start, μ = 0, σ = exp(init_log_std)
    sampled_X, sampled_X_se (1,) of score, pathwise and tutorial: means and standard errors of `samples` estimates
    curve_mean, curve_X     (n,) the same as at the start, over μ
    width_std, width_plain_score, width_tanh_score
                            (n,) the score at μ = 0 over σ, of N(0, σ²) itself and of its tanh
    bins, softmax_reverse_kl, softmax_best_bin
                            (k,) numbers of bins; KL(π || p*) of the best softmax, in nats; the middle of the bin of the
                            largest mean reward, where J alone leads
    drawn_edges, drawn_density, drawn_gradient
                            (8,) of the paper's eight bins: left edges, the best softmax's density, the gradient of J by
                            the logits of the uniform softmax
    softmax_finds_best      (1,) 1 if J alone leads those eight bins to the best action's
    X_reverse_kl, X_mass_of_rarer_peak, X_mass_per_peak
                            (1,), (1,) and (1, 2) of gaussian, where gradients lead from the start, latent, and softmax
                            (eight bins); of target the last
    gaussian_best_reverse_kl
                            (1,) of the best Gaussian there is
    gaussian_ascent_reward, gaussian_ascent_mean
                            (1,) J, and tanh μ, where gradients of J alone lead the Gaussian
    grid, reward            (n,) actions, and r(a)
    X_density               (n,) densities over them: target, start, gaussian, latent
    latent_component_density
                            (n, latents) each π(z) π(a|z), by mean
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from relatent.objectives.peak_policies import (
    Mixture,
    best_softmax,
    gaussian_at,
    log_normaliser,
    mass_of_bins,
    mean_reward_of,
    reverse_kl,
)
from relatent.objectives.two_peaks import BEST_ACTION, JUMP, LEFT, RIGHT, SECOND, line, panels, reward, support

DRAWN = 8
"""Bins of the paper's Figure 2B."""
GRID = torch.linspace(-0.998, 0.998, 500, dtype=torch.float64)
MEANS = torch.linspace(-1.5, 1.5, 121, dtype=torch.float64)
STDS = torch.logspace(math.log10(0.25), math.log10(4), 61, dtype=torch.float64)


@dataclass(frozen=True)
class Hyper:
    init_log_std: float
    """Log-deviation of the Gaussian at the start; its mean is 0."""
    temperature: float
    """T of the policy that is wanted, exp(r/T)/Z."""
    bins: tuple[int, ...]
    """Numbers of bins of the softmax policies."""
    latents: int
    """Values of z."""
    samples: int
    """One-sample estimates of each gradient."""
    steps: int
    """Exact gradient steps towards the policy that is wanted."""
    lr: float
    """Adam's learning rate in these steps."""


def normal_density(value: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return torch.exp(-0.5 * ((value - mean) / std).square()) / (std * math.sqrt(2 * math.pi))


class Directions(NamedTuple):
    """J and the gradients by μ that the module's text names."""

    mean_reward: Tensor
    score: Tensor
    pathwise: Tensor
    jump: Tensor
    tutorial: Tensor


def directions(mean: Tensor, std: Tensor) -> Directions:
    """Of tanh(N(mean, std²)), for means and deviations (n,), float64, by quadrature."""
    at, weight = line()
    action, slope = slope_of_reward(at.tanh())
    density = weight * normal_density(at, mean[:, None], std[:, None])
    gained = reward(action)
    mean_reward = density @ gained
    centred = (at - mean[:, None]) / std[:, None].square()
    return Directions(
        mean_reward,
        score=(density * centred) @ gained,
        pathwise=density @ (slope * (1 - action.square())),
        jump=-SECOND * normal_density(torch.tensor(math.atanh(JUMP), dtype=torch.float64), mean, std),
        tutorial=density @ (2 * action * gained) - mean_reward * (density @ (2 * action)),
    )


def plain_score(std: Tensor) -> Tensor:
    """The policy gradient by μ at μ = 0 of N(μ, std²) itself, whose actions are not bounded; r is 0 beyond (-1, 1)."""
    at, weight = support()
    return (normal_density(at, torch.zeros(1), std[:, None]) * at / std[:, None].square()) @ (weight * reward(at))


def slope_of_reward(action: Tensor) -> tuple[Tensor, Tensor]:
    """The actions, and r' of the smooth pieces there."""
    leaf = action.detach().requires_grad_()
    (slope,) = torch.autograd.grad(reward(leaf).sum(), leaf)
    return action, slope


def sampled(mean: float, std: float, noise: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and standard error, each (1,), of the one-sample estimates that standard normal `noise` gives."""
    action, slope = slope_of_reward((mean + std * noise).tanh())
    gained = reward(action)
    estimates = {
        "score": gained * noise / std,
        "pathwise": slope * (1 - action.square()),
        "tutorial": (gained - gained.mean()) * 2 * action,
    }
    return {name: (one.mean()[None], one.std()[None] / math.sqrt(len(noise))) for name, one in estimates.items()}


def descend(start: Mixture, loss: Any, steps: int, lr: float) -> Mixture:
    """Adam on a mixture's parameters with the loss's exact gradients, the rate falling to zero at the end."""
    parameters = [one.clone().requires_grad_() for one in start]
    optimiser = torch.optim.Adam(parameters, lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(Mixture(*parameters)).backward()
        optimiser.step()
        schedule.step()
    return Mixture(*(one.detach() for one in parameters))


def run(spec: dict[str, Any], record: Any) -> None:
    """Compute and record what the module's text lists."""
    hyper = Hyper(**spec["hyper"])
    generator = torch.Generator().manual_seed(spec["seed"])
    found: dict[str, Tensor] = {}
    zero, std = torch.zeros(1, dtype=torch.float64), torch.full((1,), hyper.init_log_std, dtype=torch.float64).exp()
    found |= directions(zero, std)._asdict()
    found |= {f"curve_{name}": one for name, one in directions(MEANS, std.expand_as(MEANS))._asdict().items()}
    widths = directions(zero.expand_as(STDS), STDS).score
    found |= {
        "curve_mean": MEANS,
        "width_std": STDS,
        "width_tanh_score": widths,
        "width_plain_score": plain_score(STDS),
    }
    noise = torch.randn(hyper.samples, generator=generator, dtype=torch.float64)
    for name, (mean, error) in sampled(0.0, float(std), noise).items():
        found |= {f"sampled_{name}": mean, f"sampled_{name}_se": error}
    record.progress(1, 4)
    found |= softmaxes(hyper)
    record.progress(2, 4)
    found |= mixtures(hyper, generator)
    record.arrays(**{name: one.numpy() for name, one in found.items()})


def softmaxes(hyper: Hyper) -> dict[str, Tensor]:
    """What is recorded of policies over bins."""
    each = [best_softmax(bins, hyper.temperature) for bins in hyper.bins]
    middles = [(2 * int(one.mean_reward.argmax()) + 1) / len(one.mean_reward) - 1 for one in each]
    drawn = best_softmax(DRAWN, hyper.temperature)
    edges = torch.linspace(-1, 1, DRAWN + 1, dtype=torch.float64)
    best = (edges[:-1] <= BEST_ACTION) & (edges[1:] > BEST_ACTION)
    mass = mass_of_bins(drawn.probability)
    return {
        "bins": torch.tensor(hyper.bins),
        "softmax_reverse_kl": torch.stack([one.reverse_kl for one in each]),
        "softmax_best_bin": torch.tensor(middles),
        "drawn_edges": edges[:-1],
        "drawn_density": drawn.probability * DRAWN / 2,
        "drawn_gradient": (drawn.mean_reward - drawn.mean_reward.mean()) / DRAWN,
        "softmax_finds_best": (drawn.mean_reward.argmax() == best.float().argmax()).double()[None],
        "softmax_mass_per_peak": mass[None],
        "softmax_mass_of_rarer_peak": mass.min()[None],
    }


def mixtures(hyper: Hyper, generator: torch.Generator) -> dict[str, Tensor]:
    """What is recorded of the Gaussian, the latent policy and their target."""

    def away(policy: Mixture) -> Tensor:
        return reverse_kl(policy, hyper.temperature)

    start = gaussian_at(0.0, hyper.init_log_std)
    count = hyper.latents
    means = torch.randn(count, generator=generator, dtype=torch.float64)
    spread = Mixture(torch.zeros(count, dtype=torch.float64), means, torch.zeros(count, dtype=torch.float64))
    gaussian, latent = (descend(one, away, hyper.steps, hyper.lr) for one in (start, spread))
    on_peaks = [gaussian_at(math.atanh(peak), -2.0) for peak in (BEST_ACTION, sum(RIGHT) / 2)]
    best = min(float(away(descend(one, away, hyper.steps, hyper.lr))) for one in on_peaks)
    rewarded = descend(start, lambda policy: -mean_reward_of(policy), hyper.steps, hyper.lr)

    at = GRID.atanh()
    log_target = reward(GRID) / hyper.temperature - log_normaliser(hyper.temperature)
    nodes, weight = panels([*LEFT, *RIGHT], 200)
    wanted = weight * torch.exp(reward(nodes) / hyper.temperature - log_normaliser(hyper.temperature))
    on_left, on_right = (wanted[(nodes > low) & (nodes < high)].sum() for low, high in (LEFT, RIGHT))
    stretch = 1 / (1 - GRID.square())
    found = {
        "grid": GRID,
        "reward": reward(GRID),
        "target_density": log_target.exp(),
        "target_mass_per_peak": torch.stack([on_left, on_right])[None],
        "gaussian_best_reverse_kl": torch.tensor([best]),
        "gaussian_ascent_reward": mean_reward_of(rewarded)[None],
        "gaussian_ascent_mean": rewarded.mean.tanh(),
        "start_density": start.components(at)[:, 0].exp() * stretch,
        "latent_component_density": latent.components(at)[:, latent.mean.argsort()].exp() * stretch[:, None],
    }
    for name, policy in {"gaussian": gaussian, "latent": latent}.items():
        mass = policy.mass_per_peak()
        found |= {
            f"{name}_reverse_kl": away(policy)[None],
            f"{name}_mass_per_peak": mass[None],
            f"{name}_mass_of_rarer_peak": mass.min()[None],
            f"{name}_density": torch.logsumexp(policy.components(at), -1).exp() * stretch,
        }
    return found
