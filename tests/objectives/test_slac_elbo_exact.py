"""SLAC's bound of a linear and Gaussian world, against Kalman's exact likelihood.

What lies between likelihood and bound is KL(q(z) || p(z | x, r)) of all steps' z. Both sides are computed, neither with
the other's formulas: the bound by `slac_terms`, its expectation over noise exact, because what it is of is quadratic in
noise; the divergence from how all numbers depend on all draws.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from relatent.nets.aligned_latent import Latent
from relatent.nets.sequences import Sequences
from relatent.nets.slac_model import SlacModel
from relatent.objectives.linear_gaussian import Gaussian, LinearGaussian
from relatent.objectives.slac_elbo import slac_terms
from tests.agents.tiny import waves

STEPS, SEEN = 4, 3
DRAWS = 2 * STEPS
IMAGE_VARIANCE, REWARD_STD = 0.4, 0.7


@dataclass(frozen=True)
class World:
    """p's coefficients."""

    initial: float = 0.6  # z²_1 of z¹_1
    carry: float = 0.8  # z¹_t of z²_{t-1}
    push: float = 0.5  # and of the action
    std1: float = 0.9
    copy: float = 0.7  # z²_t of z¹_t
    keep: float = 0.4  # of z²_{t-1}
    turn: float = -0.3  # of the action
    std2: float = 0.0
    image: tuple[tuple[float, float], ...] = ((1.2, 0.3), (-0.4, 0.8), (0.5, 0.0))
    reward: tuple[float, ...] = (0.0, 0.6, 0.2, 0.9, -0.5)  # of z_{t-1}, the action, z_t


class LinearModel(SlacModel):
    """Its networks are linear. Features are constants and slopes of q and the logarithm of its deviation, (.., 3)."""

    def __init__(self, world: World, features: Tensor) -> None:
        nn.Module.__init__(self)
        self.sizes, self.latent_size = (1, 1), 2
        image, reward = torch.tensor(world.image, dtype=torch.float64), torch.tensor(world.reward, dtype=torch.float64)

        def of(mean: Tensor, std: float) -> Latent:
            return Latent(mean, torch.full_like(mean, std))

        def compress(_: Tensor) -> Tensor:
            return features

        def decode(latents: Tensor) -> Tensor:
            return (latents @ image.mT)[..., None, None]

        def infer_initial(seen: Tensor) -> Latent:
            return Latent(seen[..., :1], seen[..., 2:].exp())

        def infer(seen: Tensor, before: Tensor, _: Tensor) -> Latent:
            return Latent(seen[..., :1] + seen[..., 1:2] * before, seen[..., 2:].exp())

        def predict(before: Tensor, action: Tensor) -> Latent:
            return of(world.carry * before + world.push * action, world.std1)

        def second_initial(one: Tensor) -> Latent:
            return of(world.initial * one, world.std2)

        def second(one: Tensor, before: Tensor, action: Tensor) -> Latent:
            return of(world.copy * one + world.keep * before + world.turn * action, world.std2)

        def rewarded(*told: Tensor) -> Latent:
            return of((torch.cat(told, dim=-1) @ reward).unsqueeze(-1), REWARD_STD)

        self.compress, self.decode, self.reward = compress, decode, rewarded  # type: ignore[assignment]
        self.infer_initial, self.infer, self.predict = infer_initial, infer, predict  # type: ignore[assignment]
        self.second_initial, self.second = second_initial, second  # type: ignore[assignment]


@dataclass(frozen=True)
class Data:
    seen: np.ndarray  # (B, T, 3)
    actions: np.ndarray  # (B, T), what led there; the first is never taken
    rewards: np.ndarray  # (B, T), of which the first is none

    @property
    def known(self) -> np.ndarray:
        """All that is seen: pictures, then rewards, (B, 4 T - 1)."""
        return np.concatenate([self.seen.reshape(len(self.seen), -1), self.rewards[:, 1:]], axis=1)


