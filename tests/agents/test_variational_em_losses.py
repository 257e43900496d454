"""The bound that variational EM climbs, in planning and in learning, against numpy; and whom its gradient reaches."""

import numpy as np
import pytest
import torch
from torch import Tensor

from relatent.agents.variational_em import PRIOR, WORLD, VariationalEM
from relatent.nets.distributions import Gaussian
from relatent.objectives.terms import MARGINAL
from tests.agents.checks import assert_gradients_agree, assert_moves_all_its_own_parameters_only
from tests.agents.tiny import number, parameters_of, waves
from tests.agents.tiny_variational_em import (
    ACTION,
    LATENT,
    LEAST,
    VARIANTS,
    action_noise,
    build,
    density,
    gaussian,
    given,
    habit,
    infer,
    noise,
    numbers,
    plain_terms,
    plain_value,
    precise,
)


def loss(agent: VariationalEM) -> Tensor:
    return agent.bound_loss(given(), noise())[0]


def consolidation(agent: VariationalEM) -> Tensor:
    data = given()
    path = agent.world.follow(data.segments.observation, data.segments.action, noise())
    return agent.consolidation_loss(data, path.latent.detach())


def groups(agent: VariationalEM) -> dict[str, list[Tensor]]:
    inference = agent.world.inference_parameters()
    own = {id(parameter) for parameter in inference}
    model = [parameter for parameter in agent.world.parameters() if id(parameter) not in own]
    return {"model": model, "inference": list(inference), "prior": list(agent.habit.parameters())}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_term_is_that_of_the_second_derivation(name: str) -> None:
    """And the loss is minus their sum."""
    agent = precise(name)
    agent.updates = 37  # three episodes in T5's schedule
    total, means, _ = agent.bound_loss(given(), noise())
    expected = plain_terms(agent, given(), noise())
    expected["T5"] *= 0.01 * 1.01**3
    kept = [use.term.key for use in agent.objective.uses]
    assert list(means) == kept
    for key in kept:
        # Quadrature of a uniform prior is good to a thousandth.
        tolerance = 1e-3 if key == "T2" and agent.hyper.prior == "uniform" else 1e-8
        assert number(means[key]) == pytest.approx(expected[key], abs=tolerance)
    assert number(total) == pytest.approx(-sum(number(value) for value in means.values()), rel=1e-12)


def test_terms_of_the_variants() -> None:
    keys = {name: "".join(use.term.key for use in precise(name).objective.uses) for name in VARIANTS}
    assert keys["none"] == "T1T3T4"
    assert keys["detached"] == keys["marginal"] == "T1T2T3T4T5"
    assert {keys[name] for name in ("learned", "first_action", "uniform", "informed")} == {"T1T2T3T4"}


@pytest.mark.parametrize("name", ["none", "marginal", "two_steps"])
def test_gradients_are_finite_differences(name: str) -> None:
    """Of the model and of q; T2 has none here, so that it is left out."""
    agent = precise(name, prior="none", planned=3)
    agent.updates = 10**4  # T5 with all its weight
    assert_gradients_agree(lambda: loss(agent), list(agent.world.parameters()))


