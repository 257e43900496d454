"""One decision with four best actions: which policies find them all (SMAC, App B.1 and Figure 7).

The MaxEnt objective of one decision is a reverse KL divergence (Eq 16-19),

    max E_π[r(a) - α log π(a)]   <=>   min KL(π || p*),   p*(a) = exp(r(a) / α) / Z.

The reward is the log-density of an equal mixture of four Gaussians N((±spacing, ±spacing), std² I). At α = 1 that
mixture is the target; a larger α widens the target's modes. There is no state: the observation is constant, so that
q(s|x) is N(0, I) without loss of generality (the first layer of π(a|s) can undo any other mean and scale). Actions are
not squashed. A Gaussian policy is the same network with one latent state drawn once and kept, so that both start alike.

Reward, spacing and temperature of the paper's figure are not stated, and they decide what it shows. With modes far
apart, a policy that is spread evenly over 1, 2, 3 or 4 of them has a KL of log 4, log 2, log(4/3) or 0. Judge by that,
not by the mass per mode: one broad Gaussian puts a quarter on each mode too.

What `run` records
    returns.csv         eval rows over optimiser steps: E_π[r(a)/α - log π(a)] (Eq 17), at most log Z (0 at α = 1)
    reverse_kl          series over optimiser steps: KL(π || p*), in nats. log π(a) is taken from `eval_particles`
                        latent states and the one that made the action; in expectation not below the true value
    reverse_kl_lower    the same without the state that made the action; in expectation not above the true value
    reverse_kl_se       standard error of reverse_kl
    samples             (eval_samples, 2) actions of the trained policy
    mass_per_mode       (4,) share of `samples` within three standard deviations of a mode of the target; modes in the
                        order (+, +), (-, +), (-, -), (+, -)
    modes_covered       (1,) how many modes hold at least a fifth of their due quarter
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from relatent.nets.distributions import Gaussian, GaussianHead
from relatent.objectives.marginal_entropy import ESTIMATORS, extra_particles, iwae, nested
from relatent.specs.errors import RelatentError

COVERED = 0.2 * 0.25  # share of samples from which a mode counts as covered
CHUNK = 250  # actions evaluated at once against all particles, to bound memory


@dataclass(frozen=True)
class Hyper:
    policy: Literal["latent", "gaussian"]
    """Mixture over a latent state, or one Gaussian."""
    entropy: Literal["nested", "mlmc", "mlmc_literal", "elbo", "iwae"]
    """Estimator of the latent policy's log-density. A Gaussian's is exact."""
    particles: int
    """Latent states drawn for each action beside the one that made it (K)."""
    latent: int
    """Dimensions of the latent state."""
    width: int
    """Units of each hidden layer."""
    layers: int
    """Hidden layers."""
    batch: int
    """Actions in one update."""
    steps: int
    """Optimiser steps."""
    lr: float
    """Adam's learning rate."""
    alpha: float
    """Temperature of the target."""
    init_gain: float
    """Gain of the mean layer's initial weights: how far the modes of the untrained policy spread."""
    init_log_std: float
    """Log-standard deviation of π(a|s) before the first step, for every s."""
    log_std_min: float
    """Smallest log-standard deviation of π(a|s)."""
    log_std_max: float
    """Largest log-standard deviation of π(a|s)."""
    eval_every: int
    """Optimiser steps between two evaluations."""
    eval_samples: int
    """Actions in one evaluation."""
    eval_particles: int
    """Latent states that log π(a) is taken from in an evaluation."""


class Target:
    """The density exp(r(a)/α)/Z of four modes."""

    def __init__(self, spacing: float, std: float, alpha: float) -> None:
        signs = [(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)]
        self.modes = spacing * torch.tensor(signs)
        self.reward_std, self.alpha = std, alpha
        self.mode_std = std * math.sqrt(alpha)
        self.log_normaliser = self._log_normaliser(spacing + 8 * self.mode_std)

    def reward(self, action: Tensor) -> Tensor:
        """r(a) of actions (..., 2)."""
        squared = (action[..., None, :] - self.modes.to(action)).square().sum(-1) / self.reward_std**2
        return torch.logsumexp(-0.5 * squared, -1) - math.log(4 * 2 * math.pi * self.reward_std**2)

    def log_prob(self, action: Tensor) -> Tensor:
        """log p*(a) of actions (..., 2). # Eq 18"""
        return self.reward(action) / self.alpha - self.log_normaliser

    def mass_per_mode(self, action: Tensor) -> Tensor:
        """Share of actions (n, 2) within three standard deviations of each mode and closest to it; shape (4,)."""
        distance = torch.cdist(action, self.modes)
        closest = nn.functional.one_hot(distance.argmin(-1), len(self.modes))
        return (closest * (distance < 3 * self.mode_std)).float().mean(0)

    def _log_normaliser(self, extent: float) -> float:
        """log Z by the trapezoidal rule, whose error on Gaussians vanishes exponentially with the grid's step."""
        axis = torch.linspace(-extent, extent, 801, dtype=torch.float64)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)
        step = float(axis[1] - axis[0])
        return float(torch.logsumexp(self.reward(grid).flatten() / self.alpha, 0)) + 2 * math.log(step)


