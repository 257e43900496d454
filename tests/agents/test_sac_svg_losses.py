"""SAC-SVG's losses derived a second time, plainly: rows and steps in loops, PyTorch's own distributions and GRU."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from relatent.agents.sac_svg import SACSVG
from tests.agents.checks import assert_gradients_agree, assert_moves_all_its_own_parameters_only
from tests.agents.test_losses import dense, drawn, twin
from tests.agents.tiny import ACTION, BATCH, OBSERVATION, batch, number, parameters_of, waves
from tests.agents.tiny_sac_svg import ALPHA, GAMMA, noise, precise, segments
from tests.nets.test_recurrent_dynamics import as_torch_writes_it

HORIZONS = pytest.mark.parametrize("horizon", [1, 2, 3])


def policy(agent: SACSVG, observation: Tensor) -> TransformedDistribution:
    """Over actions, with log-deviations between -5 and 2."""
    mean, raw = dense(agent.actor, observation).chunk(2, -1)
    std = (-5 + 7 * (torch.tanh(raw) + 1) / 2).exp()
    return TransformedDistribution(Independent(Normal(mean, std), 1), [TanhTransform(cache_size=1)])


def joined(observation: Tensor, action: Tensor) -> Tensor:
    return torch.cat([observation, action], -1)


def test_log_deviations_lie_between_their_bounds() -> None:
    """At the ends and in the middle of tanh."""
    agent, observation = precise(), torch.zeros(1, OBSERVATION, dtype=torch.float64)
    for raw, expected in ((-50.0, -5.0), (0.0, -1.5), (50.0, 2.0)):
        with torch.no_grad():
            agent.actor[-1].weight.zero_()
            agent.actor[-1].bias.copy_(torch.tensor([0.3, -0.2, raw, raw]))
        found = agent.policy(observation)
        assert found.mean[0].tolist() == pytest.approx([0.3, -0.2], rel=1e-6)
        assert found.log_std[0].tolist() == pytest.approx([expected] * ACTION, rel=1e-12)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_the_dynamics_err_by_the_mean_over_steps_that_were_taken(length: int) -> None:
    agent, data = precise(), segments(length=length)
    follow = as_torch_writes_it(agent.dynamics)
    total, steps = 0.0, 0
    for row in range(4):
        predicted = follow(data.observation[row, 0], data.action[row])
        for step in range(length):
            if data.mask[row, step]:
                total += number((predicted[step] - data.observation[row, step + 1]).square().mean())
                steps += 1
    assert steps == data.mask.sum()
    assert number(agent.dynamics_loss(data)) == pytest.approx(total / steps, rel=1e-10)


def test_what_lies_after_an_episodes_end_does_not_count() -> None:
    agent, data = precise(), segments(length=3)
    start = [gradient.clone() for gradient in gradients(agent, data)]
    observation, action = data.observation.clone(), data.action.clone()
    observation[2, 2:], action[2, 1:], observation[1, 3] = 1e3, -1e3, 1e3
    for mine, yours in zip(start, gradients(agent, data._replace(observation=observation, action=action)), strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-12, atol=1e-13)


def gradients(agent: SACSVG, data: Any) -> tuple[Tensor, ...]:
    return torch.autograd.grad(agent.dynamics_loss(data), list(agent.dynamics.parameters()))


def test_the_critics_loss_is_the_soft_bellman_error() -> None:
    agent, data, draws = precise(), batch(), noise().next_action
    action, log_prob = drawn(policy(agent, data.next_observation), draws)
    soft = torch.minimum(*twin(agent.target_critic, data.next_observation, action)) - ALPHA * log_prob
    target = data.reward + GAMMA * (1 - data.terminated) * soft
    errors = [(value - target).square().mean() for value in twin(agent.critic, data.observation, data.action)]
    assert number(agent.critic_loss(data, draws)) == pytest.approx(number(sum(errors)), rel=1e-10)


def test_the_policy_begins_with_sacs_loss() -> None:
    agent, observation, draws = precise(), batch().observation, noise().actions
    action, log_prob = drawn(policy(agent, observation), draws[0])
    expected = (ALPHA * log_prob - torch.minimum(*twin(agent.critic, observation, action))).mean()
    value, returned = agent.actor_loss(observation, draws)
    assert number(value) == pytest.approx(number(expected), rel=1e-10)
    torch.testing.assert_close(returned, log_prob, rtol=1e-10, atol=1e-10)


@HORIZONS
def test_a_rollout_is_worth_its_rewards_and_then_what_the_critics_say(horizon: int) -> None:
    """Row by row: chances to go on multiply as c_0, c_0², c_0² c_1, c_0² c_1 c_2."""
    agent, observation, draws = precise(horizon=horizon), batch().observation, noise(horizon=horizon).actions
    total, first = 0.0, []
    for row in range(BATCH):
        state, done, value, chances = observation[row], [], 0.0, []
        for step in range(horizon + 1):
            action, log_prob = drawn(policy(agent, state), draws[step, row])
            done.append(action)
            chances.append(1 - 1 / (1 + math.exp(-number(dense(agent.termination, joined(state, action))[0]))))
            counts = math.prod([chances[0], *chances[:step]])
            values = [number(each) for each in twin(agent.critic, state, action)]
            worth = number(dense(agent.reward, joined(state, action))[0]) if step < horizon else min(values)
            value += GAMMA**step * (counts * worth - ALPHA * number(log_prob))
            first += [number(log_prob)] * (step == 0)
            if step < horizon:
                state = as_torch_writes_it(agent.dynamics)(observation[row], torch.stack(done), seen=True)[-1]
        total += value
    loss, log_probs = agent.rollout_loss(observation, draws)
    assert number(loss) == pytest.approx(-total / BATCH / (horizon + 1), rel=1e-10)
    assert log_probs.tolist() == pytest.approx(first, rel=1e-10)


class Table(nn.Module):
    """Logits whatever is asked."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, pairs: Tensor) -> Tensor:
        assert pairs.shape[:2] == self.logits.shape
        return self.logits[..., None]


