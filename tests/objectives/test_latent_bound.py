"""ALM's Theorem 3.1 and its Appendix A, by enumeration, closed forms and second derivations."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from relatent.objectives.lambda_return import lambda_returns
from relatent.objectives.latent_bound import (
    EXACT,
    PRINTED,
    Array,
    Process,
    best_lengths,
    best_model,
    chains,
    enumerated_bound,
    expectations,
    lambda_weights,
    lower_bounds,
    next_states,
    optimistic,
    practical_objectives,
    remembered,
    tilted,
    truncated_geometric,
)
from relatent.studies.alm_bounds import Hyper, random_process, run

from ..studies.fake_record import FakeRecord

HYPER: dict[str, Any] = {
    "processes": 8,
    "states": 3,
    "latents": 4,
    "actions": 2,
    "horizon": 5,
    "discounts": [0.5, 0.9, 0.99],
    "lambdas": [0.0, 0.5, 0.95, 1.0],
}


def drawn(seed: int, discount: float = 0.8, **sizes: int) -> Process:
    hyper = Hyper(**{**HYPER, **sizes})
    return random_process(np.random.default_rng(seed), hyper)._replace(discount=discount)


def bounds_of(process: Process, horizon: int, shift: int) -> Array:
    return lower_bounds(process, expectations(process, horizon), shift)


def one_state(discount: float) -> Process:
    """A reward of 2 for ever; latents of probability 1/2, of which the model knows 9/10 and 1/10."""
    model = np.array([[[0.9, 0.1]]] * 2)
    return Process(
        np.ones(1), np.ones((1, 1, 1)), np.array([[2.0]]), np.array([[0.5, 0.5]]), model, np.ones((2, 1)), discount
    )


# Values and bounds


@pytest.mark.parametrize("shift", [PRINTED, EXACT])
def test_one_state_in_closed_form(shift: int) -> None:
    """Every step costs log 2 less the model's entropy."""
    cost = math.log(2) + 0.9 * math.log(0.9) + 0.1 * math.log(0.1)
    paid = [cost * sum(0.7 ** (t + shift) for t in range(length)) for length in range(5)]
    np.testing.assert_allclose(bounds_of(one_state(0.7), 4, shift), math.log(2) - np.array(paid), atol=1e-15)
    assert one_state(0.7).log_return() == pytest.approx(math.log(2), abs=1e-15)


def test_values_and_return_from_the_rewards_of_each_time() -> None:
    process = drawn(0, 0.8)
    law, gained = process.first(), 0.0
    for t in range(200):
        gained += 0.2 * 0.8**t * np.einsum("sza,sa->", law, process.reward)
        law = np.einsum("sza,sat,tu,ub->tub", law, process.transition, process.encoder, process.policy)
    assert process.log_return() == pytest.approx(math.log(gained), abs=1e-14)
    values = process.action_values()
    onwards = np.einsum("sat,tz,zb,tb->sa", process.transition, process.encoder, process.policy, values)
    np.testing.assert_allclose(values, 0.2 * process.reward + 0.8 * onwards, rtol=1e-14)


@pytest.mark.parametrize("horizon", [0, 1, 2])
def test_the_bound_is_a_sum_over_trajectories(horizon: int) -> None:
    """Eq 4 to 6, one trajectory after the other."""
    process = drawn(1, 0.6, states=2, latents=2)
    values = process.action_values()
    sums = {PRINTED: 0.0, EXACT: 0.0}
    for path in product(product(range(2), range(2), range(2)), repeat=horizon + 1):
        s, z, a = path[0]
        chance, gain, cost = process.first()[s, z, a], 0.0, {PRINTED: 0.0, EXACT: 0.0}
        for t, (following, latent, act) in enumerate(path[1:]):
            gain += 0.4 * 0.6**t * math.log(process.reward[s, a])
            ratio = math.log(process.model[z, a, latent]) - math.log(process.encoder[following, latent])
            cost = {shift: before + 0.6 ** (t + shift) * ratio for shift, before in cost.items()}
            chance *= process.transition[s, a, following] * process.model[z, a, latent] * process.policy[latent, act]
            s, z, a = following, latent, act
        gain += 0.6**horizon * math.log(values[s, a])
        sums = {shift: before + chance * (gain - cost[shift]) for shift, before in sums.items()}
    for shift, expected in sums.items():
        assert bounds_of(process, horizon, shift)[-1] == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("discount", [0.3, 0.9, 0.99])
