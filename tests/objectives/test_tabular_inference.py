"""Listing every trajectory, beside plain loops over states, percepts, latents and actions."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from relatent.objectives.tabular_inference import (
    Agent,
    Environment,
    all_paths,
    chance,
    enumerated_evidence,
    model_densities,
    normalised,
    percept_laws,
    random_agent,
    random_environment,
    random_parameters,
    tabular_densities,
    unrolled,
)
from relatent.objectives.terms import gated

STATES, PERCEPTS, ACTIONS, LATENTS = 3, 2, 2, 2


def drawn(seed: int, noise: float = 1.0) -> tuple[Environment, Agent]:
    generator = np.random.default_rng(seed)
    environment = random_environment(generator, STATES, PERCEPTS, ACTIONS, noise)
    agent = random_agent(generator, LATENTS, PERCEPTS, ACTIONS)
    action = torch.from_numpy(np.log(generator.dirichlet(np.ones(ACTIONS), LATENTS)))
    return environment, agent._replace(action=action)


def law_of_percepts(environment: Environment, percepts: tuple[int, ...], actions: tuple[int, ...]) -> float:
    """p_e(o_1..o_T | a_1..a_{T-1}), by summing Eq 1 over every sequence of states."""
    start, transition, emission, _ = (one.numpy() for one in environment)
    total = 0.0
    for states in product(range(STATES), repeat=len(percepts)):
        one = start[states[0]] * emission[states[0], percepts[0]]
        for t, action in enumerate(actions):
            one *= transition[states[t], action, states[t + 1]] * emission[states[t + 1], percepts[t + 1]]
        total += one
    return total


def joint(
    environment: Environment, agent: Agent, horizon: int
) -> dict[tuple[tuple[int, ...], ...], tuple[float, float]]:
    """By (percepts, latents, actions): p_e times p_a, and Σ r. # Eq 11, the states summed out"""
    start, encoder, action = (one.exp().numpy() for one in agent)
    found = {}
    for o in product(range(PERCEPTS), repeat=horizon):
        for z in product(range(LATENTS), repeat=horizon):
            for a in product(range(ACTIONS), repeat=horizon - 1):
                one = law_of_percepts(environment, o, a) * start[o[0], z[0]]
                for t in range(horizon - 1):
                    one *= action[z[t], a[t]] * encoder[z[t], a[t], o[t + 1], z[t + 1]]
                found[o, z, a] = one, float(sum(environment.reward[list(o)]))
    return found


@pytest.mark.parametrize("noise", [0.0, 0.4, 1.0])
def test_percepts_with_the_states_summed_out(noise: float) -> None:
    environment, _ = drawn(0, noise)
    laws = percept_laws(environment, 3)
    for o in product(range(PERCEPTS), repeat=3):
        for a in product(range(ACTIONS), repeat=2):
            h1, h2 = o[0], (o[0] * ACTIONS + a[0]) * PERCEPTS + o[1]
            product_of_laws = laws[0][h1] * laws[1][h1, a[0], o[1]] * laws[2][h2, a[1], o[2]]
            assert float(product_of_laws) == pytest.approx(law_of_percepts(environment, o, a), abs=1e-15)
    for law in laws:
        np.testing.assert_allclose(law.sum(-1), 1, atol=1e-14)  # also after what cannot happen


@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_each_path_as_often_as_its_factors_say(horizon: int) -> None:
    environment, agent = drawn(1)
    paths, expected = all_paths(agent, horizon), joint(environment, agent, horizon)
    often = chance(percept_laws(environment, horizon), unrolled(agent, horizon), paths)
    assert len(often) == len(expected)
    for o, z, a, found in zip(paths.percept, paths.latent, paths.action, often, strict=True):
        key = tuple(tuple(one.tolist()) for one in (o, z, a))
        assert float(found) == pytest.approx(expected[key][0], rel=1e-13)
    assert float(often.sum()) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_evidence_is_the_mean_of_exp_return(noise: float) -> None:
    environment, agent = drawn(2, noise)
    expected = math.log(sum(one * math.exp(gain) for one, gain in joint(environment, agent, 3).values()))
    found = enumerated_evidence(percept_laws(environment, 3), environment.reward, agent)
    assert float(found) == pytest.approx(expected, abs=1e-13)