class Policy(nn.Module):
    """π(a|s) with s ~ N(0, I); of a Gaussian policy, with one s for all actions."""

    code: Tensor

    def __init__(self, hyper: Hyper, generator: torch.Generator) -> None:
        super().__init__()
        self.latent, self.fixed = hyper.latent, hyper.policy == "gaussian"
        bounds = (hyper.log_std_min, hyper.log_std_max)

        def hidden(linear: nn.Linear) -> None:
            nn.init.xavier_uniform_(linear.weight, math.sqrt(2), generator=generator)
            nn.init.zeros_(linear.bias)

        self.decoder = GaussianHead(hyper.latent, 2, hyper.width, hyper.layers, init=hidden, log_std_range=bounds)
        nn.init.xavier_uniform_(self.decoder.mean.weight, hyper.init_gain, generator=generator)
        nn.init.zeros_(self.decoder.log_std.weight)
        nn.init.constant_(self.decoder.log_std.bias, hyper.init_log_std)
        self.register_buffer("code", torch.randn(hyper.latent, generator=generator))

    def forward(self, latent: Tensor) -> Gaussian:
        """π(·|s) for latent states (..., latent)."""
        return self.decoder(self.code.expand_as(latent) if self.fixed else latent)

    def draw(self, actions: int, particles: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Standard normal latent states (actions, particles, latent) and action noise (actions, 2)."""
        latent = torch.randn((actions, particles, self.latent), generator=generator)
        return latent, torch.randn((actions, 2), generator=generator)


def loss(policy: Policy, target: Target, entropy: str, latent: Tensor, noise: Tensor) -> Tensor:
    """E[α log π(a) - r(a)], each action from latent state 0 of its row of `latent` (batch, K+1, latent). # Eq 16"""
    components = policy(latent)
    source = Gaussian(components.mean[:, 0], components.log_std[:, 0])
    action = source.sample(noise)
    log_prob = ESTIMATORS[entropy](components.log_prob(action[:, None]))
    return (target.alpha * log_prob - target.reward(action)).mean()


class Evaluation(NamedTuple):
    """Estimates in nats; see the module's text."""

    objective: float
    reverse_kl: float
    reverse_kl_lower: float
    reverse_kl_se: float
    action: Tensor


@torch.no_grad()
def evaluate(policy: Policy, target: Target, hyper: Hyper, generator: torch.Generator) -> Evaluation:
    """Judge a policy by `eval_samples` actions. The particles 1..K are the same for all of them."""
    latent, noise = policy.draw(hyper.eval_samples, 1, generator)
    source = policy(latent[:, 0])
    action = source.sample(noise)
    particles = 1 if policy.fixed else hyper.eval_particles
    shared = policy(policy.draw(1, particles, generator)[0])  # mean and log_std of shape (1, K, 2)
    others = torch.cat([shared.log_prob(chunk[:, None]) for chunk in action.split(CHUNK)])
    log_probs = torch.cat([source.log_prob(action)[:, None], others], dim=-1).double()
    target_log_prob = target.log_prob(action.double())
    divergence = nested(log_probs) - target_log_prob
    return Evaluation(
        objective=target.log_normaliser - float(divergence.mean()),
        reverse_kl=float(divergence.mean()),
        reverse_kl_lower=float((iwae(log_probs) - target_log_prob).mean()),
        reverse_kl_se=float(divergence.std()) / math.sqrt(hyper.eval_samples),
        action=action,
    )


def run(spec: dict[str, Any], record: Any) -> None:
    """Train one policy and record what the module's text lists."""
    hyper = Hyper(**spec["hyper"])
    target = Target(spec["env"]["spacing"], spec["env"]["std"], hyper.alpha)
    entropy, particles = hyper.entropy, extra_particles(hyper.entropy, hyper.particles)
    if hyper.policy == "gaussian":
        entropy, particles = "nested", 0  # exact: a Gaussian is its own marginal

    updates = torch.Generator().manual_seed(2 * spec["seed"])
    policy = Policy(hyper, updates)
    optimiser = torch.optim.Adam(policy.parameters(), hyper.lr, fused=True)
    history: list[tuple[int, Evaluation]] = []
    for step in range(hyper.steps + 1):
        if step % hyper.eval_every == 0 or step == hyper.steps:
            # The same random numbers each time, apart from the updates': a smooth curve that cannot disturb training.
            judged = evaluate(policy, target, hyper, torch.Generator().manual_seed(2 * spec["seed"] + 1))
            if not math.isfinite(judged.reverse_kl):
                raise RelatentError(f"studies.bandit: reverse KL is {judged.reverse_kl} at step {step}")
            record.episode("eval", step, len(history), judged.objective)
            history.append((step, judged))
        if step < hyper.steps:
            optimiser.zero_grad()
            loss(policy, target, entropy, *policy.draw(hyper.batch, particles + 1, updates)).backward()
            optimiser.step()
        record.progress(step, hyper.steps)

    frames = torch.tensor([step for step, _ in history]).numpy()
    for name in ("reverse_kl", "reverse_kl_lower", "reverse_kl_se"):
        series = torch.tensor([getattr(judged, name) for _, judged in history], dtype=torch.float64)
        record.arrays(**{name: series.numpy(), f"{name}_frames": frames})
    action = history[-1][1].action
    mass = target.mass_per_mode(action)
    record.arrays(
        samples=action.numpy(), mass_per_mode=mass.numpy(), modes_covered=(mass >= COVERED).sum(0, keepdim=True).numpy()
    )
