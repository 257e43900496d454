"""The five methods of RPG's Table 2 as one identity, computed on both sides without sampling (App F, Eq 2).

    log p(x)  =  E_q[log p(x, z) - log q(z)]  +  KL(q(z) || p(z|x))                 evidence = ELBO + divergence

The sides are those of relatent.objectives.elbo_family. What is observed, x, and what is latent, z, are those of the
table's row:

    vae         x = w z + b + s ε with z ~ N(0, 1); q(z|x) = N(m, v), any.
    em          a mixture of two Gaussians and five numbers x; q(z|x) are the responsibilities before an M-step.
    diffusion   x_0 and a chain of noised x_t; q is the noising chain, p a reversed linear-Gaussian chain.
    maxent_rl   O, optimality, and one action; q is the policy, p(O|a) = exp(r(a)).
    rpg         the same with z: q = π(z) π(a|z), p = p(O|a) p_φ(z|a) p(a), p_φ any.
    rpg_mdp     Eq 2 whole: T = `horizon` decisions in a random process, trajectories enumerated; p and q share the
                start state and the transitions, as in Eq 1.

Model 0 of each method is fixed, the others are drawn from the seed.

What `run` records
    method, model, evidence, elbo, divergence       (methods x models,) in the order of METHODS
    discrepancy             (1,) the largest |evidence - (ELBO + divergence)|
    posterior_loses         (1,) rpg: how many models have a lower ELBO where p_φ becomes the policy's own posterior
    marginal_gap            (1,) rpg: that ELBO is the marginal's maximum-entropy objective; the largest difference
    fixed_point_divergence  (1,) rpg: the largest divergence where π(z, a) = p(a|O) q(z|a) and p_φ = q, for any q
    expectation_gap, fall   (1,) em: the largest divergence after an E-step, and the largest fall of the evidence in an
                            iteration
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from relatent.objectives.elbo_family import (
    Array,
    Chain,
    Components,
    Decision,
    Process,
    Sides,
    Vae,
    at_fixed_point,
    diffusion,
    em,
    expectation,
    maxent_rl,
    maximisation,
    rpg,
    rpg_mdp,
    vae,
    with_own_posterior,
)


@dataclass(frozen=True)
class Hyper:
    models: int
    """Models of each method, the fixed one included."""
    latents: int
    """Values of z in the enumerated models."""
    actions: int
    """Actions there."""
    states: int
    """States of the decision process."""
    horizon: int
    """Its decisions (T)."""
    noisings: int
    """Latent variables of the diffusion chain (T)."""
    iterations: int
    """EM iterations in which the evidence must not fall."""


# The fixed models, and random ones

DATA = np.array([-2.0, -1.0, 1.0, 2.0, 3.0])
START = Components(np.array([0.5, 0.5]), np.array([-1.0, 1.0]), np.ones(2))
FIXED_DECISION = Decision(
    latent=np.array([0.5, 0.3, 0.2]),
    action=np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.6, 0.2, 0.1], [0.05, 0.05, 0.8, 0.1]]),
    guess=np.full((3, 4), 1 / 3),
    optimality=np.log([1.0, 2.0, 4.0, 1.0]),
    prior=np.full(4, 0.25),
)
FIXED_VAE = Vae(x=1.0, gain=2.0, offset=0.0, noise=1.0, mean=0.0, variance=1.0)


def fixed_chain(noisings: int) -> Chain:
    """The reversal of a noising that keeps the variance at 1, which is exact, at every step but the last."""
    beta = np.linspace(0.1, 0.4, noisings)
    gain = np.sqrt(1 - beta)
    noise = beta.copy()
    noise[0] = 0.5
    return Chain(1.0, beta, gain, noise)


def random_vae(generator: np.random.Generator) -> Vae:
    x, gain, offset, mean = generator.normal(size=4)
    noise, variance = generator.gamma(2.0, size=2)
    return Vae(x, gain, offset, noise, mean, variance)


def random_chain(generator: np.random.Generator, noisings: int) -> Chain:
    beta = generator.uniform(0.05, 0.6, noisings)
    return Chain(generator.normal(), beta, generator.normal(size=noisings), generator.gamma(2.0, size=noisings))


def random_decision(generator: np.random.Generator, latents: int, actions: int) -> Decision:
    return Decision(
        latent=generator.dirichlet(np.ones(latents)),
        action=generator.dirichlet(np.ones(actions), latents),
        guess=generator.dirichlet(np.ones(latents), actions).T,
        optimality=generator.normal(size=actions),
        prior=generator.dirichlet(np.ones(actions)),
    )


def random_process(generator: np.random.Generator, hyper: Hyper) -> Process:
    states, latents, actions = hyper.states, hyper.latents, hyper.actions
    return Process(
        start=generator.dirichlet(np.ones(states)),
        transition=generator.dirichlet(np.ones(states), (states, actions)),
        reward=generator.normal(size=(states, actions)),
        prior=generator.dirichlet(np.ones(actions), states),
        latent=generator.dirichlet(np.ones(latents), states),
        action=generator.dirichlet(np.ones(actions), (states, latents)),
        guess=generator.dirichlet(np.ones(latents), (states, actions)),
    )


def random_components(generator: np.random.Generator) -> tuple[Array, Components]:
    """Five numbers, and where EM starts."""
    data = generator.normal(scale=2.0, size=5)
    means = data[generator.choice(5, 2, replace=False)]
    return data, Components(generator.dirichlet(np.full(2, 5.0)), means, generator.gamma(4.0, 0.5, 2))


def after_one_step(data: Array, start: Components) -> Sides:
    """After an M-step, with the responsibilities that it was made from."""
    posterior = expectation(data, start)
    return em(data, maximisation(data, posterior), posterior)


METHODS = ("vae", "em", "diffusion", "maxent_rl", "rpg", "rpg_mdp")


def sides(hyper: Hyper, generator: np.random.Generator) -> dict[str, tuple[Sides, Callable[[], Sides]]]:
    """By method: the fixed model's sides, and those of another random model at every call."""

    def decision() -> Decision:
        return random_decision(generator, hyper.latents, hyper.actions)

    fixed_process = random_process(np.random.default_rng(0), hyper)
    return {
        "vae": (vae(FIXED_VAE), lambda: vae(random_vae(generator))),
        "em": (after_one_step(DATA, START), lambda: after_one_step(*random_components(generator))),
        "diffusion": (
            diffusion(fixed_chain(hyper.noisings)),
            lambda: diffusion(random_chain(generator, hyper.noisings)),
        ),
        "maxent_rl": (maxent_rl(FIXED_DECISION), lambda: maxent_rl(decision())),
        "rpg": (rpg(FIXED_DECISION), lambda: rpg(decision())),
        "rpg_mdp": (
            rpg_mdp(fixed_process, hyper.horizon),
            lambda: rpg_mdp(random_process(generator, hyper), hyper.horizon),
        ),
    }


