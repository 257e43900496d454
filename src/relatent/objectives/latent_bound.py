"""ALM's lower bound on the return where nothing needs sampling: finite states, latents and actions (Thm 3.1, App A).

    J    =  log E_p[(1 - γ) Σ_t γ^t r(s_t, a_t)]  =  log E[Q(s_0, a_0)]
    L^K  =  E_q[Σ_{t<K} (1 - γ) γ^t log r(s_t, a_t) - w_t D_t  +  γ^K log Q(s_K, a_K)]               # Eq 5, 6
    D_t  =  log m(z_{t+1} | z_t, a_t) - log e(z_{t+1} | s_{t+1}),  under q a divergence, never negative in the mean

where z_{t+1} comes from e(.|s_{t+1}) under p (Eq 2) and from m(.|z_t, a_t) under q (Eq 4). The paper has w_t = γ^t.
Step (e) of its proof has a ratio of probabilities for each of the H model steps of a trajectory with H + 1 states, and
under P_K(H) there are more than t steps with probability γ^{t+1}: that is the weight which the proof gives, `EXACT`.
The paper's, `PRINTED`, counts one model step more, and its bound is lower by (1 - γ) Σ_{t<K} γ^t E_q[D_t].

A trajectory is a chain of x = (s, z, a), and everything that follows is a sum over x or over all chains. In nats.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

Array = NDArray[np.float64]
PRINTED, EXACT = 0, 1
"""By how much w_t is a higher power of the discount than t."""


class Process(NamedTuple):
    """p(s_0) (S,), p(s'|s, a) (S, A, S), r(s, a) > 0 (S, A), e(z|s) (S, Z), m(z'|z, a) (Z, A, Z), π(a|z) (Z, A), γ."""

    start: Array
    transition: Array
    reward: Array
    encoder: Array
    model: Array
    policy: Array
    discount: float

    def first(self) -> Array:
        """The law of x_0, (S, Z, A), which p and q share."""
        return np.asarray(self.start[:, None, None] * self.encoder[:, :, None] * self.policy)

    def action_values(self) -> Array:
        """Q(s, a) = E_p[(1 - γ) Σ_t γ^t r(s_t, a_t)], (S, A), which solves a linear equation."""
        states, actions = self.reward.shape
        acts = self.encoder @ self.policy
        onwards = np.einsum("sat,tb->satb", self.transition, acts).reshape(states * actions, -1)
        gained = (1 - self.discount) * self.reward.ravel()
        values = np.linalg.solve(np.eye(states * actions) - self.discount * onwards, gained)
        return np.asarray(values.reshape(states, actions))

    def log_return(self) -> float:
        """J."""
        return math.log(np.einsum("sza,sa->", self.first(), self.action_values()))

    def divergences(self) -> Array:
        """KL(m(.|z, a) || e(.|s')), (Z, A, S)."""
        ratio = np.log(self.model)[:, :, None] - np.log(self.encoder)
        return np.asarray(np.einsum("zau,zatu->zat", self.model, ratio))


# The bound, by carrying the law of x forward


class Expectations(NamedTuple):
    """Under q: of log r_t and D_t, t < K, of log Q_t, t <= K, and of r_t and Q_t themselves."""

    log_reward: Array
    divergence: Array
    log_value: Array
    reward: Array
    value: Array


def expectations(process: Process, horizon: int) -> Expectations:
    """All that L^0 .. L^horizon are made of."""
    law, values, away = process.first(), process.action_values(), process.divergences()
    rows = []
    for _ in range(horizon + 1):
        acted = law.sum(1)
        diverged = np.einsum("sza,sat,zat->", law, process.transition, away)
        means = [(acted * one).sum() for one in (np.log(process.reward), np.log(values), process.reward, values)]
        rows.append([*means, diverged])
        law = np.einsum("sza,sat,zau,ub->tub", law, process.transition, process.model, process.policy)
    log_reward, log_value, reward, value, divergence = np.array(rows).T
    return Expectations(log_reward[:-1], divergence[:-1], log_value, reward[:-1], value)


def lower_bounds(process: Process, found: Expectations, shift: int) -> Array:
    """L^0 .. L^K, (K + 1,), with w_t = γ^{t + shift}. # Eq 5"""
    powers = process.discount ** np.arange(len(found.log_value))
    gains = powers[:-1] * ((1 - process.discount) * found.log_reward - process.discount**shift * found.divergence)
    return np.concatenate([[0.0], gains.cumsum()]) + powers * found.log_value


def practical_objectives(process: Process, found: Expectations) -> Array:
    """E_q[Σ_{t<K} γ^t (r_t - D_t) + γ^K Q_K], (K + 1,), where Q sums rewards that are not scaled by 1 - γ. # Eq 7"""
    powers = process.discount ** np.arange(len(found.value))
    gains = powers[:-1] * (found.reward - found.divergence)
    return np.concatenate([[0.0], gains.cumsum()]) + powers * found.value / (1 - process.discount)


def lambda_weights(horizon: int, lambda_weight: float) -> Array:
    """Of L^1 .. L^K: (1 - λ) λ^{k-1}, and λ^{K-1} for the longest, so that they sum to one. # App A.3, truncated"""
    weights = lambda_weight ** np.arange(horizon)
    weights[:-1] *= 1 - lambda_weight
    return np.asarray(weights)


def optimistic(log_law: Array, value: Array) -> Array:
    """The law m, over the last axis, that maximises E_m[value] - KL(m || exp(log_law)); log_law needs no normaliser."""
    return np.asarray(softmax(log_law + value, axis=-1))


def best_model(process: Process, worth: Array) -> Array:
    """The m(z'|z, a), (Z, A, Z), with the largest E_q[worth(s_1, a_1) - D_0], for worth (S, A).

    L^1 is largest where worth = γ^{1 - shift} log Q.
    """
    states = next_states(process)
    return optimistic(states @ np.log(process.encoder), states @ (worth @ process.policy.T))


def next_states(process: Process) -> Array:
    """What s_1 can be after z_0 and a_0, (Z, A, S)."""
    states = np.einsum("sza,sat->zat", process.first(), process.transition)
    return np.asarray(states / states.sum(-1, keepdims=True))


# The bound, by summing over all trajectories


class Chains(NamedTuple):
    """Trajectories x_0 .. x_H: their laws under p and q, each an axis for every x, and Ψ by the last x. # App A.2"""

    true: Array
    modelled: Array
    payoff: Array


def chains(process: Process, horizon: int) -> list[Chains]:
    """Of H = 0 .. horizon. Ψ is the reward, at the horizon the value."""
    moved = process.transition[:, None, :, :, None, None] * process.policy  # s, z, a, s', z', a'
    sizes = (process.encoder.size * process.policy.shape[1],) * 2
    true = (moved * process.encoder[:, :, None]).repeat(len(process.policy), axis=1).reshape(sizes)
    modelled = (moved * process.model[None, :, :, None, :, None]).reshape(sizes)
    p = q = process.first().ravel()
    found = []
    for length in range(horizon + 1):
        payoff = process.action_values() if length == horizon else process.reward
        found.append(Chains(p, q, payoff[:, None].repeat(len(process.policy), axis=1).ravel()))
        p, q = p[..., None] * true, q[..., None] * modelled
    return found


def truncated_geometric(discount: float, horizon: int) -> Array:
    """P_K(H), (K + 1,). # Lemma A.1"""
    lengths = discount ** np.arange(horizon + 1)
    lengths[:-1] *= 1 - discount
    return np.asarray(lengths)


def tilted(one: Chains) -> Array:
    """q*(τ|H) ∝ p(τ|H) Ψ. # App A.4 (d)"""
    weighed = one.true * one.payoff
    return np.asarray(weighed / weighed.sum())


def best_lengths(prior: Array, every: Sequence[Chains]) -> Array:
    """γ*(H) ∝ P_K(H) E_p[Ψ]. # App A.4 (g)"""
    weighed = prior * [(one.true * one.payoff).sum() for one in every]
    return np.asarray(weighed / weighed.sum())


def enumerated_bound(prior: Array, lengths: Array, every: Sequence[Chains], laws: Sequence[Array]) -> float:
    """Σ_H γ(H) Σ_τ q(τ|H) log [P_K(H) p(τ|H) Ψ / (γ(H) q(τ|H))], for any γ(H) and q(τ|H). # App A.2 (e), A.4 (c)"""
    total = 0.0
    for known, chosen, one, law in zip(prior, lengths, every, laws, strict=True):
        total += chosen * (law * np.log(known * one.true * one.payoff / (chosen * law))).sum()
    return float(total)


def remembered(law: Array, kept: NDArray[np.int64]) -> float:
    """I(x_2 ; x_0 | y_1) in nats of a law (X, X, X) over x_0, x_1, x_2, where y = kept[x] is what is kept of x_1.

    Nothing where what is kept makes the past unnecessary, that is, where the law is Markov in y.
    """
    together = np.einsum("xyz,yk->xkz", law, np.eye(kept.max() + 1)[kept])
    both, earlier, later = together.sum((0, 2)), together.sum(2), together.sum(0)
    ratio = together * both[:, None] / (earlier[:, :, None] * later)
    return float((together * np.log(ratio)).sum())
