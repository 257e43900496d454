"""TD-MPC's actions: what plans are worth, which one is taken, and where the next one begins."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from relatent.agents.tdmpc import ActionNoise
from tests.agents.tiny import number, waves
from tests.agents.tiny_tdmpc import ACTION, GAMMA, HORIZON, OBSERVED, act, action_noise, build, critics, dense, precise


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_plans_value_is_that_of_its_first_steps(depth: int) -> None:
    agent, start = precise(), waves((4,), 0.9)
    agent.depth.fill_(depth)
    plans, draws = waves((HORIZON, 4, ACTION), 0.1), waves((4, ACTION), 0.2)
    values = agent.value(start, plans, draws)
    for plan in range(4):
        state, total = start, 0.0
        for step in range(depth):
            inputs = torch.cat([state, plans[step, plan]])
            total += GAMMA**step * number(dense(agent.world.predict_reward, inputs))
            state = dense(agent.world.dynamics, inputs)
        end = min(number(value) for value in critics(agent.world, state, act(agent, state, draws[plan])))
        assert number(values[plan]) == pytest.approx(total + GAMMA**depth * end, rel=1e-10)


def test_the_policys_plans_are_its_actions_in_the_world() -> None:
    agent, start, draws = precise(), waves((4,), 0.9), waves((HORIZON, 3, ACTION), 0.2)
    plans = agent.follow_policy(start, draws)
    for plan in range(3):
        state = start
        for step in range(HORIZON):
            action = act(agent, state, draws[step, plan])
            torch.testing.assert_close(plans[step, plan], action)
            state = dense(agent.world.dynamics, torch.cat([state, action]))


@pytest.mark.parametrize("explore", [0.0, 0.4])
def test_an_action_is_that_of_an_elite_drawn_by_its_weight(explore: float) -> None:
    agent = precise()
    draws = action_noise()._replace(explore=torch.full((ACTION,), explore, dtype=torch.float64))
    state = agent.world.encode(OBSERVED)
    plan = agent.plan(state, None, draws)
    taken = set()
    for elite in range(3):  # Gumbel draws that decide for it
        chosen = draws._replace(elite=20 * F.one_hot(torch.tensor(elite), 3).double())
        action, belief = agent.choose(OBSERVED, None, chosen)
        torch.testing.assert_close(action, (plan.elites[0, elite] + explore * plan.std[0]).clamp(-1, 1))
        torch.testing.assert_close(belief, plan.mean)
        taken.add(tuple(action.tolist()))
    assert len(taken) == 3


def test_elites_are_drawn_as_often_as_their_weights_say() -> None:
    agent, count, draws = precise(temperature=3.0), torch.zeros(3), 2_000
    fixed = action_noise()._replace(explore=torch.zeros(ACTION, dtype=torch.float64))
    plan = agent.plan(agent.world.encode(OBSERVED), None, fixed)
    own = torch.Generator().manual_seed(0)
    for _ in range(draws):
        gumbels = agent.draw_action_noise(False, own).elite
        count[(plan.log_weights + gumbels).argmax()] += 1
    expected = plan.log_weights.detach().exp()
    assert expected.max() - expected.min() > 0.05
    assert ((count / draws - expected).abs() < 4.5 * (expected * (1 - expected) / draws).sqrt()).all()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_plan_begins_where_the_last_one_went_on(depth: int) -> None:
    """With nothing drawn all sequences are the start, so that the next belief is the last one a step later."""
    agent = precise(policy_share=0.0, elites=2)
    agent.depth.fill_(depth)
    still = ActionNoise(*(torch.zeros_like(one) for one in agent.draw_action_noise(False, torch.Generator())))
    still = ActionNoise(*(one.double() for one in still))
    belief = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], dtype=torch.float64)
    later = torch.tensor([[0.3, 0.4], [0.5, 0.6], [0.0, 0.0]], dtype=torch.float64)
    action, following = agent.choose(OBSERVED, belief, still)
    torch.testing.assert_close(action, later[0])
    torch.testing.assert_close(following, later * (torch.arange(3) < depth)[:, None])
    first, _ = agent.choose(OBSERVED, None, still)
    assert first.tolist() == [0, 0]


def test_evaluation_draws_no_exploration_but_plans_all_the_same() -> None:
    agent = build()
    explored, judged = (agent.draw_action_noise(explore, torch.Generator().manual_seed(0)) for explore in (True, False))
    assert all(torch.equal(one, other) for one, other in zip(explored[:-1], judged[:-1], strict=True))
    assert explored.explore.all()
    assert not judged.explore.any()
    seen = OBSERVED.float().numpy()
    for explore in (True, False):
        results = [agent.act(seen, None, explore, torch.Generator().manual_seed(3)) for _ in range(2)]
        assert np.array_equal(results[0][0], results[1][0])
        assert results[0][0].dtype == np.float32
        assert np.abs(results[0][0]).max() <= 1