def test_no_bound_is_above_the_return_and_longer_is_looser(discount: float) -> None:
    for seed in range(300):
        process = drawn(seed, discount)
        printed, exact = (bounds_of(process, 4, shift) for shift in (PRINTED, EXACT))
        assert process.log_return() > printed[0] == exact[0]
        for bounds in (printed, exact):
            assert (np.diff(bounds) < 0).all()
        assert (exact[1:] > printed[1:]).all()


def test_a_wrong_divergence_would_be_noticed() -> None:
    """With the divergence paid out instead of charged, what is left is no bound."""
    process = drawn(0)
    found = expectations(process, 4)
    assert lower_bounds(process, found._replace(divergence=-found.divergence), EXACT)[-1] > process.log_return()


# The proof


@pytest.mark.parametrize("horizon", [0, 1, 2])
def test_step_e_gives_the_exact_weight(horizon: int) -> None:
    for seed in range(5):
        process = drawn(seed, 0.7, latents=3)
        prior, every = truncated_geometric(0.7, horizon), chains(process, horizon)
        proof = enumerated_bound(prior, prior, every, [one.modelled for one in every])
        assert proof == pytest.approx(bounds_of(process, horizon, EXACT)[-1], abs=1e-13)
        surplus = 0.3 * (0.7 ** np.arange(horizon) * expectations(process, horizon).divergence).sum()
        assert proof - bounds_of(process, horizon, PRINTED)[-1] == pytest.approx(surplus, abs=1e-13)


def test_lengths_and_laws_are_probabilities() -> None:
    process = drawn(3, 0.7)
    assert truncated_geometric(0.7, 2) == pytest.approx([0.3, 0.21, 0.49])
    every = chains(process, 2)
    for one in every:
        for law in (one.true, one.modelled, tilted(one)):
            assert law.sum() == pytest.approx(1, abs=1e-13)
    assert [one.true.ndim for one in every] == [1, 2, 3]
    longer = np.array([(truncated_geometric(0.7, 6)[t + 1 :]).sum() for t in range(6)])
    np.testing.assert_allclose(longer, 0.7 ** (np.arange(6) + 1))  # P_K(H > t), the exact weight


@pytest.mark.parametrize("horizon", [1, 2])
def test_the_bound_is_tight_at_the_optimum_only(horizon: int) -> None:
    for seed in range(10):
        process = drawn(seed, 0.9, latents=3)
        prior, every = truncated_geometric(0.9, horizon), chains(process, horizon)
        lengths, laws = best_lengths(prior, every), [tilted(one) for one in every]
        assert enumerated_bound(prior, lengths, every, laws) == pytest.approx(process.log_return(), abs=1e-12)
        assert enumerated_bound(prior, prior, every, laws) < process.log_return() - 1e-9
        off = [*laws[:-1], 0.9 * laws[-1] + 0.1 / laws[-1].size]
        assert enumerated_bound(prior, lengths, every, off) < process.log_return() - 1e-6


def test_the_best_law_remembers_what_latents_forget() -> None:
    """q*(τ|H) is Markov in states and actions, and not in latents and actions (App A.4)."""
    process = drawn(4, latents=3)
    law = tilted(chains(process, 2)[2])
    state, latent, action = np.indices((3, 3, 2)).reshape(3, -1)
    assert remembered(law, 2 * state + action) == pytest.approx(0, abs=1e-14)
    assert remembered(law, 2 * latent + action) > 1e-4