def test_a_coins_evidence() -> None:
    """log (1/2 + exp(-2) / 2)."""
    coin = Environment(*(torch.tensor(one).double() for one in ([1.0], [[[1.0]]], [[0.5, 0.5]], [0.0, -2.0])))
    agent = random_agent(np.random.default_rng(0), 2, 2, 1)
    assert float(enumerated_evidence(percept_laws(coin, 1), coin.reward, agent)) == pytest.approx(-0.566219, abs=5e-7)


def test_without_noise_an_environment_is_deterministic_and_noise_mixes_it() -> None:
    certain, half, random = (random_environment(np.random.default_rng(5), 4, 3, 2, noise) for noise in (0, 0.5, 1))
    for one, mixed, other in zip(certain[:3], half[:3], random[:3], strict=True):
        assert ((one == 0) | (one == 1)).all()
        np.testing.assert_allclose(one.sum(-1), 1)
        np.testing.assert_allclose(mixed, (one + other) / 2)
    assert ((certain.reward <= 0) & (certain.reward >= -1)).all()
    np.testing.assert_array_equal(certain.reward, random.reward)


def test_bayes_rule_by_hand() -> None:
    """Eq 7, every entry."""
    model, _ = normalised(random_parameters(np.random.default_rng(3), LATENTS, PERCEPTS, ACTIONS))
    agent = model.inverted()
    start, dynamics, emission, _ = (one.exp().numpy() for one in model)
    for o, after in product(range(PERCEPTS), range(LATENTS)):
        first = start[after] * emission[after, o] / sum(start[z] * emission[z, o] for z in range(LATENTS))
        assert float(agent.start[o, after].exp()) == pytest.approx(first)
        for z, a in product(range(LATENTS), range(ACTIONS)):
            total = sum(dynamics[z, a, u] * emission[u, o] for u in range(LATENTS))
            later = dynamics[z, a, after] * emission[after, o] / total
            assert float(agent.encoder[z, a, o, after].exp()) == pytest.approx(later)
            assert float(model.marginals()[1][z, a, o].exp()) == pytest.approx(total)


def test_densities_at_one_path_by_hand() -> None:
    parameters = random_parameters(np.random.default_rng(4), LATENTS, PERCEPTS, ACTIONS)
    model, posterior = normalised(parameters)
    paths, reward = all_paths(model.inverted(), 3), torch.tensor([-0.3, -0.7]).double()
    row = 77
    (o1, o2, o3), (z1, z2, z3), (a1, a2) = (paths[axis][row].tolist() for axis in range(3))
    expected = {
        "reward": [reward[o1], reward[o2], reward[o3]],
        "action": [posterior.action[z1, a1], posterior.action[z2, a2], 0],
        "action_prior": [model.action[z1, a1], model.action[z2, a2], 0],
        "latent": [
            posterior.start[o1, z1],
            posterior.encoder[z1, a1, o2, z2],
            posterior.encoder[z2, a2, o3, z3],
        ],
        "latent_dynamics": [model.start[z1], model.dynamics[z1, a1, z2], model.dynamics[z2, a2, z3]],
        "observation": [model.emission[z1, o1], model.emission[z2, o2], model.emission[z3, o3]],
    }
    found = model_densities(paths, reward, model, unrolled(posterior, 3))
    for name, values in expected.items():
        assert found[name][row].tolist() == pytest.approx([float(value) for value in values]), name
    for name, values in tabular_densities(parameters, paths, reward)(frozenset()).items():
        np.testing.assert_array_equal(values, found[name])


def test_only_the_groups_named_keep_their_gradient() -> None:
    parameters = {name: torch.ones(2, requires_grad=True) for name in ("model", "posterior")}
    kept = gated(parameters, frozenset({"model"}))
    assert {name: value.requires_grad for name, value in kept.items()} == {"model": True, "posterior": False}
    assert kept["model"] is parameters["model"]
