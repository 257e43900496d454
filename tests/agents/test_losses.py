"""Losses derived a second time, plainly, and their values fixed."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from relatent.nets.batch import Batch
from tests.agents.tiny import BATCH, CASES, batch, loss, noise_for, number, precise

GAMMA, ALPHA = 0.9, 0.5  # of tests.agents.tiny


def dense(module: nn.Module, inputs: Tensor) -> Tensor:
    """Linear layers with ReLU between them, from the weights alone."""
    layers = [(layer.weight, layer.bias) for layer in module.modules() if isinstance(layer, nn.Linear)]
    for weight, bias in layers[:-1]:
        inputs = (inputs @ weight.T + bias).clamp(min=0)
    return inputs @ layers[-1][0].T + layers[-1][1]


def twin(critic: Any, observation: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    inputs = torch.cat([observation, action], -1)
    return dense(critic.first, inputs)[..., 0], dense(critic.second, inputs)[..., 0]


def squashed(head: Any, inputs: Tensor) -> TransformedDistribution:
    """A head's distribution over actions, as PyTorch's own distributions write it."""
    features = dense(head.trunk, inputs).clamp(min=0)
    mean = features @ head.mean.weight.T + head.mean.bias
    std = (features @ head.log_std.weight.T + head.log_std.bias).clamp(-20, 2).exp()
    return TransformedDistribution(Independent(Normal(mean, std), 1), [TanhTransform(cache_size=1)])


def drawn(policy: TransformedDistribution, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The action that this noise makes and its log-density there."""
    base = policy.base_dist.base_dist  # type: ignore[attr-defined]
    action = policy.transforms[0](base.loc + base.scale * noise)
    return action, policy.log_prob(action)


def bellman(agent: Any, data: Batch, next_action: Tensor, bonus: Tensor | float) -> Tensor:
    """The critics' loss transition by transition."""
    following = twin(agent.target_critic, data.next_observation, next_action)
    values = twin(agent.critic, data.observation, data.action)
    total = torch.zeros((), dtype=torch.float64)
    soft = torch.minimum(*following) + bonus
    for row in range(BATCH):
        target = data.reward[row] if data.terminated[row] else data.reward[row] + GAMMA * soft[row]
        total = total + sum((value[row] - target) ** 2 for value in values) / BATCH
    return total


def test_sac_critic_loss_is_the_soft_bellman_error() -> None:
    agent, data = precise("sac"), batch()
    noise = noise_for(agent)
    action, log_prob = drawn(squashed(agent.actor, data.next_observation), noise.next_action)
    assert number(agent.critic_loss(data, noise)) == pytest.approx(
        number(bellman(agent, data, action, -ALPHA * log_prob)), rel=1e-10
    )


def test_sac_actor_loss_is_the_soft_value_at_a_reparameterised_action() -> None:
    agent, data = precise("sac"), batch()
    noise = noise_for(agent)
    action, log_prob = drawn(squashed(agent.actor, data.observation), noise.action)
    expected = (ALPHA * log_prob - torch.minimum(*twin(agent.critic, data.observation, action))).mean()
    value, returned = agent.actor_loss(data, noise)
    assert number(value) == pytest.approx(number(expected), rel=1e-10)
    torch.testing.assert_close(returned, log_prob, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["sac", "smac_nested", "flow_sac", "pmoe"])
def test_the_temperature_rises_exactly_while_entropy_lies_below_minus_the_action_size(name: str) -> None:
    agent = precise(name)
    for entropy, direction in ((-2.5, -1), (-1.5, 1)):  # the target is -2
        gradient = torch.autograd.grad(agent.alpha_loss(torch.full((BATCH,), -entropy)), agent.log_alpha)[0]
        assert number(gradient) == pytest.approx(direction * 0.5, rel=1e-6)
    assert number(agent.alpha_loss(torch.full((BATCH,), 3.0))) == pytest.approx(-math.log(ALPHA) * (3 - 2), rel=1e-6)


def test_td3_losses_are_those_of_smoothed_deterministic_actions() -> None:
    agent, data = precise("td3"), batch()
    noise = noise_for(agent)
    with torch.no_grad():
        agent.target_actor[0][-1].bias.fill_(2.0)  # so that smoothing leaves [-1, 1] somewhere
    smoothing = (0.2 * noise.next_action).clamp(-0.3, 0.3)
    raw = torch.tanh(dense(agent.target_actor, data.next_observation)) + smoothing
    assert (smoothing.abs() < 0.3).any()
    assert (raw.abs() > 1).any()  # the outer clamp acts in this example
    assert number(agent.critic_loss(data, noise)) == pytest.approx(
        number(bellman(agent, data, raw.clamp(-1, 1), 0.0)), rel=1e-10
    )
    first, _ = twin(agent.critic, data.observation, torch.tanh(dense(agent.actor, data.observation)))
    assert number(agent.actor_loss(data)) == pytest.approx(-number(first.mean()), rel=1e-10)


