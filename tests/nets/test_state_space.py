"""The state space model against the linear-Gaussian one, whose densities are all known: given z_{t-1} and a_{t-1} it is
one, with a diagonal Q that networks decide."""

import pytest
import torch
from torch import Tensor

from relatent.nets.distributions import Gaussian as Diagonal
from relatent.nets.state_space import StateSpace
from relatent.objectives.linear_gaussian import Gaussian, LinearGaussian, mutual_information
from tests.agents.tiny import waves

LATENT, SEEN, DONE, ROWS = 4, 3, 2, 6


def precise(steps: int = 1) -> StateSpace:
    world = StateSpace(SEEN, DONE, LATENT, 5, steps).double()
    with torch.no_grad():
        for number, parameter in enumerate(world.parameters()):
            parameter.copy_(waves(tuple(parameter.shape), float(number)))
    return world


def exact(world: StateSpace, predicted: Diagonal) -> tuple[LinearGaussian, Gaussian]:
    """The model of one step, without the constant of the emission, and its law of z_t."""
    process = torch.diag_embed((2 * predicted.log_std).exp())
    noise = torch.diag((2 * world.noises()[:-1]).exp())
    nothing = torch.zeros(LATENT, LATENT, dtype=torch.float64)
    return LinearGaussian(nothing, nothing, world.emission.weight, process, noise), Gaussian(predicted.mean, process)


def step(world: StateSpace) -> tuple[Diagonal, Tensor]:
    """Predictions at six z and a, and what was seen."""
    return world.dynamics(waves((ROWS, LATENT), 0.3), waves((ROWS, DONE), 0.4)), 2 * waves((ROWS, SEEN), 0.5)


def test_the_marginal_is_exact() -> None:
    world = precise()
    predicted, seen = step(world)
    model, prior = exact(world, predicted)
    expected = model.predicted(prior).log_prob(seen - world.emission.bias)
    torch.testing.assert_close(world.marginal(predicted, seen), expected, rtol=1e-12, atol=1e-12)


def test_the_information_is_exact() -> None:
    world = precise()
    predicted, _ = step(world)
    model, prior = exact(world, predicted)
    expected = mutual_information(world.emission.weight, prior.covariance, model.noise)
    assert (expected > 0.01).all()
    torch.testing.assert_close(world.information(predicted), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 3])
def test_equation_8_is_equation_6_with_the_bayes_inverse_as_encoder(steps: int) -> None:
    """At every sample of q, whatever q is: T3 + T4 - T5 of a generative agent is T3 of a discriminative one. # Eq 7"""
    world = precise(steps)
    predicted, seen = step(world)
    posterior = world.infer(predicted, seen)
    latent = posterior.sample(waves((ROWS, LATENT), 0.9))
    generative = predicted.log_prob(latent) + world.emitted(latent).log_prob(seen) - world.marginal(predicted, seen)
    model, prior = exact(world, predicted)
    encoder = model.corrected(prior, seen - world.emission.bias).log_prob(latent)
    own = posterior.log_prob(latent)
    torch.testing.assert_close(generative - own, encoder - own, rtol=1e-10, atol=1e-10)
    assert (encoder - own).abs().min() > 1e-3


def test_inference_can_be_bayes_rule() -> None:
    """Where every coordinate of z is seen by itself, weights exist with which q is the exact posterior."""
    world = StateSpace(2, 1, 2, 8, 1).double()
    with torch.no_grad():
        for parameter in world.parameters():
            parameter.zero_()
        world.emission.weight.copy_(torch.diag(torch.tensor([1.5, -0.5])))
        world.noise.copy_(torch.tensor([-1.0, -0.2, 0.0]))
        scale, variance = torch.diag(world.emission.weight), world.dynamics(waves((2,), 0.0), waves((1,), 0.0)).log_std
        variance, noise = (2 * variance).exp(), (2 * world.noises()[:-1]).exp()
        gain = variance * scale / (scale.square() * variance + noise)
        first, last = world.correction[0], world.correction[-1]
        for place in range(2):  # e = max(e, 0) - max(-e, 0) goes through a rectified layer
            for sign, unit in ((1, 2 * place), (-1, 2 * place + 1)):
                first.weight[unit, 6 + place] = sign
                last.weight[place, unit] = sign * gain[place] * noise[place].sqrt()
        log_std = 0.5 * ((1 - gain * scale) * variance).log()
        share = (log_std - torch.log(torch.tensor(0.01))) / torch.log(torch.tensor(200.0))
        last.bias[2:] = torch.logit(share)
    predicted, seen = world.dynamics(waves((ROWS, 2), 0.3), waves((ROWS, 1), 0.4)), 2 * waves((ROWS, 2), 0.5)
    posterior = world.infer(predicted, seen)
    process, errors = torch.diag_embed((2 * predicted.log_std).exp()), torch.diag((2 * world.noises()[:-1]).exp())
    nothing = torch.zeros(2, 2, dtype=torch.float64)
    model = LinearGaussian(nothing, nothing, world.emission.weight, process, errors)
    expected = model.corrected(Gaussian(predicted.mean, process), seen)
    torch.testing.assert_close(posterior.mean, expected.mean, rtol=1e-6, atol=1e-6)
    deviations = expected.covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    torch.testing.assert_close(posterior.log_std.exp(), deviations, rtol=1e-5, atol=1e-6)


def test_a_path_is_one_inference_after_the_other() -> None:
    world = precise(2)
    seen, done, draws = waves((ROWS, 4, SEEN), 0.1), waves((ROWS, 3, DONE), 0.2), waves((ROWS, 4, LATENT), 0.3)
    path = world.follow(seen, done, draws)
    latent, action = torch.zeros(ROWS, LATENT).double(), torch.zeros(ROWS, DONE).double()
    for number in range(4):
        predicted = world.dynamics(latent, action)
        posterior = world.infer(predicted, seen[:, number])
        latent = posterior.mean + posterior.log_std.exp() * draws[:, number]
        action = done[:, min(number, 2)]
        torch.testing.assert_close(path.latent[:, number], latent)
        torch.testing.assert_close(path.posterior.mean[:, number], posterior.mean)
        torch.testing.assert_close(path.predicted.log_std[:, number], predicted.log_std)
