"""The recurrent state-space model against numpy loops over its weights; beginnings, particles, seeds."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from relatent.nets.aligned_latent import Latent
from relatent.nets.mlp import mlp
from relatent.nets.rssm import RSSM, State, gaussian
from tests.agents.checks import assert_gradients_agree
from tests.agents.tiny import number, waves
from tests.nets.tiny_world import (
    ACTION,
    BATCH,
    DETER,
    EMBED,
    FIRST,
    HIDDEN,
    LENGTH,
    STOCH,
    Inputs,
    filter_one,
    inputs,
    prior,
    recur,
    rssm,
)


def size_of(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def same(found: Tensor, expected: Any) -> None:
    torch.testing.assert_close(found.detach(), torch.as_tensor(np.asarray(expected)), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("action", "total"), [(1, 556_920), (6, 557_920), (21, 560_920)])
def test_sizes_of_the_papers_experiments(action: int, total: int) -> None:
    model = RSSM(action, embed_size=1024, deter_size=200, stoch_size=30, hidden=200)
    assert model.feature_size == 230
    assert size_of(model.read) == (30 + action) * 200 + 200
    assert size_of(model.recurrence) == 3 * (200 * 200 + 200 * 200 + 200 + 200) == 241_200
    assert size_of(model.predict) == 200 * 200 + 200 + 200 * 60 + 60 == 52_260
    assert size_of(model.infer) == (200 + 1024) * 200 + 200 + 200 * 60 + 60 == 257_060
    assert size_of(model) == total
    assert size_of(mlp([model.feature_size, 300, 300, 1])) == 230 * 300 + 300 + 300 * 300 + 300 + 301 == 159_901


def test_first_weights_are_pytorchs_own() -> None:
    """Those of the halves of the posterior's first layer too, which are parts of one layer."""
    torch.manual_seed(0)
    model = RSSM(ACTION, EMBED, DETER, STOCH, HIDDEN)
    torch.manual_seed(0)
    read, cell = nn.Linear(STOCH + ACTION, HIDDEN), nn.GRUCell(HIDDEN, DETER)
    predict = [nn.Linear(DETER, HIDDEN), nn.Linear(HIDDEN, 2 * STOCH)]
    joint, output = nn.Linear(DETER + EMBED, HIDDEN), nn.Linear(HIDDEN, 2 * STOCH)
    layers = [read, cell, *predict]
    expected = [parameter for layer in layers for parameter in layer.parameters()]
    expected += [joint.weight[:, :DETER], joint.weight[:, DETER:], joint.bias, *output.parameters()]
    assert all(torch.equal(mine, yours) for mine, yours in zip(model.parameters(), expected, strict=True))


@pytest.mark.parametrize(
    ("raw", "std"), [(-50.0, 0.1), (-2.0, 0.226928), (0.0, 0.793147), (1.0, 1.413262), (5.0, 5.106715), (50.0, 50.1)]
)
def test_deviations_are_softplus_and_a_tenth(raw: float, std: float) -> None:
    found = gaussian(torch.tensor([3.0, raw], dtype=torch.float64))
    assert (number(found.mean), number(found.std)) == (3.0, pytest.approx(std, abs=5e-7))


def test_equal_laws_do_not_diverge() -> None:
    """Exactly, also in float32; else as PyTorch's distributions do, q from p."""
    model, one, other = rssm(), *(gaussian(waves((7, 2 * STOCH), phase)) for phase in (0.1, 0.2))
    for kind in (torch.float32, torch.float64):
        cast = Latent(*(part.to(kind) for part in one))
        assert torch.equal(model.divergence(cast, cast), torch.zeros(7, dtype=kind))
    laws = [torch.distributions.Normal(*law) for law in (one, other)]
    torch.testing.assert_close(model.divergence(one, other), torch.distributions.kl_divergence(*laws).sum(-1))
    golden = model.divergence(*(Latent(*torch.tensor([[mean], [std]])) for mean, std in ((1.0, 2.0), (0.0, 1.0))))
    assert number(golden) == pytest.approx(2 - math.log(2), rel=1e-6)


def test_filtering_is_what_the_weights_say() -> None:
    model, data = rssm(), inputs()
    found = model.filter(*data)
    for row in range(BATCH):
        plain = filter_one(model, *(part[row].numpy() for part in data))
        same(found.states.stoch[row], plain.stoch)
        same(found.states.deter[row], plain.deter)
        for mine, yours in ((found.posterior, plain.posterior), (found.prior, plain.prior)):
            same(mine.mean[row], [mean for mean, _ in yours])
            same(mine.std[row], [std for _, std in yours])
    features = torch.cat([found.states.stoch, found.states.deter], dim=-1)
    assert torch.equal(found.states.features, features)
    assert features.shape == (BATCH, LENGTH, model.feature_size)


