"""Random network distillation: what errors are, what normalises them, and that they fall where something comes again.

The official code lets no batch into mean and variance before the hundredth is over: the first errors are many times as
large as all later ones, and a mean over all batches would never forget them.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relatent.agents.rpg import Noise
from relatent.nets.batch import WorldBatch
from relatent.objectives.novelty import BONUS_LIMIT, WARM_BATCHES, Novelty
from tests.agents.tiny import waves
from tests.agents.tiny_rpg import BATCH, HORIZON, OBSERVATION, build, segments

SIZE = 6


@pytest.fixture(autouse=True)
def _precise() -> Iterator[None]:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def batches(count: int) -> list[Tensor]:
    """Errors that fall as those of a network that learns."""
    return [(3 + waves((SIZE,), float(number))).square() * (0.1 + 10 / number) for number in range(1, count + 1)]


def counted(errors: list[Tensor]) -> Novelty:
    novelty = Novelty(OBSERVATION, 5)
    for batch in errors:
        novelty.count(batch)
    return novelty


def says(novelty: Novelty, errors: Tensor) -> Tensor:
    """The bonus of observations that have these errors."""
    novelty.error = lambda _: errors  # type: ignore[method-assign]
    return novelty.bonus(torch.zeros(len(errors), OBSERVATION))


def test_both_networks_have_three_layers_of_one_width() -> None:
    novelty = Novelty(28, 512)
    for net in (novelty.predictor, novelty.target):
        assert [type(layer) for layer in net] == [nn.Linear, nn.LeakyReLU, nn.Linear, nn.LeakyReLU, nn.Linear]
        shapes = [(layer.in_features, layer.out_features) for layer in net if isinstance(layer, nn.Linear)]
        assert shapes == [(28, 512), (512, 512), (512, 512)]
        assert [layer.negative_slope for layer in net if isinstance(layer, nn.LeakyReLU)] == [0.01] * 2
    assert all(parameter.requires_grad for parameter in novelty.predictor.parameters())
    assert not any(parameter.requires_grad for parameter in novelty.target.parameters())
    assert not torch.equal(novelty.predictor[0].weight, novelty.target[0].weight)
    bound = 28**-0.5
    assert 0.99 * bound < float(novelty.target[0].weight.detach().abs().max()) <= bound


@pytest.mark.parametrize("shape", [(), (4,), (4, 3)])
def test_an_error_is_a_squared_distance_summed_over_outputs(shape: tuple[int, ...]) -> None:
    novelty = Novelty(OBSERVATION, 5)
    observation = waves((*shape, OBSERVATION), 0.3)
    expected = (novelty.predictor(observation) - novelty.target(observation)).square().sum(-1)
    torch.testing.assert_close(novelty.error(observation), expected, rtol=1e-14, atol=0)
    assert novelty.error(observation).shape == novelty.bonus(observation).shape == shape
    assert not novelty.bonus(observation.requires_grad_()).requires_grad


def test_the_first_hundred_batches_give_the_plain_error_up_to_a_limit() -> None:
    errors = batches(WARM_BATCHES)
    assert float(errors[0].max()) > BONUS_LIMIT > float(errors[0].min())
    assert torch.equal(says(counted(errors), errors[0]), errors[0].clamp(max=BONUS_LIMIT))
    assert WARM_BATCHES == 100


@pytest.mark.parametrize("count", [102, 130, 400])
def test_over_all_batches_after_those_the_bonus_has_mean_zero_and_variance_one(count: int) -> None:
    """Recomputed at once from all errors."""
    errors = batches(count)
    pooled = torch.cat(errors[WARM_BATCHES:])
    novelty = counted(errors)
    assert float(novelty.mean) == pytest.approx(float(pooled.mean()), rel=1e-12)
    assert float(novelty.variance) == pytest.approx(float(pooled.var(unbiased=False)), rel=1e-9)
    bonus = says(novelty, pooled)
    assert float(bonus.mean()) == pytest.approx(0, abs=1e-9)
    assert float(bonus.var(unbiased=False)) == pytest.approx(1, rel=1e-9)


def test_the_first_batches_are_forgotten() -> None:
    """Twice as large errors there change nothing later."""
    errors = batches(150)
    larger = [2 * batch for batch in errors[:WARM_BATCHES]] + errors[WARM_BATCHES:]
    here = errors[-1]
    torch.testing.assert_close(says(counted(errors), here), says(counted(larger), here), rtol=1e-12, atol=1e-14)


def test_the_typical_bonus_is_negative_while_errors_fall() -> None:
    errors = batches(400)
    assert -1 < float(says(counted(errors), torch.cat(errors[-100:])).mean()) < -0.1


@pytest.mark.parametrize(("factor", "shift"), [(10.0, 0.0), (1.0, 5.0), (0.01, -2.0)])
def test_the_bonus_does_not_depend_on_the_errors_scale(factor: float, shift: float) -> None:
    errors = batches(150)
    scaled = [factor * batch + shift for batch in errors]
    one, other = says(counted(errors), errors[120]), says(counted(scaled), scaled[120])
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_the_bonus_is_bounded() -> None:
    found = says(counted(batches(150)), torch.tensor([1e9, -1e9]))
    assert found.tolist() == [BONUS_LIMIT, -BONUS_LIMIT] == [100.0, -100.0]


def test_what_is_predicted_perfectly_is_minus_the_mean_in_deviations() -> None:
    novelty = counted(batches(150))
    novelty.predictor.load_state_dict(novelty.target.state_dict())
    observation = waves((7, OBSERVATION), 0.4)
    assert novelty.error(observation).abs().max() == 0
    expected = -novelty.mean / novelty.variance.sqrt()
    torch.testing.assert_close(novelty.bonus(observation), expected.expand(7), rtol=1e-12, atol=0)


def test_statistics_of_several_seeds_are_their_own() -> None:
    """Errors (S, B) with statistics (S,), as a stack of agents has them."""
    errors = [torch.stack([batch, 7 * batch.flip(0) - 1]) for batch in batches(130)]
    alone = [counted([batch[seed] for batch in errors]) for seed in range(2)]
    together = Novelty(OBSERVATION, 5)
    for name in ("batches", "mean", "variance"):
        setattr(together, name, torch.zeros(2))
    for batch in errors:
        together.count(batch)
    for name in ("batches", "mean", "variance"):
        expected = torch.stack([getattr(one, name) for one in alone])
        torch.testing.assert_close(getattr(together, name), expected, rtol=1e-12, atol=0)


# Within the agent


def learnt(agent: Any, data: Tensor, updates: int) -> list[Tensor]:
    """Errors of each training batch, before its step."""
    errors = []
    for number in range(updates):
        batch = data[torch.randint(len(data), (32,), generator=torch.Generator().manual_seed(number))]
        errors.append(agent.novelty.error(batch).detach())
        agent.learn(WorldBatch(batch), Noise())
    return errors


def test_an_agents_bonus_is_normalised_over_its_training() -> None:
    """Of the real network on real batches; what it has seen less than other observations errs more."""
    agent = build("code", novelty_width=16, lr=3e-3).double()
    often = waves((20, OBSERVATION), 0.3)
    errors = learnt(agent, often, 160)
    pooled = torch.cat(errors[WARM_BATCHES:])
    assert float(agent.novelty.mean) == pytest.approx(float(pooled.mean()), rel=1e-10)
    assert float(agent.novelty.variance) == pytest.approx(float(pooled.var(unbiased=False)), rel=1e-8)
    assert errors[-1].mean() < 0.2 * errors[0].mean()
    elsewhere = often + 3
    assert float(agent.novelty.bonus(elsewhere).mean()) > 3 + float(agent.novelty.bonus(often).mean())


def test_the_reward_is_judged_by_what_a_step_led_to() -> None:
    """0.1 times the bonus of the next observation is what the reward head is to learn, beside five times the reward."""
    agent = build("code", novelty=0.1).double()
    agent.novelty.batches.fill_(200)
    agent.novelty.mean.fill_(0.5)
    agent.novelty.variance.fill_(4.0)
    with torch.no_grad():
        for parameter in agent.world.predict_reward[-1].parameters():
            parameter.zero_()
    data = segments(agent)
    draws = waves((HORIZON, BATCH, HORIZON, agent.policy.noise_size), 0.2)
    _, parts = agent.world_loss(data, draws)
    total = 0.0
    for b in range(BATCH):
        for t in range(int(data.mask[b].sum())):
            led_to = data.observation[b, t + 1]
            error = float((agent.novelty.predictor(led_to) - agent.novelty.target(led_to)).square().sum().detach())
            total += (5 * float(data.reward[b, t]) + 0.1 * (error - 0.5) / 2) ** 2
    assert float(parts["reward_loss"].detach()) == pytest.approx(total / HORIZON / BATCH, rel=1e-10)
