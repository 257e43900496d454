"""Active variational EM (Marino & Yue 2019, Algorithm 1) where both of its steps are exact.

E-step. Of Eq 6 over all q of Eq 5's form. With V the most that can still be had after z_t, and W before it,

    V_t(h_t, z_t)      =  r_t + log Σ_a p_a(a|z_t) exp M_o W_{t+1}(h_t, a, o, z_t)          q(a_t) ∝ p_a(a_t) exp M W
    W_t(h_t, z_{t-1})  =  log Σ_z p_a(z | z_{t-1}, a_{t-1}, o_t) exp V_t(h_t, z)            q(z_t) ∝ p_a(z_t) exp V
    L                  =  M_o W_1(o)

where M is the mean under p_e(o | h_t, a): q may choose latents and actions, so there the logarithm of a mean of
exponentials is reached (`max_q E_q[v] - KL(q || p) = log E_p[exp v]`), but the environment's chance cannot be tilted.
With M = log E exp, as if it could, the same recursion gives log p(O_1:T = 1). That is all that lies between the two:
L is tight where the environment is deterministic, and risk-neutral where p(O) seeks risk.

M-step. What of Eq 6 depends on θ is the expected log p_a of q's latents and actions: p_a becomes q's frequencies.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from relatent.objectives.tabular_inference import Agent, Environment, Posterior, percept_laws, unrolled

Average = Callable[[Tensor, Tensor], Tensor]
"""Of values (..., O) under a law that broadcasts with them."""


def risk_neutral(law: Tensor, value: Tensor) -> Tensor:
    """E[value]: gives L."""
    return (law * value).sum(-1)


def risk_seeking(law: Tensor, value: Tensor) -> Tensor:
    """log E[exp value]: gives log p(O)."""
    return (law * value.exp()).sum(-1).log()


def backward(laws: tuple[Tensor, ...], reward: Tensor, agent: Agent, average: Average) -> tuple[Tensor, Posterior]:
    """L or log p(O), a scalar, and the law of latents and actions that reaches it; laws as of `percept_laws`."""
    latents: list[Tensor] = []
    actions: list[Tensor] = []
    value = by_history(reward, laws[-1].numel())  # V_T
    for law in reversed(laws[1:]):
        after = agent.encoder + value.unflatten(0, law.shape).unsqueeze(1)  # (h, Z, A, O, Z)
        chosen = agent.action + average(law[:, None], after.logsumexp(-1))
        latents.append(after.log_softmax(-1))
        actions.append(chosen.log_softmax(-1))
        value = chosen.logsumexp(-1) + by_history(reward, len(law))
    first = agent.start + value
    latents.append(first.log_softmax(-1))
    return average(laws[0], first.logsumexp(-1)), Posterior(tuple(reversed(latents)), tuple(reversed(actions)))


def by_history(reward: Tensor, count: int) -> Tensor:
    """r_t of every h_t, (count, 1)."""
    return reward.repeat(count // len(reward))[:, None]


class Expected(NamedTuple):
    """Under p_e and q: T1, -T2 and -T3 of Eq 6, and how often what happens, in the shapes of `Agent`."""

    rewards: float
    action_divergence: float
    latent_divergence: float
    counts: Agent

    def bound(self) -> float:
        """L. # Eq 6"""
        return self.rewards - self.action_divergence - self.latent_divergence


def forward(laws: tuple[Tensor, ...], reward: Tensor, agent: Agent, posterior: Posterior) -> Expected:
    """By carrying the law of (h_t, z_t)."""
    here = laws[0][:, None] * posterior.latents[0].exp()
    counts = [here, torch.zeros_like(agent.encoder), torch.zeros_like(agent.action)]
    rewards, action_divergence = gained(here, reward), here.new_zeros(())
    latent_divergence = mean_ratio(here, posterior.latents[0], agent.start)
    for law, chosen, inferred in zip(laws[1:], posterior.actions, posterior.latents[1:], strict=True):
        acted = here[..., None] * chosen.exp()  # (h, Z, A)
        moved = (acted[..., None] * law[:, None])[..., None] * inferred.exp()  # (h, Z, A, O, Z)
        action_divergence = action_divergence + mean_ratio(acted, chosen, agent.action)
        latent_divergence = latent_divergence + mean_ratio(moved, inferred, agent.encoder)
        here = moved.sum(1).flatten(0, 2)
        rewards = rewards + gained(here, reward)
        counts[1] = counts[1] + moved.sum(0)
        counts[2] = counts[2] + acted.sum(0)
    return Expected(float(rewards), float(action_divergence), float(latent_divergence), Agent(*counts))


