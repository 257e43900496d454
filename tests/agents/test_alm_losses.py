"""ALM's losses a second time, by explicit loops from the weights alone: see tests/agents/plain_alm.py."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.agents import plain_alm
from tests.agents.tiny import number
from tests.agents.tiny_alm import BATCH, CASES, CLIP, LIMIT, STD, given, loss, precise


@pytest.mark.parametrize(("name", "part"), CASES)
def test_losses_are_those_of_the_second_derivation(name: str, part: str) -> None:
    agent = precise(name)
    data, draws = given(agent)
    with torch.no_grad():
        expected = plain_alm.loss(agent, part, data, draws, plain_alm.Held())
    assert number(loss(agent, part, data, draws)) == pytest.approx(number(expected), rel=1e-10)


@pytest.mark.parametrize("name", ["entropy", "entropy_td3", "official"])
def test_the_temperature_is_judged_by_the_density_of_each_first_action(name: str) -> None:
    agent = precise(name)
    data, draws = given(agent)
    with torch.no_grad():
        starts = [plain_alm.shown(agent, data.transitions.observation[b], draws.imagined[b]) for b in range(BATCH)]
        log_probs = [plain_alm.act(agent, starts[b], draws.actions[0, b], plain_alm.Held())[1] for b in range(BATCH)]
        found = agent.actor_loss(data.transitions, draws)[1]
    torch.testing.assert_close(found, torch.stack(log_probs), rtol=1e-12, atol=1e-13)
    assert found.any() == agent.hyper.entropy


class Table(nn.Module):
    """Rewards, or the smaller one of two values, that depend on the step alone."""

    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self.numbers = numbers

    def forward(self, latent: Tensor, _action: Tensor) -> Tensor:
        steps = torch.tensor(self.numbers, dtype=torch.float64)[: len(latent)]
        return steps[:, None].expand(latent.shape[:-1])[None]

    def smaller(self, latent: Tensor, action: Tensor) -> Tensor:
        return self(latent, action)[0]


@pytest.mark.parametrize(("starts", "golden"), [("all", -16.97351181), ("first", -18.02181077)])
def test_the_policys_loss_has_the_golden_value(starts: str, golden: float) -> None:
    """Of rewards 1, 2, 3 and values 10, 11, 12, 13."""
    changes: dict[str, Any] = {"gamma": 0.99, "lambda_weight": 0.95, "classifier_weight": 0.0, "actor_starts": starts}
    agent = precise(**changes)
    data, draws = given(agent)
    agent.reward, agent.critic = Table(1, 2, 3), Table(10, 11, 12, 13)  # type: ignore[assignment]
    assert number(loss(agent, "actor", data, draws)) == pytest.approx(golden, abs=5e-9)


def test_data_reach_every_case() -> None:
    """Noise that is clipped and noise that is not, actions that are held and that are not, either Q-function the
    smaller one, rewards and values that have a logarithm."""
    agent = precise()
    data, draws = given(agent)
    held = plain_alm.Held()
    with torch.no_grad():
        plain_alm.loss(agent, "actor", data, draws, held)
        latent = agent.read(data.transitions.observation, draws.valued)
        values = agent.critic(latent, data.transitions.action)
        rewards = agent.reward(latent, data.transitions.action)
    clipped = STD * draws.actions.abs() > CLIP
    bounded = torch.stack(held.first[plain_alm.BOUND]) != 0
    assert 0.2 < clipped.double().mean() < 0.8
    assert 0.2 < bounded.double().mean() < 0.8
    assert data.transitions.action.abs().max() <= LIMIT
    assert set(values.argmin(0).tolist()) == {0, 1}
    assert min(values.min(), rewards.min()) > 0.1
    assert len(rewards[0]) == BATCH
