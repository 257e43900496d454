"""SMAC's losses where they must be somebody else's, and its density against the integral that it estimates."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relatent.agents.smac import PolicyNoise
from relatent.nets.batch import Batch
from relatent.nets.distributions import Gaussian, tanh_log_det
from tests.agents.tiny import BATCH, batch, build, noise_for, number, precise, waves

SMACS = pytest.mark.parametrize("name", ["smac_nested", "smac_mlmc"])


@SMACS
@pytest.mark.parametrize("entropy", ["own", "mlmc_literal", "elbo", "iwae"])
def test_with_identical_particles_the_marginal_is_the_conditional_density(name: str, entropy: str) -> None:
    agent = precise(name, **({} if entropy == "own" else {"entropy": entropy}))
    noise = noise_for(agent).current
    same = PolicyNoise(noise.latent[:, :1].expand_as(noise.latent), noise.action)
    sample = agent.sample_action(batch().observation, same)
    assert sample.conditional.shape == (BATCH, {"elbo": 2}.get(entropy, 5))
    for particle in range(sample.conditional.shape[-1]):
        torch.testing.assert_close(sample.marginal, sample.conditional[:, particle], rtol=1e-14, atol=1e-14)


class Deeper(nn.Module):
    """π(a | s = mean of q(s|x)), as one network."""

    def __init__(self, inference: nn.Module, policy: nn.Module) -> None:
        super().__init__()
        self.inference, self.policy = inference, policy

    def forward(self, observation: Tensor) -> Gaussian:
        return self.policy(self.inference(observation).mean)


def without_latent_noise(agent: Any) -> Any:
    """q(s|x) with a standard deviation of exp(-40)."""
    with torch.no_grad():
        agent.inference.log_std.weight.zero_()
        agent.inference.log_std.bias.fill_(-40.0)
    return agent


@SMACS
def test_with_a_certain_latent_its_losses_are_those_of_sac_with_a_deeper_actor(name: str) -> None:
    agent, data = without_latent_noise(precise(name)), batch()
    sac = build("sac").double()
    sac.actor = Deeper(agent.inference, agent.policy)
    sac.critic, sac.target_critic, sac.log_alpha = agent.critic, agent.target_critic, agent.log_alpha
    noise, plain = noise_for(agent), noise_for(sac)
    plain = type(plain)(noise.next.action, noise.current.action)

    assert number(agent.critic_loss(data, noise)) == pytest.approx(number(sac.critic_loss(data, plain)), rel=1e-12)
    (mine, density), (theirs, their_density) = agent.actor_loss(data, noise), sac.actor_loss(data, plain)
    assert number(mine) == pytest.approx(number(theirs), rel=1e-12)
    torch.testing.assert_close(density, their_density, rtol=1e-12, atol=1e-12)
    reached = [*agent.policy.parameters(), *agent.inference.trunk.parameters(), *agent.inference.mean.parameters()]
    for gradient, their_gradient in zip(
        torch.autograd.grad(mine, reached), torch.autograd.grad(theirs, reached), strict=True
    ):
        torch.testing.assert_close(gradient, their_gradient, rtol=1e-9, atol=1e-12)


def test_the_nested_density_approaches_the_integral_over_the_latent() -> None:
    """log ∫ π(a|s) q(s|x) ds on a grid, for a latent of one dimension; within four standard errors, and the bias that
    the particle which made the action has, π(a|s^0) / (K p)."""
    particles = 200_000
    agent = precise("smac_nested", latent=1, particles=particles)
    with torch.no_grad():
        agent.inference.log_std.bias.fill_(1.5)  # q wide enough that particles differ
    observation = batch().observation[:1]
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn((1, particles + 1, 1), generator=generator, dtype=torch.float64)
    with torch.no_grad():
        sample = agent.sample_action(observation, PolicyNoise(latent, waves((1, 2), 0.3)))
        inference = agent.inference(observation[0])
        grid = torch.linspace(-12, 12, 20_001, dtype=torch.float64).unsqueeze(-1)  # in standard deviations of q
        states = inference.sample(grid)
        log_weight = -0.5 * grid.square().sum(-1) - 0.5 * math.log(2 * math.pi) + math.log(24 / 20_000)
        log_density = agent.policy(states).log_prob(sample.pre_tanh) - tanh_log_det(sample.pre_tanh)
    mass = number((log_density + log_weight).exp().sum())
    relative_deviation = math.sqrt(number((2 * log_density + log_weight).exp().sum()) / mass**2 - 1)
    bias = math.exp(number(sample.conditional[0, 0])) / (mass * particles)
    assert 0.1 < relative_deviation < 10  # the integrand varies, and a mean of this many samples says something
    error = number(sample.marginal) - math.log(mass)
    assert abs(error) < 4 * relative_deviation / math.sqrt(particles) + bias
    assert abs(number(sample.conditional[0, 0]) - math.log(mass)) > 20 * abs(error)


@SMACS
@pytest.mark.parametrize(("scale", "beta"), [("absolute", 0.3), ("alpha", 0.3 * 0.5)])
def test_the_regulariser_adds_beta_times_the_conditional_entropy_to_the_actors_loss(
    name: str, scale: str, beta: float
) -> None:
    data = batch()
    without, with_it = precise(name), precise(name, conditional_entropy=0.3, conditional_entropy_scale=scale)
    noise = noise_for(without)
    sample = without.sample_action(data.observation, noise.current)
    added = number(with_it.actor_loss(data, noise)[0] - without.actor_loss(data, noise)[0])
    assert added == pytest.approx(-beta * number(sample.conditional[:, 0].mean()), rel=1e-9)
    shared = [*without.inference.parameters(), *without.policy.parameters()]
    expected = torch.autograd.grad(without.actor_loss(data, noise)[0] - beta * sample.conditional[:, 0].mean(), shared)
    actual = torch.autograd.grad(
        with_it.actor_loss(data, noise)[0], [*with_it.inference.parameters(), *with_it.policy.parameters()]
    )
    for gradient, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-9, atol=1e-10)
    # π(a|s^0) is the density of the policy that made the action
    made_by = without.policy(without.inference(data.observation).sample(noise.current.latent[:, 0]))
    direct = made_by.log_prob(sample.pre_tanh) - tanh_log_det(sample.pre_tanh)
    torch.testing.assert_close(sample.conditional[:, 0], direct, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(sample.pre_tanh, made_by.sample(noise.current.action))
    # and it is in no other loss
    assert number(with_it.critic_loss(data, noise)) == number(without.critic_loss(data, noise))
    torch.testing.assert_close(with_it.actor_loss(data, noise)[1], without.actor_loss(data, noise)[1])


@SMACS
def test_gradients_reach_the_latent_through_every_particle_of_the_actors_loss(name: str) -> None:
    agent, data = precise(name), batch()
    noise = noise_for(agent)
    gradients = torch.autograd.grad(agent.actor_loss(data, noise)[0], list(agent.inference.parameters()))
    assert all(gradient.abs().max() > 0 for gradient in gradients)

    latent = (0.2 * noise.current.latent).requires_grad_()  # near each other, or a particle's weight may be zero
    sample = agent.sample_action(data.observation, PolicyNoise(latent, noise.current.action))
    (gradient,) = torch.autograd.grad(sample.marginal.sum(), [latent])
    assert (gradient.abs().sum(-1) > 0).all()  # (B, K + 1)


@SMACS
def test_a_critics_loss_uses_the_next_states_draws_and_the_actors_the_current_ones(name: str) -> None:
    agent, data = precise(name), batch()
    noise, other = noise_for(agent), noise_for(agent, phase=2.0)
    mixed = type(noise)(next=noise.next, current=other.current)
    assert number(agent.critic_loss(data, mixed)) == number(agent.critic_loss(data, noise))
    assert number(agent.critic_loss(data, other)) != number(agent.critic_loss(data, noise))
    assert number(agent.actor_loss(data, mixed)[0]) == number(agent.actor_loss(data, other)[0])


@SMACS
def test_actions_explored_with_are_those_of_the_density(name: str) -> None:
    """act draws s, then a: its actions have the mean that sample_action's have, and are new ones at each call."""
    agent = build(name)
    observation = torch.tensor([0.4, -0.2, 0.9])
    draws = 4_000
    generator = torch.Generator().manual_seed(0)
    acted = torch.stack(
        [torch.from_numpy(agent.act(observation.numpy(), None, True, generator)[0]) for _ in range(draws)]
    )
    with torch.no_grad():
        sampled = agent.sample_action(observation.expand(draws, -1), agent.draw_noise(draws, generator).next).action
    for power in (1, 2):
        one, two = acted**power, sampled**power
        error = ((one.var(0) + two.var(0)) / draws).sqrt()
        assert ((one.mean(0) - two.mean(0)).abs() < 4 * error).all()


@pytest.mark.parametrize("entropy", ["nested", "mlmc", "mlmc_literal", "elbo", "iwae"])
def test_losses_stay_finite_however_wide_the_latent_would_be(entropy: str) -> None:
    """In float32 and with the paper's sizes, where the policy is as narrow as it may be. Unbounded, e²⁶ was met."""
    torch.manual_seed(0)
    agent = build("smac_nested", entropy=entropy, width=256, latent=16)
    with torch.no_grad():
        agent.inference.log_std.bias.fill_(26.0)
        agent.policy.log_std.bias.fill_(-1e9)
    data, generator = Batch(*(tensor.float() for tensor in batch())), torch.Generator().manual_seed(0)
    noise = agent.draw_noise(BATCH, generator)
    loss, log_prob = agent.actor_loss(data, noise)
    assert log_prob.isfinite().all()
    parameters = [*agent.inference.parameters(), *agent.policy.parameters()]
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, parameters))
    # The squared error may overflow; its gradient may not.
    critic = torch.autograd.grad(agent.critic_loss(data, noise), list(agent.critic.parameters()))
    assert all(gradient.isfinite().all() for gradient in critic)
