"""What is measured of ALM while it trains, against loops from the weights alone and against known numbers."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from relatent.agents.alm import ALM
from relatent.nets.batch import Batch, Played
from relatent.objectives.latent_probes import collapse, k_step_bound, latent_open_loop
from tests.agents.tiny import number, waves
from tests.agents.tiny_alm import (
    ACTION,
    CLASSIFIER,
    GAMMA,
    HORIZON,
    LIMIT,
    OBSERVATION,
    encode,
    gaussian,
    heads,
    logits,
    policy,
    precise,
)

ROWS = 6


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def normal(*shape: int, of: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=of).double()


def unit_batch() -> Batch:
    """As replay has it: actions in [-1, 1]."""
    seen = waves((ROWS, OBSERVATION), 0.2), waves((ROWS, ACTION), 0.4), waves((ROWS,), 0.6)
    return Batch(*seen, waves((ROWS, OBSERVATION), 0.8), torch.zeros(ROWS, dtype=torch.float64))


@torch.no_grad()
def test_collapse_example_by_example() -> None:
    agent, batch, draws = precise(), unit_batch(), seeded()
    first, second = normal(ROWS, 4, of=draws), normal(ROWS, 4, of=draws)
    means, divergences, odds = [], [], []
    for row in range(ROWS):
        mean, std = encode(agent, agent.encoder, batch.observation[row])
        latent, action = mean + std * first[row], LIMIT * batch.action[row]
        predicted = gaussian(agent.model, latent, action)
        target = encode(agent, agent.target_encoder, batch.next_observation[row])
        divergences.append(number(kl_divergence(Normal(*predicted), Normal(*target)).sum()))
        predicted_logit, encoded_logit = logits(agent, latent, action, predicted[0] + predicted[1] * second[row])
        odds.append(number(encoded_logit - predicted_logit))
        means.append(mean.numpy())
    expected = {"variance": np.var(means, axis=0).mean(), "divergence": np.mean(divergences), "odds": np.mean(odds)}
    found = collapse(agent, batch, seeded())
    assert found == pytest.approx(expected, rel=1e-9)
    assert all(type(value) is float for value in found.values())


@torch.no_grad()
def bound(agent: ALM, observation: torch.Tensor, unit: torch.Tensor, draws: torch.Tensor) -> float:
    """Of one state and action."""
    mean, std = encode(agent, agent.target_encoder, observation)
    latent, action, total = mean + std * draws[0], LIMIT * unit, 0.0
    for step in range(agent.hyper.horizon):
        (reward,) = heads(agent, agent.reward, latent, action)
        mean, std = gaussian(agent.model, latent, action)
        following = mean + std * draws[step + 1]
        predicted_logit, encoded_logit = logits(agent, latent, action, following)
        total += GAMMA**step * number(reward + CLASSIFIER * (encoded_logit - predicted_logit))
        latent, action = following, policy(agent, following)[0]
    return total + GAMMA**agent.hyper.horizon * number(min(heads(agent, agent.critic, latent, action)))


@pytest.mark.parametrize("name", ["official", "one_step", "entropy", "identity"])
def test_the_bound_that_is_compared_with_returns(name: str) -> None:
    """K sampled steps with mean actions, which no bound holds, and then the smaller value."""
    agent, batch = precise(name), unit_batch()
    draws = normal(agent.hyper.horizon + 1, ROWS, agent.latent_size, of=seeded())
    expected = [bound(agent, batch.observation[row], batch.action[row], draws[:, row]) for row in range(ROWS)]
    found = k_step_bound(agent, seeded(), batch.observation, batch.action)
    assert found.tolist() == pytest.approx(expected, rel=1e-9)
    assert not found.requires_grad


def test_without_an_encoder_the_critic_is_compared_with_returns() -> None:
    agent, batch = precise("model_free"), unit_batch()
    expected = [
        min(number(value) for value in heads(agent, agent.critic, batch.observation[row], LIMIT * batch.action[row]))
        for row in range(ROWS)
    ]
    assert k_step_bound(agent, seeded(), batch.observation, batch.action).tolist() == pytest.approx(expected, rel=1e-9)


@torch.no_grad()
def test_open_loop_predictions_are_means_along_the_actions_that_were_played() -> None:
    agent, steps = precise(), HORIZON + 2
    episode = Played(waves((steps, OBSERVATION), 0.2).numpy(), waves((steps, ACTION), 0.4).numpy(), np.zeros(steps))
    encoded = [encode(agent, agent.encoder, seen)[0] for seen in torch.from_numpy(episode.observations)]
    found = latent_open_loop(agent, [episode], torch.device("cpu"))
    latent, predicted = encoded[0], [number(encoded[0][0])]
    for action in torch.from_numpy(episode.actions)[:-1]:
        latent = gaussian(agent.model, latent, LIMIT * action)[0]
        predicted.append(number(latent[0]))
    assert found["predicted"].tolist() == pytest.approx(predicted, rel=1e-12)
    assert found["true"].tolist() == pytest.approx([number(latent[0]) for latent in encoded], rel=1e-12)
    variance = np.var(np.array([latent.numpy() for latent in encoded]), axis=0).mean()
    last = number((latent - encoded[-1]).square().mean()) / variance
    assert found["error"][steps - 2] == pytest.approx(last, rel=1e-12)