def test_the_first_steps_chance_counts_once_too_often() -> None:
    agent = precise(horizon=3)
    goes_on = torch.tensor([[0.9, 1.0, 0.5], [0.8, 1.0, 0.1], [0.7, 0.5, 1.0], [0.6, 0.3, 0.3]], dtype=torch.float64)
    agent.termination = Table(-(goes_on.logit().clamp(-700, 700)))
    found = agent.survival(torch.zeros(4, 3, OBSERVATION + ACTION, dtype=torch.float64))
    expected = [[0.9, 1, 0.5], [0.81, 1, 0.25], [0.648, 1, 0.025], [0.4536, 0.5, 0.025]]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)


def test_the_temperature_rises_while_entropy_lies_below_its_target() -> None:
    agent = precise()
    agent.target_entropy.fill_(-2.0)
    for entropy, direction in ((-2.5, -1), (-1.5, 1)):
        gradient = torch.autograd.grad(agent.alpha_loss(torch.full((BATCH,), -entropy)), agent.log_alpha)[0]
        assert number(gradient) == pytest.approx(direction * ALPHA * 0.5, rel=1e-6)


def test_the_reward_is_fitted_by_least_squares() -> None:
    agent, data = precise(), batch()
    errors = [
        (number(dense(agent.reward, joined(data.observation[row], data.action[row]))[0]) - number(data.reward[row]))
        ** 2
        for row in range(BATCH)
    ]
    assert number(agent.reward_loss(data)) == pytest.approx(sum(errors) / BATCH, rel=1e-10)


@pytest.mark.parametrize(("ended", "weight"), [((0, 1, 0, 1, 0), 1.5), ((0, 0, 1, 0, 0), 4.0), ((1,) * 5, 0.0)])
def test_terminations_count_as_much_as_all_other_steps(ended: tuple[int, ...], weight: float) -> None:
    agent, data = precise(), batch()._replace(terminated=torch.tensor(ended, dtype=torch.float64))
    assert number(agent.termination_loss(data)) == pytest.approx(weighted(agent, data, weight), rel=1e-10, abs=1e-15)


def test_without_a_termination_nothing_is_weighted() -> None:
    agent, data = precise(), batch()._replace(terminated=torch.zeros(BATCH, dtype=torch.float64))
    assert number(agent.termination_loss(data)) == pytest.approx(weighted(agent, data, 7.0), rel=1e-10)


def weighted(agent: SACSVG, data: Any, weight: float) -> float:
    """The cross-entropy, terminations times `weight`."""
    total = 0.0
    for row in range(BATCH):
        logit = number(dense(agent.termination, joined(data.observation[row], data.action[row]))[0])
        chance = 1 / (1 + math.exp(-logit))
        total -= weight * math.log(chance) if data.terminated[row] else math.log(1 - chance)
    return total / BATCH


# Gradients

LOSSES: dict[str, tuple[str, Callable[[SACSVG], Tensor]]] = {
    "critic": ("critic", lambda agent: agent.critic_loss(batch(), noise().next_action)),
    "sacs_actor": ("actor", lambda agent: agent.actor_loss(batch().observation, noise().actions)[0]),
    "rollout": (
        "actor",
        lambda agent: agent.rollout_loss(batch().observation, noise(horizon=horizon(agent)).actions)[0],
    ),
    "alpha": ("alpha", lambda agent: agent.alpha_loss(waves((BATCH,), 0.9))),
    "reward": ("reward", lambda agent: agent.reward_loss(batch())),
    "termination": ("termination", lambda agent: agent.termination_loss(batch())),
}


def horizon(agent: SACSVG) -> int:
    return agent.hyper.horizon


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_central_differences(name: str) -> None:
    agent, (part, loss) = precise(), LOSSES[name]
    assert_gradients_agree(lambda: loss(agent), parameters_of(agent, part))


@HORIZONS
def test_a_rollouts_gradient_is_a_central_difference(horizon: int) -> None:
    agent = precise(horizon=horizon)
    assert_gradients_agree(lambda: LOSSES["rollout"][1](agent), parameters_of(agent, "actor"))


@pytest.mark.parametrize("name", [*LOSSES, "dynamics"])
def test_each_loss_moves_its_own_parameters_only(name: str) -> None:
    agent = precise()
    part, loss = LOSSES.get(name, ("dynamics", lambda one: one.dynamics_loss(segments())))
    assert_moves_all_its_own_parameters_only(agent, part, lambda: loss(agent))


def test_the_policy_learns_through_the_dynamics() -> None:
    """Where only states are worth anything and entropy nothing: as far as the dynamics let actions reach them."""
    agent = precise()
    with torch.no_grad():
        agent.log_alpha.fill_(-math.inf)
        for net in (agent.reward, agent.termination, agent.critic.first, agent.critic.second):
            net[0].weight[:, OBSERVATION:] = 0
    assert_gradients_agree(lambda: LOSSES["rollout"][1](agent), parameters_of(agent, "actor"))
    with torch.no_grad():
        agent.dynamics.encode[0].weight[:, OBSERVATION:] = 0
    gradients = torch.autograd.grad(LOSSES["rollout"][1](agent), parameters_of(agent, "actor"))
    assert all(not gradient.any() for gradient in gradients)
