"""SLAC's networks, what its losses are, and whom they move."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from relatent.agents.slac import SLAC, Given, Hyper, Noise
from relatent.objectives.slac_elbo import slac_terms
from tests.agents.checks import (
    assert_gradients_agree,
    assert_moves_all_its_own_parameters_only,
)
from tests.agents.tiny import number, parameters_of
from tests.agents.tiny_slac import (
    ACTION,
    BATCH,
    FEATURES,
    FIRST,
    HYPER,
    LATENT,
    LENGTH,
    ROWS,
    VARIANCE,
    arrays,
    build,
    compress,
    given,
    latents,
    noise,
    precise,
    sequences,
)

# Networks


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_official_sizes() -> None:
    """Actor: 8 features and 7 actions in, mean and deviation out; each critic: z and an action in, one number out."""
    paper = {"depth": 32, "latent1": 32, "latent2": 256, "width": 256, "layers": 2, "length": 8}
    agent = SLAC((3, 64, 64), 6, Hyper(**{**HYPER, **paper}))
    history = 8 * 256 + 7 * 6
    assert size(agent.actor) == 256 * (history + 1) + 256 * 257 + 12 * 257 == 604_172
    assert size(agent.critic) == size(agent.target_critic) == 2 * (256 * (288 + 6 + 1) + 256 * 257 + 257) == 283_138
    assert size(agent.model) == 4_215_365
    assert agent.target_entropy == -6.0
    assert agent.learns_from == "episodes"


def test_every_parameter_but_the_targets_is_learnt_by_one_optimiser() -> None:
    agent = build()
    learnt = [id(parameter) for name in agent.optimisers for parameter in parameters_of(agent, name)]
    expected = {id(p) for name, p in agent.named_parameters() if not name.startswith("target_critic")}
    assert len(learnt) == len(set(learnt))
    assert set(learnt) == expected
    rates = {name: optimiser.param_groups[0]["lr"] for name, optimiser in build(model_lr=1e-4).optimisers.items()}
    assert rates == {"model": 1e-4, "actor": 1e-3, "critic": 1e-3, "alpha": 1e-3}


# Losses, again


def perceptron(layers: list[np.ndarray], vector: np.ndarray) -> np.ndarray:
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        vector = np.maximum(weight @ vector + bias, 0)
    return layers[-2] @ vector + layers[-1]


def values(critic: nn.Module, latent: np.ndarray, action: np.ndarray) -> tuple[float, float]:
    first, second = (perceptron(arrays(net), np.concatenate([latent, action])) for net in (critic.first, critic.second))
    return float(first[0]), float(second[0])


def decide(agent: SLAC, history: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, float]:
    """An action and its log-density, by the density of what is under tanh."""
    *trunk, mean_weight, mean_bias, std_weight, std_bias = arrays(agent.actor)
    hidden = history
    for weight, bias in zip(trunk[::2], trunk[1::2], strict=True):
        hidden = np.maximum(weight @ hidden + bias, 0)
    mean, log_std = mean_weight @ hidden + mean_bias, np.clip(std_weight @ hidden + std_bias, -20, 2)
    action = np.tanh(mean + np.exp(log_std) * draws)
    log_prob = (-0.5 * draws**2 - log_std - 0.5 * np.log(2 * np.pi) - np.log(1 - action**2)).sum()
    return action, float(log_prob)


class Plain:
    """What actor and critics are given of one sequence: z and histories at the last two of its pictures."""

    def __init__(self, agent: SLAC, row: int) -> None:
        seen, action, reward, terminated, first = (part[row].numpy() for part in given().acting)
        draws = noise()
        z = latents(agent.model, seen, action, first, draws.filter[row].numpy())
        features = [compress(agent.model.compress, one) for one in seen]
        self.before, self.after = z[-2], z[-1]
        self.history = np.concatenate([*features[:-1], *action[1:-1]])
        self.next_history = np.concatenate([*features[1:], *action[2:]])
        self.action, self.reward, self.terminated = action[-1], reward[-1], terminated[-1]
        self.draws, self.next_draws = draws.action[row].numpy(), draws.next_action[row].numpy()


def found(agent: SLAC) -> Any:
    """Transitions as `learn` makes them."""
    return agent.model_loss(given(), noise())[2]


def test_transitions_are_the_last_of_every_sequence() -> None:
    agent = precise()
    batch = found(agent)
    assert not any(part.requires_grad for part in (*batch.observation, *batch.next_observation))
    for row in range(BATCH):
        plain = Plain(agent, row)
        pairs = [
            (batch.observation.latent, plain.before),
            (batch.next_observation.latent, plain.after),
            (batch.observation.history, plain.history),
            (batch.next_observation.history, plain.next_history),
            (batch.action, plain.action),
            (batch.reward, plain.reward),
            (batch.terminated, plain.terminated),
        ]
        for mine, yours in pairs:
            np.testing.assert_allclose(mine[row].numpy(), yours, rtol=1e-9, atol=1e-12)
    assert batch.observation.history.shape == (BATCH, LENGTH * FEATURES + (LENGTH - 1) * ACTION)
    assert batch.terminated.tolist() == [0, 0, 1, 0]


def test_critics_and_actors_losses_are_what_the_weights_say() -> None:
    agent = precise()
    batch, draws, alpha = found(agent), noise(), agent.hyper.init_alpha
    critic_loss, actor_loss, entropies = 0.0, 0.0, []
    for row in range(BATCH):
        plain = Plain(agent, row)
        next_action, next_log_prob = decide(agent, plain.next_history, plain.next_draws)
        soft = min(values(agent.target_critic, plain.after, next_action)) - alpha * next_log_prob
        target = plain.reward + 0.9 * (1 - plain.terminated) * soft
        critic_loss += sum((value - target) ** 2 for value in values(agent.critic, plain.before, plain.action)) / BATCH
        action, log_prob = decide(agent, plain.history, plain.draws)
        actor_loss += (alpha * log_prob - min(values(agent.critic, plain.before, action))) / BATCH
        entropies.append(-log_prob)
    assert number(agent.critic_loss(batch, draws)) == pytest.approx(critic_loss, rel=1e-9)
    loss, log_probs = agent.actor_loss(batch, draws)
    assert number(loss) == pytest.approx(actor_loss, rel=1e-9)
    np.testing.assert_allclose(-log_probs.detach().numpy(), entropies, rtol=1e-8)
    alpha_loss = np.log(alpha) * (np.mean(entropies) + ACTION)
    assert number(agent.alpha_loss(log_probs)) == pytest.approx(alpha_loss, rel=1e-9)


def test_the_models_loss_is_minus_the_mean_bound_of_its_own_sequences() -> None:
    agent, data, draws = precise(), given(), noise()
    loss, metrics, _ = agent.model_loss(data, draws)
    terms = slac_terms(agent.model, data.model, draws.filter[:2], VARIANCE)
    assert number(loss) == pytest.approx(-number(terms.bound.mean()), rel=1e-12)
    assert {key: number(value) for key, value in metrics.items()} == pytest.approx(
        {f"model_{key}": number(getattr(terms, key).mean()) for key in ("observation", "reward", "divergence")}
    )
    others = data._replace(acting=sequences(3.0))
    assert number(agent.model_loss(others, draws)[0]) == number(loss)
    alone = agent.model_loss(Given(data.model), Noise(draws.filter[:2]))
    assert number(alone[0]) == number(loss)
    assert alone[2] == ()
    assert number(precise(image_variance=0.5).model_loss(data, draws)[0]) != number(loss)


# Whom a loss moves

KINKLESS = 2.0
"""Phase of weights with which none of some thirty thousand leaky ReLUs changes its side within a step."""
LOSSES = {
    "model": lambda agent: agent.model_loss(given(), noise())[0],
    "critic": lambda agent: agent.critic_loss(found(agent), noise()),
    "actor": lambda agent: agent.actor_loss(found(agent), noise())[0],
    "alpha": lambda agent: agent.alpha_loss(agent.actor_loss(found(agent), noise())[1].detach()),
}


@pytest.mark.parametrize("part", LOSSES)
def test_gradients_are_finite_differences(part: str) -> None:
    agent = precise(KINKLESS)
    assert_gradients_agree(lambda: LOSSES[part](agent), parameters_of(agent, part))


@pytest.mark.parametrize("part", LOSSES)
def test_a_loss_moves_all_its_own_parameters_only(part: str) -> None:
    agent = precise()
    assert_moves_all_its_own_parameters_only(agent, part, lambda: LOSSES[part](agent))


@pytest.mark.parametrize("part", ["critic", "actor", "alpha"])
def test_neither_actor_nor_critics_send_the_model_a_gradient(part: str) -> None:
    agent = precise()
    gradients = torch.autograd.grad(LOSSES[part](agent), list(agent.model.parameters()), allow_unused=True)
    assert all(gradient is None for gradient in gradients)


def test_an_update_is_all_its_steps_from_latents_of_the_model_before() -> None:
    """Model, critics, actor with the critics that have learnt, temperature, target; one by one on a copy."""
    agent, data, draws = precise(), given(), noise()
    agent.updates += 1
    other = deepcopy(agent)
    transitions = found(other)
    metrics = agent.learn(data, draws)
    other.minimise("model", lambda: LOSSES["model"](other))
    other.minimise("critic", other.critic_loss, transitions, draws)
    actor_loss, log_probs = other.minimise("actor", other.actor_loss, transitions, draws)
    other.minimise("alpha", other.alpha_loss, log_probs)
    with torch.no_grad():
        for target, source in zip(other.target_critic.parameters(), other.critic.parameters(), strict=True):
            target.add_(0.1 * (source - target))
    for (name, mine), yours in zip(agent.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-11, atol=1e-13, msg=name)
    assert number(metrics["actor_loss"]) == pytest.approx(number(actor_loss), rel=1e-12)
    assert set(metrics) == {
        *("model_observation", "model_reward", "model_divergence"),
        *("critic_loss", "actor_loss", "alpha", "entropy"),
    }
    assert all(value.shape == () for value in metrics.values())


def test_alone_the_model_alone_learns() -> None:
    agent = precise()
    agent.updates = 2
    before = deepcopy(dict(agent.named_parameters()))
    draws = noise()
    metrics = agent.learn(Given(given().model), Noise(draws.filter[:2]))
    assert set(metrics) == {"model_observation", "model_reward", "model_divergence"}
    moved = {name for name, parameter in agent.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {name for name in before if name.startswith("model.")}


def test_data_has_what_losses_tell_apart() -> None:
    """Sequences that began before, at the first row and later; a last step that ends in a terminal state."""
    assert FIRST.sum(1).tolist() == [1, 0, 3, 2]
    assert given().acting.observation.dtype == torch.uint8
    assert noise().filter.shape == (BATCH, ROWS, LATENT)
