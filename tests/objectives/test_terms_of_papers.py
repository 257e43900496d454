"""ALM's bound and RPG's Eq 2 from the same terms as Marino & Yue's objective, beside their own computations."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from relatent.objectives import elbo_family
from relatent.objectives.elbo_family import Decision, maxent_rl, rpg, rpg_mdp
from relatent.objectives.latent_bound import (
    EXACT,
    Process,
    chains,
    enumerated_bound,
    expectations,
    lower_bounds,
    truncated_geometric,
)
from relatent.objectives.terms import (
    ACTION,
    AUXILIARY,
    LATENT_ENCODER,
    MARGINAL_ACTION,
    OPTIMALITY,
    Term,
    sum_of,
)
from relatent.studies.alm_bounds import Hyper as BoundsHyper
from relatent.studies.alm_bounds import random_process
from relatent.studies.elbo_identities import FIXED_DECISION, random_decision
from relatent.studies.elbo_identities import Hyper as IdentitiesHyper
from relatent.studies.elbo_identities import random_process as random_decisions

BOUNDS = BoundsHyper(processes=1, states=3, latents=2, actions=2, horizon=2, discounts=(0.8,), lambdas=(0.0,))
IDENTITIES = IdentitiesHyper(models=1, latents=2, actions=2, states=2, horizon=3, noisings=1, iterations=1)


def mean(terms: tuple[Term, ...], weight: Tensor, densities: dict[str, Tensor]) -> float:
    """Of an objective made of `terms`, over listed trajectories (n,) with densities (n, T)."""
    return float(weight @ sum_of("paper", terms, frozenset()).value(lambda _: densities))


# ALM: Eq 6 whose posterior of z is the dynamics and whose prior of z is the encoder


def alm_at(process: Process, length: int, last: np.ndarray) -> float:
    """Eq 6 of trajectories with H = `length` model steps: rewarded once, at the end, by the logarithm of `last` (S, A).

    There, q(a) = p_a(a) = π: T2 is nothing. The state z_0 comes from the encoder under both.
    """
    states, latents, actions = len(process.start), *process.policy.shape
    steps = list(product(range(states), range(latents), range(actions)))
    weights, rewards, encoders, models = [], [], [], []
    for path in product(steps, repeat=length + 1):
        s, z, a = path[0]
        weight = process.start[s] * process.encoder[s, z] * process.policy[z, a]
        encoder, model = [math.log(process.encoder[s, z])], [math.log(process.encoder[s, z])]
        for following, latent, action in path[1:]:
            weight *= process.transition[s, a, following] * process.model[z, a, latent] * process.policy[latent, action]
            encoder.append(math.log(process.encoder[following, latent]))
            model.append(math.log(process.model[z, a, latent]))
            s, z, a = following, latent, action
        weights.append(weight)
        rewards.append([0.0] * length + [math.log(last[s, a])])
        encoders.append(encoder)
        models.append(model)
    policy = torch.zeros(len(weights), length + 1).double()
    densities = {
        "reward": torch.tensor(rewards, dtype=torch.float64),
        "latent_encoder": torch.tensor(encoders, dtype=torch.float64),
        "latent": torch.tensor(models, dtype=torch.float64),
        "action": policy,
        "action_prior": policy,
    }
    terms = (OPTIMALITY, ACTION, LATENT_ENCODER)
    return mean(terms, torch.tensor(weights, dtype=torch.float64), densities)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("horizon", [0, 1, 2])
def test_alms_bound_is_a_mixture_of_discriminative_objectives(seed: int, horizon: int) -> None:
    process = random_process(np.random.default_rng(seed), BOUNDS)
    values, prior = process.action_values(), truncated_geometric(process.discount, horizon)
    lengths = [
        alm_at(process, length, values if length == horizon else process.reward) for length in range(horizon + 1)
    ]
    found = float(prior @ np.array(lengths))
    every = chains(process, horizon)
    assert found == pytest.approx(enumerated_bound(prior, prior, every, [one.modelled for one in every]), abs=1e-12)
    means = expectations(process, max(horizon, 1))
    assert found == pytest.approx(lower_bounds(process, means, EXACT)[horizon], abs=1e-12)


# RPG: T1, T2 and a guess of the skill, T8


def of_decision(model: Decision) -> tuple[Tensor, dict[str, Tensor]]:
    """Every (z, a), how often, and what terms take."""
    latents, actions = model.action.shape
    z, a = np.indices((latents, actions)).reshape(2, -1)
    columns = {
        "reward": model.optimality[a],
        "action": np.log(model.action[z, a]),
        "action_prior": np.log(model.prior[a]),
        "latent_guess": np.log(model.guess[z, a]),
        "skill": np.log(model.latent[z]),
    }
    densities = {name: torch.from_numpy(column)[:, None] for name, column in columns.items()}
    return torch.from_numpy(model.joint().ravel()), densities


@pytest.mark.parametrize("seed", range(6))
def test_rpgs_eq_2_of_one_decision(seed: int) -> None:
    model = random_decision(np.random.default_rng(seed), 3, 4) if seed else FIXED_DECISION
    weight, densities = of_decision(model)
    assert mean((OPTIMALITY, ACTION, AUXILIARY), weight, densities) == pytest.approx(rpg(model).elbo, abs=1e-13)


@pytest.mark.parametrize("seed", range(6))
def test_maximum_entropy_of_one_decision(seed: int) -> None:
    """T2 with the policy's marginal; and the same from T7 where z is uniform and every z is taken as a sample."""
    model = random_decision(np.random.default_rng(seed), 3, 4)
    model = model._replace(latent=np.full(3, 1 / 3))
    weight, densities = of_decision(model)
    action = np.indices((3, 4)).reshape(2, -1)[1]
    marginal = {"action": torch.from_numpy(np.log(model.joint().sum(0)[action]))[:, None]}
    expected = maxent_rl(model).elbo
    assert mean((OPTIMALITY, ACTION), weight, densities | marginal) == pytest.approx(expected, abs=1e-13)
    each = {"action_given_latents": torch.from_numpy(np.log(model.action[:, action].T))[:, None]}
    assert mean((OPTIMALITY, MARGINAL_ACTION), weight, densities | each) == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_rpgs_eq_2_over_trajectories(horizon: int) -> None:
    """log p_φ(z|τ) is the steps' guesses multiplied and normalised over z; the normaliser stands at the last step."""
    model: elbo_family.Process = random_decisions(np.random.default_rng(horizon), IDENTITIES)
    states, latents, actions = model.action.shape
    every = np.array(list(product(range(latents), *(range(states), range(actions)) * horizon)))
    z, s, a = every[:, 0], every[:, 1::2], every[:, 2::2]
    weight = model.start[s[:, 0]] * model.latent[s[:, 0], z]
    for t in range(horizon):
        weight = weight * model.action[s[:, t], z, a[:, t]]
        if t + 1 < horizon:
            weight = weight * model.transition[s[:, t], a[:, t], s[:, t + 1]]
    guess = np.log(model.guess[s, a, z[:, None]])
    all_guesses = model.guess[s, a].prod(1)  # (n, Z)
    guess[:, -1] -= np.log(all_guesses.sum(1))
    skill = np.zeros(s.shape)
    skill[:, 0] = np.log(model.latent[s[:, 0], z])
    columns = {
        "reward": model.reward[s, a],
        "action": np.log(model.action[s, z[:, None], a]),
        "action_prior": np.log(model.prior[s, a]),
        "latent_guess": guess,
        "skill": skill,
    }
    densities = {name: torch.from_numpy(column) for name, column in columns.items()}
    found = mean((OPTIMALITY, ACTION, AUXILIARY), torch.from_numpy(weight), densities)
    assert found == pytest.approx(rpg_mdp(model, horizon).elbo, abs=1e-12)
