"""MBSAC(R) that acts by planning: what plans are worth, what is searched and executed; nothing else changes."""

import math
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from relatent.agents.rpg import RPG
from relatent.nets.imagination import Rollout
from relatent.objectives import planned_action as planning
from relatent.objectives.planned_action import PlanNoise, plan_values
from relatent.specs.errors import RelatentError
from relatent.training.stack import Stack
from tests.agents import plain_rpg
from tests.agents.test_rpg import OBSERVED, replay
from tests.agents.tiny import number, waves
from tests.agents.tiny_rpg import ACTION, HORIZON, OBSERVATION, build, precise
from tests.nets.test_learner import assert_identical

PLAN: dict[str, Any] = {
    "plan_iterations": 3,
    "plan_samples": 8,
    "plan_policy_share": 0.25,
    "plan_elites": 4,
    "plan_temperature": 0.5,
    "plan_momentum": 0.1,
    "plan_min_std": 0.01,
}
STATE = waves((4,), 0.9)


def draws(**changes: int) -> PlanNoise:
    """Of one action: 3 iterations of 8 plans, and 2 of the policy, for a Gaussian one."""
    size = {"iterations": 3, "samples": 8, "guesses": 2, **changes}
    return PlanNoise(
        1.5 * waves((size["iterations"], HORIZON, size["samples"], ACTION), 0.3),
        1.5 * waves((HORIZON, size["guesses"], ACTION), 0.6),
        waves((ACTION,), 0.8),
    )


def values(agent: RPG, latent: Tensor, plans: Tensor) -> Tensor:
    with torch.no_grad():
        return plan_values(agent.world, value_of(agent), STATE, latent, plans)


def value_of(agent: RPG) -> Any:
    return lambda rollout, latents: agent.value(agent.world, rollout, latents, entropy_bonus=False)


def latent_of(agent: RPG) -> Tensor:
    return {"none": torch.ones(1), "gaussian": waves((3,), 0.2), "categorical": torch.tensor([0.0, 1, 0])}[
        agent.hyper.latent
    ].double()


# What a plan is worth


@pytest.mark.parametrize("name", ["code_none", "code", "code_categorical"])
@pytest.mark.parametrize("decay", [0.97, 0.5, 0.0])
def test_a_plans_value_is_that_of_plain_loops(name: str, decay: float) -> None:
    """Rewards of 1, 2 and 3 steps and then what the first critic says, weighted by powers of `decay`; the plan's first
    action counts first. z counts by p(z|s, a), where there is one; the policy not at all."""
    agent = precise(name, length_decay=decay)
    latent, plans = latent_of(agent), waves((HORIZON, 5, ACTION), 0.1)
    found, gru, world = values(agent, latent, plans), plain_rpg.cell(agent.world), agent.world
    weights = [decay**step for step in range(HORIZON)] if decay else [0.0, 0.0, 1.0]
    for plan in range(5):
        state, hidden = STATE, plain_rpg.dense(world.begin, STATE)
        gained, total = 0.0, 0.0
        for step in range(HORIZON):
            action = plans[step, plan]
            embedded = plain_rpg.dense(world.embed, action)
            hidden = gru(embedded[None], hidden[None])[0]
            following = plain_rpg.dense(world.decode, hidden)
            bonus = agent.hyper.beta * plain_rpg.log_posterior(agent, latent, state, action)
            gained += 0.9**step * number(plain_rpg.dense(world.predict_reward, embedded, following)[0] + bonus)
            rest = number(plain_rpg.dense(world.critics[0], following, latent)[0])
            total += weights[step] * (gained + 0.9 ** (step + 1) * rest)
            state = following
        assert number(found[plan]) == pytest.approx(total / sum(weights), rel=1e-10)
    assert len(set(found.tolist())) == 5


def test_a_plan_of_the_policys_actions_is_worth_what_its_rollout_is() -> None:
    """By the agent's own value of the same actions, of which the policy's loss is made, but for the entropy."""
    agent = precise("code_none")
    latents, noise = torch.ones(5, 1).double(), waves((HORIZON, 5, ACTION), 0.4)
    with torch.no_grad():
        rollout = agent.imagine(agent.world, STATE.expand(5, -1), latents, noise)
        both = agent.value(agent.world, rollout, latents, entropy_bonus=False)
        found = values(agent, latents[0], rollout.actions)
        torch.testing.assert_close(found, both[0], rtol=1e-14, atol=0)
        assert not torch.allclose(found, both[1])
        assert not torch.allclose(found, agent.value(agent.world, rollout, latents, entropy_bonus=True)[0])