def test_an_agent_that_observes_step_by_step_has_the_same_states() -> None:
    model, data = rssm(), inputs()._replace(first=torch.zeros(BATCH, LENGTH))
    found, state = model.filter(*data), model.begin(data.embedded[:, 0])
    assert all(part.shape == (BATCH, size) and not part.any() for part, size in zip(state, (STOCH, DETER), strict=True))
    for step in range(LENGTH):
        state, law = model.observe(state, data.actions[:, step], data.embedded[:, step], data.noise[:, step])
        for mine, yours in ((state, found.states), (law, found.posterior)):
            for one, other in zip(mine, yours, strict=True):
                torch.testing.assert_close(one, other[:, step], rtol=1e-12, atol=1e-13)


def poisoned(data: Inputs, row: int, step: int) -> Inputs:
    """Other numbers, and none at all, in all that came before a step, and another action that led to it."""
    changed = Inputs(*(part.clone() for part in data))
    for part in (changed.embedded, changed.actions, changed.noise):
        part[row, :step] = float("nan")
        part[row, max(0, step - 2) : step] = 1e6
    changed.actions[row, step] = float("inf")
    return changed


@pytest.mark.parametrize(("row", "step"), [(1, 2), (2, 3), (2, 4), (0, 0)])
def test_nothing_before_a_beginning_matters(row: int, step: int) -> None:
    model, data = rssm(), inputs()
    found, other = model.filter(*data), model.filter(*poisoned(data, row, step))
    for mine, yours in zip((*found.states, *found.posterior, *found.prior), flat(other), strict=True):
        assert torch.equal(mine[row, step:], yours[row, step:])
        assert torch.equal(mine[[r for r in range(BATCH) if r != row]], yours[[r for r in range(BATCH) if r != row]])
    tail = model.filter(*(part[row : row + 1, step:] for part in data))
    for mine, yours in zip(flat(found), flat(tail), strict=True):
        torch.testing.assert_close(mine[row, step:], yours[0], rtol=1e-12, atol=1e-13)


def flat(filtered: Any) -> tuple[Tensor, ...]:
    return (*filtered.states, *filtered.posterior, *filtered.prior)


def test_nothing_before_a_beginning_has_a_gradient_and_all_after_it_has() -> None:
    model, data = rssm(), inputs()
    leaves = [data.embedded.requires_grad_(), data.actions.requires_grad_(), data.noise.requires_grad_()]
    last = model.filter(*data).states.stoch[1, -1].sum()  # its episode began at step 2
    for gradient, of_action in zip(torch.autograd.grad(last, leaves), (False, True, False), strict=True):
        begins = 3 if of_action else 2
        assert not gradient[1, :begins].any()
        assert gradient[1, begins:].any(-1).all()
        assert not gradient[[0, 2]].any()


def test_a_sequence_that_begins_in_the_midst_reads_its_first_action() -> None:
    model, data = rssm(), inputs()
    other = data._replace(actions=data.actions + 0.5 * (torch.arange(LENGTH) == 0)[:, None])
    moved = (model.filter(*data).states.deter - model.filter(*other).states.deter)[:, 0].abs().amax(-1)
    assert (moved > 1e-2).tolist() == (FIRST[:, 0] == 0).tolist()


def test_particles_at_once_are_particles_one_by_one() -> None:
    model, data, particles = rssm(), inputs(), 4
    noise = 1.5 * waves((particles, BATCH, LENGTH, STOCH), 0.7)
    together = model.refilter(data.embedded, data.actions, data.first, noise)
    assert together.features.shape == (particles, BATCH, LENGTH, STOCH + DETER)
    assert not any(part.requires_grad or part.grad_fn for part in together)
    for mine, draws in zip(together.features, noise, strict=True):
        alone = model.filter(*data._replace(noise=draws)).states.features
        torch.testing.assert_close(mine, alone.detach(), rtol=1e-12, atol=1e-14)
        assert alone.requires_grad
        one = model.refilter(data.embedded, data.actions, data.first, draws[None]).features[0]
        torch.testing.assert_close(mine, one, rtol=1e-12, atol=1e-14)
    # Particles differ, also in h, but not yet where an episode begins.
    apart = (together.deter[0] - together.deter[1]).abs().amax(-1)
    assert torch.equal(apart > 1e-6, ~(FIRST.bool() | (torch.arange(LENGTH) == 0)))


