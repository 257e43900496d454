"""The bound of a linear and Gaussian world, whose likelihood is the Kalman filter's and whose every q is one Gaussian.

What lies between likelihood and bound is KL(q(z_≤T) || p(z_≤T | x_≤T, r_≤T)). Both sides are computed, neither with the
other's formulas: the bound by `sequence_elbo`, step by step, its expectation over noise exact, because what it is of is
quadratic in noise; the divergence from the covariance of all steps' latents and observations in one matrix.
"""

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from relatent.nets.aligned_latent import Latent, divergence
from relatent.nets.rssm import Filtered, State, WorldModel
from relatent.nets.sequences import Sequences
from relatent.objectives.linear_gaussian import Gaussian, LinearGaussian, kalman
from relatent.objectives.sequence_elbo import model_loss, sequence_elbo
from tests.agents.tiny import number, waves

LENGTH, SEEN = 4, 3  # steps; two observations and a reward
UPDATES = 150
DIAGONAL = {1: torch.tensor([0.9], dtype=torch.float64), 2: torch.tensor([0.9, -0.6], dtype=torch.float64)}
STD = torch.tensor([0.8, 1.1], dtype=torch.float64)  # of the dynamics, whose matrix is diagonal
CONTROL = torch.tensor([[0.7], [-0.4]], dtype=torch.float64)
EMISSION = torch.tensor([[1.2, -0.25], [0.5, 0.6], [0.4, 0.0]], dtype=torch.float64)
"""Columns are orthogonal, with and without the reward's, so that latents stay independent given what is seen, as q has
them."""


class Dynamics(nn.Module):
    """p and q of a linear world, with the interface of an RSSM: q(z_t | ..) = N(carry z_{t-1} + embedded_t, std²)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.transition = nn.Parameter(DIAGONAL[size].clone())
        self.control = nn.Parameter(CONTROL[:size].clone())
        self.log_std = nn.Parameter(STD[:size].log())
        self.carry = nn.Parameter(torch.zeros(LENGTH, size, size).double())
        self.log_stds = nn.Parameter(torch.zeros(LENGTH, size).double())

    def filter(self, embedded: Tensor, actions: Tensor, first: Tensor, noise: Tensor) -> Filtered:
        assert first[:, 0].all()
        assert not first[:, 1:].any()
        latent, steps = torch.zeros_like(noise[:, 0]), []
        for step in range(LENGTH):
            action = actions[:, step] * (step > 0)
            prior = Latent(latent * self.transition + action @ self.control.mT, self.log_std.exp().expand_as(latent))
            mean = latent @ self.carry[step].mT + embedded[:, step]
            posterior = Latent(mean, self.log_stds[step].exp().expand_as(mean))
            latent = posterior.sample(noise[:, step])
            steps.append((latent, *posterior, *prior))
        latents, *laws = (torch.stack(parts, dim=1) for parts in zip(*steps, strict=True))
        return Filtered(State(latents, latents[..., :0]), Latent(*laws[:2]), Latent(*laws[2:]))

    divergence = staticmethod(divergence)


class Data(NamedTuple):
    """What is seen of some sequences."""

    seen: Tensor  # (B, T, 3)
    actions: Tensor  # (B, T, 1), of which the first is never taken


def drawn(size: int, sequences: int) -> Data:
    """Sequences of the true world."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(sequences, LENGTH, size + SEEN, generator=generator, dtype=torch.float64)
    latent, seen, actions = torch.zeros(sequences, size).double(), [], waves((sequences, LENGTH, 1), 0.4)
    for step in range(LENGTH):
        latent = latent * DIAGONAL[size] + (actions[:, step] @ CONTROL[:size].mT) * (step > 0)
        latent = latent + STD[:size] * noise[:, step, :size]
        seen.append(latent @ EMISSION[:, :size].mT + noise[:, step, size:])
    return Data(torch.stack(seen, dim=1), actions)


