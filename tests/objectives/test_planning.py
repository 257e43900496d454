"""The search for a plan, on problems whose answer is known, and its numbers by hand."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from relatent.objectives.planning import linear, one_step_later, search


def column(*numbers: float) -> Tensor:
    """A sequence's axis of length 1, then these, then an action of one number."""
    return torch.tensor(numbers, dtype=torch.float64)[None, :, None]


def searched(value: Any, mean: Tensor, noise: Any, guesses: Tensor | None = None, **changes: Any) -> Any:
    settings = {"least_std": torch.tensor(0.01), "elites": 2, "temperature": math.log(2), "momentum": 0.1, **changes}
    none = torch.zeros(len(mean), 0, mean.shape[1], dtype=mean.dtype)
    return search(value, mean, none if guesses is None else guesses, noise, **settings)


def test_an_iteration_by_hand() -> None:
    """Sequences 0.3 + 2 (0.1, -0.2, 0.4), the last one clamped, and a guess: 0.5, -0.1, 1, 0.9, worth 1, 2, 3, 0. The
    best two count as 2^3 and 2^2."""
    seen: list[Any] = []

    def value(sequences: Tensor, others: Tensor) -> Tensor:
        seen.append((sequences, others))
        return torch.tensor([1.0, 2.0, 3.0, 0.0], dtype=torch.float64)

    marker = torch.tensor(7.0)
    plan = searched(value, column(0.3)[:, 0], [(column(0.1, -0.2, 0.4), marker)], column(0.9))
    torch.testing.assert_close(seen[0][0], column(0.5, -0.1, 1.0, 0.9))
    assert seen[0][1] is marker
    torch.testing.assert_close(plan.sequences, seen[0][0])
    torch.testing.assert_close(plan.elites, column(1.0, -0.1))
    torch.testing.assert_close(plan.log_weights.exp(), torch.tensor([2 / 3, 1 / 3], dtype=torch.float64))
    centre = 2 / 3 - 0.1 / 3
    spread = math.sqrt(2 / 3 * (1 - centre) ** 2 + 1 / 3 * (-0.1 - centre) ** 2)
    assert (plan.mean.item(), plan.std.item()) == pytest.approx((0.1 * 0.3 + 0.9 * centre, spread), rel=1e-12)


def test_the_next_iteration_draws_from_what_the_last_one_found() -> None:
    seen: list[Tensor] = []

    def value(sequences: Tensor, _others: Tensor) -> Tensor:
        seen.append(sequences)
        return torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)

    draws = column(0.1, -0.2, 0.4)
    once = searched(value, column(0.3)[:, 0], [(draws, draws)])
    searched(value, column(0.3)[:, 0], [(draws, draws)] * 2)
    torch.testing.assert_close(seen[2], (once.mean[:, None] + once.std[:, None] * draws).clamp(-1, 1))


@pytest.mark.parametrize("least", [0.5, 0.05])
def test_deviations_do_not_fall_below_the_least_one(least: float) -> None:
    plan = searched(
        lambda s, _: s[0, :, 0],
        column(0.0)[:, 0],
        [(column(0.1, 0.2), None)],
        elites=1,
        least_std=torch.tensor(least, dtype=torch.float64),
    )
    assert plan.std.item() == least


@pytest.mark.parametrize(("temperature", "shift"), [(0.0, 0.0), (0.5, 1e4), (3.0, -1e4)])
def test_weights_depend_on_differences_of_values_only(temperature: float, shift: float) -> None:
    draws = column(0.1, 0.2, 0.3)
    one, other = (
        searched(
            lambda s, _, by=by: 5 * s[0, :, 0] + by,
            column(0.0)[:, 0],
            [(draws, None)],
            elites=3,
            temperature=temperature,
        )
        for by in (0.0, shift)
    )
    torch.testing.assert_close(one.log_weights, other.log_weights, rtol=0, atol=1e-10)
    expected = torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64).mul(temperature).softmax(0)
    torch.testing.assert_close(one.log_weights.exp(), expected)


