"""An agent and an environment so small that every trajectory is listed (Marino & Yue 2019, Eq 1 to 8).

    p_e(s_1), p_e(s'|s, a), p_e(o|s)                            environment                                      # Eq 1
    p_a(z_1|o_1), p_a(z'|z, a, o'), p_a(a|z)                    discriminative agent                             # Eq 2
    p_a(z_1), p_a(z'|z, a), p_a(o|z), p_a(a|z)                  generative agent; Bayes' rule makes the above    # Eq 7
    q(z_t | z_{t-1}, o_≤t, a_<t) q(a_t | z_t, o_≤t, a_<t)       posterior                                        # Eq 5

A percept o = (x, r) is an observation with its reward. The posterior may see the whole past of percepts and actions; of
the latents it needs the last only, because the agent's own laws look no further back. The environment's chance is no
part of q. The last action acts on nothing (Eq 1 ends with a_{T-1}), its best posterior is its prior: it is left out.

A history h_t = (o_1, a_1, .., a_{t-1}, o_t) is a number: h_1 = o_1 and h_{t+1} = (h_t A + a_t) O + o_{t+1}. Laws of the
environment are probabilities, all others logarithms; float64, in nats.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from relatent.objectives.terms import Densities, Parameters, gated


class Environment(NamedTuple):
    """p_e(s_1) (S,), p_e(s'|s, a) (S, A, S), p_e(o|s) (S, O), and the reward r(o) <= 0 in a percept (O,)."""

    start: Tensor
    transition: Tensor
    emission: Tensor
    reward: Tensor


class Agent(NamedTuple):
    """log p_a(z_1|o_1) (O, Z), log p_a(z'|z, a, o') (Z, A, O, Z), log p_a(a|z) (Z, A). # Eq 2"""

    start: Tensor
    encoder: Tensor
    action: Tensor


class Model(NamedTuple):
    """log p_a(z_1) (Z,), log p_a(z'|z, a) (Z, A, Z), log p_a(o|z) (Z, O), log p_a(a|z) (Z, A)."""

    start: Tensor
    dynamics: Tensor
    emission: Tensor
    action: Tensor

    def marginals(self) -> tuple[Tensor, Tensor]:
        """log p_a(o_1) (O,) and log p_a(o'|z, a) (Z, A, O)."""
        first = (self.start[:, None] + self.emission).logsumexp(0)
        return first, (self.dynamics[..., None] + self.emission).logsumexp(-2)

    def inverted(self) -> Agent:
        """The agent with this model's exact state law. # Eq 7"""
        first, later = self.marginals()
        start = self.start + self.emission.T - first[:, None]
        encoder = self.dynamics[:, :, None] + self.emission.T - later[..., None]
        return Agent(start, encoder, self.action)


def random_environment(
    generator: np.random.Generator, states: int, percepts: int, actions: int, noise: float
) -> Environment:
    """One deterministic drawing, mixed with `noise` of laws from flat Dirichlets; rewards between -1 and 0."""

    def law(size: int, *given: int) -> Tensor:
        certain = np.eye(size)[generator.integers(size, size=given)]
        return torch.from_numpy((1 - noise) * certain + noise * generator.dirichlet(np.ones(size), given))

    start, transition, emission = law(states), law(states, states, actions), law(percepts, states)
    return Environment(start, transition, emission, torch.from_numpy(-generator.uniform(size=percepts)))


def random_agent(generator: np.random.Generator, latents: int, percepts: int, actions: int) -> Agent:
    """With state laws from flat Dirichlets and a uniform action prior."""

    def law(*given: int) -> Tensor:
        return torch.from_numpy(np.log(generator.dirichlet(np.ones(latents), given)))

    uniform = torch.zeros((latents, actions), dtype=torch.float64).log_softmax(-1)
    return Agent(law(percepts), law(latents, actions, percepts), uniform)


class Posterior(NamedTuple):
    """log q(z_1|o_1) (O, Z) and then log q(z_t|h_{t-1}, z_{t-1}, a_{t-1}, o_t) (h, Z, A, O, Z); log q(a_t|h_t, z_t)
    (h, Z, A) of every t but the last."""

    latents: tuple[Tensor, ...]
    actions: tuple[Tensor, ...]


def percept_laws(environment: Environment, horizon: int) -> tuple[Tensor, ...]:
    """p_e(o_1) (O,) and p_e(o_t | h_{t-1}, a_{t-1}) (h, A, O) of t = 2 .. T: the state summed out.

    After what cannot happen, any percept is as likely as another.
    """
    states = (environment.start[:, None] * environment.emission).T  # p_e(s_t, o_<=t | a_<t), (h, S)
    laws = [states.sum(1)]
    for _ in range(horizon - 1):
        following = torch.einsum("hs,sau,uo->haou", states, environment.transition, environment.emission)
        chance = following.sum(-1)
        total = chance.sum(-1, keepdim=True)
        laws.append(torch.where(total > 0, chance / total, 1 / chance.shape[-1]))
        states = following.flatten(0, 2)
    return tuple(laws)


def unrolled(agent: Agent, horizon: int) -> Posterior:
    """The agent's own laws as a posterior that looks at the last latent, percept and action only."""
    actions, percepts = agent.encoder.shape[1:3]
    counts = [percepts * (actions * percepts) ** t for t in range(horizon - 1)]
    return Posterior(
        (agent.start, *(agent.encoder.expand(count, *agent.encoder.shape) for count in counts)),
        tuple(agent.action.expand(count, *agent.action.shape) for count in counts),
    )


class Paths(NamedTuple):
    """Percepts and latents (n, T), actions (n, T - 1), and the histories (n, T)."""

    percept: Tensor
    latent: Tensor
    action: Tensor
    history: Tensor


def all_paths(agent: Agent, horizon: int) -> Paths:
    """Every one: (O Z A)^T / A of them."""
    latents, actions, percepts, _ = agent.encoder.shape
    axes = [torch.arange(size) for size in (percepts, latents, actions) * horizon][:-1]
    every = torch.cartesian_prod(*axes)
    percept, latent, action = every[:, 0::3], every[:, 1::3], every[:, 2::3]
    history = [percept[:, 0]]
    for t in range(horizon - 1):
        history.append((history[-1] * actions + action[:, t]) * percepts + percept[:, t + 1])
    return Paths(percept, latent, action, torch.stack(history, 1))


def agent_densities(paths: Paths, reward: Tensor, agent: Agent, posterior: Posterior) -> dict[str, Tensor]:
    """What Eq 6 takes, by the names of `relatent.objectives.terms`, each (n, T); reward (O,)."""
    percept, latent, action, history = paths
    following = (latent[:, :-1], action, percept[:, 1:], latent[:, 1:])
    posterior_latents = [posterior.latents[0][percept[:, 0], latent[:, 0]]]
    posterior_actions = []
    for t, (laws, choices) in enumerate(zip(posterior.latents[1:], posterior.actions, strict=True)):
        posterior_latents.append(laws[(history[:, t], *(index[:, t] for index in following))])
        posterior_actions.append(choices[history[:, t], latent[:, t], action[:, t]])
    nothing = torch.zeros_like(posterior_latents[0])  # in place of the last action
    return {
        "reward": reward[percept],
        "action": torch.stack([*posterior_actions, nothing], 1),
        "action_prior": torch.cat([agent.action[latent[:, :-1], action], nothing[:, None]], 1),
        "latent": torch.stack(posterior_latents, 1),
        "latent_encoder": steps(agent.start[percept[:, 0], latent[:, 0]], agent.encoder[following]),
    }


def model_densities(paths: Paths, reward: Tensor, model: Model, posterior: Posterior) -> dict[str, Tensor]:
    """What Eq 8 takes in addition; the encoder is the model's own."""
    percept, latent, action, _ = paths
    first, later = model.marginals()
    return agent_densities(paths, reward, model.inverted(), posterior) | {
        "latent_dynamics": steps(model.start[latent[:, 0]], model.dynamics[latent[:, :-1], action, latent[:, 1:]]),
        "observation": model.emission[latent, percept],
        "observation_marginal": steps(first[percept[:, 0]], later[latent[:, :-1], action, percept[:, 1:]]),
    }


def steps(first: Tensor, later: Tensor) -> Tensor:
    """(n,) and (n, T - 1) as (n, T)."""
    return torch.cat([first[:, None], later], 1)


def chance(laws: tuple[Tensor, ...], posterior: Posterior, paths: Paths) -> Tensor:
    """p_e(o_t | ..) q(z_t | ..) q(a_t | ..) of all t multiplied, (n,): how often each path is taken."""
    percept, latent, action, history = paths
    total = laws[0][percept[:, 0]] * posterior.latents[0][percept[:, 0], latent[:, 0]].exp()
    for t, law in enumerate(laws[1:]):
        last = (history[:, t], latent[:, t], action[:, t])
        chosen = posterior.actions[t][last] + posterior.latents[t + 1][(*last, percept[:, t + 1], latent[:, t + 1])]
        total = total * law[history[:, t], action[:, t], percept[:, t + 1]] * chosen.exp()
    return total


def enumerated_evidence(laws: tuple[Tensor, ...], reward: Tensor, agent: Agent) -> Tensor:
    """log p(O_1:T = 1), a scalar. # Eq 4"""
    horizon = len(laws)
    paths = all_paths(agent, horizon)
    return (chance(laws, unrolled(agent, horizon), paths) @ reward[paths.percept].sum(1).exp()).log()


def random_parameters(generator: np.random.Generator, latents: int, percepts: int, actions: int) -> Parameters:
    """Logits of a generative agent, and of a posterior that is unrelated to it."""
    shapes = {
        "start": (latents,),
        "dynamics": (latents, actions, latents),
        "emission": (latents, percepts),
        "prior": (latents, actions),
        "first_inference": (percepts, latents),
        "inference": (latents, actions, percepts, latents),
        "policy": (latents, actions),
    }
    return {name: torch.from_numpy(generator.normal(size=shape)) for name, shape in shapes.items()}


def normalised(parameters: Parameters) -> tuple[Model, Agent]:
    """The agent, and the posterior as an agent's laws."""
    laws = {name: value.log_softmax(-1) for name, value in parameters.items()}
    model = Model(laws["start"], laws["dynamics"], laws["emission"], laws["prior"])
    return model, Agent(laws["first_inference"], laws["inference"], laws["policy"])


def tabular_densities(parameters: Parameters, paths: Paths, reward: Tensor) -> Densities:
    """By the names of `relatent.objectives.terms`, each (n, T)."""

    def densities(reaches: frozenset[str]) -> dict[str, Tensor]:
        model, posterior = normalised(gated(parameters, reaches))
        return model_densities(paths, reward, model, unrolled(posterior, paths.percept.shape[1]))

    return densities
