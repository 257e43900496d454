"""The state-space model with categorical states against numpy loops over its weights; draws, divergences."""

import math
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from relatent.nets.categorical_rssm import Categorical, CategoricalRSSM, divergence
from relatent.nets.noise import gumbel
from relatent.objectives.sequence_elbo import free_divergence
from tests.agents.checks import assert_gradients_agree
from tests.agents.plain_dreamer_v2 import filter_one, plain_prior
from tests.agents.tiny import number, waves
from tests.agents.tiny_dreamer_v2 import Held
from tests.nets.test_rssm import flat, poisoned, same, size_of
from tests.nets.tiny_world import ACTION, BATCH, DETER, EMBED, HIDDEN, LENGTH, STOCH, inputs, wavy

SHAPE = (2, 3)  # of the same six numbers as tiny_world's z


def rssm() -> Any:
    return wavy(CategoricalRSSM(ACTION, EMBED, DETER, SHAPE, HIDDEN))


def law(phase: float, scale: float = 2.0) -> Categorical:
    """Two variables of three classes, of 4 x 2 steps."""
    return Categorical((scale * waves((4, 2, *SHAPE), phase)).requires_grad_())


# Laws of z


def test_a_sample_is_the_largest_of_logits_and_noise() -> None:
    logits = torch.tensor([[[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]]])
    noise = torch.tensor([[0.0, 1.5, 0.0, 0.0, 0.0, 4.0]])
    found = Categorical(logits).sample(noise)
    assert found.tolist() == [[0.0, 1.0, 0.0, 0.0, 0.0, 1.0]]


def test_samples_have_the_probabilities_and_are_one_hot() -> None:
    logits = torch.tensor([[0.0, 1.0, -1.0, 0.5], [2.0, 0.0, 0.0, -3.0]])
    drawn = Categorical(logits.expand(20_000, 2, 4)).sample(gumbel((20_000, 8), torch.Generator().manual_seed(0)))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(drawn.unflatten(-1, (2, 4)).sum(-1), torch.ones(20_000, 2))
    # 4 deviations of a frequency of a half
    torch.testing.assert_close(drawn.mean(0), logits.softmax(-1).flatten(), rtol=0, atol=4 * 0.5 / math.sqrt(20_000))


def test_a_sample_has_the_gradient_of_its_probabilities() -> None:
    """Whatever was drawn; straight through. Also that of finite differences, with what was drawn held fixed."""
    made, weight = law(0.1), waves((4, 2, STOCH), 0.2)
    expected = torch.autograd.grad((weight * made.logits.softmax(-1).flatten(-2)).sum(), made.logits)[0]
    for phase in (0.3, 0.4):
        sample = made.sample(waves((4, 2, STOCH), phase))
        torch.testing.assert_close(torch.autograd.grad((weight * sample).sum(), made.logits)[0], expected)
        noise = waves((4, 2, STOCH), phase)
        loss = Held(lambda noise=noise: (weight * made.sample(noise).square()).sum())  # type: ignore[misc]
        assert_gradients_agree(loss, [made.logits])


def test_divergence_is_that_of_all_joint_values() -> None:
    """By enumeration of the nine values of two variables."""
    posterior, prior = law(0.1), law(1.7)
    found = divergence(posterior, prior)
    for step in product(range(4), range(2)):
        ours, theirs = (made.logits[step].detach().softmax(-1).numpy() for made in (posterior, prior))
        expected = 0.0
        for values in product(range(3), repeat=2):
            q, p = (math.prod(table[k, value] for k, value in enumerate(values)) for table in (ours, theirs))
            expected += q * math.log(q / p)
        assert number(found[step]) == pytest.approx(expected, rel=1e-12)
        assert expected > 0.01


def test_divergence_of_equal_laws_is_zero() -> None:
    """Also where logits differ by a constant; and of a certain value from a fair coin it is log 2."""
    made = law(0.1)
    assert not divergence(made, made).any()
    assert divergence(made, Categorical(made.logits + 3.0)).abs().max() < 1e-15
    certain, fair = (Categorical(torch.tensor([[[gap, 0.0]]], dtype=torch.float64)) for gap in (50.0, 0.0))
    assert number(divergence(certain, fair)) == pytest.approx(math.log(2), rel=1e-12)


@pytest.mark.parametrize("balance", [0.8, 0.3])
def test_a_balance_keeps_the_value_and_splits_the_gradient(balance: float) -> None:
    """As in the official code: the share `balance` of it is the prior's. By finite differences, with the other law held
    fixed in each half."""
    for share_free in (0.0, 0.5):
        posterior, prior = law(0.1), law(1.7)
        whole = divergence(posterior, prior).mean()
        free = share_free * number(whole)
        shared = free_divergence(divergence, posterior, prior, free, balance)
        assert number(shared) == pytest.approx(number(whole), rel=1e-14)
        for made, share in ((posterior, 1 - balance), (prior, balance)):
            expected, found = (torch.autograd.grad(part, made.logits, retain_graph=True)[0] for part in (whole, shared))
            torch.testing.assert_close(found, share * expected, rtol=1e-12, atol=1e-15)
        loss = Held(partial(free_divergence, divergence, posterior, prior, free, balance))
        assert_gradients_agree(loss, [posterior.logits, prior.logits])
    above = free_divergence(divergence, posterior, prior, 9.0, balance)
    assert number(above) == pytest.approx(9.0, rel=1e-14)
    assert not any(part.any() for part in torch.autograd.grad(above, [posterior.logits, prior.logits]))


# The model


