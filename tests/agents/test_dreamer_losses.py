"""What Dreamer imagines and its losses: number by number, in a world whose returns are known, and who receives their
gradients."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from relatent.agents.dreamer import Dreamer
from relatent.nets.rssm import RSSM, State, WorldModel
from relatent.objectives.imagined_value import Imagined, imagine, policy_loss, value_loss
from tests.agents.checks import assert_gradients_agree, assert_moves_all_its_own_parameters_only
from tests.agents.tiny import number, parameters_of, waves
from tests.agents.tiny_dreamer import HORIZON, LAMBDA, noise, plain_return, precise, states, walk
from tests.agents.tiny_latent_sac import GAMMA, given
from tests.nets.tiny_world import ACTION, BATCH, LENGTH, dense

# The losses again


@pytest.mark.parametrize("phase", [0.0, 3.0])
def test_what_is_imagined_and_both_losses_step_by_step(phase: float) -> None:
    """From every state, beginnings and ends of episodes among them."""
    agent, start, draws = precise(phase), states(), noise()
    loss, imagined = agent.actor_loss(start, draws)
    gains, errors = [], []
    for row, now in np.ndindex(BATCH, LENGTH):
        own = (part[row, now].numpy() for part in (*start, draws.state, draws.action))
        path = walk(agent, *own)
        np.testing.assert_allclose(imagined.features[row, now].detach().numpy(), path.features[:-1], rtol=1e-10)
        for k in range(HORIZON):
            expected = plain_return(path, k, GAMMA, LAMBDA)
            assert number(imagined.returns[row, now, k]) == pytest.approx(expected, rel=1e-10)
            gains.append(GAMMA**k * expected)
            error = 0.5 * (float(dense(agent.value, path.features[k])[0]) - expected) ** 2
            errors.append(GAMMA**k * (error + 0.5 * math.log(2 * math.pi)))
    assert number(loss) == pytest.approx(-np.mean(gains), rel=1e-10)
    assert number(agent.value_loss(imagined)) == pytest.approx(np.mean(errors), rel=1e-10)


def test_golden_values() -> None:
    agent = precise()
    loss, imagined = agent.actor_loss(states(), noise())
    assert number(loss) == pytest.approx(-0.146532358538, abs=1e-9)
    assert number(agent.value_loss(imagined)) == pytest.approx(3.164779895807, abs=1e-9)


def test_losses_fade_with_what_is_further_ahead() -> None:
    """The same returns as in tests/objectives/test_lambda_return.py; a value that is nowhere right."""
    returns = torch.tensor([[18.02181077, 17.519735, 15.87]], dtype=torch.float64)
    assert number(policy_loss(returns, 0.99)) == pytest.approx(-16.97351181, abs=5e-9)
    always = nn.Linear(2, 1).double()
    with torch.no_grad():
        always.weight.zero_()
        always.bias.fill_(17.0)
    found = value_loss(always, Imagined(torch.ones(1, 3, 2).double(), returns), 0.5)
    squares = 0.5 * 1.02181077**2 + 0.25 * 0.519735**2 + 0.125 * 1.13**2
    assert number(found) == pytest.approx((squares + 1.75 * 0.5 * math.log(2 * math.pi)) / 3, rel=1e-9)


# A world whose returns are known: s' = ρ s + β a + σ ε, r = c s + d, v = v s + u, of single numbers

RHO, BETA, SIGMA, C, D, V, U, START = 0.8, 0.5, 0.3, 1.5, 0.2, 2.0, -0.4, 0.7


class Line(RSSM):
    """It has no memory: h is zero."""

    def dream(self, state: State, action: Tensor, noise: Tensor) -> Any:
        return State(RHO * state.stoch + BETA * action + SIGMA * noise, state.deter), None


def affine(slope: float, shift: float) -> nn.Linear:
    layer = nn.Linear(2, 1).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[slope, 9.0]], dtype=torch.float64))
        layer.bias.copy_(exact(shift))
    return layer


def exact(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


def on_the_line(choose: Any, steps: int, gamma: float, weight: float, noise: Tensor | None = None) -> Imagined:
    """Acting by a function of s."""
    rssm = Line(action_size=1, embed_size=1, deter_size=1, stoch_size=1, hidden=1)
    world = WorldModel(rssm, nn.Identity(), nn.Identity(), affine(C, D), target=Tensor.to)
    noise = torch.zeros(steps, 1).double() if noise is None else noise
    start = State(exact(START), exact(0.0))
    return imagine(world, lambda features, _: choose(features[:1]), affine(V, U), start, noise, gamma, weight)


def geometric(ratio: float, count: int) -> float:
    """1 + ratio + .. , of so many terms."""
    return (1 - ratio**count) / (1 - ratio)


@pytest.mark.parametrize("steps", [1, 4, 15])
def test_with_lambda_one_a_return_is_the_discounted_sum_and_the_value_at_the_end(steps: int) -> None:
    """s_k = ρ^k s_0 + β a (1 - ρ^k) / (1 - ρ) for a constant action, so that all sums are geometric; and its
    derivative in the action."""
    gamma, action = 0.9, exact(0.6).requires_grad_()
    found = on_the_line(lambda _: action, steps, gamma, 1.0).returns
    for first in range(steps):
        count, here = steps - first, START * RHO**first + BETA * 0.6 * geometric(RHO, first)
        at, sums = BETA / (1 - RHO), (geometric(gamma, count), RHO * geometric(gamma * RHO, count))
        expected = C * (here * sums[1] + 0.6 * at * (sums[0] - sums[1])) + D * sums[0]
        end = RHO**count * here + BETA * 0.6 * geometric(RHO, count)
        assert number(found[first]) == pytest.approx(expected + gamma**count * (V * end + U), rel=1e-12)
    (slope,) = torch.autograd.grad(found[0], action)
    sums = geometric(gamma, steps), RHO * geometric(gamma * RHO, steps)
    expected = C * BETA / (1 - RHO) * (sums[0] - sums[1]) + gamma**steps * V * BETA * geometric(RHO, steps)
    assert slope.item() == pytest.approx(expected, rel=1e-12)


def test_with_lambda_zero_a_return_is_the_next_reward_and_value() -> None:
    found = on_the_line(lambda _: exact(0.6), 4, 0.9, 0.0).returns
    here = START
    for k in range(4):
        here = RHO * here + BETA * 0.6
        assert number(found[k]) == pytest.approx(C * here + D + 0.9 * (V * here + U), rel=1e-12)


@pytest.mark.parametrize("weight", [0.0, 0.6, 1.0])
def test_a_policy_is_told_where_it_is_but_not_how_it_came_there(weight: float) -> None:
    """Of a = κ s, ds_{k+1}/dκ = ρ ds_k/dκ + β s_k, without the change that κ makes of s_k and hence of a: features are
    numbers for a policy."""
    gamma, steps = 0.9, 5
    kappa = exact(-0.3).requires_grad_()
    draws = waves((steps, 1), 0.4)
    found = on_the_line(lambda s: kappa * s, steps, gamma, weight, draws)
    here, slope, places, slopes = START, 0.0, [], []
    for k in range(steps):
        slope = RHO * slope + BETA * here
        here = (RHO + BETA * -0.3) * here + SIGMA * float(draws[k])
        places.append(here)
        slopes.append(slope)
    np.testing.assert_allclose(found.features[:, 0].detach().numpy(), [START, *places[:-1]], rtol=1e-12)
    expected = 0.0
    for length in range(1, steps + 1):
        share = weight ** (length - 1) * (1.0 if length == steps else 1 - weight)
        gained = sum(gamma**k * C * slopes[k] for k in range(length))
        expected += share * (gained + gamma**length * V * slopes[length - 1])
    assert torch.autograd.grad(found.returns[0], kappa)[0].item() == pytest.approx(expected, rel=1e-12)


# Gradients


def test_the_actors_gradient_is_its_finite_difference_along_what_it_was_told() -> None:
    """Through all of what is imagined; the states that the policy is told of stay those that it was told of."""
    agent, start, draws = precise(), states(), noise()
    told: list[Tensor] = []

    def actions(features: Tensor, k: int) -> Tensor:
        return torch.tanh(agent.actor(features).sample(draws.action[..., k, :]))

    def listening(features: Tensor, k: int) -> Tensor:
        told.append(features)
        return actions(features, k)

    def loss(act: Any) -> Tensor:
        found = imagine(agent.world, act, agent.value, start, draws.state, GAMMA, LAMBDA)
        return policy_loss(found.returns, GAMMA)

    whole, parameters = loss(listening), parameters_of(agent, "actor")
    assert len(told) == HORIZON
    assert not any(features.requires_grad for features in told)
    assert torch.equal(whole, agent.actor_loss(start, draws)[0])
    along = partial(loss, lambda _, k: actions(told[k], k))
    for mine, other in zip(*(torch.autograd.grad(one, parameters) for one in (whole, along())), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-15)
    assert_gradients_agree(along, parameters)
    with pytest.raises(AssertionError):
        assert_gradients_agree(lambda: loss(actions), parameters)


def test_the_values_gradient_is_its_finite_difference() -> None:
    agent = precise()
    imagined = Imagined(*(part.detach() for part in agent.actor_loss(states(), noise())[1]))
    assert_gradients_agree(lambda: agent.value_loss(imagined), parameters_of(agent, "value"))


def loss_of(agent: Dreamer, part: str) -> Any:
    if part == "world":
        return agent.world_loss(given(), noise().filter)
    loss, imagined = agent.actor_loss(states(), noise())
    return loss if part == "actor" else agent.value_loss(imagined)


@pytest.mark.parametrize("part", ["world", "actor", "value"])
def test_a_loss_moves_all_of_its_own_and_nothing_else(part: str) -> None:
    agent = precise()
    assert_moves_all_its_own_parameters_only(agent, part, lambda: loss_of(agent, part))


def test_what_the_value_learns_from_is_numbers() -> None:
    """Neither actor nor world could be moved by it, even if they were asked."""
    agent = precise()
    loss, imagined = agent.actor_loss(states(), noise())
    others = [*agent.world.parameters(), *agent.actor.parameters()]
    found = torch.autograd.grad(agent.value_loss(imagined), others, allow_unused=True)
    assert found == (None,) * len(others)
    reached = torch.autograd.grad(loss, others, allow_unused=True)
    read = {name for (name, _), one in zip(agent.world.named_parameters(), reached, strict=False) if one is not None}
    assert {name.split(".")[0] for name in read} == {"rssm", "reward"}
    assert not any(name.startswith("rssm.infer") for name in read)


def test_nothing_is_drawn_and_every_draw_counts() -> None:
    agent, before = precise(), torch.get_rng_state()
    first, again = (agent.actor_loss(states(), noise())[0] for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)
    assert noise().action.shape == (BATCH, LENGTH, HORIZON, ACTION)
    for k in range(HORIZON):
        for part in ("state", "action"):
            draws = noise()
            getattr(draws, part)[:, :, k] += 0.1
            assert number(agent.actor_loss(states(), draws)[0]) != number(first)