def depend(world: World, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How z¹ of all steps, z² of all steps, all pictures' numbers and all rewards but the first depend on independent
    standard normal draws, (6 T - 1, draws); and their means, (B, 6 T - 1)."""
    draws = iter(np.eye(DRAWS + SEEN * STEPS + STEPS - 1))
    one, two, seen, rewards = [], [], [], []
    zero = np.zeros(len(actions))
    for step in range(STEPS):
        action = actions[:, step]
        if step == 0:
            one.append((next(draws), zero))
            two.append((world.initial * one[0][0] + world.std2 * next(draws), zero))
        else:
            (before, shift), moved = two[-1], world.push * action
            one.append((world.carry * before + world.std1 * next(draws), world.carry * shift + moved))
            slope = world.copy * one[-1][0] + world.keep * before + world.std2 * next(draws)
            two.append((slope, world.copy * one[-1][1] + world.keep * shift + world.turn * action))
        for row in world.image:
            parts = (row[0] * one[-1][0] + row[1] * two[-1][0], row[0] * one[-1][1] + row[1] * two[-1][1])
            seen.append((parts[0] + math.sqrt(IMAGE_VARIANCE) * next(draws), parts[1]))
        if step:
            weights = world.reward
            ends = [one[-2], two[-2], one[-1], two[-1]]
            used = [weights[0], weights[1], weights[3], weights[4]]
            slope = sum(weight * end[0] for weight, end in zip(used, ends, strict=True)) + REWARD_STD * next(draws)
            mean = sum(weight * end[1] for weight, end in zip(used, ends, strict=True)) + weights[2] * action
            rewards.append((slope, mean))
    slopes, means = zip(*one, *two, *seen, *rewards, strict=True)
    return np.stack(slopes), np.stack(means, axis=1)


def drawn(world: World, sequences_: int) -> Data:
    actions = waves((sequences_, STEPS), 0.4).numpy()
    slopes, means = depend(world, actions)
    values = means + np.random.default_rng(0).standard_normal((sequences_, slopes.shape[1])) @ slopes.T
    seen = values[:, DRAWS : DRAWS + SEEN * STEPS].reshape(sequences_, STEPS, SEEN)
    rewards = np.concatenate([np.zeros((sequences_, 1)), values[:, DRAWS + SEEN * STEPS :]], axis=1)
    return Data(seen, actions, rewards)


def kalman_likelihood(world: World, data: Data) -> np.ndarray:
    """log p of each sequence by the Kalman filter of (z¹_t, z²_t, z¹_{t-1}, z²_{t-1})."""
    carry, copy = world.carry, world.copy
    transition = torch.zeros(4, 4).double()
    transition[0, 1], transition[1, 1] = carry, copy * carry + world.keep
    transition[2, 0] = transition[3, 1] = 1.0
    control = torch.tensor([[world.push], [copy * world.push + world.turn], [0.0], [0.0]], dtype=torch.float64)
    push = torch.tensor(
        [[world.std1, 0.0], [copy * world.std1, world.std2], [0.0, 0.0], [0.0, 0.0]], dtype=torch.float64
    )
    image = torch.cat([torch.tensor(world.image, dtype=torch.float64), torch.zeros(SEEN, 2).double()], dim=1)
    weights = torch.tensor(world.reward, dtype=torch.float64)
    both = torch.cat([image, weights[[3, 4, 0, 1]][None]])
    noise = torch.diag(torch.tensor([IMAGE_VARIANCE] * SEEN + [REWARD_STD**2], dtype=torch.float64))
    later = LinearGaussian(transition, control, both, push @ push.mT, noise)
    start = torch.tensor([[1.0, 0.0], [world.initial, world.std2], [0.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    belief, total = Gaussian(torch.zeros(len(data.seen), 4).double(), start @ start.mT), 0.0
    seen, actions, rewards = (torch.from_numpy(part) for part in (data.seen, data.actions, data.rewards))
    for step in range(STEPS):
        if step:
            system, belief = later, later.advanced(belief, actions[:, step, None])
            told = rewards[:, step] - weights[2] * actions[:, step]
            known = torch.cat([seen[:, step], told[:, None]], dim=1)
        else:
            system, known = later._replace(emission=image, noise=noise[:SEEN, :SEEN]), seen[:, 0]
        total = total + system.predicted(belief).log_prob(known)
        belief = system.corrected(belief, known)
    return total.numpy()  # type: ignore[attr-defined]


def bound(world: World, features: Tensor, data: Data) -> Tensor:
    """The expectation of the bound over q, exactly, of each sequence: over points whose numbers have mean zero and
    covariance one, a quadratic function has the mean that it has over standard normal noise."""
    axes = math.sqrt(DRAWS) * torch.eye(DRAWS).double()
    points = torch.cat([axes, -axes]).reshape(2 * DRAWS, STEPS, 2)
    count, copies = len(data.seen), len(points)

    def rows(part: Any) -> Tensor:
        return torch.as_tensor(part).repeat_interleave(copies, dim=0)

    first = torch.zeros(count, STEPS).double()
    first[: count // 2, 0] = 1.0  # of no importance
    pictures = 255 * data.seen[..., None, None]
    batch = Sequences(pictures, data.actions[..., None], data.rewards, first, first)  # type: ignore[arg-type]
    net = LinearModel(world, rows(features))
    terms = slac_terms(net, Sequences(*map(rows, batch)), points.repeat(count, 1, 1), IMAGE_VARIANCE)
    return terms.bound.reshape(count, -1).mean(1)


def given(covariance: np.ndarray, mean: np.ndarray, wanted: list[int], told: list[int]) -> tuple[np.ndarray, ...]:
    """How the mean of some numbers depends on others, its constant, and their covariance."""
    slope = np.linalg.solve(covariance[np.ix_(told, told)], covariance[np.ix_(told, wanted)]).T
    rest = covariance[np.ix_(wanted, wanted)] - slope @ covariance[np.ix_(told, wanted)]
    return slope, mean[:, wanted] - mean[:, told] @ slope.T, rest


def bayes(world: World, data: Data, future: bool) -> Tensor:
    """q's features by Bayes' rule: z¹_t from z²_{t-1} and what is seen at t, or from t on."""
    slopes, mean = depend(world, data.actions)
    covariance, found = slopes @ slopes.T, np.empty((len(data.seen), STEPS, 3))
    for step in range(STEPS):
        until = STEPS if future else step + 1
        told = list(range(DRAWS + SEEN * step, DRAWS + SEEN * until))
        told += [DRAWS + SEEN * STEPS + later - 1 for later in range(max(step, 1), until)]
        before = [STEPS + step - 1] if step else []
        slope, constant, rest = given(covariance, mean, [step], before + told)
        known = data.known[:, [place - DRAWS for place in told]]
        found[:, step, 0] = (constant + known @ slope[:, len(before) :].T)[:, 0]
        found[:, step, 1] = slope[0, 0] if step else 0.0
        found[:, step, 2] = 0.5 * math.log(rest[0, 0])
    return torch.from_numpy(found)


def divergence_from_posterior(world: World, features: Tensor, data: Data) -> np.ndarray:
    """KL(q(z) || p(z | x, r)) of each sequence; both Gaussians of all 2 T numbers of z."""
    slopes, mean = depend(world, data.actions)
    covariance, latents = slopes @ slopes.T, list(range(DRAWS))
    slope, constant, exact = given(covariance, mean, latents, list(range(DRAWS, len(covariance))))
    centre = constant + data.known @ slope.T
    found = np.empty(len(data.seen))
    for row, of_q in enumerate(features.numpy()):
        draws = iter(np.eye(DRAWS))
        one: list[Any] = []
        two: list[Any] = []
        for step, (shift, carry, log_std) in enumerate(of_q):
            action = data.actions[row, step]
            if step == 0:
                one.append((math.exp(log_std) * next(draws), shift))
                two.append((world.initial * one[0][0] + world.std2 * next(draws), world.initial * shift))
                continue
            before, at = two[-1]
            one.append((carry * before + math.exp(log_std) * next(draws), carry * at + shift))
            moves = world.copy * one[-1][0] + world.keep * before + world.std2 * next(draws)
            two.append((moves, world.copy * one[-1][1] + world.keep * at + world.turn * action))
        roots, means = (np.stack(parts) for parts in zip(*one, *two, strict=True))
        ours, off = roots @ roots.T, centre[row] - means
        inverse = np.linalg.inv(exact)
        volumes = np.linalg.slogdet(exact)[1] - np.linalg.slogdet(ours)[1]
        found[row] = 0.5 * (np.trace(inverse @ ours) + off @ inverse @ off - DRAWS + volumes)
    return found


NOISY = World(std2=0.5, reward=(-0.7, 0.6, 0.2, 0.9, -0.5))


@pytest.mark.parametrize("world", [World(), NOISY], ids=["memory", "noisy"])
def test_the_kalman_filter_and_one_large_gaussian_agree(world: World) -> None:
    data = drawn(world, 5)
    slopes, mean = depend(world, data.actions)
    covariance = (slopes @ slopes.T)[DRAWS:, DRAWS:]
    whole = Gaussian(torch.from_numpy(mean[:, DRAWS:]), torch.from_numpy(covariance))
    np.testing.assert_allclose(
        kalman_likelihood(world, data), whole.log_prob(torch.from_numpy(data.known)).numpy(), rtol=1e-11
    )


def test_the_bound_is_the_likelihood_where_q_is_exact() -> None:
    """Where z² is a memory without noise of its own, and z¹ is inferred by Bayes' rule from all that follows."""
    world, data = World(), drawn(World(), 6)
    exact = kalman_likelihood(world, data)
    np.testing.assert_allclose(bound(world, bayes(world, data, True), data).numpy(), exact, rtol=1e-10)
    assert (exact - bound(world, bayes(world, data, False), data).numpy()).min() > 1e-3


@pytest.mark.parametrize("future", [True, False])
@pytest.mark.parametrize("std2", [0.05, 0.5])
def test_the_bound_lies_below_the_likelihood_by_the_divergence_of_q(std2: float, future: bool) -> None:
    """Of every sequence. Noise of z², which q may not infer, costs something even who is told all."""
    world = replace(NOISY, std2=std2)
    data = drawn(world, 6)
    features = bayes(world, data, future)
    gap = divergence_from_posterior(world, features, data)
    found = bound(world, features, data).numpy()
    np.testing.assert_allclose(found, kalman_likelihood(world, data) - gap, rtol=1e-9)
    assert gap.min() > 1e-3


class Recognition(nn.Module):
    """q's features: constants are linear in what is seen and done from a step on, or at that step alone."""

    def __init__(self, data: Data, future: bool) -> None:
        super().__init__()
        others = np.concatenate([data.actions[:, 1:], np.ones((len(data.seen), 1))], axis=1)
        self.inputs = torch.from_numpy(np.concatenate([data.known, others], axis=1))
        times = np.concatenate([np.arange(STEPS).repeat(SEEN), np.arange(1, STEPS), np.full(STEPS, STEPS)])
        steps = np.arange(STEPS)[:, None]
        shown = times >= steps if future else (times == steps) | (times == STEPS)
        self.shown = torch.from_numpy(shown).double()
        self.weight = nn.Parameter(torch.zeros_like(self.shown))
        self.slopes = nn.Parameter(torch.zeros(STEPS, 2).double())

    def forward(self) -> Tensor:
        """(B, T, 3)."""
        constants = self.inputs @ (self.weight * self.shown).mT
        return torch.cat([constants.unsqueeze(-1), self.slopes.expand(len(self.inputs), -1, -1)], dim=-1)


@pytest.mark.parametrize("future", [True, False])
def test_training_closes_the_gap_for_who_is_told_what_follows(future: bool) -> None:
    """And leaves one for who is told the present; below the likelihood at every time."""
    world, data = World(), drawn(World(), 24)
    exact, recognition, gaps = kalman_likelihood(world, data), Recognition(data, future), []
    optimiser = torch.optim.LBFGS(recognition.parameters(), max_iter=25, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = -bound(world, recognition(), data).mean()
        value.backward()
        return value

    for _ in range(8):
        gap = exact - bound(world, recognition(), data).detach().numpy()
        assert gap.min() > -1e-9
        gaps.append(gap.mean())
        optimiser.step(loss)
    assert gaps[0] > 1
    assert gaps[-1] < 1e-6 if future else gaps[-1] > 0.05