def test_td3_clips_the_noise_of_target_actions() -> None:
    agent, data = precise("td3"), batch()
    noise = noise_for(agent)
    far = type(noise)(torch.full_like(noise.next_action, 50.0))
    at_limit = type(noise)(torch.full_like(noise.next_action, 0.3 / 0.2))
    assert number(agent.critic_loss(data, far)) == pytest.approx(number(agent.critic_loss(data, at_limit)), rel=1e-12)


def test_flow_densities_are_those_of_the_transformed_base() -> None:
    """The density by the change of variables, with the flow's whole Jacobian from autograd; tanh' = cosh⁻²."""
    agent, data = precise("flow_sac"), batch()
    noise = noise_for(agent).action
    action, log_prob = agent.sample_action(data.observation, noise)
    for row in range(BATCH):
        state = data.observation[row]
        jacobian = torch.autograd.functional.jacobian(lambda z, state=state: agent.actor(state, z)[0], noise[row])
        pre_tanh = agent.actor(state, noise[row])[0]
        base = Independent(Normal(torch.zeros(2), torch.ones(2)), 1).log_prob(noise[row])
        expected = base - jacobian.slogdet().logabsdet + 2 * pre_tanh.cosh().log().sum()
        assert number(log_prob[row]) == pytest.approx(number(expected), rel=1e-9, abs=1e-9)
        torch.testing.assert_close(action[row], torch.tanh(pre_tanh))


def test_pmoe_trains_the_best_expert_and_the_weights_towards_it() -> None:
    agent, data = precise("pmoe"), batch()
    noise = noise_for(agent)
    policy, frequency = 0.0, 0.0
    features = dense(agent.actor.components.trunk, data.observation).clamp(min=0)
    head = agent.actor.components
    means = features @ head.mean.weight.T + head.mean.bias
    stds = (features @ head.log_std.weight.T + head.log_std.bias).exp()
    chosen = set()
    for row in range(BATCH):
        candidates = []
        for expert in range(3):
            columns = slice(2 * expert, 2 * expert + 2)
            component = TransformedDistribution(
                Independent(Normal(means[row, columns], stds[row, columns]), 1), [TanhTransform(cache_size=1)]
            )
            action, log_prob = drawn(component, noise.action[row, expert])
            value = torch.minimum(*twin(agent.critic, data.observation[row], action))
            candidates.append((number(value), number(log_prob)))
        best = max(range(3), key=lambda expert: candidates[expert][0])
        chosen.add(best)
        policy += (ALPHA * candidates[best][1] - candidates[best][0]) / BATCH
        weights = agent.actor.mixing(data.observation[row]).exp()
        for expert in range(3):
            frequency += (number(weights[expert] / weights.sum()) - (expert == best)) ** 2 / (3 * BATCH)
    assert len(chosen) > 1
    assert number(agent.actor_loss(data, noise)[0]) == pytest.approx(policy + frequency, rel=1e-9)


def test_pmoe_draws_experts_from_the_mixing_weights() -> None:
    agent = precise("pmoe")
    draws = 20_000
    state = torch.tensor([0.3, -0.7, 0.2], dtype=torch.float64)
    logits = agent.actor.mixing(state).detach()
    gumbel = agent.draw_noise(draws, torch.Generator().manual_seed(0)).next_expert
    frequencies = (logits + gumbel).argmax(-1).bincount(minlength=3) / draws
    expected = Categorical(logits=logits).probs
    assert ((frequencies - expected).abs() < 4.5 * (expected * (1 - expected) / draws).sqrt()).all()


# Of the parameters, transitions and draws of tests.agents.tiny: no library's random numbers are in them.
GOLDEN = {
    ("sac", "critic"): 2.950379175150389,
    ("sac", "actor"): 2.9182028009088214,
    ("sac", "alpha"): -1.5886725656440464,
    ("td3", "critic"): 6.065095779574407,
    ("td3", "actor"): -1.1870461589700732,
    ("smac_nested", "critic"): 45.25883800696158,
    ("smac_nested", "actor"): 6.098371497663512,
    ("smac_nested", "alpha"): -1.5886725656440464,
    ("smac_mlmc", "critic"): 46.085043313919684,
    ("smac_mlmc", "actor"): 6.054205657875945,
    ("smac_mlmc", "alpha"): -1.5886725656440464,
    ("flow_sac", "critic"): 19.158151108537314,
    ("flow_sac", "actor"): 4.404935496296268,
    ("flow_sac", "alpha"): -1.5886725656440464,
    ("pmoe", "critic"): 11.687927224846375,
    ("pmoe", "actor"): 2.9845363253639405,
    ("pmoe", "alpha"): -1.5886725656440464,
}


@pytest.mark.parametrize(("name", "part"), CASES)
def test_losses_keep_their_values(name: str, part: str) -> None:
    agent = precise(name)
    value = number(loss(agent, part, batch(), noise_for(agent)))
    assert value == pytest.approx(GOLDEN[name, part], rel=1e-6)
