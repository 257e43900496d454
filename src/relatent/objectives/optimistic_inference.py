"""Inferring the state while success to come is taken for granted (Marino & Yue, Algorithm 1), all of it exact.

The environment is linear and Gaussian, s_1 ~ N(μ, Σ), its rewards are r_t = -½ s_t' W s_t, and actions have the prior
p_a(a) = N(0, U⁻¹). The agent is a discriminative one (Eq 6) that knows the environment: p_a(z_t | x_≤t, a_<t) is the
exact filter N(m_t, F_t), so that

    L  =  E Σ_t [r_t - KL(q(z_t) || p_a(z_t | x_≤t, a_<t)) - KL(q(a_t | z_t) || p_a(a_t))]  ≤  log p(O)      # Eq 6

The laws of actions are those that are best where the state is seen,

    q(a_t | z_t) = N(K_t z_t, H_t⁻¹),   V_t(z) = -½ z' P_t z - c_t,   M = W + P_{t+1}
    H_t = U + B'MB,   K_t = -H_t⁻¹ B'MA,   P_t = A'M(A + B K_t),   P_T = 0

and a state is inferred, q(z_t) ∝ p_a(z_t | x_≤t, a_<t) exp f(z_t), by one of

    filter    f = 0
    planned   f = V_t(z), what the model expects from z on in the environment's place (Eq 10): precision F_t⁻¹ + P_t,
              mean drawn to where rewards are high
    told      f = -½ (z - m)' K'HK (z - m), what the environment itself will give to an agent that acts on z: s_t is
              what it is, z_t matters through a_t alone. It is the maximum of L over every q(z_t).

First and second moments of state and belief follow from step to step, so expectations are exact. Float64, in nats.
"""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from relatent.objectives.linear_gaussian import Gaussian, LinearGaussian, kalman

Inference = Literal["filter", "planned", "told"]


class Task(NamedTuple):
    """W (s, s), U (a, a), T."""

    weight: Tensor
    action_precision: Tensor
    steps: int


class Step(NamedTuple):
    """Of one step t, but the last: P_t, c_t, K_t and H_t."""

    hessian: Tensor
    constant: Tensor
    gain: Tensor
    action_precision: Tensor

    def value(self, belief: Gaussian) -> Tensor:
        """E[V_t(z)], z ~ belief."""
        return -0.5 * expected_square(self.hessian, belief) - self.constant


def expected_square(matrix: Tensor, law: Gaussian) -> Tensor:
    """E[z' matrix z], (...)."""
    return (matrix * (law.covariance + law.mean[..., :, None] * law.mean[..., None, :])).sum((-1, -2))


def future(model: LinearGaussian, task: Task) -> list[Step]:
    """From the first step to the last but one. # Eq 10, its actions being q's"""
    hessian, constant = torch.zeros_like(task.weight), torch.zeros((), dtype=task.weight.dtype)
    steps: list[Step] = []
    for _ in range(task.steps - 1):
        ahead = task.weight + hessian
        precision = task.action_precision + model.control.mT @ ahead @ model.control
        gain = -torch.linalg.solve(precision, model.control.mT @ ahead @ model.transition)
        volumes = torch.linalg.slogdet(precision)[1] - torch.linalg.slogdet(task.action_precision)[1]
        constant = constant + 0.5 * ((ahead * model.process).sum() + volumes)
        hessian = model.transition.mT @ ahead @ (model.transition + model.control @ gain)
        hessian = 0.5 * (hessian + hessian.mT)
        steps.append(Step(hessian, constant, gain, precision))
    return steps[::-1]


def tilted(belief: Gaussian, hessian: Tensor, centre: Tensor) -> Gaussian:
    """The law ∝ belief(z) exp(-½ (z - centre)' hessian (z - centre)). Precisions add."""
    precision = torch.linalg.inv(belief.covariance)
    covariance = torch.linalg.inv(precision + hessian)
    pulled = precision @ belief.mean.unsqueeze(-1) + hessian @ centre.unsqueeze(-1)
    return Gaussian((covariance @ pulled).squeeze(-1), 0.5 * (covariance + covariance.mT))


def inferred(inference: Inference, belief: Gaussian, step: Step) -> Gaussian:
    """q(z_t), from the filter's belief."""
    match inference:
        case "filter":
            return belief
        case "planned":
            return tilted(belief, step.hessian, torch.zeros_like(belief.mean))
        case "told":
            return tilted(belief, step.gain.mT @ step.action_precision @ step.gain, belief.mean)


def imagined(belief: Gaussian, posterior: Gaussian, step: Step) -> Tensor:
    """What q(z_t) expects of its own future, E_q[V_t] - KL(q || belief), (...); `planned` is its maximum. # Eq 10"""
    return step.value(posterior) - posterior.divergence(belief)


class Outcome(NamedTuple):
    """Expectations over an episode; means over t < T, when something is inferred."""

    total: Tensor
    """Sum of rewards."""
    objective: Tensor
    """L. A mean that is acted on has no density, which makes it minus infinity."""
    expected: Tensor
    """What the agent expects of L after its first observation."""
    error: Tensor
    """Root mean square of E_q[z_t] - s_t."""
    bias: Tensor
    """Root mean square of E_q[z_t] - m_t; the filter's own mean has none."""
    optimism: Tensor
    """E_q[V_t] - E_filter[V_t]."""