def run(spec: dict[str, Any], record: Any) -> None:
    """Compute and record what the module's text lists."""
    hyper = Hyper(**spec["hyper"])
    generator = np.random.default_rng(spec["seed"])
    both = sides(hyper, generator)
    rows = [
        (number, model, *(both[method][1]() if model else both[method][0]))
        for number, method in enumerate(METHODS)
        for model in range(hyper.models)
    ]
    table = dict(zip(("method", "model", "evidence", "elbo", "divergence"), np.array(rows).T, strict=True))
    gap = np.abs(table["evidence"] - table["elbo"] - table["divergence"]).max()
    decisions = [random_decision(generator, hyper.latents, hyper.actions) for _ in range(hyper.models)]
    informed = [with_own_posterior(one) for one in decisions]
    gains = [rpg(better).elbo - rpg(one).elbo for one, better in zip(decisions, informed, strict=True)]
    gaps = [rpg(better).elbo - maxent_rl(one).elbo for one, better in zip(decisions, informed, strict=True)]
    left, falls = zip(*(em_run(*random_components(generator), hyper.iterations) for _ in decisions), strict=True)
    record.arrays(
        **table,
        discrepancy=np.array([gap]),
        posterior_loses=np.array([sum(gain < 0 for gain in gains)]),
        marginal_gap=np.array([np.abs(gaps).max()]),
        fixed_point_divergence=np.array([max(abs(rpg(at_fixed_point(one)).divergence) for one in decisions)]),
        expectation_gap=np.array([max(left)]),
        fall=np.array([max(falls)]),
    )


def em_run(data: Array, model: Components, iterations: int) -> tuple[float, float]:
    """The largest |divergence| after an E-step, and the largest fall of the evidence from one iteration to the next."""
    left, falls, before = 0.0, 0.0, -math.inf
    for _ in range(iterations):
        posterior = expectation(data, model)
        sides = em(data, model, posterior)
        left, falls = max(left, abs(sides.divergence)), max(falls, before - sides.evidence)
        before, model = sides.evidence, maximisation(data, posterior)
        if model.variance.min() < 1e-3:  # one component on one number: the likelihood has no maximum there
            break
    return left, falls