def test_memory_of_known_chains() -> None:
    copied = np.zeros((2, 2, 2))
    copied[0, 0, 0] = copied[1, 0, 1] = 0.5  # x_1 says nothing of what x_2 repeats
    assert remembered(copied + 1e-30, np.arange(2)) == pytest.approx(math.log(2))
    told = np.zeros((2, 2, 2))
    told[0, 0, 0] = told[1, 1, 1] = 0.5
    assert remembered(told + 1e-30, np.arange(2)) == pytest.approx(0)
    assert remembered(told + 1e-30, np.zeros(2, int)) == pytest.approx(math.log(2))


# Mixtures


def test_weights_are_those_of_the_lambda_return() -> None:
    """R_0 is the weighted sum of the returns of 1 .. K steps."""
    generator = np.random.default_rng(0)
    rewards, values = generator.normal(size=4), generator.normal(size=5)
    powers = 0.9 ** np.arange(5)
    steps = [(powers[:k] * rewards[:k]).sum() + powers[k] * values[k] for k in range(1, 5)]
    for weight in (0.0, 0.3, 0.95, 1.0):
        found = lambda_returns(torch.tensor(rewards), torch.tensor(values), 0.9, weight)[0]
        assert lambda_weights(4, weight) @ steps == pytest.approx(float(found), abs=1e-14)
        assert lambda_weights(4, weight).sum() == pytest.approx(1, abs=1e-15)
    assert lambda_weights(3, 0.95) == pytest.approx([0.05, 0.0475, 0.9025])


def test_lambda_returns_of_given_numbers() -> None:
    rewards, values = np.array([1.0, 2, 3]), np.array([10.0, 11, 12, 13])
    powers = 0.99 ** np.arange(4)
    returns = []
    for start in range(3):
        left, after = rewards[start:], values[start + 1 :]
        steps = [(powers[:k] * left[:k]).sum() + powers[k] * after[k - 1] for k in range(1, 4 - start)]
        returns.append(lambda_weights(3 - start, 0.95) @ steps)
    assert returns == pytest.approx([18.02181077, 17.519735, 15.87], abs=5e-9)
    assert -(powers[:3] * returns).mean() == pytest.approx(-16.97351181, abs=5e-9)


def test_any_mixture_is_a_bound() -> None:
    for seed in range(50):
        process = drawn(seed, 0.95)
        bounds = bounds_of(process, 5, EXACT)[1:]
        for weight in np.linspace(0, 1, 21):
            assert bounds[-1] - 1e-12 <= lambda_weights(5, weight) @ bounds <= bounds[0] + 1e-12 < process.log_return()


# The best model


@pytest.mark.parametrize(("shift", "power"), [(PRINTED, 1), (EXACT, 0)])
def test_no_other_model_has_a_larger_bound(shift: int, power: int) -> None:
    generator = np.random.default_rng(0)
    process = drawn(5, 0.6)
    model = best_model(process, 0.6**power * np.log(process.action_values()))
    best = bounds_of(process._replace(model=model), 1, shift)[1]
    assert bounds_of(process, 1, shift)[1] < best < process.log_return()
    for size in (1e-3, 0.1, 1.0):
        for _ in range(20):
            other = model * np.exp(size * generator.normal(size=model.shape))
            other /= other.sum(-1, keepdims=True)
            assert bounds_of(process._replace(model=other), 1, shift)[1] < best


def test_the_best_model_of_a_gaussian_is_moved_along_the_slope() -> None:
    """Target N(μ, σ²) and value g z: m = N(μ + σ² g, σ²), at a divergence of σ² g²/2."""
    z = np.linspace(-8, 8, 4001)
    log_target = -0.5 * ((z - 0.3) / 0.5) ** 2
    model = optimistic(log_target, 2 * z)
    mean = model @ z
    assert mean == pytest.approx(0.3 + 0.25 * 2, abs=1e-12)
    assert model @ (z - mean) ** 2 == pytest.approx(0.25, abs=1e-12)
    target = np.exp(log_target) / np.exp(log_target).sum()
    assert model @ np.log(model / target) == pytest.approx(0.5, abs=1e-12)