# What is searched and what is executed


def by_hand(worth: Any, noise: PlanNoise, guesses: np.ndarray, hyper: Any) -> dict[str, np.ndarray]:
    """The search again, number by number. `worth` maps one plan (horizon, action_size) to a number."""
    shape = (HORIZON, ACTION)
    mean, std = np.zeros(shape), np.full(shape, 2.0)
    for drawn in noise.plans.numpy():
        plans = [np.clip(mean + std * drawn[:, n], -1, 1) for n in range(drawn.shape[1])]
        every = [*plans, *(guesses[:, n] for n in range(guesses.shape[1]))]
        best = sorted(every, key=worth, reverse=True)[: hyper.plan_elites]
        scores = [math.exp(hyper.plan_temperature * (worth(plan) - worth(best[0]))) for plan in best]
        weights = [score / sum(scores) for score in scores]
        centre = sum(w * plan for w, plan in zip(weights, best, strict=True))
        variance = sum(w * (plan - centre) ** 2 for w, plan in zip(weights, best, strict=True))
        std = np.clip(np.sqrt(variance), hyper.plan_min_std, 2.0)
        mean = hyper.plan_momentum * mean + (1 - hyper.plan_momentum) * centre
    return {"first": plans[0], "std": std, "best": best[0]}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"plan_temperature": 30.0},
        {"plan_momentum": 0.6},
        {"plan_elites": 9},  # a plan of the policy at least
        {"plan_elites": 1},
        {"plan_elites": 1, "plan_min_std": 0.3},
        {"plan_min_std": 0.6},
        {"plan_policy_share": 0.0},
    ],
)
def test_an_action_is_the_first_of_a_plan_drawn_last_and_noise_of_the_elites_spread(changes: dict) -> None:
    """A search by hand, of the agent's own values. Not an elite is executed, but a sequence that was drawn as they
    were; the elites' deviation is that of the noise, and never below its bound."""
    agent = precise("code_none", **{**PLAN, **changes})
    noise, latent = draws(guesses=0 if agent.hyper.plan_policy_share == 0 else 2), torch.ones(1).double()
    observed = waves((OBSERVATION,), 0.4)
    with torch.no_grad():
        state = agent.world.encode(observed)
        guesses = np.zeros((HORIZON, noise.guesses.shape[1], ACTION))
        for guess in range(guesses.shape[1]):
            follow = plain_rpg.rollout_values(agent, agent.world, state, latent, noise.guesses[:, guess], False)
            guesses[:, guess] = follow[2].numpy()

        def worth(plan: np.ndarray) -> float:
            of_one = torch.from_numpy(plan)[:, None]
            return number(plan_values(agent.world, value_of(agent), state, latent, of_one)[0])

        expected = by_hand(worth, noise, guesses, agent.hyper)
        explored = expected["first"][0] + expected["std"][0] * noise.explore.numpy()
        action, belief = agent.choose(observed, None, (noise, torch.zeros(1).double()))
        again, _ = agent.choose(observed, belief, (noise, torch.ones(1).double()))
    np.testing.assert_allclose(action.numpy(), explored.clip(-1, 1), rtol=1e-10, atol=1e-12)
    assert belief.tolist() == [1.0]
    assert torch.equal(action, again)  # a search does not begin where the last one ended
    assert (expected["std"] >= agent.hyper.plan_min_std).all()
    if "plan_min_std" in changes:
        assert (expected["std"] == agent.hyper.plan_min_std).any()
    if not changes:
        assert not np.allclose(expected["first"], expected["best"])
        assert np.abs(explored).max() < 1


def test_an_action_stays_within_its_bounds() -> None:
    """The noise of an unsettled search reaches beyond them."""
    agent = precise("code_none", **PLAN)
    noise = draws()._replace(explore=torch.tensor([50.0, -50.0]).double())
    with torch.no_grad():
        action, _ = agent.choose(waves((OBSERVATION,), 0.4), None, (noise, torch.zeros(1).double()))
    assert action.tolist() == [1.0, -1.0]