BEST = torch.tensor([[0.5, -0.3], [-0.8, 0.1], [0.0, 1.4]], dtype=torch.float64)  # one coordinate outside of [-1, 1]


# With the last action at the bound, -10 |d|² - 3 (Σ d)² is greatest where d, the distance from BEST, is -0.4 in that
# coordinate and 3 · 0.4 / 25 in the five others.
OPTIMUM = BEST + 3 * 0.4 / 25
OPTIMUM[2, 1] = 1


def draws(iterations: int, samples: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(
        (iterations, *BEST.shape[:1], samples, *BEST.shape[1:]), generator=generator, dtype=torch.float64
    )


def closeness(sequences: Tensor, _others: Any = None) -> Tensor:
    """Greatest at BEST; its actions depend on each other."""
    distance = sequences - BEST[:, None]
    return -10 * distance.square().sum((0, 2)) - 3 * distance.sum((0, 2)).square()


def test_it_finds_the_best_sequence_of_a_quadratic_problem() -> None:
    noise = zip(draws(20, 512), [None] * 20, strict=True)
    least = torch.tensor(0.05, dtype=torch.float64)
    plan = searched(closeness, torch.zeros_like(BEST), noise, elites=64, temperature=30.0, least_std=least)
    assert (plan.mean - OPTIMUM).abs().max() < 0.02
    best_found = closeness(plan.elites)[plan.log_weights.argmax()]
    assert closeness(OPTIMUM[:, None])[0] - best_found < 0.02


def test_a_search_that_starts_near_the_optimum_ends_nearer() -> None:
    """After one iteration of few samples; what a warm start is for."""
    near, far = (
        searched(closeness, start, [(draws(1, 64)[0] / 20, None)], elites=8, momentum=0.0)
        for start in (BEST.clamp(-1, 1), torch.zeros_like(BEST))
    )
    assert closeness(near.mean[:, None]) > closeness(far.mean[:, None]) + 1


def test_guesses_take_part_in_every_iteration() -> None:
    """The best sequence among bad ones: the best elite in the end, whatever was drawn."""
    guess = OPTIMUM[:, None]
    noise = [(one, None) for one in draws(3, 4)]
    plan = searched(closeness, torch.zeros_like(BEST), noise, guess, elites=2)
    torch.testing.assert_close(plan.elites[:, plan.log_weights.argmax()], guess[:, 0])


def test_a_plan_moves_on_in_time() -> None:
    """Not along the axis of actions, which would give the second action's numbers to the first."""
    mean = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert one_step_later(mean).tolist() == [[3.0, 4.0], [5.0, 6.0], [0.0, 0.0]]


def test_searches_can_be_batched() -> None:
    noise = torch.stack([draws(4, 32, seed) for seed in range(2)])
    starts = torch.stack([torch.zeros_like(BEST), BEST])
    means, weights = vmap(lambda start, its: plan_of(start, its))(starts, noise)
    for number in range(2):
        mean, log_weights = plan_of(starts[number], noise[number])
        torch.testing.assert_close(means[number], mean)
        torch.testing.assert_close(weights[number], log_weights)


def plan_of(start: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    plan = searched(closeness, start, ((one, None) for one in noise), elites=5)
    return plan.mean, plan.log_weights


@pytest.mark.parametrize(
    ("step", "length", "least_std"),
    [
        (0, 1, 0.5),
        (6_249, 1, 0.387518),
        (6_250, 2, 0.3875),
        (12_499, 2, 0.275018),
        (12_500, 3, 0.275),
        (18_750, 4, 0.1625),
        (24_999, 4, 0.050018),
        (25_000, 5, 0.05),
        (2_000_000, 5, 0.05),
    ],
)
def test_schedules_of_the_official_configuration(step: int, length: int, least_std: float) -> None:
    assert int(linear(1, 5, 25_000, step)) == length
    assert linear(0.5, 0.05, 25_000, step) == pytest.approx(least_std, abs=1e-12)
