"""SMAC with a world model: its losses by a second derivation, who learns from what, and that K = 0 is Latent-SAC."""

import math
from typing import Any

import pytest
import torch

from relatent.specs.errors import RelatentError
from relatent.training.stack import Stack
from tests.agents.checks import (
    assert_gradients_agree,
    assert_learn_as_one,
    assert_moves_all_its_own_parameters_only,
)
from tests.agents.tiny import number, parameters_of, waves
from tests.agents.tiny_smac_world import (
    ACTION,
    BATCH,
    LENGTH,
    PARTICLES,
    STOCH,
    VARIANTS,
    actor_loss,
    believed,
    build,
    build_latent_sac,
    critic_loss,
    features,
    noise,
    precise,
    sequences,
)
from tests.nets.test_learner import everything

NAMES = pytest.mark.parametrize("name", VARIANTS)


@NAMES
def test_the_actors_loss_is_that_of_one_step_after_the_other(name: str) -> None:
    agent, draws = precise(name), waves((BATCH, LENGTH, ACTION), 0.3)
    loss, log_prob = agent.actor_loss(
        believed(features(), sequences())._replace(observation=features()), noise(agent)._replace(action=draws)
    )
    assert number(loss) == pytest.approx(actor_loss(agent, features(), draws), rel=1e-12)
    assert log_prob.shape == (BATCH, LENGTH)


@NAMES
def test_the_critics_loss_is_that_of_one_particle_after_the_other(name: str) -> None:
    agent, batch = precise(name), sequences()
    draws = noise(agent)
    loss = agent.critic_loss(believed(features(), batch), draws)
    assert number(loss) == pytest.approx(critic_loss(agent, features(), batch, draws.next_action), rel=1e-12)


@NAMES
@pytest.mark.parametrize("part", ["actor", "critic"])
def test_gradients_agree_with_finite_differences(name: str, part: str) -> None:
    agent, batch = precise(name), sequences()
    given, draws = believed(features(), batch)._replace(observation=features()), noise(agent)

    def loss() -> torch.Tensor:
        if part == "actor":
            return agent.actor_loss(given, draws)[0]
        return agent.critic_loss(believed(features(), batch), draws)

    assert_gradients_agree(loss, parameters_of(agent, part))


@pytest.mark.parametrize("part", ["world", "actor", "critic"])
def test_a_loss_moves_its_own_parameters_only(part: str) -> None:
    agent, batch = precise("mlmc"), sequences()
    draws = noise(agent)
    losses = {
        "world": lambda: agent.believe(batch, draws),
        "actor": lambda: agent.actor_loss(believed(features(), batch)._replace(observation=features()), draws),
        "critic": lambda: agent.critic_loss(believed(features(), batch), draws),
    }
    assert_moves_all_its_own_parameters_only(agent, part, losses[part])


def test_particles_are_filterings_by_the_parameters_that_the_update_found_and_have_no_graph() -> None:
    agent, batch = precise(), sequences()
    draws = noise(agent)
    loss, found, others = agent.believe(batch, draws)
    assert loss is found.loss
    assert not others.stoch.requires_grad
    embedded = agent.world.encode(batch.observation)
    for particle in range(PARTICLES):
        alone = agent.world.rssm.filter(embedded, batch.action, batch.first, draws.particles[particle]).states
        for mine, theirs in zip(alone, others, strict=True):
            torch.testing.assert_close(mine.detach(), theirs[particle], rtol=1e-12, atol=1e-12)
    before = found.states.features.detach()
    stepped, particles = agent.learn_world(batch, draws)
    assert torch.equal(particles[0], before)
    assert torch.equal(particles[1:], others.features)
    assert number(stepped.loss) == number(loss)
    assert not torch.equal(agent.believe(batch, draws).others.stoch, others.stoch)


