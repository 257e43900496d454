"""Eq 6, Eq 8 and what is usual in place of Eq 8, of one agent, and how far what should be equal is from it.

    Eq 6  =  Eq 8  =  conventional - Σ_t log p_a(x_t | z_<t)                                     at every sample
    E_q[T3 + T4 + T5]  =  -KL(q(z_t) || p_a(z_t | z_<t, x_t))  <=  0                             at every step

T4 + T5 is what Marino & Yue call information gain; T3's divergence outweighs it whatever q is. Every agent acts by a
posterior that is unrelated to its model, in an environment of its kind that is not its model either.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from scipy.stats import multivariate_normal
from torch import Tensor

from relatent.objectives.active_em import forward
from relatent.objectives.sampled_agents import (
    Draw,
    Samples,
    inferred,
    interact,
    linear_densities,
    model_of,
    random_habits,
)
from relatent.objectives.tabular_inference import (
    Environment,
    Parameters,
    all_paths,
    chance,
    normalised,
    percept_laws,
    tabular_densities,
    unrolled,
)
from relatent.objectives.term_gradients import gradient_errors
from relatent.objectives.terms import Densities, conventional, discriminative, generative

NONE: frozenset[str] = frozenset()
FEW = 10
"""Trajectories on which gradients are compared."""


class Identities(NamedTuple):
    """In nats, the largest over trajectories, or steps."""

    equation_difference: float
    """|Eq 6 - Eq 8|."""
    marginal_difference: float
    """|conventional - Eq 8 - Σ log p_a(x_t|z_<t)|, the latter computed another way."""
    information_difference: float
    """|E_q[T3 + T4 + T5] + KL|, E_q exact; of tabular agents summed over steps."""
    most_information: float
    """E_q[T3 + T4 + T5]."""
    gradient_difference: float
    """As of `relatent.objectives.term_gradients`."""
    gradient_leak: float


def fixed(densities: Densities) -> Densities:
    """Without gradients, computed once for several objectives."""
    given = densities(NONE)
    return lambda _: given


def information(densities: Densities) -> Tensor:
    """T3 + T4 + T5 of a generative agent, (..., T)."""
    terms = generative(NONE).terms(densities)
    return terms["T3"] + terms["T4"] + terms["T5"]


def differences(densities: Densities, log_marginal: Tensor) -> tuple[float, float]:
    """The first two of `Identities`, for Σ log p_a(x_t|z_<t) (n,)."""
    direct, inverse, usual = (kind(NONE).value(densities) for kind in (discriminative, generative, conventional))
    return float((direct - inverse).abs().max()), float((usual - inverse - log_marginal).abs().max())


def gradients(
    densities_of: Callable[[Parameters], Densities], agent: Parameters, weight: Tensor
) -> tuple[float, float]:
    """The larger errors, of Eq 6 and of Eq 8."""
    both = [gradient_errors(kind, densities_of, agent, weight) for kind in (discriminative, generative)]
    return max(one.difference for one in both), max(one.leak for one in both)


def linear_identities(
    model: Parameters, world: Parameters, draw: Draw, count: int, horizon: int
) -> tuple[Identities, Tensor]:
    """Of a Gaussian agent, from `count` trajectories; and (count,) by how much T3 + T4 + T5 exceed -KL, averaged over
    each one's steps, of which the mean is 0."""
    size, actions = model["control"].shape
    agent = model | random_habits(draw, size, actions)
    samples = interact(agent, world, draw, count, horizon)
    densities, linear = fixed(linear_densities(agent, samples)), model_of(agent)
    prediction = linear.dynamics(samples.earlier, samples.acted)
    posterior = inferred(agent, samples.earlier, samples.acted, samples.observation)
    away = posterior.divergence(linear.corrected(prediction, samples.observation))

    off = (samples.observation - prediction.mean @ linear.emission.mT).numpy()
    spread = linear.emission @ linear.process @ linear.emission.mT + linear.noise
    log_marginal = multivariate_normal(cov=spread.numpy()).logpdf(off).reshape(off.shape[:2]).sum(1)

    # These 2 d points have the Gaussian's mean and covariance: so do all quadratic functions have their mean over them.
    axes = size**0.5 * torch.linalg.cholesky(posterior.covariance).mT
    exact = torch.zeros_like(away)
    for axis in (*axes, *-axes):
        moved = samples._replace(latent=posterior.mean + axis)
        exact += information(linear_densities(agent, moved)) / (2 * size)
    few = Samples(*(one[:FEW] for one in samples))
    weight = torch.full((FEW,), 1 / FEW, dtype=torch.float64)
    found = Identities(
        *differences(densities, torch.from_numpy(log_marginal)),
        float((exact + away).abs().max()),
        float(exact.max()),
        *gradients(lambda one: linear_densities(one, few), agent, weight),
    )
    return found, (information(densities) + away).mean(1)


def tabular_identities(parameters: Parameters, environment: Environment, horizon: int) -> Identities:
    """Of a tabular agent, over all of its trajectories."""
    model, acting = normalised(parameters)
    paths = all_paths(acting, horizon)
    densities = fixed(tabular_densities(parameters, paths, environment.reward))
    laws, posterior = percept_laws(environment, horizon), unrolled(acting, horizon)
    often = chance(laws, posterior, paths)
    exact = float(often @ information(densities).sum(1))
    away = forward(laws, environment.reward, model.inverted(), posterior).latent_divergence

    emission = model.emission.exp()
    later = torch.einsum("zau,uo->zao", model.dynamics.exp(), emission)[
        paths.latent[:, :-1], paths.action, paths.percept[:, 1:]
    ]
    log_marginal = (model.start.exp() @ emission)[paths.percept[:, 0]].log() + later.log().sum(1)
    return Identities(
        *differences(densities, log_marginal),
        abs(exact + away),
        exact,
        *gradients(lambda one: tabular_densities(one, paths, environment.reward), parameters, often),
    )
