"""Both sides of the bound that RPG's Table 2 says five methods share, each side computed its own way (App F, Eq 2).

    log p(x)  =  E_q[log p(x, z) - log q(z)]  +  KL(q(z) || p(z|x))                 evidence = ELBO + divergence

For models so small that no sampling is needed: the evidence comes from the marginal of what is observed, the ELBO from
the joint, the divergence from the posterior. All in nats, float64.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Array = NDArray[np.float64]
LOG_TAU = math.log(2 * math.pi)


class Sides(NamedTuple):
    """Of the identity, in nats."""

    evidence: float
    elbo: float
    divergence: float


def gaussian_log_prob(value: Array | float, mean: Array | float, variance: Array | float) -> Array:
    return np.asarray(-0.5 * (LOG_TAU + np.log(variance) + (value - mean) ** 2 / variance))


def mean_log(weight: Array, log_value: Array) -> float:
    """Σ weight · log_value; nothing where the weight is 0."""
    return float(np.where(weight > 0, weight * log_value, 0.0).sum())


# Gaussians


class Vae(NamedTuple):
    """x observed; p(x|z) = N(gain z + offset, noise), p(z) = N(0, 1), q(z|x) = N(mean, variance)."""

    x: float
    gain: float
    offset: float
    noise: float
    mean: float
    variance: float


def vae(model: Vae) -> Sides:
    """log N(x; offset, gain² + noise); reconstruction and KL to the prior; KL to the posterior."""
    x, gain, offset, noise, mean, variance = model
    evidence = gaussian_log_prob(x, offset, gain**2 + noise)
    reconstruction = gaussian_log_prob(x, gain * mean + offset, noise) - 0.5 * gain**2 * variance / noise
    to_prior = 0.5 * (variance + mean**2 - 1 - math.log(variance))
    posterior_variance = 1 / (1 + gain**2 / noise)
    posterior_mean = posterior_variance * gain * (x - offset) / noise
    ratio = variance / posterior_variance
    away = 0.5 * (ratio + (mean - posterior_mean) ** 2 / posterior_variance - 1 - math.log(ratio))
    return Sides(float(evidence), float(reconstruction - to_prior), away)


class Chain(NamedTuple):
    """x_0 observed; noised by q(x_t|x_{t-1}) = N(√(1-β_t) x_{t-1}, β_t); from p(x_T) = N(0, 1) back by p(x_{t-1}|x_t) =
    N(gain_t x_t, noise_t)."""

    x: float
    beta: Array
    gain: Array
    noise: Array
    """(noisings,), entry t - 1 leads from x_t to x_{t-1}."""


def diffusion(model: Chain) -> Sides:
    """Evidence by passing the variance down the chain, ELBO term by term, divergence between two joint Gaussians."""
    x, beta, gain, noise = model
    count, keep = len(beta), np.sqrt(1 - beta)
    variance = 1.0
    for t in reversed(range(count)):
        variance = gain[t] ** 2 * variance + noise[t]
    evidence = gaussian_log_prob(x, 0.0, variance)

    # Moments of x_1 .. x_T under q given x_0.
    means, covariance = np.empty(count), np.zeros((count, count))
    mean, spread = x, 0.0
    for t in range(count):
        mean, spread = keep[t] * mean, keep[t] ** 2 * spread + beta[t]
        means[t], covariance[t, t] = mean, spread
        for later in range(t + 1, count):
            covariance[t, later] = covariance[later, t] = spread * np.prod(keep[t + 1 : later + 1])
    lower = np.concatenate([[x], means[:-1]])
    lower_variance = np.concatenate([[0.0], np.diag(covariance)[:-1]])
    between = np.concatenate([[0.0], np.diag(covariance, 1)])
    error = (lower - gain * means) ** 2 + lower_variance - 2 * gain * between + gain**2 * np.diag(covariance)
    decoded = -0.5 * (LOG_TAU + np.log(noise) + error / noise).sum()
    prior = -0.5 * (LOG_TAU + means[-1] ** 2 + covariance[-1, -1])
    entropy = 0.5 * (1 + LOG_TAU + np.log(beta)).sum()

    # p(x_0 .. x_T) is Gaussian with this precision; conditioning on x_0 is taking its lower block.
    precision = np.zeros((count + 1, count + 1))
    precision[count, count] = 1.0
    for t in range(count):
        step = np.zeros(count + 1)
        step[t], step[t + 1] = 1.0, -gain[t]
        precision += np.outer(step, step) / noise[t]
    posterior = precision[1:, 1:]
    posterior_mean = np.linalg.solve(posterior, -precision[1:, 0] * x)
    off = means - posterior_mean
    log_volumes = -np.linalg.slogdet(posterior)[1] - np.linalg.slogdet(covariance)[1]
    divergence = 0.5 * (np.trace(posterior @ covariance) + off @ posterior @ off - count + log_volumes)
    return Sides(float(evidence), float(decoded + prior + entropy), float(divergence))


# A mixture of Gaussians


class Components(NamedTuple):
    """Weights, means and variances, each (components,)."""

    weight: Array
    mean: Array
    variance: Array


def joint(data: Array, model: Components) -> Array:
    """log p(x, z), shape (data, components)."""
    return np.log(model.weight) + gaussian_log_prob(data[:, None], model.mean, model.variance)


def expectation(data: Array, model: Components) -> Array:
    """The posterior of z, (data, components): the E-step."""
    log_joint = joint(data, model)
    return np.asarray(np.exp(log_joint - logsumexp(log_joint, axis=1)[:, None]))


def maximisation(data: Array, posterior: Array) -> Components:
    """The M-step."""
    total = posterior.sum(0)
    mean = data @ posterior / total
    variance = (posterior * (data[:, None] - mean) ** 2).sum(0) / total
    return Components(total / len(data), mean, variance)


def em(data: Array, model: Components, posterior: Array) -> Sides:
    """Of all data together, for any q(z|x) (data, components)."""
    log_joint = joint(data, model)
    log_posterior = log_joint - logsumexp(log_joint, axis=1)[:, None]
    log_q = np.log(np.maximum(posterior, np.finfo(float).tiny))
    elbo, divergence = mean_log(posterior, log_joint - log_q), mean_log(posterior, log_q - log_posterior)
    return Sides(float(logsumexp(log_joint, axis=1).sum()), elbo, divergence)


# One decision, and several


class Decision(NamedTuple):
    """π(z) (Z,), π(a|z) (Z, A), p_φ(z|a) (Z, A), log p(O|a) (A,) and p(a) (A,)."""

    latent: Array
    action: Array
    guess: Array
    optimality: Array
    prior: Array

    def joint(self) -> Array:
        """π(z, a)."""
        return self.latent[:, None] * self.action

    def evidence(self) -> float:
        """log p(O)."""
        return float(logsumexp(self.optimality + np.log(self.prior)))

    def optimal(self) -> Array:
        """p(a|O), (A,)."""
        return np.asarray(np.exp(self.optimality + np.log(self.prior) - self.evidence()))


def maxent_rl(model: Decision) -> Sides:
    """Without z: the policy is the marginal π(a)."""
    policy = model.joint().sum(0)
    elbo = mean_log(policy, model.optimality + np.log(model.prior) - np.log(policy))
    return Sides(model.evidence(), elbo, mean_log(policy, np.log(policy) - np.log(model.optimal())))


def rpg(model: Decision) -> Sides:
    """Eq 2: reward + prior + cross entropy + entropy, and KL(π(z, a) || p_φ(z|a) p(a|O))."""
    policy = model.joint()
    terms = model.optimality + np.log(model.prior) + np.log(model.guess) - np.log(policy)
    away = np.log(policy) - np.log(model.guess) - np.log(model.optimal())
    return Sides(model.evidence(), mean_log(policy, terms), mean_log(policy, away))


def with_own_posterior(model: Decision) -> Decision:
    """p_φ becomes the policy's own π(z|a)."""
    policy = model.joint()
    return model._replace(guess=policy / policy.sum(0))