def test_actor_and_critics_learn_from_what_the_update_found() -> None:
    """Neither sees the other's step, nor the world model's: one update is every loss's step from the same start."""
    agent, alone, batch = precise("mlmc"), precise("mlmc"), sequences()
    draws = noise(agent)
    agent.learn(batch, draws)
    _, found, others = alone.believe(batch, draws)
    particles = torch.cat([found.states.features.detach().unsqueeze(0), others.features])
    given = believed(particles, batch)
    for part, loss in (
        ("actor", lambda: alone.actor_loss(given._replace(observation=particles), draws)),
        ("critic", lambda: alone.critic_loss(given, draws)),
    ):
        fresh = precise("mlmc")
        gradients, _ = alone.differentiate(part, loss)
        fresh.descend(part, gradients)
        for mine, theirs in zip(parameters_of(agent, part), parameters_of(fresh, part), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)


def test_without_particles_it_is_latent_sac_to_the_last_bit() -> None:
    torch.manual_seed(0)
    marginal = build("mlmc", particles=0)
    torch.manual_seed(0)
    latent = build_latent_sac()
    for update in range(5):
        batch = sequences(float(update), torch.float32)
        metrics = [
            agent.learn(batch, agent.draw_noise(BATCH, torch.Generator().manual_seed(update)))
            for agent in (marginal, latent)
        ]
        assert metrics[0] == metrics[1]
    one, other = everything(marginal), everything(latent)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_particles_change_what_is_learnt() -> None:
    """So that the test above could fail."""
    torch.manual_seed(0)
    marginal = build("mlmc")
    torch.manual_seed(0)
    latent = build_latent_sac()
    batch = sequences(dtype=torch.float32)
    losses = [
        float(agent.learn(batch, agent.draw_noise(BATCH, torch.Generator().manual_seed(0)))["actor_loss"])
        for agent in (marginal, latent)
    ]
    assert abs(losses[0] - losses[1]) > 1e-3


@pytest.mark.parametrize("name", ["mlmc", "marginal"])
def test_two_seeds_learn_as_one(name: str) -> None:
    alone = [precise(name, phase) for phase in (0.0, 4.0)]
    stack = Stack([precise(name, phase) for phase in (0.0, 4.0)])

    def data(update: int, seed: int) -> tuple[Any, Any]:
        phase = 1.7 * update + 0.3 * seed
        return sequences(phase), noise(alone[0], phase)

    assert_learn_as_one(alone, stack, data, 1e-9, 1e-12)


def test_noise_has_the_shapes_that_are_said() -> None:
    shapes = [tuple(part.shape) for part in noise(precise())]
    assert shapes == [
        (BATCH, LENGTH, STOCH),
        (PARTICLES, BATCH, LENGTH, STOCH),
        (PARTICLES + 1, BATCH, LENGTH - 1, ACTION),
        (BATCH, LENGTH, ACTION),
    ]
    assert noise(precise("marginal")).next_action.shape[0] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"particles": 3, "entropy": "mlmc"}, "expected 1, 2, 4, 8, 16, ..., got 3"),
        ({"particles": 0, "q_particles": "others"}, "leaves none of 0 particles, expected all"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RelatentError, match=message.replace(".", r"\.")):
        build(**changes)


def test_the_marginal_q_is_between_mean_and_maximum_and_has_the_golden_value() -> None:
    """log((e + e² + e⁴) / 3) = 3.0712337 where three particles' values are 1, 2 and 4."""
    agent = build()
    agent.critic.forward = lambda observation, _: (  # type: ignore[method-assign]
        observation[..., 0],
        observation[..., 0] + 1,
    )
    values = torch.zeros(3, 1, 1, 7)
    values[:, 0, 0, 0] = torch.tensor([1.0, 2.0, 4.0])
    assert float(agent.marginal_value(values, torch.zeros(1, 1, ACTION))) == pytest.approx(3.0712337, abs=1e-6)
    others = build("others")
    others.critic.forward = agent.critic.forward  # type: ignore[method-assign]
    expected = math.log((math.exp(2) + math.exp(4)) / 2)
    assert float(others.marginal_value(values, torch.zeros(1, 1, ACTION))) == pytest.approx(expected, abs=1e-6)