def through(matrix: Tensor, law: Gaussian, noise: Tensor | float = 0.0) -> Gaussian:
    """The law of matrix y + N(0, noise)."""
    return Gaussian(matrix @ law.mean, matrix @ law.covariance @ matrix.mT + noise)


def response(inference: Inference, covariance: Tensor, step: Step) -> tuple[Tensor, Tensor]:
    """q(z_t) = N(G m, S) for whatever m the filter has: G and S."""
    identity = torch.eye(len(covariance), dtype=covariance.dtype)
    units = inferred(inference, Gaussian(identity, covariance.expand(len(covariance), -1, -1)), step)
    return units.mean.mT, units.covariance[0]


def divergence(posterior: Tensor, prior: Tensor, shift: Gaussian) -> Tensor:
    """E KL(N(m + shift, posterior) || N(m, prior)), from covariances (d, d)."""
    precision = torch.linalg.inv(prior)
    volumes = torch.linalg.slogdet(prior)[1] - torch.linalg.slogdet(posterior)[1]
    return 0.5 * ((precision * posterior).sum() + expected_square(precision, shift) - len(prior) + volumes)


def outcome(
    model: LinearGaussian, task: Task, start: Gaussian, inference: Inference, act_on: Literal["sample", "mean"]
) -> Outcome:
    """Of an agent that draws z_t ~ q(z_t) and a_t ~ q(a_t|z_t) (`sample`), or takes both means (`mean`)."""
    size = len(start.mean)
    identity, nothing = torch.eye(size, dtype=start.mean.dtype), torch.zeros(size, size, dtype=start.mean.dtype)
    pick_state, pick_belief = torch.cat([identity, nothing], 1), torch.cat([nothing, identity], 1)
    prior_of_actions = torch.linalg.inv(task.action_precision)

    def reward(both: Gaussian) -> Tensor:
        return -0.5 * expected_square(task.weight, through(pick_state, both))

    # The law of y = (s_t, the filter's mean before x_t), and the covariance of that filter.
    both, covariance = Gaussian(start.mean.repeat(2), torch.block_diag(start.covariance, nothing)), start.covariance
    totals, costs, expectations, errors, biases, optimisms = [reward(both)], [], [], [], [], []
    for step in future(model, task):
        prior = Gaussian(torch.zeros_like(start.mean), covariance)
        gain = model.gain(prior)
        filtered = model.corrected(prior, torch.zeros(len(model.noise), dtype=gain.dtype)).covariance
        # m_t = before + gain (C s_t + v - C before)
        correction = pick_belief + gain @ model.emission @ (pick_state - pick_belief)
        both = through(
            torch.cat([pick_state, correction]), both, torch.block_diag(nothing, gain @ model.noise @ gain.mT)
        )

        response_to_mean, spread = response(inference, filtered, step)
        latent = through(response_to_mean @ pick_belief, both, spread)
        shift = through((response_to_mean - identity) @ pick_belief, both)
        paid = divergence(spread, filtered, shift)
        expectations.append(step.value(latent) - paid)
        errors.append(expected_square(identity, through(response_to_mean @ pick_belief - pick_state, both)))
        biases.append(expected_square(identity, shift))
        optimisms.append(step.value(latent) - step.value(through(pick_belief, both, filtered)))

        action_noise = torch.linalg.inv(step.action_precision)
        costs.append(paid + divergence(action_noise, prior_of_actions, through(step.gain, latent)))
        # s_{t+1} and its prediction have the same action.
        control = model.control.repeat(2, 1)
        walk = torch.block_diag(model.transition, model.transition)
        walk = walk + control @ step.gain @ response_to_mean @ pick_belief
        jolt = torch.block_diag(model.process, nothing)
        if act_on == "sample":
            jolt = jolt + control @ (step.gain @ spread @ step.gain.mT + action_noise) @ control.mT
        both = through(walk, both, jolt)
        covariance = model.transition @ filtered @ model.transition.mT + model.process
        totals.append(reward(both))
    total = torch.stack(totals).sum()
    return Outcome(
        total,
        total - torch.stack(costs).sum() if act_on == "sample" else torch.full_like(total, -math.inf),
        totals[0] + expectations[0],
        torch.stack(errors).mean().sqrt(),
        torch.stack(biases).mean().sqrt(),
        torch.stack(optimisms).mean(),
    )


def log_optimality(model: LinearGaussian, task: Task, start: Gaussian) -> Tensor:
    """log p(O_1..O_T = 1), its actions from the prior: what L is a bound of. # Eq 4

    exp(-½ s'Ws) is, but for (2π)^{d/2}, the density at 0 of an observation √W s + N(0, I).
    """
    wandering = model.process + model.control @ torch.linalg.solve(task.action_precision, model.control.mT)
    size = len(start.mean)
    seen = model._replace(
        emission=torch.linalg.cholesky(task.weight).mT,
        process=wandering,
        noise=torch.eye(size, dtype=start.mean.dtype),
    )
    zeros = torch.zeros(task.steps, size, dtype=start.mean.dtype)
    idle = torch.zeros(task.steps - 1, model.control.shape[1], dtype=start.mean.dtype)
    return kalman(seen, start, zeros, idle)[1] + 0.5 * task.steps * size * math.log(2 * math.pi)