def likelihood(dynamics: Dynamics, emission: Tensor, data: Data) -> tuple[Any, Tensor]:
    """The Kalman filter's beliefs, and log p of each sequence."""
    process = torch.diag_embed((2 * dynamics.log_std).exp())
    system = LinearGaussian(
        torch.diag_embed(dynamics.transition), dynamics.control, emission, process, torch.eye(SEEN).double()
    )
    start = Gaussian(torch.zeros(len(dynamics.transition)).double(), process)
    return kalman(system, start, data.seen, data.actions[:, 1:])


def points(size: int) -> Tensor:
    """Noise (2 n, T, size) whose n numbers have mean zero and covariance one, over which a quadratic function has the
    mean that it has over standard normal noise."""
    count = LENGTH * size
    axes = count**0.5 * torch.eye(count).double()
    return torch.cat([axes, -axes]).reshape(2 * count, LENGTH, size)


def linear(emission: Tensor) -> nn.Linear:
    layer = nn.Linear(emission.shape[1], len(emission), bias=False).double()
    layer.weight = nn.Parameter(emission.clone())
    return layer


def at_points(dynamics: Dynamics, heads: Any, embedded: Tensor, data: Data) -> tuple[WorldModel, Sequences, Tensor]:
    """A world model, and every sequence at every point of noise."""
    noise = points(embedded.shape[-1])

    def rows(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(len(noise), dim=0)

    world = WorldModel(dynamics, lambda _: rows(embedded), *heads, target=Tensor.to)  # type: ignore[arg-type]
    first = (torch.arange(LENGTH) == 0).expand(len(data.seen), -1)
    batch = Sequences(data.seen[..., :2], data.actions, data.seen[..., 2], torch.zeros_like(first), first)
    return world, Sequences(*map(rows, batch)), noise.repeat(len(data.seen), 1, 1)


def bound(dynamics: Dynamics, heads: Any, embedded: Tensor, data: Data) -> Tensor:
    """The expectation of the bound over q, exactly, of each sequence."""
    return sequence_elbo(*at_points(dynamics, heads, embedded, data)).reshape(len(data.seen), -1).mean(1)


# All steps at once


def joint(size: int, data: Data) -> Gaussian:
    """Of all latents and then of all that is seen: means (B, T (size + 3)), and their covariance."""
    carried = torch.kron(torch.ones(LENGTH - 1).double().diag(-1), DIAGONAL[size].diag())
    sums = torch.linalg.inv(torch.eye(LENGTH * size).double() - carried)
    moved = (data.actions @ CONTROL[:size].mT) * (torch.arange(LENGTH) > 0)[:, None]
    emit = torch.block_diag(*[EMISSION[:, :size]] * LENGTH)
    latents = sums @ torch.diag(STD[:size].square().repeat(LENGTH)) @ sums.mT
    both = torch.cat([torch.eye(LENGTH * size).double(), emit])
    covariance = both @ latents @ both.mT
    covariance[LENGTH * size :, LENGTH * size :] += torch.eye(LENGTH * SEEN).double()
    return Gaussian(moved.flatten(1) @ sums.mT @ both.mT, covariance)


def given(law: Gaussian, wanted: list[int], told: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """How the mean of some numbers depends on others, (wanted, told); its constant (B, wanted); their covariance."""
    cross = law.covariance[wanted][:, told]
    slope = torch.linalg.solve(law.covariance[told][:, told], cross.mT).mT
    return (
        slope,
        law.mean[:, wanted] - law.mean[:, told] @ slope.mT,
        law.covariance[wanted][:, wanted] - slope @ cross.mT,
    )


def told_at(kind: str, size: int, step: int) -> list[int]:
    """The places, among all numbers, of those that q of a step is told beside the latent before."""
    start = LENGTH * size
    numbers = {
        "all that follows": range(start + step * SEEN, start + LENGTH * SEEN),
        "the present": range(start + step * SEEN, start + (step + 1) * SEEN),
        "the observation": range(start + step * SEEN, start + step * SEEN + 2),
    }
    return list(numbers[kind])


def bayes(kind: str, size: int, data: Data) -> tuple[Dynamics, Tensor]:
    """q by Bayes' rule from what it is told, and its constants."""
    dynamics, law, embedded = Dynamics(size), joint(size, data), []
    values = torch.cat([torch.zeros(len(data.seen), LENGTH * size).double(), data.seen.flatten(1)], dim=1)
    with torch.no_grad():
        for step in range(LENGTH):
            places = list(range(step * size, (step + 1) * size))
            before = [place - size for place in places] if step else []
            slope, constant, covariance = given(law, places, before + told_at(kind, size, step))
            embedded.append(constant + values[:, told_at(kind, size, step)] @ slope[:, len(before) :].mT)
            dynamics.carry[step] = slope[:, : len(before)] if step else 0.0
            dynamics.log_stds[step] = 0.5 * covariance.diagonal().log()
            assert (covariance - covariance.diagonal().diag()).abs().max() < 1e-12
    return dynamics, torch.stack(embedded, dim=1)


def filtered(size: int, data: Data) -> tuple[Dynamics, Tensor]:
    """q that is the Kalman filter's belief, whatever the latent before."""
    dynamics = Dynamics(size)
    beliefs, _ = likelihood(dynamics, EMISSION[:, :size], data)
    with torch.no_grad():
        for step, belief in enumerate(beliefs):
            dynamics.log_stds[step] = 0.5 * belief.covariance.diagonal().log()
    return dynamics, torch.stack([belief.mean for belief in beliefs], dim=1).detach()


def divergence_from_posterior(dynamics: Dynamics, embedded: Tensor, data: Data) -> Tensor:
    """KL(q(z_≤T) || p(z_≤T | x_≤T, r_≤T)), of each sequence."""
    size = embedded.shape[-1]
    count, law = LENGTH * size, joint(size, data)
    latents, seen = list(range(count)), list(range(count, count + LENGTH * SEEN))
    slope, constant, covariance = given(law, latents, seen)
    exact = Gaussian(constant + data.seen.flatten(1) @ slope.mT, covariance.expand(len(data.seen), -1, -1))
    carried = torch.zeros(count, count).double()
    for step in range(1, LENGTH):
        carried[step * size : (step + 1) * size, (step - 1) * size : step * size] = dynamics.carry[step].detach()
    summed = torch.linalg.inv(torch.eye(count).double() - carried)
    scaled = summed * dynamics.log_stds.detach().exp().flatten()
    q = Gaussian(embedded.flatten(1) @ summed.mT, (scaled @ scaled.mT).expand(len(data.seen), -1, -1))
    return q.divergence(exact)


HEADS = {size: (linear(EMISSION[:2, :size]), linear(EMISSION[2:, :size])) for size in (1, 2)}
KINDS = ("all that follows", "the present", "the observation", "nothing but beliefs")


def q_of(kind: str, size: int, data: Data) -> tuple[Dynamics, Tensor]:
    return filtered(size, data) if kind == "nothing but beliefs" else bayes(kind, size, data)


@pytest.mark.parametrize("size", [1, 2])
def test_the_kalman_filter_and_one_large_gaussian_agree(size: int) -> None:
    data = drawn(size, 5)
    law = joint(size, data)
    seen = slice(LENGTH * size, None)
    whole = Gaussian(law.mean[:, seen], law.covariance[seen, seen]).log_prob(data.seen.flatten(1))
    torch.testing.assert_close(likelihood(Dynamics(size), EMISSION[:, :size], data)[1], whole, rtol=1e-12, atol=0)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_lies_below_the_likelihood_by_the_divergence_of_q(kind: str, size: int) -> None:
    """Of every sequence: nothing for a q that is told all that follows, and something for any other."""
    data = drawn(size, 5)
    dynamics, embedded = q_of(kind, size, data)
    _, exact = likelihood(dynamics, EMISSION[:, :size], data)
    found, gap = bound(dynamics, HEADS[size], embedded, data), divergence_from_posterior(dynamics, embedded, data)
    torch.testing.assert_close(found, exact - gap, rtol=1e-11, atol=1e-11)
    assert gap.max() < 1e-11 if kind == "all that follows" else gap.min() > 0.02


@pytest.mark.parametrize("size", [1, 2])
def test_who_is_told_more_lies_higher(size: int) -> None:
    """In the mean over sequences of the true world, where Bayes' rule is told more and more."""
    data = drawn(size, 400)
    gaps = [float(divergence_from_posterior(*q_of(kind, size, data), data).mean()) for kind in KINDS[:3]]
    assert gaps[0] < 1e-10 < 0.1 < gaps[1] < gaps[2]


class Recognition(nn.Module):
    """The constants of a q, linear in what is seen and done from a step on, or at that step alone."""

    def __init__(self, later: bool) -> None:
        super().__init__()
        steps = torch.arange(LENGTH)
        shown = steps[:, None] <= steps if later else steps[:, None] == steps
        self.register_buffer("shown", shown.double()[:, :, None])
        self.weight = nn.Parameter(torch.zeros(LENGTH, LENGTH, SEEN + 1).double())

    def forward(self, data: Data) -> Tensor:
        """(B, T, 1)."""
        inputs = torch.cat([data.seen, data.actions * (torch.arange(LENGTH) > 0)[:, None]], dim=-1)
        return torch.einsum("tsk,bsk->bt", self.weight * self.shown, inputs).unsqueeze(-1)


def trained(later: bool, only_q: bool) -> tuple[list[tuple[float, float]], Data]:
    """Means of bound and likelihood before training and after each fifth of it, by the loss that agents minimise."""
    data, dynamics, recognition = drawn(1, 32), Dynamics(1), Recognition(later)
    heads = (linear(EMISSION[:2, :1]), linear(EMISSION[2:, :1]))
    learns = [dynamics.carry, dynamics.log_stds, *recognition.parameters()]
    if not only_q:
        with torch.no_grad():
            for parameter in (dynamics.transition, dynamics.control, heads[0].weight, heads[1].weight):
                parameter.mul_(0.3)
        learns += [dynamics.transition, dynamics.control, dynamics.log_std, heads[0].weight, heads[1].weight]
    optimiser, found = torch.optim.Adam(learns, lr=0.05), []
    for update in range(UPDATES + 1):
        if update % (UPDATES // 5) == 0:
            emission = torch.cat([heads[0].weight, heads[1].weight])
            below, above = bound(dynamics, heads, recognition(data), data), likelihood(dynamics, emission, data)[1]
            assert (below <= above + 1e-11).all()
            found.append((number(below.mean()), number(above.mean())))
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - update / (UPDATES + 1))
        loss = model_loss(*at_points(dynamics, heads, recognition(data), data), 0.0, None).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return found, data


@pytest.mark.parametrize("only_q", [True, False], ids=["q", "p and q"])
def test_training_closes_the_gap_for_who_is_told_what_follows(only_q: bool) -> None:
    """Below at every time; and p, where it is learnt, becomes as likely as the world that sequences were drawn from."""
    found, data = trained(later=True, only_q=only_q)
    gaps = [above - below for below, above in found]
    assert gaps[0] > 1
    assert gaps[-1] < 1e-6
    truth = number(likelihood(Dynamics(1), EMISSION[:, :1], data)[1].mean())
    assert found[-1][1] == pytest.approx(truth, abs=1e-9) if only_q else found[0][1] < truth - 1 < truth < found[-1][1]


def test_training_leaves_a_gap_for_who_is_told_the_present() -> None:
    """A smaller one than Bayes' rule has that is told the same: a latent also matters to later steps."""
    found, data = trained(later=False, only_q=True)
    of_bayes = float(divergence_from_posterior(*bayes("the present", 1, data), data).mean())
    assert 0.05 < found[-1][1] - found[-1][0] < of_bayes - 0.01