def gained(here: Tensor, reward: Tensor) -> Tensor:
    """E[r_t] from the law of (h_t, z_t)."""
    return here.sum(1).unflatten(0, (-1, len(reward))).sum(0) @ reward


def mean_ratio(weight: Tensor, posterior: Tensor, prior: Tensor) -> Tensor:
    """Σ weight (log q - log p); nothing where the weight is 0."""
    return torch.where(weight > 0, weight * (posterior - prior), 0.0).sum()


def maximisation(counts: Agent, agent: Agent, learns_prior: bool) -> Agent:
    """The M-step: the agent under which q's latents, and its actions if the prior is learned, are likeliest.

    Where q never is, any law is as good as another, and the agent's own stays.
    """
    start, encoder, action = (frequencies(count, law) for count, law in zip(counts, agent, strict=True))
    return Agent(start, encoder, action if learns_prior else agent.action)


def frequencies(count: Tensor, law: Tensor) -> Tensor:
    """In logarithms, over the last axis."""
    total = count.sum(-1, keepdim=True)
    return torch.where(total > 0, (count / total).log(), law)


class Iteration(NamedTuple):
    """E-step, then M-step; in nats and in sums over an episode."""

    bound: float
    """L after the E-step."""
    learned_bound: float
    """L after the M-step."""
    evidence: float
    """log p(O) before the M-step."""
    action_divergence: float
    """KL(q || p_a) of the actions after the E-step."""
    latent_divergence: float
    """The same of the latents."""
    planned_return: float
    """E[Σ r] where q acts, after the E-step."""
    habitual_return: float
    """E[Σ r] where p_a acts, before the M-step."""


def active_em(
    environment: Environment, agent: Agent, horizon: int, iterations: int, learns_prior: bool
) -> tuple[list[Iteration], Agent]:
    """Algorithm 1 from `agent` on; and the agent that comes out."""
    laws, reward = percept_laws(environment, horizon), environment.reward
    found = []
    for _ in range(iterations):
        bound, posterior = backward(laws, reward, agent, risk_neutral)
        evidence, _ = backward(laws, reward, agent, risk_seeking)
        planned = forward(laws, reward, agent, posterior)
        habitual = forward(laws, reward, agent, unrolled(agent, horizon)).rewards
        agent = maximisation(planned.counts, agent, learns_prior)
        learned = forward(laws, reward, agent, posterior).bound()
        divergences = (planned.action_divergence, planned.latent_divergence)
        found.append(Iteration(float(bound), learned, float(evidence), *divergences, planned.rewards, habitual))
    return found, agent


def bandit(outcomes: Tensor, reward: Tensor) -> Environment:
    """One decision, T = 2: percept 0 of reward 0, then percept k + 1 of reward[k] with chance outcomes[a, k]."""
    actions, results = outcomes.shape
    states = torch.eye(actions + 1, dtype=outcomes.dtype)
    emission = outcomes.new_zeros(actions + 1, results + 1)
    emission[0, 0], emission[1:, 1:] = 1.0, outcomes
    return Environment(states[0], states[1:].expand(actions + 1, -1, -1), emission, F.pad(reward, (1, 0)))


def blank(percepts: int, actions: int) -> Agent:
    """An agent with one latent, thus without memory, and a uniform action prior."""
    start, encoder, action = (
        torch.zeros(shape, dtype=torch.float64) for shape in ((percepts, 1), (1, actions, percepts, 1), (1, actions))
    )
    return Agent(start, encoder, action.log_softmax(-1))
