"""Exact E- and M-steps, beside known numbers, other derivations, and an optimiser that knows neither."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relatent.objectives.active_em import (
    active_em,
    backward,
    bandit,
    blank,
    forward,
    maximisation,
    risk_neutral,
    risk_seeking,
)
from relatent.objectives.tabular_inference import (
    Agent,
    Environment,
    agent_densities,
    all_paths,
    chance,
    enumerated_evidence,
    percept_laws,
    random_agent,
    random_environment,
    unrolled,
)
from relatent.objectives.terms import discriminative


def numbers(values: list[Any]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


THREE_ARMS = bandit(torch.eye(3).double(), numbers([0.0, -1.0, -2.0]))


def drawn(seed: int, noise: float, states: int = 3, percepts: int = 2, latents: int = 2) -> tuple[Environment, Agent]:
    """With rewards between -3 and 0 and any action prior."""
    generator = np.random.default_rng(seed)
    environment = random_environment(generator, states, percepts, 2, noise)
    agent = random_agent(generator, latents, percepts, 2)
    action = torch.from_numpy(np.log(generator.dirichlet(np.ones(2), latents)))
    return environment._replace(reward=3 * environment.reward), agent._replace(action=action)


# The E-step


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_the_risk_seeking_recursion_is_the_evidence(noise: float, horizon: int) -> None:
    environment, agent = drawn(0, noise)
    laws = percept_laws(environment, horizon)
    found, _ = backward(laws, environment.reward, agent, risk_seeking)
    assert float(found) == pytest.approx(float(enumerated_evidence(laws, environment.reward, agent)), abs=1e-13)


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_the_bound_is_eq_6_over_all_paths_of_its_posterior(noise: float, horizon: int) -> None:
    environment, agent = drawn(1, noise)
    laws = percept_laws(environment, horizon)
    bound, posterior = backward(laws, environment.reward, agent, risk_neutral)
    paths = all_paths(agent, horizon)
    densities = agent_densities(paths, environment.reward, agent, posterior)
    often = chance(laws, posterior, paths)
    assert float(often @ discriminative(frozenset()).value(lambda _: densities)) == pytest.approx(
        float(bound), abs=1e-13
    )
    assert float(often.sum()) == pytest.approx(1, abs=1e-14)
    for law in (*posterior.latents, *posterior.actions):
        np.testing.assert_allclose(law.exp().sum(-1), 1, atol=1e-14)


@pytest.mark.parametrize("posterior_of", ["best", "own", "random"])
def test_carrying_the_law_forward_is_summing_terms_over_paths(posterior_of: str) -> None:
    environment, agent = drawn(2, 0.7)
    laws = percept_laws(environment, 3)
    posterior = {
        "best": backward(laws, environment.reward, agent, risk_neutral)[1],
        "own": unrolled(agent, 3),
        "random": unrolled(drawn(9, 0.7)[1], 3),
    }[posterior_of]
    paths = all_paths(agent, 3)
    densities, often = agent_densities(paths, environment.reward, agent, posterior), chance(laws, posterior, paths)
    terms = {
        name: float(often @ term.sum(1))
        for name, term in discriminative(frozenset()).terms(lambda _: densities).items()
    }
    found = forward(laws, environment.reward, agent, posterior)
    expected = (terms["T1"], -terms["T2"], -terms["T3"])
    assert (found.rewards, found.action_divergence, found.latent_divergence) == pytest.approx(expected, abs=1e-13)
    assert found.bound() == pytest.approx(sum(terms.values()), abs=1e-13)
    assert float(found.counts.start.sum()) == pytest.approx(1)
    assert float(found.counts.encoder.sum()) == pytest.approx(2)
    assert float(found.counts.action.sum()) == pytest.approx(2)


def every_step(
    environment: Environment, agent: Agent, horizon: int
) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
    """Of every (o_1, z_1, a_1, .., o_T, z_T): p_e of its percepts, from the states; Σ r + log p_a; and for each latent
    and action that q chooses, the number of all that went before it and what was chosen."""
    percepts, latents, actions = len(environment.reward), *agent.action.shape
    sizes = [percepts, latents, actions] * horizon
    every = np.array(list(product(*(range(size) for size in sizes[:-1]))))
    o, z, a = every[:, 0::3], every[:, 1::3], every[:, 2::3]
    states = environment.start * environment.emission.T[o[:, 0]]
    log_prior = agent.start[o[:, 0], z[:, 0]]
    for t in range(horizon - 1):
        moved = torch.einsum("ns,nsu->nu", states, environment.transition.transpose(0, 1)[a[:, t]])
        states = moved * environment.emission.T[o[:, t + 1]]
        log_prior = (
            log_prior + agent.action[z[:, t], a[:, t]] + agent.encoder[z[:, t], a[:, t], o[:, t + 1], z[:, t + 1]]
        )
    choices = []
    for column in range(every.shape[1]):
        if column % 3:
            past = np.ravel_multi_index(every[:, :column].T, sizes[:column])
            choices.append((torch.from_numpy(past), torch.from_numpy(every[:, column])))
    return states.sum(1), environment.reward[o].sum(1) + log_prior, choices


@pytest.mark.parametrize(("noise", "horizon"), [(0.0, 2), (0.6, 2), (0.6, 3)])
def test_an_optimiser_over_all_of_eq_5_finds_the_same_bound(noise: float, horizon: int) -> None:
    """Its q is any function of everything before: all latents, percepts and actions."""
    environment, agent = drawn(3, noise, states=2)
    often, payoff, choices = every_step(environment, agent, horizon)
    tables = [torch.zeros((int(past.max()) + 1, int(chosen.max()) + 1)).double() for past, chosen in choices]
    for table in tables:
        table.requires_grad_()
    optimiser = torch.optim.LBFGS(
        tables, max_iter=400, tolerance_grad=1e-9, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )
    best, _ = backward(percept_laws(environment, horizon), environment.reward, agent, risk_neutral)
    seen: list[float] = []

    def loss() -> Tensor:
        optimiser.zero_grad()
        log_q = sum(table.log_softmax(-1)[choice] for table, choice in zip(tables, choices, strict=True))
        assert isinstance(log_q, Tensor)
        bound = (often * log_q.exp() * (payoff - log_q)).sum()
        seen.append(bound.item())
        (-bound).backward()
        return -bound

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    assert max(seen) <= float(best) + 1e-13
    assert seen[0] < float(best) - 1e-3
    assert max(seen) == pytest.approx(float(best), abs=1e-6)


def test_one_decision_by_hand() -> None:
    """q(a) ∝ p_a(a) exp E[r], not ∝ p_a(a) E[exp r]."""
    prior = numbers([[0.3, 0.7]])
    environment = bandit(numbers([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]), numbers([-1.0, 0.0, -2.2]))
    agent = blank(4, 2)._replace(action=prior.log())
    laws = percept_laws(environment, 2)
    bound, posterior = backward(laws, environment.reward, agent, risk_neutral)
    weighed = [0.3 * math.exp(-1), 0.7 * math.exp(-1.1)]
    assert float(bound) == pytest.approx(math.log(sum(weighed)))
    assert posterior.actions[0][0, 0].exp().tolist() == pytest.approx([one / sum(weighed) for one in weighed])
    evidence, _ = backward(laws, environment.reward, agent, risk_seeking)
    assert float(evidence) == pytest.approx(math.log(0.3 * math.exp(-1) + 0.7 * (1 + math.exp(-2.2)) / 2))


def test_a_coin() -> None:
    environment = bandit(torch.tensor([[0.5, 0.5]]).double(), torch.tensor([0.0, -2.0]).double())
    laws, agent = percept_laws(environment, 2), blank(3, 1)
    assert float(backward(laws, environment.reward, agent, risk_neutral)[0]) == pytest.approx(-1, abs=1e-15)
    assert float(backward(laws, environment.reward, agent, risk_seeking)[0]) == pytest.approx(-0.566219, abs=5e-7)


@pytest.mark.parametrize("seed", range(20))
def test_the_bound_is_tight_without_chance_and_only_there(seed: int) -> None:
    for noise, tight in ((0.0, True), (0.3, False)):
        environment, agent = drawn(seed, noise, percepts=3)
        laws = percept_laws(environment, 4)
        evidence, bound = (
            float(backward(laws, environment.reward, agent, average)[0]) for average in (risk_seeking, risk_neutral)
        )
        if tight:
            assert bound == pytest.approx(evidence, abs=1e-13)
        else:
            assert bound < evidence - 1e-6
        assert forward(laws, environment.reward, agent, unrolled(agent, 4)).bound() < bound + 1e-13


# The M-step


def test_the_m_step_is_where_the_gradient_vanishes() -> None:
    environment, agent = drawn(4, 0.5)
    laws = percept_laws(environment, 3)
    _, posterior = backward(laws, environment.reward, agent, risk_neutral)
    learned = maximisation(forward(laws, environment.reward, agent, posterior).counts, agent, learns_prior=True)
    paths, often = all_paths(agent, 3), chance(laws, posterior, all_paths(agent, 3))

    def slope(at: Agent) -> float:
        logits = Agent(*(law.clone().requires_grad_() for law in at))
        laws_of = Agent(*(one.log_softmax(-1) for one in logits))
        densities = agent_densities(paths, environment.reward, laws_of, posterior)
        (often @ discriminative(frozenset()).value(lambda _: densities)).backward()
        return max(float(one.grad.abs().max()) for one in logits if one.grad is not None)

    assert slope(agent) > 1e-2
    assert slope(learned) < 1e-14


def test_no_other_agent_does_better_under_the_same_posterior() -> None:
    environment, agent = drawn(5, 0.5)
    laws = percept_laws(environment, 3)
    _, posterior = backward(laws, environment.reward, agent, risk_neutral)
    learned = maximisation(forward(laws, environment.reward, agent, posterior).counts, agent, learns_prior=True)
    best = forward(laws, environment.reward, learned, posterior).bound()
    for seed in range(50):
        other = drawn(seed, 0.5)[1]
        mixed = Agent(
            *(torch.log(0.95 * one.exp() + 0.05 * two.exp()) for one, two in zip(learned, other, strict=True))
        )
        assert forward(laws, environment.reward, mixed, posterior).bound() < best


def test_what_is_never_met_is_not_forgotten_and_a_fixed_prior_stays() -> None:
    environment, agent = drawn(6, 0.0, percepts=3)  # percepts that do not start an episode
    laws = percept_laws(environment, 3)
    counts = forward(laws, environment.reward, agent, unrolled(agent, 3)).counts
    learned = maximisation(counts, agent, learns_prior=False)
    never = counts.start.sum(1) == 0
    assert never.sum() == 2
    assert torch.equal(learned.start[never], agent.start[never])
    assert torch.equal(learned.action, agent.action)
    own = maximisation(counts, agent, learns_prior=True)  # what the agent itself does teaches it nothing
    for one, two in zip(own, agent, strict=True):
        np.testing.assert_allclose(one.exp(), two.exp(), atol=1e-14)


# Both, in turn


def test_three_arms() -> None:
    """p_k ∝ p_0 exp(k r): the plan becomes the prior."""
    found, agent = active_em(THREE_ARMS, blank(4, 3), 2, 6, learns_prior=True)
    evidence = [-0.691006, -0.264674, -0.091986, -0.032466, -0.011719, -0.004279]
    assert [one.evidence for one in found] == pytest.approx(evidence, abs=5e-7)
    assert [one.bound for one in found] == pytest.approx(evidence, abs=5e-7)
    assert [one.action_divergence for one in found[:2]] == pytest.approx([0.266217, 0.115611], abs=5e-7)
    assert [one.latent_divergence for one in found] == [0] * 6
    weights = np.exp(6 * np.array([0.0, -1.0, -2.0]))
    np.testing.assert_allclose(agent.action[0].exp(), weights / weights.sum(), atol=1e-14)


def test_three_arms_with_a_uniform_prior_stay_where_they_are() -> None:
    found, agent = active_em(THREE_ARMS, blank(4, 3), 2, 6, learns_prior=False)
    assert [one.evidence for one in found] == pytest.approx([-0.691006] * 6, abs=5e-7)
    assert [one.action_divergence for one in found] == pytest.approx([0.266217] * 6, abs=5e-7)
    np.testing.assert_allclose(agent.action.exp(), 1 / 3)


def test_returns_of_the_plan_and_of_the_habit() -> None:
    """Uniform: mean reward -1; q ∝ exp r."""
    found, _ = active_em(THREE_ARMS, blank(4, 3), 2, 2, learns_prior=True)
    weights = np.exp([0.0, -1.0, -2.0])
    planned = weights @ np.array([0.0, -1.0, -2.0]) / weights.sum()
    assert (found[0].habitual_return, found[0].planned_return) == pytest.approx((-1, planned))
    assert found[1].habitual_return == pytest.approx(planned)


def test_maximising_the_bound_lowers_the_evidence_of_a_gamble() -> None:
    """The sure -1 beats the gamble's mean -1.1, but not its log E[exp r] = -0.588."""
    outcomes, rewards = (
        numbers([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]),
        numbers([-1.0, 0.0, -2.2]),
    )
    found, _ = active_em(bandit(outcomes, rewards), blank(4, 2), 2, 80, learns_prior=True)
    for k in (0, 1, 20, 79):
        sure = 1 / (1 + math.exp(-0.1 * k))
        expected = math.log(sure * math.exp(-1) + (1 - sure) * (1 + math.exp(-2.2)) / 2)
        assert found[k].evidence == pytest.approx(expected, abs=1e-12)
    assert (np.diff([one.evidence for one in found]) < 0).all()
    assert (np.diff([one.bound for one in found]) > 0).all()


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_every_half_step_raises_the_bound(noise: float) -> None:
    risen = []
    for seed in range(8):
        environment, agent = drawn(seed, noise, percepts=3)
        found, _ = active_em(environment, agent, 3, 25, learns_prior=True)
        halves = np.array([(one.bound, one.learned_bound) for one in found]).ravel()
        assert np.diff(halves).min() > -1e-13
        risen.append(halves[-1] - halves[0])
        evidence = np.array([one.evidence for one in found])
        assert (evidence >= halves[0::2] - 1e-13).all()
        if noise == 0:
            np.testing.assert_allclose(evidence, halves[0::2], atol=1e-13)
    assert max(risen) > 0.05


