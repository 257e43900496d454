"""Algorithm 1 of Marino & Yue (2019) with both steps exact: what rises, and what becomes of the plan (Eq 6, Sec 3.3).

Random decision processes of which the agent sees percepts only. Start, moves and percepts are one deterministic drawing
mixed with `noise` of a law from a Dirichlet; the reward is a number in each percept. The agent has a few latents, its
state law p_a(z|..) starts at random and is learned, its action prior starts uniform. The posterior may use the whole
past of percepts and actions; what the agent's own laws can keep of it has to go through a latent.
With one seed, arms of another noise or prior meet the same drawings, and start from the same agent.

What `run` records; means over processes, in nats and sums over an episode, before learning or after so many M-steps
    iteration               (n,) 0 .. n - 1
    bound, evidence         (n,) L after the E-step, and log p(O)
    gap                     (n,) log p(O) - L
    action_divergence       (n,) KL(q || p_a) of the actions after the E-step
    latent_divergence       (n,) the same of the latents
    planned_return          (n,) of q
    habitual_return         (n,) of the agent's own laws, without planning
    bound_fall              (1,) the largest fall of L in any half-step of any process; 0 if none
    evidence_fall           (1,) the largest fall of log p(O) in any iteration of any process; 0 if none
    evidence_falls          (1,) share of the processes in which it falls by more than 1e-9 in some iteration
    evidence_loses          (1,) share of the processes in which it ends lower than it began
    least_gap, largest_gap  (1,) over processes and iterations
    divergence_left         (1,) last KL(q || p_a), actions and latents, in units of the first, means over processes
    last_divergence         (1,) the last one
    return_lost             (1,) last planned_return - habitual_return
    loss_left               (1,) the same in units of the first one
    last_habitual_return    (1,)
    bandit_iteration        (60,)
    bandit_bound, bandit_evidence, bandit_divergence
                            (60,) of a bandit with rewards 0, -1, -2, a uniform start and a learned prior
    gamble_bound, gamble_evidence
                            (60,) of two arms: -1 for sure, or 0 and -2.2 with even chances
    gamble_evidence_change  (1,) last less first
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from relatent.objectives.active_em import active_em, bandit, blank
from relatent.objectives.tabular_inference import random_agent, random_environment

Array = NDArray[np.float64]
ARMS = (np.eye(3), np.array([0.0, -1.0, -2.0]))
"""Chances of outcomes by action, and rewards of outcomes."""
GAMBLE = (np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]), np.array([-1.0, 0.0, -2.2]))
"""A sure -1, and an even chance of 0 and -2.2, whose mean is worse but whose log E[exp r] = -0.59 is better."""
BANDIT_ITERATIONS = 60
ROUNDING = 1e-9
"""In nats, far above the differences by which two orders of the same sums differ."""


@dataclass(frozen=True)
class Hyper:
    learns_prior: bool
    """Whether the M-step changes the action prior; otherwise it stays uniform."""
    noise: float
    """Share of the environment's laws that is random; 0 is a deterministic environment."""
    latents: int
    """The agent's."""
    processes: int
    """Random decision processes."""
    states: int
    """Their states."""
    percepts: int
    """Their percepts."""
    actions: int
    """Their actions."""
    horizon: int
    """Percepts in an episode, one more than decisions (T)."""
    reward_scale: float
    """Rewards are uniform between minus this and 0."""
    iterations: int
    """E-steps."""


def run(spec: dict[str, Any], record: Any) -> None:
    """Compute and record what the module's text lists."""
    hyper = Hyper(**spec["hyper"])
    worlds, agents = (np.random.default_rng([spec["seed"], kind]) for kind in range(2))
    found = []
    for number in range(hyper.processes):
        environment = random_environment(worlds, hyper.states, hyper.percepts, hyper.actions, hyper.noise)
        environment = environment._replace(reward=hyper.reward_scale * environment.reward)
        agent = random_agent(agents, hyper.latents, hyper.percepts, hyper.actions)
        found.append(active_em(environment, agent, hyper.horizon, hyper.iterations, hyper.learns_prior)[0])
        record.progress(number + 1, hyper.processes)
    bound, learned, evidence, action, latent, planned, habitual = np.moveaxis(np.array(found), -1, 0)  # (process, n)
    halves = np.stack([bound, learned], -1).reshape(len(bound), -1)
    falls, gap = evidence[:, :-1] - evidence[:, 1:], evidence - bound
    away = (action + latent).mean(0)
    lost = (planned - habitual).mean(0)
    arms, gamble = (on_bandit(outcomes, reward) for outcomes, reward in (ARMS, GAMBLE))
    curves = {
        "bound": bound,
        "evidence": evidence,
        "gap": gap,
        "action_divergence": action,
        "latent_divergence": latent,
        "planned_return": planned,
        "habitual_return": habitual,
    }
    scalars = {
        "bound_fall": (halves[:, :-1] - halves[:, 1:]).max(initial=0.0),
        "evidence_fall": falls.max(initial=0.0),
        "evidence_falls": (falls > ROUNDING).any(1).mean(),
        "evidence_loses": (evidence[:, 0] - evidence[:, -1] > ROUNDING).mean(),
        "least_gap": gap.min(),
        "largest_gap": gap.max(),
        "divergence_left": away[-1] / away[0],
        "last_divergence": away[-1],
        "return_lost": lost[-1],
        "loss_left": lost[-1] / lost[0],
        "last_habitual_return": habitual.mean(0)[-1],
    }
    record.arrays(
        iteration=np.arange(hyper.iterations),
        **{name: values.mean(0) for name, values in curves.items()},
        **{name: np.array([value]) for name, value in scalars.items()},
        bandit_iteration=np.arange(BANDIT_ITERATIONS),
        bandit_bound=arms[:, 0],
        bandit_evidence=arms[:, 2],
        bandit_divergence=arms[:, 3],
        gamble_bound=gamble[:, 0],
        gamble_evidence=gamble[:, 2],
        gamble_evidence_change=gamble[-1:, 2] - gamble[0, 2],
    )


def on_bandit(outcomes: Array, reward: Array) -> Array:
    """Iterations (60, 7) of EM from a uniform prior that is learned."""
    environment = bandit(torch.from_numpy(outcomes), torch.from_numpy(reward))
    agent = blank(percepts=len(reward) + 1, actions=len(outcomes))
    return np.array(active_em(environment, agent, 2, BANDIT_ITERATIONS, learns_prior=True)[0])
