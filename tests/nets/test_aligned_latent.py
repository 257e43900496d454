"""ALM's networks: golden values of what bounds them, sizes, first weights, and that they are what their weights say."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relatent.nets.aligned_latent import (
    Classifier,
    FixedEncoder,
    GaussianNet,
    Heads,
    IdentityEncoder,
    Latent,
    LatentModel,
    bounded_std,
    divergence,
    head,
    make_encoder,
)
from relatent.nets.bounded_policy import BoundedPolicy
from tests.agents.tiny import number, waves
from tests.agents.tiny_alm import dense, gaussian, linears, normalised


def one(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def wavy(module: nn.Module, phase: float = 0.0) -> Any:
    module.double()
    with torch.no_grad():
        for index, parameter in enumerate(module.parameters()):
            parameter.copy_(0.8 * waves(tuple(parameter.shape), phase + index))
    return module


@pytest.mark.parametrize(
    ("raw", "std"),
    [
        *[(-50, 0.1), (-5, 0.106078), (-1, 0.387331), (0, 0.744375), (1, 1.341066), (5, 5.000753), (10, 9.306953)],
        (50, 10.00005),
    ],
)
def test_deviations_have_the_golden_values(raw: float, std: float) -> None:
    assert number(bounded_std(one(raw))) == pytest.approx(std, abs=5e-7)


def test_deviations_have_other_bounds_where_others_are_given() -> None:
    low, high = math.exp(-5), math.exp(2)
    ends = bounded_std(one(-60, 60), low, high)
    assert ends.tolist() == pytest.approx([low, high + math.log1p(math.exp(low - high))], rel=1e-12)
    middle = math.log1p(math.exp(high - math.log1p(math.exp(high - 0.3)) - low)) + low
    assert number(bounded_std(one(0.3), low, high)) == pytest.approx(middle, rel=1e-12)


def test_means_are_bounded_by_30() -> None:
    net = wavy(GaussianNet(3, 2, 5))
    with torch.no_grad():
        linears(net)[-1][0].zero_()
        linears(net)[-1][1].copy_(one(10, 1e4, 0, -1))
        latent = net(waves((7, 3), 0.1))
    assert latent.mean[4].tolist() == pytest.approx([9.645382, 30], abs=5e-7)
    assert latent.std[4].tolist() == pytest.approx([0.744375, 0.387331], abs=5e-7)


def test_divergence_has_the_golden_values_in_both_directions() -> None:
    model, encoder = Latent(one(0.3), one(0.5)), Latent(one(-0.2), one(0.8))
    assert number(divergence(model, encoder)) == pytest.approx(0.360628629, abs=5e-10)
    assert number(divergence(encoder, model)) == pytest.approx(0.809996371, abs=5e-10)
    twice = [Latent(torch.stack([of.mean, of.mean], -1), torch.stack([of.std, of.std], -1)) for of in (model, encoder)]
    assert divergence(*twice).tolist() == pytest.approx([2 * 0.360628629], abs=1e-9)


def test_a_gaussian_of_z_is_what_its_weights_say() -> None:
    model, latents, actions = wavy(LatentModel(4, 2, 6)), waves((5, 4), 0.3), waves((5, 2), 0.4)
    found = model(latents, actions)
    for row in range(5):
        mean, std = gaussian(model, latents[row], actions[row])
        torch.testing.assert_close(found.mean[row], mean, rtol=1e-13, atol=1e-14)
        torch.testing.assert_close(found.std[row], std, rtol=1e-13, atol=1e-14)


def test_the_model_follows_actions_by_its_own_samples() -> None:
    model, start, noise = wavy(LatentModel(4, 2, 6)), waves((5, 4), 0.3), waves((3, 5, 4), 0.5)
    actions = tuple(waves((5, 2), 0.4 + step) for step in range(3))
    latents, predictions = model.follow(start, actions, noise)
    assert latents.shape == (4, 5, 4)
    assert torch.equal(latents[0], start)
    for row in range(5):
        latent = start[row]
        for step in range(3):
            mean, std = gaussian(model, latent, actions[step][row])
            latent = mean + std * noise[step, row]
            torch.testing.assert_close(predictions.mean[step, row], mean, rtol=1e-12, atol=1e-13)
            torch.testing.assert_close(predictions.std[step, row], std, rtol=1e-12, atol=1e-13)
            torch.testing.assert_close(latents[step + 1, row], latent, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("first_activation", ["tanh", "elu"])
def test_heads_are_what_their_weights_say(first_activation: str) -> None:
    both, latents, actions = wavy(Heads(2, 4, 2, 6, first_activation)), waves((5, 4), 0.3), waves((5, 2), 0.4)
    with torch.no_grad():  # so that either may be the smaller one
        linears(both.nets[1])[-1][1].add_((both(latents, actions)[0] - both(latents, actions)[1]).mean())
    found, smaller = both(latents, actions), both.smaller(latents, actions)
    assert found.shape == (2, 5)
    for row in range(5):
        values = [normalised(net, torch.cat([latents[row], actions[row]]), first_activation)[0] for net in both.nets]
        assert found[:, row].tolist() == pytest.approx([number(value) for value in values], rel=1e-12)
        assert number(smaller[row]) == min(found[:, row].tolist())
    assert len({int(place) for place in found.argmin(0)}) == 2


@pytest.mark.parametrize("linear", [False, True])
def test_log_odds_are_those_of_having_been_encoded(linear: bool) -> None:
    classifier = wavy(Classifier(4, 2, 6, linear))
    given = waves((5, 4), 0.3), waves((5, 2), 0.4), waves((5, 4), 0.6)
    chances = classifier(*given).softmax(-1)
    for row in range(5):
        inputs = torch.cat([part[row] for part in given])
        logits = dense(classifier, inputs) if linear else normalised(classifier, inputs, "tanh")
        torch.testing.assert_close(chances[row], logits.softmax(-1), rtol=1e-12, atol=1e-14)
    expected = torch.log(chances[:, 1] / (1 - chances[:, 1]))
    torch.testing.assert_close(classifier.log_odds(*given), expected, rtol=1e-10, atol=1e-12)
    assert expected.abs().min() > 1e-3


def test_encoders_that_keep_the_observation() -> None:
    observation = waves((5, 3), 0.3)
    kept = {kind: make_encoder(kind, 3, 3, 6).double()(observation) for kind in ("identity", "identity_fixed", "none")}
    assert all(torch.equal(latent.mean, observation) for latent in kept.values())
    assert kept["identity_fixed"].std.unique().tolist() == [0.1]
    assert not kept["none"].std.any()
    assert torch.equal(kept["none"].sample(waves((5, 3), 1.0)), observation)

    learnt = wavy(IdentityEncoder(3))
    raw = observation @ learnt.raw_std.weight.T + learnt.raw_std.bias
    torch.testing.assert_close(learnt(observation).std, bounded_std(raw), rtol=1e-13, atol=0)
    assert number(IdentityEncoder(3).double()(one(0, 0, 0)).std[0]) == pytest.approx(0.744375, abs=5e-7)
    assert not list(FixedEncoder(0.1).parameters())


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_half_cheetahs_networks_have_the_official_sizes() -> None:
    """17 numbers seen, 6 done."""
    assert count(make_encoder("gaussian", 17, 50, 512)) == 323_172
    assert count(LatentModel(50, 6, 1024)) == 1_210_468
    assert count(Heads(1, 50, 6, 512, "tanh")) == 293_377
    assert count(Classifier(50, 6, 512, linear=False)) == 319_490
    assert count(Classifier(50, 6, 512, linear=True)) == 2 * 107
    assert count(Heads(2, 50, 6, 512, "tanh")) == 586_754
    assert count(BoundedPolicy(50, 6, 512, False, 1.0, 0.3, 1.0)) == 291_846
    assert count(BoundedPolicy(50, 6, 512, True, 1.0, 0.3, 1.0)) == 291_846 + 513 * 6


@pytest.mark.parametrize(
    "module",
    [
        *[GaussianNet(17, 5, 32), LatentModel(5, 6, 32), IdentityEncoder(5), head(11, 1, 32, "tanh")],
        *[Classifier(5, 6, 32, linear=False), Classifier(5, 6, 32, linear=True)],
        BoundedPolicy(5, 6, 32, False, 1.0, 0.3, 1.0),
    ],
)
def test_first_weights_are_orthogonal_and_first_biases_zero(module: nn.Module) -> None:
    for weight, bias in linears(module):
        product = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
        torch.testing.assert_close(product, torch.eye(min(weight.shape)), rtol=0, atol=1e-5)
        assert not bias.any()
    for norm in (layer for layer in module.modules() if isinstance(layer, nn.LayerNorm)):
        assert norm.weight.unique().tolist() == [1]
        assert not norm.bias.any()


def test_heads_normalise_their_first_layer_only() -> None:
    kinds = [type(layer).__name__ for layer in head(5, 1, 6, "tanh").modules() if not list(layer.children())]
    assert kinds == ["Linear", "LayerNorm", "Tanh", "Linear", "ELU", "Linear"]
    kinds = [type(layer).__name__ for layer in LatentModel(3, 2, 6).modules() if not list(layer.children())]
    assert kinds == ["Linear", "ELU", "Linear", "ELU", "Linear"]
