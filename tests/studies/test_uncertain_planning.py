"""Where information leads a planner: its planners on problems that are known, its walks, and all of it once."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relatent.objectives.informed_planning import Belief, Terrain, worth
from relatent.studies.uncertain_planning import GOAL, PLANNERS, Hyper, episodes, measured, run, terrains

from .fake_record import FakeRecord

HYPER: dict[str, Any] = {
    "beta": 1.0,
    "reading": "latents",
    "steps": 3,
    "stride": 0.5,
    "start_variance": 0.25,
    "edge_width": 0.25,
    "strip_width": 1.5,
    "motion": 0.01,
    "strip_motion": 0.09,
    "sight": 0.04,
    "light_sight": 0.01,
    "dark_sight": 4.0,
    "episodes": 3,
    "restarts": 2,
    "draws": 40,
    "elites": 5,
    "iterations": 3,
    "least_deviation": 0.02,
    "ascents": 5,
    "lr": 0.2,
}
CONVERGED = {"draws": 300, "elites": 30, "iterations": 25, "least_deviation": 1e-4, "ascents": 400}
CLOSE = {"cem": 0.05, "gradient": 0.002}
"""How far from the best actions the planners end; the cross-entropy method's Gaussian narrows before it is there."""


def hyper(**changes: Any) -> Hyper:
    return Hyper(**{**HYPER, **changes})


