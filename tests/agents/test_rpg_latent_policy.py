"""What a learnt Gaussian π(z|s) climbs to where the value of z is known, and the weight that its entropy has when."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from relatent.nets.imagination import Rollout
from tests.agents.tiny import number
from tests.agents.tiny_rpg import BATCH, SIZES, latent_noise, noise, precise, starts

ENTROPY = 1.5 * math.log(2 * math.pi * math.e)  # of N(0, I) in three dimensions
ALPHA = 0.2 * math.exp(0.3)  # tiny_rpg's


def valued(agent: Any, worth: Any) -> Any:
    """The same agent, to whom a z is worth `worth(z)` wherever it is, and two more by the other critic."""

    def value(world: Any, rollout: Rollout, latent: Tensor, entropy_bonus: bool) -> Tensor:
        assert world is agent.world
        assert entropy_bonus
        assert rollout.actions.shape[1] == len(latent)
        return torch.stack([worth(latent), worth(latent) + 2])

    agent.value = value
    return agent


def newborn(worth: Any, **changes: Any) -> Any:
    """Whose π(z|s) is N(0, I)."""
    agent = valued(precise("paper_learnt", **changes), worth)
    with torch.no_grad():
        for parameter in agent.latent_policy.net[-1].parameters():
            parameter.zero_()
    return agent


def learn(agent: Any, updates: int) -> None:
    """By its own optimiser, with draws that come with their negatives."""
    generator, data = torch.Generator().manual_seed(0), starts(agent)
    for _ in range(updates):
        half = torch.randn((BATCH // 2, agent.latent.size), generator=generator, dtype=torch.float64)
        agent.minimise("latent_policy", agent.latent_loss, data, noise(agent), torch.cat([half, -half]))


def told(agent: Any) -> tuple[Tensor, Tensor]:
    """Mean and deviation in the states that episodes begin in."""
    with torch.no_grad():
        given = agent.latent_policy.given(agent.world.encode(starts(agent).observation))
    return given.mean, given.log_std.exp()


@pytest.mark.parametrize(
    ("updates", "share"),
    [(0, 1.0), (1, 1.0), (2, 0.95), (4, 0.7), (6, 0.45), (8, 0.2), (9, 0.075), (10, 0.0), (400, 0.0)],
)
def test_the_entropys_weight_falls_between_two_counts_of_agent_steps(updates: int, share: float) -> None:
    """Five steps an update, from 8 to 48 of them. Where every z is worth nothing, the loss is the entropy, weighed."""
    agent = newborn(lambda z: 0 * z.sum(-1))
    agent.progress.fill_(updates)
    loss = agent.latent_loss(starts(agent), noise(agent), latent_noise(agent))
    assert SIZES["update_every"] == 5
    assert number(loss) == pytest.approx(-share * ALPHA * ENTROPY, rel=1e-12, abs=1e-15)
    always = newborn(lambda z: 0 * z.sum(-1), latent_entropy_decay=())
    always.progress.fill_(updates)
    loss = always.latent_loss(starts(always), noise(always), latent_noise(always))
    assert number(loss) == pytest.approx(-ALPHA * ENTROPY, rel=1e-12)


@pytest.mark.parametrize("name", ["code_learnt", "paper_learnt"])
def test_whose_value_it_climbs(name: str) -> None:
    """The first critic's or the smaller one's, as π(a|s, z): the second says 2 more, then 2 less."""
    agent: Any = precise(name, init_alpha=0.0)
    mean, std = told(agent)
    latent = mean + std * latent_noise(agent)
    for sign in (1, -1):
        both = torch.stack([latent.square().sum(-1), latent.square().sum(-1) + 2 * sign])
        agent.value = lambda *_, both=both, **__: both
        expected = number(latent.square().sum(-1).mean()) - (2 if name == "paper_learnt" and sign < 0 else 0)
        loss = agent.latent_loss(starts(agent), noise(agent), latent_noise(agent))
        assert number(loss) == pytest.approx(-expected, rel=1e-12)


@pytest.mark.parametrize("better", [1.0, -1.0])
def test_the_mean_moves_to_the_better_side(better: float) -> None:
    """Of a value that rises along the first dimension: its mean follows it, and dimensions that do not matter stay."""
    agent = newborn(lambda z: better * z[:, 0], lr=0.01, init_alpha=0.0)
    learn(agent, 60)
    mean, std = told(agent)
    assert (better * mean[:, 0] > 0.5).all()
    torch.testing.assert_close(mean[:, 1:], torch.zeros(BATCH, 2).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(std[:, 1:], torch.ones(BATCH, 2).double(), rtol=0, atol=1e-9)


def test_without_a_value_of_its_own_the_deviation_grows_as_its_entropy() -> None:
    """Of a constant value: d/d log σ of the loss is -α in each dimension, and nothing for the mean, whatever was drawn;
    once the weight has fallen to zero nothing is left of it."""
    for progress, weight in ((0, ALPHA), (6, 0.45 * ALPHA), (10, 0.0)):
        agent = newborn(lambda z: 0 * z.sum(-1) + 7)
        agent.progress.fill_(progress)
        bias = agent.latent_policy.net[-1].bias
        loss = agent.latent_loss(starts(agent), noise(agent), latent_noise(agent))
        (gradient,) = torch.autograd.grad(loss, bias)
        assert gradient.tolist() == pytest.approx([0.0] * 3 + [-weight] * 3, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("curvature", [0.5, 4.0])
def test_it_comes_to_the_gaussian_of_the_best_trade(curvature: float) -> None:
    """Of -c |z - m|² / 2, which with α of entropy is best for the mean m and the variance α / c."""
    best = torch.tensor([0.4, -0.3, 0.0], dtype=torch.float64)
    agent = newborn(lambda z: -0.5 * curvature * (z - best).square().sum(-1), lr=0.01, latent_entropy_decay=())
    learn(agent, 1_500)
    mean, std = told(agent)
    expected = math.sqrt(ALPHA / curvature)
    torch.testing.assert_close(mean, best.expand(BATCH, 3), rtol=0, atol=0.1)
    torch.testing.assert_close(std, torch.full_like(std, expected), rtol=0.25, atol=0)