def test_next_states_by_counting() -> None:
    process = drawn(6)
    joint = process.first()[..., None] * process.transition[:, None]
    np.testing.assert_allclose(next_states(process), joint.sum(0) / joint.sum((0, 3))[..., None], rtol=1e-13)


# Without logarithms


def test_the_practical_objective_of_one_state() -> None:
    cost = math.log(2) + 0.9 * math.log(0.9) + 0.1 * math.log(0.1)
    process = one_state(0.75)
    found = practical_objectives(process, expectations(process, 2))
    np.testing.assert_allclose(found, [8, 8 - cost, 8 - 1.75 * cost], atol=1e-13)


def test_where_nothing_is_random_its_best_model_exceeds_the_return() -> None:
    """E r + log E_e[exp γ Q] > E r + γ E Q, wherever actions follow z and are worth different things."""
    for seed in range(10):
        process = drawn(seed, 0.9)
        start, transition = np.eye(3)[0], np.eye(3)[np.random.default_rng(seed).integers(3, size=(3, 2))]
        certain = process._replace(start=start, transition=transition)
        eager = certain._replace(model=best_model(certain, 0.9 * certain.action_values() / 0.1))
        found = practical_objectives(eager, expectations(eager, 1))[1]
        worth = np.exp(certain.log_return()) / 0.1
        assert found > worth
        after = np.einsum("zas,sb,cb->zasc", next_states(certain), certain.action_values() / 0.1, certain.policy)
        best = np.log((certain.encoder * np.exp(0.9 * after)).sum(-1))
        expected = np.einsum("za,sa->", certain.first()[0], certain.reward[:1])
        expected += (certain.first()[0][..., None] * next_states(certain) * best).sum()
        assert found == pytest.approx(expected, rel=1e-12)


# The study


def test_what_is_recorded() -> None:
    record = FakeRecord()
    run({"hyper": HYPER, "env": {}, "seed": 0}, record)
    kept = record.kept
    assert record.rows == []
    assert kept["gap_printed"].shape == kept["gap_exact"].shape == (24, 6)
    assert kept["mixture_exact"].shape == (24, 4)
    np.testing.assert_array_equal(kept["process"], np.repeat(np.arange(8), 3))
    np.testing.assert_array_equal(kept["discount"], [0.5, 0.9, 0.99] * 8)
    np.testing.assert_allclose(kept["mixture_exact"][:, 0], kept["gap_exact"][:, 1])  # λ = 0
    np.testing.assert_allclose(kept["mixture_printed"][:, -1], kept["gap_printed"][:, -1])  # λ = 1
    np.testing.assert_array_equal(kept["step_drawn"], kept["gap_exact"][:, 1])
    order = np.stack([kept[f"step_{name}"] for name in ("drawn", "model", "law", "optimum")])
    assert (np.diff(order, axis=0) < 0).all()
    for name in ("above_return_printed", "above_return_exact", "rises_printed", "rises_exact", "printed_tighter"):
        assert kept[name].tolist() == [0]
    assert kept["mixtures_above_return"].tolist() == [0]
    assert kept["optimum_difference"][0] < 1e-12
    assert kept["proof_difference_exact"][0] < 1e-12
    assert kept["proof_difference_printed"][0] > 0.01
    assert kept["best_model_gap"][0] == kept["step_model"].min() > 0
    assert 0 < kept["practice_above_return"][0] < 24
    assert kept["optimism"][0] > 0
    assert kept["memory_of_states"][0] < 1e-12 < kept["memory_of_latents"][0]


def test_one_seed_is_one_set_of_processes() -> None:
    records = [FakeRecord() for _ in range(3)]
    for record, seed in zip(records, (0, 0, 1), strict=True):
        run({"hyper": {**HYPER, "processes": 2}, "env": {}, "seed": seed}, record)
    first, again, other = (record.kept["gap_exact"] for record in records)
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