def at_fixed_point(model: Decision) -> Decision:
    """π(z, a) becomes p(a|O) p_φ(z|a), p_φ being any."""
    policy = model.guess * model.optimal()
    latent = policy.sum(1)
    return model._replace(latent=latent, action=policy / latent[:, None])


class Process(NamedTuple):
    """p(s_1) (S,), p(s'|s, a) (S, A, S), rewards (S, A), p(a|s) (S, A), π(z|s_1) (S, Z), π(a|s, z) (S, Z, A) and
    p_φ(z|s, a) (S, A, Z), which multiplies along a trajectory and is then normalised over z."""

    start: Array
    transition: Array
    reward: Array
    prior: Array
    latent: Array
    action: Array
    guess: Array


def rpg_mdp(model: Process, horizon: int) -> Sides:
    """Eq 2 over all (z, τ). The evidence by dynamic programming, which sees no trajectory."""
    states, latents, actions = model.action.shape
    value = np.zeros(states)  # log p(O_t.. | s_t)
    for _ in range(horizon):
        ahead = logsumexp(np.log(model.transition) + value, axis=2)
        value = logsumexp(np.log(model.prior) + model.reward + ahead, axis=1)
    evidence = float(logsumexp(np.log(model.start) + value))

    shape = (latents, *(states, actions) * horizon)
    latent, *path = np.indices(shape)
    log_p = np.log(model.start)[path[0]]  # log p(O, τ)
    log_q = log_p + np.log(model.latent)[path[0], latent]  # log π(z, τ)
    log_guess = np.zeros(shape)
    for t in range(horizon):
        state, action = path[2 * t], path[2 * t + 1]
        log_p = log_p + model.reward[state, action] + np.log(model.prior)[state, action]
        log_q = log_q + np.log(model.action)[state, latent, action]
        log_guess = log_guess + np.log(model.guess)[state, action, latent]
        if t + 1 < horizon:
            moved = np.log(model.transition)[state, action, path[2 * t + 2]]
            log_p, log_q = log_p + moved, log_q + moved
    log_guess = log_guess - logsumexp(log_guess, axis=0)
    policy = np.exp(log_q)
    optimal = log_p - logsumexp(log_p[0])  # log p(τ|O), by enumeration
    return Sides(evidence, mean_log(policy, log_p + log_guess - log_q), mean_log(policy, log_q - log_guess - optimal))