def prior_for_posterior(model: RSSM) -> RSSM:
    """A model that sees nothing: q(z | h, x) is p(z | h)."""
    with torch.no_grad():
        model.infer.deter_weight.copy_(model.predict[0].weight)
        model.infer.embed_weight.zero_()
        model.infer.bias.copy_(model.predict[0].bias)
        model.infer.output.load_state_dict(model.predict[2].state_dict())
    return model


def test_filtering_is_imagination_where_the_posterior_is_the_prior() -> None:
    model, data = prior_for_posterior(rssm()), inputs()._replace(first=torch.zeros(BATCH, LENGTH))
    found = model.filter(*data)
    torch.testing.assert_close(found.posterior, found.prior, rtol=1e-12, atol=1e-14)
    divergence = model.divergence(found.posterior, found.prior)
    assert divergence.abs().max() < 1e-14
    start = model.begin(data.embedded[:, 0])
    imagined, actions = model.imagine(start, lambda _, step: data.actions[:, step], data.noise)
    assert torch.equal(actions, data.actions)
    torch.testing.assert_close(imagined, found.states, rtol=1e-12, atol=1e-14)


def test_imagination_is_what_the_weights_say() -> None:
    """Of a policy that reads states, from states along two leading axes."""
    model, horizon, asked = rssm(), 3, []
    start = State(waves((2, BATCH, STOCH), 0.1), waves((2, BATCH, DETER), 0.2))
    gain, noise = waves((ACTION, STOCH + DETER), 0.3), waves((2, BATCH, horizon, STOCH), 0.4)

    def choose(state: State, step: int) -> Tensor:
        asked.append(step)
        return torch.tanh(state.features @ gain.T) + step

    states, actions = model.imagine(start, choose, noise)
    assert asked == [0, 1, 2]
    for index in np.ndindex(2, BATCH):
        stoch, deter = (part[index].numpy() for part in start)
        for step in range(horizon):
            action = np.tanh(gain.numpy() @ np.concatenate([stoch, deter])) + step
            deter = recur(model, stoch, deter, action)
            mean, std = prior(model, deter)
            stoch = mean + std * noise[index][step].numpy()
            same(actions[index][step], action)
            same(states.features[index][step], np.concatenate([stoch, deter]))


def test_gradients_are_finite_differences() -> None:
    model, data, weights = rssm(), inputs(), waves((BATCH, LENGTH, STOCH + DETER), 0.9)

    def filtered() -> Tensor:
        found = model.filter(*data)
        return (weights * found.states.features).sum() + model.divergence(found.posterior, found.prior).mean()

    def imagined() -> Tensor:
        start = State(waves((BATCH, STOCH), 0.1), waves((BATCH, DETER), 0.2))
        return (
            weights * model.imagine(start, lambda state, _: state.stoch[..., :ACTION], data.noise)[0].features
        ).sum()

    assert_gradients_agree(filtered, list(model.parameters()))
    assert_gradients_agree(imagined, [p for name, p in model.named_parameters() if "infer" not in name])


def test_models_of_many_seeds_at_once() -> None:
    """States, gradients and particles of models whose parameters have an axis of seeds in common."""
    models, data = [rssm(phase) for phase in (0.0, 10.0, 20.0)], [inputs(phase) for phase in (0.5, 1.5, 2.5)]
    state, _ = stack_module_state(models)  # type: ignore[arg-type]
    together = Inputs(*(torch.stack(parts) for parts in zip(*data, strict=True)))
    noise = waves((3, 2, BATCH, LENGTH, STOCH), 0.7)

    class Call(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = models[0]

        def forward(self, kind: str, given: Inputs, draws: Tensor) -> Tensor:
            if kind == "filter":
                return self.model.filter(*given).states.features.square().mean()
            return self.model.refilter(given.embedded, given.actions, given.first, draws).features

    named = {f"model.{name}": value for name, value in state.items()}

    def call(kind: str) -> Any:
        return lambda parameters, given, draws: functional_call(Call(), parameters, (kind, given, draws))

    gradients = vmap(grad(call("filter")))(named, together, noise)
    particles = vmap(call("refilter"))(named, together, noise)
    for seed, (model, given) in enumerate(zip(models, data, strict=True)):
        loss = model.filter(*given).states.features.square().mean()
        alone = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        for (name, _), expected in zip(model.named_parameters(), alone, strict=True):
            wanted = torch.zeros(()).double() if expected is None else expected
            torch.testing.assert_close(
                gradients[f"model.{name}"][seed], wanted.expand_as(gradients[f"model.{name}"][seed])
            )
        kept = model.refilter(given.embedded, given.actions, given.first, noise[seed]).features
        torch.testing.assert_close(particles[seed], kept, rtol=1e-12, atol=1e-14)