def test_the_priors_gradient_is_a_finite_difference_and_that_of_the_whole_bound() -> None:
    agent = precise()
    parameters = list(agent.habit.parameters())
    assert_gradients_agree(lambda: consolidation(agent), parameters)
    pair = (torch.autograd.grad(of(agent), parameters) for of in (consolidation, loss))
    for one, other in zip(*pair, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_term_reaches_the_groups_that_it_declares(name: str) -> None:
    agent = precise(name)
    agent.habit.requires_grad_()
    for use in agent.objective.uses:
        path = agent.world.follow(given().segments.observation, given().segments.action, noise())
        term = agent.objective.terms(agent.densities(given(), path))[use.term.key].sum()
        reached = set()
        for group, parameters in groups(agent).items():
            if not term.requires_grad:
                continue
            gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
            if any(gradient is not None and bool(gradient.any()) for gradient in gradients):
                reached.add(group)
        learns = agent.hyper.prior == "learned"  # a uniform prior has nothing to learn
        assert reached == (use.reaches if learns else use.reaches - PRIOR)


def test_the_model_learns_the_same_whatever_the_prior_does() -> None:
    gradients = []
    for name in ("learned", "none", "uniform", "detached"):
        agent = precise(name)
        gradients.append(torch.autograd.grad(loss(agent), list(agent.world.parameters())))
    for others in zip(*gradients, strict=True):
        for other in others[1:]:
            torch.testing.assert_close(other, others[0], rtol=1e-12, atol=1e-14)


def test_the_marginal_changes_what_the_model_learns() -> None:
    pair = []
    for kind in ("none", "learned"):
        agent = precise(marginal=kind)
        agent.updates = 10**4
        pair.append(torch.autograd.grad(loss(agent), list(agent.world.parameters()), allow_unused=True))
    assert any(not torch.allclose(one, two) for one, two in zip(*pair, strict=True))


@pytest.mark.parametrize(("updates", "weight"), [(0, 0.01), (9, 0.01), (10, 0.0101), (25, 0.010201), (10**4, 1.0)])
def test_the_marginals_weight_grows_by_the_episode_up_to_one(updates: int, weight: float) -> None:
    agent = precise("detached")
    agent.updates = updates
    means = agent.bound_loss(given(), noise())[1]
    assert number(means["T5"]) == pytest.approx(weight * plain_terms(agent, given(), noise())["T5"], rel=1e-9)
    assert MARGINAL in agent.objective


@pytest.mark.parametrize("name", VARIANTS)
def test_each_optimiser_moves_its_own_parameters_only(name: str) -> None:
    agent = precise(name)
    agent.updates = 10**4
    assert_moves_all_its_own_parameters_only(agent, "world", lambda: loss(agent))
    assert {id(one) for one in parameters_of(agent, "world")} == {id(one) for one in agent.world.parameters()}
    assert ("prior" in agent.optimisers) == (agent.hyper.prior == "learned")
    if agent.hyper.prior == "learned":
        assert_moves_all_its_own_parameters_only(agent, "prior", lambda: consolidation(agent))
        assert {id(one) for one in parameters_of(agent, "prior")} == {id(one) for one in agent.habit.parameters()}


def test_an_update_is_a_step_of_the_world_and_one_of_the_prior_at_the_same_z() -> None:
    agent, other = precise(), precise()
    means = agent.learn(given(), noise())
    _, expected, latent = other.bound_loss(given(), noise())
    other.minimise("prior", other.consolidation_loss, given(), latent.detach())
    other.minimise("world", other.bound_loss, given(), noise())
    for mine, yours in zip(agent.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, yours)
    assert {key: number(value) for key, value in means.items()} == {key: number(v) for key, v in expected.items()}


# Planning


@pytest.mark.parametrize("name", VARIANTS)
def test_plans_are_worth_what_the_second_derivation_says(name: str) -> None:
    agent = precise(name)
    draws = action_noise(agent)
    latent, plans = waves((LATENT,), 0.4), waves((4, agent.hyper.planned, ACTION), 0.6)
    values = agent.value(latent, plans, draws)
    for plan, value in zip(plans, values, strict=True):
        assert number(value) == pytest.approx(plain_value(agent, numbers(latent), numbers(plan), draws), rel=1e-8)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("start", ["prior", "zero"])
def test_a_plan_is_improved_by_samples_of_itself_weighed_by_the_bound(name: str, start: str) -> None:
    """Algorithm 1's second step, twice, from numbers alone."""
    agent = precise(name)
    draws, latent = action_noise(agent), waves((LATENT,), 0.4)
    mean = np.zeros((agent.hyper.planned, ACTION))
    std = np.ones_like(mean)
    if start == "prior" and agent.hyper.prior == "learned":
        here = latent
        for step in range(agent.hyper.planned):
            mean[step], std[step] = habit(agent, numbers(here))
            here = agent.world.dynamics(here, torch.tanh(torch.tensor(mean[step]))).mean
    for iteration in draws.plans.numpy():
        samples = mean + std * iteration
        gains = np.array([plain_value(agent, numbers(latent), plan, draws) for plan in samples])
        if agent.hyper.prior != "none":
            gains -= np.array([density(plan, (mean, std)) for plan in samples])
        weights = np.exp(0.5 * (gains - gains.max()))
        weights = (weights / weights.sum())[:, None, None]
        mean = (weights * samples).sum(0)
        std = np.clip(np.sqrt((weights * (samples - mean) ** 2).sum(0)), LEAST, 2.0)
    law = agent.plan(latent, draws, start)  # type: ignore[arg-type]
    np.testing.assert_allclose(numbers(law.mean), mean, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(numbers(law.log_std.exp()), std, rtol=1e-8)


def test_a_decision_infers_z_then_q_then_acts() -> None:
    agent, seen = precise(), waves((2,), 0.8)
    draws, belief, before = action_noise(agent), None, (np.zeros(LATENT), np.zeros(ACTION))
    for _ in range(2):
        action, belief = agent.choose(seen, belief, draws)
        predicted = agent.world.dynamics(*(torch.tensor(part) for part in before))
        mean, std = infer(agent, (numbers(predicted.mean), numbers(predicted.log_std.exp())), numbers(seen))
        latent = mean + std * numbers(draws.latent)
        np.testing.assert_allclose(numbers(belief.latent), latent, rtol=1e-9, atol=1e-12)
        plan = agent.plan(torch.tensor(latent), draws, "prior")
        chosen = np.tanh(numbers(plan.mean[0] + plan.log_std[0].exp() * draws.explore))
        np.testing.assert_allclose(numbers(action), chosen, rtol=1e-9)
        assert np.array_equal(numbers(belief.action), numbers(action))
        assert np.array_equal(agent.keep(belief), np.concatenate([numbers(part) for part in belief.law]))
        torch.testing.assert_close(belief.law.mean, plan.mean[0])
        before = latent, numbers(action)


def test_the_prior_begins_as_a_standard_normal() -> None:
    torch.manual_seed(0)
    law = build(least_std=0.1).habit_law(torch.randn(100, LATENT))
    assert number(law.mean.abs().max()) < 0.05
    assert number(law.log_std.abs().max()) < 0.05


def test_consolidation_makes_the_prior_q() -> None:
    """With q fixed T2 is a divergence whose least value is zero, at the prior that is q. # Sec 3.3"""
    torch.manual_seed(0)
    agent = precise(lr=0.0, prior_lr=2e-2, least_std=0.05)  # z stays where it is
    data = given()
    law = torch.tensor([0.8, -1.2, -1.0, -0.3]).double().expand_as(data.law)
    first = -number(agent.bound_loss(data._replace(law=law), noise())[1]["T2"])
    for _ in range(120):
        agent.learn(data._replace(law=law), noise())
    path = agent.world.follow(data.segments.observation, data.segments.action, noise())
    found = agent.habit_law(path.latent[1, :2])
    expected = gaussian((np.array([0.8, -1.2]), np.exp([-1.0, -0.3])))
    for mine, yours in zip(found, Gaussian(*(part.expand(2, ACTION) for part in expected)), strict=True):
        torch.testing.assert_close(mine, yours, rtol=0.0, atol=0.05)
    assert -number(agent.bound_loss(data._replace(law=law), noise())[1]["T2"]) < 0.005 < 0.1 < first


def test_groups_are_all_there_is() -> None:
    agent = precise()
    assert set(groups(agent)) == WORLD | PRIOR
    assert sum(len(parameters) for parameters in groups(agent).values()) == len(list(agent.parameters()))