def test_without_a_learned_prior_only_the_latents_can_rise() -> None:
    """And under a uniform prior, where no action depends on them, nothing does."""
    environment, agent = drawn(0, 0.3, percepts=3)
    found, _ = active_em(environment, agent, 3, 25, learns_prior=False)
    assert found[-1].bound > found[0].bound + 1e-6
    uniform = agent._replace(action=torch.zeros_like(agent.action).log_softmax(-1))
    found, _ = active_em(environment, uniform, 3, 25, learns_prior=False)
    np.testing.assert_allclose([one.learned_bound for one in found], found[0].bound, atol=1e-13)
    assert found[0].action_divergence > 1e-3


def test_a_plan_that_one_latent_cannot_hold_is_not_consolidated() -> None:
    """Act 0 first and 1 then, or lose 10 each time: without memory the prior is even, at log 2 a decision."""
    transition = torch.zeros((3, 2, 3)).double()
    transition[0, 0, 1] = transition[1, 1, 2] = 1  # percept 0 where all went well
    environment = Environment(
        torch.eye(4).double()[0],
        torch.nn.functional.pad(transition, (0, 1, 0, 0, 0, 1)),
        torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]]).double(),
        torch.tensor([0.0, -10.0]).double(),
    )
    lost = environment.transition.sum(-1) == 0
    environment.transition[..., 3][lost] = 1
    found, agent = active_em(environment, blank(2, 2), 3, 60, learns_prior=True)
    np.testing.assert_allclose(agent.action.exp(), 0.5, atol=2e-2)
    assert found[-1].action_divergence == pytest.approx(2 * math.log(2), abs=2e-2)
    assert found[-1].habitual_return < -5
    assert found[-1].planned_return > -0.1