def points(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def ran(seed: int = 0, **changes: Any) -> dict[str, np.ndarray]:
    record = FakeRecord()
    run({"hyper": {**HYPER, **changes}, "seed": seed}, record)
    assert record.reported == [(1, 3), (2, 3), (3, 3)]
    return record.kept


def test_noises_on_either_side_of_the_edge() -> None:
    every = terrains(hyper())
    at = points([1.0, -5.0], [1.0, 0.0], [1.0, 0.75], [1.0, 1.5], [1.0, 9.0])
    light = every["light"].sight(at).tolist()
    assert [light[0], light[1], light[4]] == pytest.approx([4.0, 0.2, 0.01])
    strip = every["strip"].motion(at).tolist()
    assert [strip[0], strip[4]] == pytest.approx([0.01, 0.01])
    assert [strip[1], strip[3]] == pytest.approx([0.01 + 0.08 * (0.5 - 1 / (1 + math.exp(6)))] * 2)
    assert strip[2] == pytest.approx(0.01 + 0.08 * (2 / (1 + math.exp(-3)) - 1))
    constant = (every["light"].motion, every["strip"].sight, every["constant"].motion, every["constant"].sight)
    for noise, variance in zip(constant, (0.01, 0.04, 0.01, 0.04), strict=True):
        assert noise(at).tolist() == [variance] * 5


def plans(planner: str, terrain: Terrain, belief: Belief, steps: int, beta: float, restarts: int = 3) -> Tensor:
    settings = hyper(**CONVERGED, beta=beta)
    generator = torch.Generator().manual_seed(0)
    guesses = 2 * torch.rand(steps, restarts, 2, generator=generator, dtype=torch.float64) - 1
    repeated = Belief(belief.mean.expand(restarts, 2), belief.variance.expand(restarts))

    def value(belief: Belief, actions: Tensor) -> Tensor:
        return worth(terrain, belief, actions, beta, "latents")

    return PLANNERS[planner](value, repeated, guesses, settings, generator)


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("beta", [0.0, 10.0])
def test_planners_walk_straight_to_the_goal_where_noises_are_constant(planner: str, beta: float) -> None:
    belief = Belief(points([1.75, 0.0])[0], torch.tensor(0.2, dtype=torch.float64))
    found = plans(planner, terrains(hyper())["constant"], belief, 4, beta)
    expected = points([1.0, 0.0], [1.0, 0.0], [0.5, 0.0], [0.0, 0.0])
    torch.testing.assert_close(found, expected[:, None].expand_as(found), rtol=0, atol=CLOSE[planner])


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("place", ["light", "strip"])
def test_planners_find_the_best_of_all_pairs_of_steps(planner: str, place: str) -> None:
    """Both lean beyond the edge: to the light, and to the noise."""
    terrain = terrains(hyper())[place]
    belief = Belief(points([2.8, 0.0])[0], torch.tensor(0.2, dtype=torch.float64))
    axis = torch.linspace(-1, 1, 21, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis, axis, axis).reshape(-1, 2, 2).transpose(0, 1)
    values = worth(terrain, belief, grid, 1.0, "latents")
    found = plans(planner, terrain, belief, 2, 1.0)
    reached = worth(terrain, belief, found, 1.0, "latents")
    assert float(reached.min()) > float(values.max()) - CLOSE[planner] ** 2
    torch.testing.assert_close(found, grid[:, values.argmax()][:, None].expand_as(found), rtol=0, atol=0.1)
    assert float(found[0, :, 1].min()) > 0.2


def standing(_value: Any, _belief: Any, guesses: Tensor, *_: Any) -> Tensor:
    return torch.zeros_like(guesses)


def test_noise_is_felt_where_the_point_is_and_not_where_it_is_believed_to_be() -> None:
    terrain = Terrain(
        lambda position: 0.3 * (position[..., 1] > 0).double(), lambda position: 1 + 0 * position[..., 0], GOAL, 0.5
    )
    found = episodes(terrain, standing, hyper(episodes=40, steps=4), 0)
    moved = (found.states[1] - found.states[0]).abs().sum(-1)
    assert ((moved > 0) == (found.states[0][:, 1] > 0)).all()
    steps = episodes(terrain, standing, hyper(episodes=40_000, steps=1), 1).states
    jumps = (steps[1] - steps[0])[steps[0][:, 1] > 0]
    assert float(jumps.var()) == pytest.approx(0.3, rel=4 * math.sqrt(2 / jumps.numel()))
    assert float(steps[0].var()) == pytest.approx(0.25, rel=4 * math.sqrt(2 / 80_000))


def test_belief_has_the_variance_of_its_error() -> None:
    """Where noises are constant the variance is known beforehand, and a planner that goes where the belief says it is
    at the goal leaves the belief's error as the only one."""
    settings = hyper(episodes=20_000, steps=5)
    terrain = terrains(settings)["constant"]
    wide = terrain._replace(stride=1.0)

    def direct(_value: Any, belief: Belief, guesses: Tensor, *_: Any) -> Tensor:
        return (wide.goal - belief.mean).expand_as(guesses)

    found = episodes(wide, direct, settings, 0)
    variance, expected = 0.25, [0.25]
    for _ in range(5):
        variance = 1 / (1 / (variance + 0.01) + 1 / 0.04)
        expected.append(variance)
    assert found.variance.mean(1).tolist() == pytest.approx(expected)
    off = (found.states[1:] - wide.goal).square().mean((1, 2))
    for step in range(5):
        assert float(off[step]) == pytest.approx(expected[step] + 0.01, rel=4 * math.sqrt(2 / 40_000))


def test_spread_and_choice_among_searches() -> None:
    """Searches that suggest (0, .1), (0, .2), (0, .3) differ by a variance of .01; where reward alone counts and the
    goal lies across, the last one is the best."""
    terrain = Terrain(lambda at: 0 * at[..., 0], lambda at: 1 + 0 * at[..., 0], points([0.0, 9.0])[0], 1.0)

    def apart(_value: Any, _belief: Any, guesses: Tensor, *_: Any) -> Tensor:
        suggested = torch.zeros_like(guesses).unflatten(1, (3, 4))
        suggested[..., 1] = 0.1 * torch.arange(1, 4, dtype=torch.float64)[:, None]
        return suggested.flatten(1, 2)

    found = episodes(terrain, apart, hyper(restarts=3, episodes=4, beta=0.0), 0)
    torch.testing.assert_close(found.spread, torch.full((3, 4), 0.01, dtype=torch.float64))
    torch.testing.assert_close(found.states[-1] - found.states[0], points([0.0, 0.9]).expand(4, 2))
    assert float(measured(found, terrain, math.inf)["spread"]) == pytest.approx(0.1)


def test_what_is_measured_of_a_path_by_hand() -> None:
    terrain = terrains(hyper())["strip"]
    states = torch.stack(
        [points([0.0, 1.0], [0.0, 1.0]), points([1.0, 1.0], [3.0, -1.0]), points([3.0, 2.0], [3.0, 1.0])]
    )
    found = episodes(terrain, standing, hyper(episodes=2, steps=2), 0)._replace(
        states=states, variance=points([9.0, 9.0], [0.5, 0.3], [0.3, 0.1])
    )
    values = measured(found, terrain, 1.5)
    expected = {"share": 0.5, "variance": 0.3, "error": 1.5, "return": -(5 + 4 + 1 + 1) / 2}
    for name, value in expected.items():
        assert values[name].tolist() == pytest.approx([value]), name
    assert values["across"].tolist() == [1.0, 0.0, 1.5]
    assert values["uncertainty"].tolist() == pytest.approx([9.0, 0.4, 0.2])


@pytest.mark.parametrize("reading", ["latents", "beliefs"])
def test_a_run_records_all_of_it(reading: str) -> None:
    kept = ran(reading=reading)
    each = {f"{place}_{{}}_{planner}" for place in ("light", "strip", "constant") for planner in PLANNERS}
    curves = {name.format(measure) for name in each for measure in ("along", "across", "uncertainty")}
    scalars = {name.format(one) for name in each for one in ("share", "variance", "error", "return", "spread")}
    departures = {f"constant_departure_{planner}" for planner in PLANNERS}
    assert set(kept) == {"time"} | curves | scalars | departures
    assert all(kept[name].shape == (4,) for name in curves | {"time"})
    assert all(kept[name].shape == (1,) for name in scalars | departures)
    assert all(np.isfinite(values).all() for values in kept.values())
    assert all(kept[name][0] == 0 for name in departures)
    for name in ("light_across_cem", "strip_across_gradient"):
        assert kept[name][0] == kept["constant_across_cem"][0]


def test_same_seed_same_numbers_and_the_same_noise_for_every_weight() -> None:
    first, again, other, heavy = ran(), ran(), ran(seed=1), ran(beta=10.0)
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    assert first["light_across_cem"][0] != other["light_across_cem"][0]
    assert first["light_across_cem"][-1] != heavy["light_across_cem"][-1]
    for name in ("constant_along_cem", "constant_spread_gradient"):
        np.testing.assert_array_equal(first[name], heavy[name])
