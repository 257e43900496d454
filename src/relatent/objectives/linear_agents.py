"""Linear-Gaussian agents of several sizes as one batch of parameters, and the densities of Eq 6 and 8 in the mean.

Parameters are in groups, which terms reach or do not (relatent.objectives.terms):

    model        A, B, C, log Q, log R of p_a(z_t | z_<t) and p_a(x_t | z_t); Q and R diagonal
    inference    F, G, K, S of q(z_t | ..)
    encoder      the same of a discriminative agent's p_a(z_t | z_<t, x_t)                                       # Eq 6
    policy       L, log σ of q(a_t | ..)
    prior        the same of p_a(a_t | ..)

Diagonals of S stand for themselves as logarithms. An agent with fewer latents or sensors than the widest has zeros for
the rest, whatever the parameters become.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from relatent.objectives import closed_loop
from relatent.objectives.closed_loop import Belief, Moments, Policy, World
from relatent.objectives.linear_gaussian import LinearGaussian

BELIEF = {"recurrence": "zz", "action": "za", "gain": "zx", "root": "zz"}
POLICY = {"gain": "az", "deviation": "aa"}
AXES = {
    "model": {"transition": "zz", "control": "za", "emission": "xz", "process": "z", "noise": "x"},
    "inference": BELIEF,
    "encoder": BELIEF,
    "policy": POLICY,
    "prior": POLICY,
}
"""The axes of every parameter: latents, actions, observations."""
EVERY = frozenset(AXES)

Parameters = dict[str, dict[str, Tensor]]
"""By group and name, each (agents, ..)."""


class Agents(NamedTuple):
    model: LinearGaussian
    inference: Belief
    encoder: Belief
    policy: Policy
    prior: Policy


def padding(sizes: Sequence[tuple[int, int]]) -> Parameters:
    """For agents of so many latents and sensors: 1 where a parameter is there, 0 where it is padding."""
    latents, sensors = (np.array(size) for size in zip(*sizes, strict=True))
    there = {
        "z": np.arange(latents.max()) < latents[:, None],
        "x": np.arange(sensors.max()) < sensors[:, None],
        "a": np.ones((len(sizes), 1), bool),
    }

    def mask(axes: str) -> Tensor:
        found = there[axes[0]] if len(axes) == 1 else there[axes[0]][:, :, None] & there[axes[1]][:, None, :]
        return torch.tensor(found, dtype=torch.float64)

    return {group: {name: mask(axes) for name, axes in names.items()} for group, names in AXES.items()}


def drawn(generator: np.random.Generator, there: Parameters) -> Parameters:
    """The start of every agent from the same numbers: small and random, beliefs forgetting half a step."""
    start: Parameters = {}
    for group, names in there.items():
        start[group] = {}
        for name, mask in names.items():
            value = torch.tensor(0.1 * generator.normal(size=mask.shape[1:]))
            if name in ("recurrence", "transition"):
                value = value + 0.5 * torch.eye(len(value))
            elif name == "root":
                value = value - torch.eye(len(value))
            elif name == "deviation":
                value = value - 1
            elif group in ("policy", "prior"):
                value = 0.1 * value  # so that no loop starts unstable
            start[group][name] = (value * mask).requires_grad_()
    return start


def agents(parameters: Parameters, there: Parameters, kept: frozenset[str] = EVERY) -> Agents:
    """Agents with the parameters of groups that are not `kept` detached."""

    def values(group: str) -> dict[str, Tensor]:
        names = parameters[group].items()
        return {name: (value if group in kept else value.detach()) * there[group][name] for name, value in names}

    def belief(group: str) -> Belief:
        found = values(group)
        root = found["root"].tril(-1) + torch.diag_embed(closed_loop.diagonal(found["root"]).exp())
        return Belief(**found | {"root": root})

    def policy(group: str) -> Policy:
        found = values(group)
        return Policy(found["gain"], found["deviation"].exp())

    model = values("model")
    variances = {name: torch.diag_embed(model[name].exp()) for name in ("process", "noise")}
    return Agents(
        LinearGaussian(**model | variances), belief("inference"), belief("encoder"), policy("policy"), policy("prior")
    )


MEANS: dict[str, Callable[[World, Agents, Moments], Tensor]] = {
    "reward": lambda world, _, moments: closed_loop.reward(world, moments),
    "action": lambda _, agent, moments: closed_loop.action_log_density(agent.policy, agent.policy, moments),
    "action_prior": lambda _, agent, moments: closed_loop.action_log_density(agent.prior, agent.policy, moments),
    "latent": lambda _, agent, __: -closed_loop.belief_entropy(agent.inference),
    "latent_dynamics": lambda _, agent, moments: closed_loop.dynamics_log_density(agent.model, moments),
    "latent_encoder": lambda _, agent, moments: closed_loop.encoder_log_density(agent.encoder, moments),
    "observation": lambda world, agent, moments: closed_loop.emission_log_density(world, agent.model, moments),
    "observation_marginal": lambda world, agent, moments: closed_loop.marginal_log_density(world, agent.model, moments),
}
"""What terms take, as means per step over the settled loop, (agents,), in nats."""
