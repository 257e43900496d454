"""The bound and the loss against numpy loops, the free nats, whom a balance moves, seeds at once."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from relatent.nets.aligned_latent import Latent, divergence
from relatent.nets.rssm import WorldModel
from relatent.nets.sequences import Sequences
from relatent.objectives.sequence_elbo import (
    evidence,
    free_divergence,
    model_loss,
    sequence_elbo,
    unit_log_prob,
)
from tests.agents.checks import assert_gradients_agree
from tests.agents.tiny import number, waves
from tests.nets.test_rssm import prior_for_posterior
from tests.nets.tiny_world import (
    BATCH,
    LENGTH,
    WORLDS,
    Array,
    batch,
    decode_image,
    dense,
    encode_image,
    filter_one,
)

KINDS = pytest.mark.parametrize("kind", WORLDS)
BALANCES = pytest.mark.parametrize("balance", [None, 0.8])


def log_normal(value: Array, mean: Array) -> float:
    return float(
        sum(-0.5 * (v - m) ** 2 - 0.5 * math.log(2 * math.pi) for v, m in zip(value.flat, mean.flat, strict=True))
    )


def kl(posterior: tuple[Array, Array], prior: tuple[Array, Array]) -> float:
    """By the trace, the distance and the volumes of diagonal covariances."""
    (mean, std), (other, spread) = posterior, prior
    trace, distance = (std**2 / spread**2).sum(), ((other - mean) ** 2 / spread**2).sum()
    volumes = np.log(np.prod(spread**2) / np.prod(std**2))
    return float(0.5 * (trace + distance - len(mean) + volumes))


def plain_terms(kind: str, world: Any, data: Sequences, noise: Tensor) -> Array:
    """log p(x | s), log p(r | s) and the divergence of every step, (3, B, T)."""
    terms = np.empty((3, BATCH, LENGTH))
    for row in range(BATCH):
        seen = data.observation[row].numpy()
        read = encode_image if kind == "images" else dense
        embedded = np.stack([read(world.encode, one) for one in seen])
        given = (part[row].numpy() for part in (data.action, data.first, noise))
        found = filter_one(world.rssm, embedded, *given)
        for step in range(LENGTH):
            features = np.concatenate([found.stoch[step], found.deter[step]])
            mean = decode_image(world.decode, features) if kind == "images" else dense(world.decode, features)
            target = seen[step] / 255 - 0.5 if kind == "images" else seen[step]
            reward = dense(world.reward, features)
            terms[0, row, step] = log_normal(target, mean)
            terms[1, row, step] = log_normal(data.reward[row, step].numpy()[None], reward)
            terms[2, row, step] = kl(found.posterior[step], found.prior[step])
    return terms


@KINDS
def test_the_bound_is_what_the_weights_say(kind: str) -> None:
    world, (data, noise) = WORLDS[kind](), batch(kind)
    seen, rewarded, diverged = plain_terms(kind, world, data, noise)
    found = sequence_elbo(world, data, noise).detach().numpy()
    np.testing.assert_allclose(found, (seen + rewarded - diverged).sum(1), rtol=1e-11)
    terms = evidence(world, data, noise)
    np.testing.assert_allclose(terms.observation.detach().numpy(), seen, rtol=1e-11)
    np.testing.assert_allclose(terms.reward.detach().numpy(), rewarded, rtol=1e-11)


@KINDS
@BALANCES
@pytest.mark.parametrize("free", [0.0, 8.0, 1e3])
def test_the_loss_is_what_the_weights_say(kind: str, balance: float | None, free: float) -> None:
    """The divergence is averaged before the free nats are taken: some steps are below 8, and their mean is above."""
    world, (data, noise) = WORLDS[kind](), batch(kind)
    seen, rewarded, diverged = plain_terms(kind, world, data, noise)
    assert diverged.min() < 8 < diverged.mean() < 1e3
    found = model_loss(world, data, noise, free, balance)
    assert number(found.loss) == pytest.approx(max(diverged.mean(), free) - seen.mean() - rewarded.mean(), rel=1e-11)
    metrics = [number(value) for value in (found.observation, found.reward, found.divergence)]
    assert metrics == pytest.approx([seen.mean(), rewarded.mean(), diverged.mean()], rel=1e-11)
    torch.testing.assert_close(found.states, evidence(world, data, noise).filtered.states)


@pytest.mark.parametrize("event", [(1,), (4,), (3, 16, 16)])
def test_densities_are_summed_over_all_but_sequences_and_steps(event: tuple[int, ...]) -> None:
    mean, value = waves((2, 3, *event), 0.1), waves((2, 3, *event), 0.2)
    expected = torch.distributions.Normal(mean, 1.0).log_prob(value).reshape(2, 3, -1).sum(-1)
    torch.testing.assert_close(unit_log_prob(mean, value), expected, rtol=1e-12, atol=0)
    least = -0.5 * math.log(2 * math.pi) * math.prod(event)
    torch.testing.assert_close(
        unit_log_prob(value, value), torch.full((2, 3), least, dtype=torch.float64), rtol=1e-12, atol=0
    )


@KINDS
@BALANCES
def test_a_posterior_that_is_the_prior_costs_the_free_nats(kind: str, balance: float | None) -> None:
    """Exactly, and the loss has the gradient that it has without a divergence; below the free nats it never has
    another."""
    world, (data, noise) = WORLDS[kind](), batch(kind)
    for free, equal in ((3.0, True), (1e3, False)):
        if equal:
            prior_for_posterior(world.rssm)
        else:
            world = WORLDS[kind]()
        found, parameters = model_loss(world, data, noise, free, balance), list(world.parameters())
        rebuilt = -found.observation - found.reward
        assert number(found.loss) == number(free - found.observation - found.reward)
        assert (number(found.divergence) < 1e-14) == equal
        gradients = torch.autograd.grad(found.loss, parameters, retain_graph=True)
        without = torch.autograd.grad(rebuilt, parameters, allow_unused=True)
        unused = [other is None for other in without]
        for mine, other in zip(gradients, without, strict=True):
            torch.testing.assert_close(mine, torch.zeros_like(mine) if other is None else other, rtol=1e-12, atol=0)
        # Nothing but the divergence reads the prior's network.
        names = [name for (name, _), lacks in zip(world.named_parameters(), unused, strict=True) if lacks]
        assert names == [name for name, _ in world.named_parameters() if name.startswith("rssm.predict")]


def laws() -> tuple[Latent, Latent]:
    """Of 2 x 2 steps, with leaves that have a gradient."""
    raw = [waves((2, 2, 3), phase).requires_grad_() for phase in (0.1, 0.2, 0.3, 0.4)]
    return Latent(raw[0], raw[1].exp()), Latent(raw[2], raw[3].exp())


@pytest.mark.parametrize("balance", [0.0, 0.5, 0.8, 1.0])
def test_a_balance_shares_out_the_gradient(balance: float) -> None:
    """`balance` of it moves the prior, the rest the posterior; the value is the mean divergence for any."""
    posterior, prior = laws()
    whole = free_divergence(divergence, posterior, prior, 0.0, None)
    shared = free_divergence(divergence, posterior, prior, 0.0, balance)
    assert number(shared) == number(whole) == pytest.approx(number(divergence(posterior, prior).mean()))
    for law, share in ((posterior, 1 - balance), (prior, balance)):
        expected, found = (torch.autograd.grad(value, law, retain_graph=True) for value in (whole, shared))
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, share * other, rtol=1e-12, atol=1e-15)
            assert other.abs().min() > 0


@BALANCES
def test_free_nats_are_taken_from_the_mean_and_not_from_steps(balance: float | None) -> None:
    """Two steps of 0 and 8 nats: 4 for 3 free ones, not 5.5, and for 5 free ones 5, without a gradient."""
    mean = torch.tensor([[0.0], [4.0]], dtype=torch.float64, requires_grad=True)
    posterior, prior = Latent(mean, torch.ones(2, 1).double()), Latent(torch.zeros(2, 1).double(), torch.ones(2, 1))
    found = [free_divergence(divergence, posterior, prior, free, balance) for free in (3.0, 5.0)]
    assert [number(value) for value in found] == [4.0, 5.0]
    slopes = [torch.autograd.grad(value, mean)[0].flatten().tolist() for value in found]
    assert slopes == [[0.0, pytest.approx(2.0 if balance is None else 0.4)], [0.0, 0.0]]


@KINDS
def test_gradients_are_finite_differences(kind: str) -> None:
    world, (data, noise) = WORLDS[kind](), batch(kind)
    assert_gradients_agree(lambda: model_loss(world, data, noise, 3.0, None).loss, list(world.parameters()))


@KINDS
def test_nothing_is_drawn(kind: str) -> None:
    world, (data, noise) = WORLDS[kind](), batch(kind)
    before, kept = torch.get_rng_state(), [part.clone() for part in (*data, noise)]
    first, second = (model_loss(world, data, noise, 3.0, 0.8).loss for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one, other) for one, other in zip((*data, noise), kept, strict=True))
    assert number(model_loss(world, data, noise + 1, 3.0, 0.8).loss) != number(first)


class Loss(nn.Module):
    """A loss as a module, which is what `functional_call` takes."""

    def __init__(self, world: WorldModel, balance: float | None) -> None:
        super().__init__()
        self.world, self.balance = world, balance

    def forward(self, data: Sequences, noise: Tensor) -> Tensor:
        return model_loss(self.world, data, noise, 3.0, self.balance).loss


@KINDS
@BALANCES
def test_worlds_of_many_seeds_at_once(kind: str, balance: float | None) -> None:
    """Losses and gradients of worlds whose parameters have an axis of seeds in common."""
    alone = [Loss(WORLDS[kind](phase), balance) for phase in (0.0, 10.0, 20.0)]
    given = [batch(kind, phase) for phase in (0.5, 1.5, 2.5)]
    state, _ = stack_module_state(alone)  # type: ignore[arg-type]
    data = Sequences(*(torch.stack(parts) for parts in zip(*(one for one, _ in given), strict=True)))
    noise = torch.stack([draws for _, draws in given])

    def loss(parameters: dict[str, Tensor], own: Sequences, draws: Tensor) -> Tensor:
        return functional_call(alone[0], parameters, (own, draws))

    losses, gradients = vmap(loss)(state, data, noise), vmap(grad(loss))(state, data, noise)
    by_sum = torch.autograd.grad(vmap(loss)(state, data, noise).sum(), list(state.values()))
    for seed, (one, own) in enumerate(zip(alone, given, strict=True)):
        expected = one(*own)
        torch.testing.assert_close(losses[seed], expected, rtol=1e-12, atol=0)
        each = torch.autograd.grad(expected, list(one.parameters()))
        for key, mine, summed in zip(state, each, by_sum, strict=True):
            torch.testing.assert_close(gradients[key][seed], mine, rtol=1e-9, atol=1e-11)
            torch.testing.assert_close(summed[seed], mine, rtol=1e-9, atol=1e-11)
