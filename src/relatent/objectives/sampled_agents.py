"""Linear-Gaussian agents that act: a model, a posterior unrelated to it, an action prior, and samples (Eq 1 to 8).

    p_a(z_t | z_{t-1}, a_{t-1}), p_a(x_t | z_t)        as of `relatent.objectives.linear_gaussian`
    q(z_t | z_{t-1}, a_{t-1}, x_t)  =  N(F (z, a, x), G G')
    q(a_t | z_t)  =  N(K z, I / 4),   p_a(a_t | z_t)  =  N(K' z, I)

Parameters are matrices by name, one group each, covariances as their roots; what comes before the first step is 0.
Float64. `draw(*shape)` is where standard normal numbers come from.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from relatent.objectives.linear_gaussian import Gaussian, LinearGaussian
from relatent.objectives.terms import Densities, Parameters, gated

Draw = Callable[..., Tensor]
PRIOR_VARIANCE, POLICY_VARIANCE = 1.0, 0.25


def scalar_model(process: float = 0.3, noise: float = 0.2) -> Parameters:
    """A = .9, B = C = 1, and the variances Q and R."""
    values = {"transition": 0.9, "control": 1.0, "emission": 1.0, "process": process**0.5, "noise": noise**0.5}
    return {name: torch.full((1, 1), value, dtype=torch.float64) for name, value in values.items()}


def exact_agent(process: float, noise: float) -> Parameters:
    """A scalar agent whose q(z_1) is p_a(z_1|x_1), and q(a) is N(0, 1/4) whatever happens."""
    gain = process / (process + noise)
    nothing = torch.zeros((1, 1), dtype=torch.float64)
    inference = torch.tensor([[0.0, 0.0, gain]], dtype=torch.float64)
    habits = {"inference": inference, "spread": nothing + (gain * noise) ** 0.5, "policy": nothing, "prior": nothing}
    return scalar_model(process, noise) | habits


def random_model(draw: Draw, size: int, actions: int) -> Parameters:
    """With as many observations as latents and spectral radius .9."""
    transition = draw(size, size)
    return {
        "transition": 0.9 * transition / torch.linalg.eigvals(transition).abs().max(),
        "control": draw(size, actions) / actions**0.5,
        "emission": draw(size, size) / size**0.5,
        "process": random_root(draw, size),
        "noise": random_root(draw, size),
    }


def random_habits(draw: Draw, size: int, actions: int) -> Parameters:
    """F, G, K and K', for as many observations as latents."""
    return {
        "inference": 0.3 * draw(size, 2 * size + actions),
        "spread": random_root(draw, size),
        "policy": 0.3 * draw(actions, size),
        "prior": 0.3 * draw(actions, size),
    }


def random_root(draw: Draw, size: int) -> Tensor:
    """Well conditioned for a few dimensions."""
    return 0.1 * draw(size, size) + 0.5 * torch.eye(size, dtype=torch.float64)


def model_of(parameters: Parameters) -> LinearGaussian:
    """Of the agent, or of a world."""
    process, noise = (root @ root.mT for root in (parameters["process"], parameters["noise"]))
    return LinearGaussian(parameters["transition"], parameters["control"], parameters["emission"], process, noise)


def inferred(parameters: Parameters, latent: Tensor, action: Tensor, observation: Tensor) -> Gaussian:
    """q(z_t | z_{t-1}, a_{t-1}, x_t)."""
    seen = torch.cat([latent, action, observation], -1)
    return Gaussian(seen @ parameters["inference"].mT, parameters["spread"] @ parameters["spread"].mT)


def acting(gain: Tensor, variance: float, latent: Tensor) -> Gaussian:
    """N(gain z, variance I)."""
    return Gaussian(latent @ gain.mT, variance * torch.eye(len(gain), dtype=gain.dtype))


class Samples(NamedTuple):
    """z_t (n, T, z), a_t (n, T, a) and x_t (n, T, x), and z_{t-1} and a_{t-1}."""

    latent: Tensor
    action: Tensor
    observation: Tensor
    earlier: Tensor
    acted: Tensor


def interact(parameters: Parameters, world: Parameters, draw: Draw, count: int, horizon: int) -> Samples:
    """q's latents and actions in `world`, a model whose state the agent does not see."""
    environment = model_of(world)
    state = torch.zeros((count, len(world["process"])), dtype=torch.float64)
    latent = torch.zeros((count, len(parameters["process"])), dtype=torch.float64)
    action, rows = torch.zeros((count, len(parameters["policy"])), dtype=torch.float64), []
    for _ in range(horizon):
        state = environment.dynamics(state, action).sample(draw(*state.shape))
        observation = environment.emitted(state).sample(draw(count, len(world["noise"])))
        earlier, acted = latent, action
        latent = inferred(parameters, earlier, acted, observation).sample(draw(*latent.shape))
        action = acting(parameters["policy"], POLICY_VARIANCE, latent).sample(draw(*action.shape))
        rows.append(Samples(latent, action, observation, earlier, acted))
    return Samples(*(torch.stack(one, 1) for one in zip(*rows, strict=True)))


def linear_densities(parameters: Parameters, samples: Samples) -> Densities:
    """By the names of `relatent.objectives.terms`, each (n, T); the reward is -|x|²."""
    latent, action, observation, earlier, acted = samples

    def densities(reaches: frozenset[str]) -> dict[str, Tensor]:
        used = gated(parameters, reaches)
        model = model_of(used)
        prediction = model.dynamics(earlier, acted)
        return {
            "reward": -observation.square().sum(-1),
            "action": acting(used["policy"], POLICY_VARIANCE, latent).log_prob(action),
            "action_prior": acting(used["prior"], PRIOR_VARIANCE, latent).log_prob(action),
            "latent": inferred(used, earlier, acted, observation).log_prob(latent),
            "latent_dynamics": prediction.log_prob(latent),
            "latent_encoder": model.corrected(prediction, observation).log_prob(latent),
            "observation": model.emitted(latent).log_prob(observation),
            "observation_marginal": model.predicted(prediction).log_prob(observation),
        }

    return densities