@pytest.mark.parametrize(("action", "embed", "total"), [(2, 400, 1_019_248), (6, 400, 1_020_048), (6, 1536, 1_247_248)])
def test_sizes_of_the_official_settings(action: int, embed: int, total: int) -> None:
    """32 variables of 32 classes, h of 200."""
    model = CategoricalRSSM(action, embed, 200, (32, 32), 200)
    assert (model.stoch_size, model.feature_size) == (1024, 1224)
    assert size_of(model.read) == (1024 + action) * 200 + 200
    assert size_of(model.recurrence) == (200 + 200) * 600 + 600 + 2 * 600 == 241_800
    assert size_of(model.predict) == 200 * 200 + 200 + 200 * 1024 + 1024 == 246_024
    assert size_of(model.infer) == (200 + embed) * 200 + 200 + 200 * 1024 + 1024
    assert size_of(model) == total


def test_first_weights_are_glorots() -> None:
    """Of every layer as a whole, also of those that are two halves here; no bias, and a norm that changes nothing."""
    torch.manual_seed(0)
    model: Any = CategoricalRSSM(6, 300, 200, (32, 32), 150)
    fans = {
        "read.0.0.weight": (1024 + 6, 150),
        "recurrence.linear.weight": (150 + 200, 600),
        "predict.0.weight": (200, 150),
        "predict.2.weight": (150, 1024),
        "infer.of_deter.weight": (500, 150),
        "infer.see.weight": (500, 150),
        "infer.output.1.0.weight": (150, 1024),
    }
    for name, parameter in model.named_parameters():
        if name in fans:
            bound = math.sqrt(6 / sum(fans.pop(name)))
            assert 0.97 * bound < parameter.abs().max() <= bound
        else:
            assert torch.equal(parameter, torch.full_like(parameter, float(name == "recurrence.norm.weight")))
    assert not fans
    assert model.recurrence.norm.eps == 1e-3


def test_an_untrained_unit_keeps_what_it_holds() -> None:
    """With gates of zero: the update gate is that of -1, and there is nothing new."""
    model = rssm()
    with torch.no_grad():
        for parameter in model.recurrence.parameters():
            parameter.zero_()
    hidden = waves((3, DETER), 0.1)
    kept = model.recurrence(waves((3, HIDDEN), 0.2), hidden)
    torch.testing.assert_close(kept, (1 - 1 / (1 + math.e)) * hidden, rtol=1e-14, atol=0)


def test_filtering_is_what_the_weights_say() -> None:
    model, data = rssm(), inputs()
    found = model.filter(*data)
    for row in range(BATCH):
        plain = filter_one(model, *(part[row].numpy() for part in data))
        same(found.states.stoch[row], plain.stoch)
        same(found.states.deter[row], plain.deter)
        same(found.posterior.logits[row], plain.posterior)
        same(found.prior.logits[row], plain.prior)
    assert len(found.states.stoch.unique(dim=1)[0]) > 2  # not always the same classes


def test_an_agent_that_observes_step_by_step_has_the_same_states() -> None:
    model, data = rssm(), inputs()._replace(first=torch.zeros(BATCH, LENGTH))
    found, state = model.filter(*data), model.begin(data.embedded[:, 0])
    assert all(part.shape == (BATCH, size) and not part.any() for part, size in zip(state, (STOCH, DETER), strict=True))
    for step in range(LENGTH):
        state, posterior = model.observe(state, data.actions[:, step], data.embedded[:, step], data.noise[:, step])
        torch.testing.assert_close(posterior.logits, found.posterior.logits[:, step], rtol=1e-12, atol=1e-13)
        for one, other in zip(state, found.states, strict=True):
            torch.testing.assert_close(one, other[:, step], rtol=1e-12, atol=1e-13)


def test_dreams_follow_the_prior() -> None:
    model, data = rssm(), inputs()
    start = model.filter(*data).states
    noise = waves((BATCH, LENGTH, 2, STOCH), 0.9)
    states, actions = model.imagine(start, lambda state, step: state.deter[..., :ACTION] + step, noise)
    stoch, deter = start.stoch[1, 3], start.deter[1, 3]
    for step in range(2):
        action = deter[:ACTION] + step
        same(actions[1, 3, step], action.detach())
        plain = plain_prior(model, *(part.detach().numpy() for part in (stoch, deter, action, noise[1, 3, step])))
        same(states.stoch[1, 3, step], plain[0])
        same(states.deter[1, 3, step], plain[1])
        stoch, deter = states.stoch[1, 3, step], states.deter[1, 3, step]


@pytest.mark.parametrize(("row", "step"), [(1, 2), (2, 3), (2, 4), (0, 0)])
def test_nothing_before_a_beginning_matters(row: int, step: int) -> None:
    model, data = rssm(), inputs()
    found, other = model.filter(*data), model.filter(*poisoned(data, row, step))
    for mine, yours in zip(flat(found), flat(other), strict=True):
        assert torch.equal(mine[row, step:], yours[row, step:])
    tail = model.filter(*(part[row : row + 1, step:] for part in data))
    for mine, yours in zip(flat(found), flat(tail), strict=True):
        torch.testing.assert_close(mine[row, step:], yours[0], rtol=1e-12, atol=1e-13)


def test_gradients_are_finite_differences() -> None:
    """Through samples, with what was drawn held fixed, along sequences with beginnings."""
    model, data, weight = rssm(), inputs(), waves((BATCH, LENGTH, STOCH + DETER), 0.8)

    def loss() -> Tensor:
        found = model.filter(*data)
        return (weight * found.states.features).sum() + model.divergence(found.posterior, found.prior).sum()

    assert_gradients_agree(Held(loss), list(model.parameters()))
