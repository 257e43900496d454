"""The bound that RPG's Table 2 says five methods share: known numbers, special cases, random models."""

import math
from typing import Any

import numpy as np
import pytest

from relatent.objectives.elbo_family import (
    Chain,
    Components,
    Process,
    Vae,
    at_fixed_point,
    diffusion,
    em,
    expectation,
    maxent_rl,
    maximisation,
    rpg,
    rpg_mdp,
    vae,
    with_own_posterior,
)
from relatent.studies.elbo_identities import (
    DATA,
    FIXED_DECISION,
    METHODS,
    START,
    Hyper,
    fixed_chain,
    random_decision,
    random_process,
    run,
    sides,
)

from .fake_record import FakeRecord

HYPER: dict[str, Any] = {
    "models": 10,
    "latents": 3,
    "actions": 4,
    "states": 3,
    "horizon": 2,
    "noisings": 4,
    "iterations": 10,
}


# One decision


def test_the_fixed_decision() -> None:
    evidence, elbo, divergence = rpg(FIXED_DECISION)
    assert evidence == pytest.approx(math.log(2))
    assert (elbo, divergence) == pytest.approx((0.023964, 0.669183), abs=5e-7)


def test_the_policys_own_posterior_gives_the_marginal_objective() -> None:
    """Σ_a π(a) [log p(O|a) + log p(a) - log π(a)], written out."""
    marginal = FIXED_DECISION.latent @ FIXED_DECISION.action
    objective = float(marginal @ (np.log([1, 2, 4, 1]) + np.log(0.25) - np.log(marginal)))
    informed = rpg(with_own_posterior(FIXED_DECISION))
    assert informed.elbo == pytest.approx(objective)
    assert informed.elbo == pytest.approx(maxent_rl(FIXED_DECISION).elbo)
    assert informed.elbo + informed.divergence == pytest.approx(math.log(2))


def test_any_other_guess_scores_lower() -> None:
    generator = np.random.default_rng(0)
    best = rpg(with_own_posterior(FIXED_DECISION)).elbo
    for _ in range(50):
        guess = generator.dirichlet(np.ones(3), 4).T
        assert rpg(FIXED_DECISION._replace(guess=guess)).elbo < best


def test_at_the_fixed_point_the_bound_is_reached() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        model = at_fixed_point(random_decision(generator, 3, 4))
        found = rpg(model)
        assert found.divergence == pytest.approx(0, abs=1e-12)
        assert found.elbo == pytest.approx(found.evidence)
        np.testing.assert_allclose(model.joint().sum(0), model.optimal())  # the policy is p(a|O)
        np.testing.assert_allclose(model.action.sum(1), 1)


# Several decisions


def test_one_decision_in_one_state_is_the_single_decision() -> None:
    process = Process(
        start=np.ones(1),
        transition=np.ones((1, 4, 1)),
        reward=FIXED_DECISION.optimality[None],
        prior=FIXED_DECISION.prior[None],
        latent=FIXED_DECISION.latent[None],
        action=FIXED_DECISION.action[None],
        guess=FIXED_DECISION.guess.T[None],
    )
    np.testing.assert_allclose(rpg_mdp(process, 1), rpg(FIXED_DECISION))


@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_the_identity_over_trajectories(horizon: int) -> None:
    process = random_process(np.random.default_rng(1), Hyper(**HYPER))
    evidence, elbo, divergence = rpg_mdp(process, horizon)
    assert evidence == pytest.approx(elbo + divergence, abs=1e-12)
    assert divergence > 0


def test_the_papers_reward_per_step_is_the_bound() -> None:
    """Sec 4.3: with the environment cancelled, H(z|s_1) + Σ_t r - log π(a|s, z) + log p(a|s), plus log p_φ(z|τ)."""
    process = random_process(np.random.default_rng(2), Hyper(**HYPER))
    uninformative = process._replace(guess=np.full_like(process.guess, 1 / 3))  # log p_φ(z|τ) = -log 3
    expected = -math.log(3)
    for s1 in range(3):
        for z in range(3):
            chance = process.start[s1] * process.latent[s1, z]
            expected -= chance * math.log(process.latent[s1, z])
            occupied = np.eye(3)[s1]
            for _ in range(2):
                policy = process.action[:, z]
                step = policy * (process.reward + np.log(process.prior) - np.log(policy))
                expected += chance * occupied @ step.sum(1)
                occupied = np.einsum("s,sa,sat->t", occupied, policy, process.transition)
    assert rpg_mdp(uninformative, 2).elbo == pytest.approx(expected)


# Gaussians