def test_the_search_finds_what_a_known_value_asks_for() -> None:
    """Worth -20 |a - best|² in the first step: 6 iterations of 512 draws find it within the least deviation."""
    agent = build("code_none", **{**PLAN, "plan_iterations": 6, "plan_samples": 512, "plan_elites": 64})
    best = torch.tensor([0.6, -0.35])

    def worth(rollout: Rollout, _latents: Tensor) -> Tensor:
        first = -20 * (rollout.actions[0] - best).square().sum(-1)
        return torch.stack([first, -first])

    found = []
    for seed in range(20):
        noise = planning.draw_plan_noise(agent.policy, ACTION, agent.hyper, torch.Generator().manual_seed(seed))
        assert [len(noise.plans), noise.plans.shape[2], noise.guesses.shape[1]] == [6, 512, 128]
        latent = torch.ones(1)
        with torch.no_grad():
            state = agent.world.encode(torch.from_numpy(OBSERVED))
            found.append(planning.planned_action(agent.world, agent.policy, worth, state, latent, noise, agent.hyper))
    errors = torch.stack(found) - best
    assert errors.abs().mean() < 0.1
    assert len({tuple(action.tolist()) for action in found}) == 20


# Acting


@pytest.mark.parametrize("explore", [True, False])
def test_evaluation_plans_as_training_does(explore: bool) -> None:
    """With the last noise, too, from the generator given and no other."""
    agent = build("code_none", **PLAN)
    before = torch.get_rng_state()
    generator, twin = (torch.Generator().manual_seed(3) for _ in range(2))
    action, belief = agent.act(OBSERVED, None, explore, generator)
    noise = agent.draw_action_noise(True, twin)
    assert torch.equal(generator.get_state(), twin.get_state())
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(noise[0], PlanNoise)
    assert noise[0].explore.all()
    with torch.no_grad():
        expected, _ = agent.choose(torch.from_numpy(OBSERVED), None, noise)
    assert np.array_equal(action, expected.numpy())
    assert action.dtype == np.float32
    assert np.abs(action).max() <= 1
    kept = agent.keep(belief)
    assert kept is not None
    assert kept.tolist() == [1.0]


def test_a_random_action_has_the_constant_z() -> None:
    """Where z is one; there is none to keep where it is still to be drawn."""
    kept = build("code_none").keep(None)
    assert kept is not None
    assert (kept.tolist(), kept.dtype) == ([1.0], np.float32)
    assert build("code").keep(None) is build("code_categorical").keep(None) is None


def test_seeds_act_as_one() -> None:
    """Searches under vmap choose what they choose alone, in an episode's first step and later."""
    alone = []
    for seed in range(3):
        torch.manual_seed(seed)
        alone.append(build("code_none", **PLAN).double())
    stack = Stack(deepcopy(alone))
    beliefs: list[Any] = [None] * 3
    for step in range(3):
        observations = [waves((OBSERVATION,), step + 0.1 * seed) for seed in range(3)]
        noise = [a.draw_action_noise(True, torch.Generator().manual_seed(9 * step + s)) for s, a in enumerate(alone)]
        noise = tree_map(torch.Tensor.double, noise)
        chosen = stack.choose(observations, beliefs, noise)
        for seed, (action, belief) in enumerate(chosen):
            with torch.no_grad():
                expected, _ = alone[seed].choose(observations[seed], beliefs[seed], noise[seed])
            torch.testing.assert_close(action, expected, rtol=1e-9, atol=1e-11)
            assert belief.tolist() == [1.0]
        assert len({tuple(action.tolist()) for action, _ in chosen}) == 3
        beliefs = [belief for _, belief in chosen]


# Learning


def test_it_learns_as_the_agent_that_acts_by_its_policy_does() -> None:
    """From the same transitions to the same bytes, parameters, moments and metrics."""
    agents = []
    for changes in ({}, PLAN):
        torch.manual_seed(0)
        agents.append(build("code_none", **changes))
    memory = replay(40, agents[0])
    for step in range(6):
        metrics = [agent.update(memory, torch.Generator().manual_seed(step)) for agent in agents]
        assert metrics[0].keys() == metrics[1].keys()
        assert all(torch.equal(metrics[0][key], metrics[1][key]) for key in metrics[0])
    assert_identical(*agents)


def test_a_critic_of_actions_cannot_judge_a_plan() -> None:
    with pytest.raises(RelatentError, match=r"plan_iterations: .* expected critic: state_value"):
        build("paper_none", **PLAN)