def test_an_exact_encoder_leaves_no_divergence() -> None:
    variance = 1 / (1 + 4)
    found = vae(Vae(x=1.0, gain=2.0, offset=0.3, noise=1.0, mean=variance * 2 * 0.7, variance=variance))
    assert found.divergence == pytest.approx(0, abs=1e-15)
    assert found.elbo == pytest.approx(found.evidence)
    assert found.evidence == pytest.approx(-0.5 * (math.log(2 * math.pi * 5) + 0.7**2 / 5))


def test_one_noising_is_an_autoencoder() -> None:
    beta, x = 0.3, 0.8
    chain = Chain(x, np.array([beta]), np.array([0.5]), np.array([0.7]))
    same = Vae(x, gain=0.5, offset=0.0, noise=0.7, mean=math.sqrt(1 - beta) * x, variance=beta)
    np.testing.assert_allclose(diffusion(chain), vae(same), atol=1e-14)


def test_noising_standard_normal_data_is_reversed_exactly() -> None:
    beta = np.array([0.1, 0.2, 0.5])
    evidence, elbo, divergence = diffusion(Chain(1.3, beta, np.sqrt(1 - beta), beta))
    assert evidence == pytest.approx(-0.5 * (math.log(2 * math.pi) + 1.3**2))
    assert divergence == pytest.approx(0, abs=1e-12)
    assert elbo == pytest.approx(evidence)


def test_a_step_that_is_not_reversed_costs() -> None:
    assert diffusion(fixed_chain(4)).divergence > 0.1


# EM


def log_likelihood(data: np.ndarray, model: Components) -> float:
    density = model.weight * np.exp(-0.5 * (data[:, None] - model.mean) ** 2 / model.variance)
    return float(np.log((density / np.sqrt(2 * math.pi * model.variance)).sum(1)).sum())


def test_em_on_five_numbers() -> None:
    before = em(DATA, START, expectation(DATA, START))
    assert before.evidence == pytest.approx(-10.767797, abs=5e-7)
    assert before.divergence == pytest.approx(0, abs=1e-10)
    after = maximisation(DATA, expectation(DATA, START))
    assert em(DATA, after, expectation(DATA, after)).evidence == pytest.approx(-9.007053, abs=5e-7)
    assert log_likelihood(DATA, after) == pytest.approx(-9.007053, abs=5e-7)


def test_em_never_falls() -> None:
    model, evidences = START, []
    for _ in range(60):
        posterior = expectation(DATA, model)
        found = em(DATA, model, posterior)
        assert found.elbo == pytest.approx(found.evidence, abs=1e-10)
        evidences.append(found.evidence)
        model = maximisation(DATA, posterior)
    assert (np.diff(evidences) > -1e-12).all()
    assert evidences[-1] - evidences[-2] < 1e-9


def test_one_component_is_mean_and_variance() -> None:
    model = maximisation(DATA, np.ones((5, 1)))
    assert (float(model.mean[0]), float(model.variance[0])) == pytest.approx((0.6, 3.44))
    assert em(DATA, model, np.ones((5, 1))).evidence == pytest.approx(-10.183371, abs=5e-7)


def test_identical_components_stay_identical() -> None:
    model = Components(np.array([0.5, 0.5]), np.zeros(2), np.ones(2))
    for _ in range(5):
        model = maximisation(DATA, expectation(DATA, model))
    assert model.mean[0] == model.mean[1]
    assert model.variance[0] == model.variance[1]


# The study


def test_both_sides_of_random_models() -> None:
    record = FakeRecord()
    run({"hyper": {**HYPER, "models": 30}, "env": {}, "seed": 5}, record)
    kept = record.kept
    assert record.rows == []
    assert len(kept["evidence"]) == 30 * len(METHODS)
    np.testing.assert_allclose(kept["evidence"], kept["elbo"] + kept["divergence"], atol=1e-11)
    assert (kept["divergence"] > -1e-13).all()
    assert kept["discrepancy"][0] < 1e-11
    assert kept["posterior_loses"].tolist() == [0]
    assert kept["marginal_gap"][0] < 1e-12
    assert kept["fixed_point_divergence"][0] < 1e-12
    assert kept["expectation_gap"][0] < 1e-10
    assert kept["fall"][0] < 1e-10


def test_the_first_models_are_fixed_and_the_others_are_the_seeds() -> None:
    first, second = FakeRecord(), FakeRecord()
    for seed, record in ((0, first), (1, second)):
        run({"hyper": HYPER, "env": {}, "seed": seed}, record)
    fixed = first.kept["model"] == 0
    np.testing.assert_array_equal(first.kept["elbo"][fixed], second.kept["elbo"][fixed])
    assert (first.kept["elbo"][~fixed] != second.kept["elbo"][~fixed]).all()


def test_every_method_has_its_sides() -> None:
    assert tuple(sides(Hyper(**HYPER), np.random.default_rng(0))) == METHODS
