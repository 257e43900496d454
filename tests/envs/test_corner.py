"""The smallest task from pictures: what a policy that looks, and one that does not, receives."""

from functools import cache
from itertools import product

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from relatent.envs import make
from relatent.envs.corner import BEST, BLIND, CORNERS, HORIZON, STEP, Corner
from relatent.specs.errors import RelatentError
from relatent.specs.suites import EPISODE_FRAMES


def test_a_plan_knows_its_time_limit() -> None:
    assert EPISODE_FRAMES["corner"] == HORIZON


def task() -> Corner:
    env = make({"suite": "corner", "task": "corner"})
    assert isinstance(env, Corner)
    return env


def to(env: Corner, corner: np.ndarray) -> np.ndarray:
    """Begin an episode with this corner; returns the first picture."""
    return next(seen for seed in range(100) if (seen := env.reset(seed=seed)[0], (env.corner == corner).all())[1])


def play(env: Corner, actions: np.ndarray) -> float:
    steps = [env.step(action) for action in actions]
    assert [step[2:4] for step in steps] == [(False, False)] * (HORIZON - 1) + [(False, True)]
    return sum(step[1] for step in steps)


@pytest.mark.filterwarnings("ignore::UserWarning")  # gymnasium's advice on render modes
def test_it_is_a_gymnasium_environment() -> None:
    check_env(task(), skip_render_check=True)


def seen_corner(picture: np.ndarray) -> np.ndarray:
    """What a policy reads off a picture: in which quarter the mark is."""
    right, up = picture[1, :, 8:].sum() > picture[1, :, :8].sum(), picture[1, :8].sum() > picture[1, 8:].sum()
    return np.array([2.0 * right - 1, 2.0 * up - 1])


@pytest.mark.parametrize("corner", CORNERS.tolist())
def test_a_policy_that_looks_receives_the_best_return(corner: list[float]) -> None:
    env = task()
    picture = to(env, np.array(corner))
    np.testing.assert_array_equal(seen_corner(picture), corner)
    assert play(env, np.tile(seen_corner(picture), (HORIZON, 1))) == pytest.approx(BEST, rel=1e-12)
    assert env.step(np.zeros(2))[4]["success"] == 1.0


def test_no_plan_receives_more() -> None:
    """Backward induction along one axis: the distance, in steps, from the corner; half of the reward is each axis'."""

    @cache
    def value(distance: int, left: int) -> float:
        if left == 0:
            return 0.0
        after = [min(max(distance + move, 0), 10) for move in (-1, 0, 1)]
        return max(0.5 - STEP * there / 4 + value(there, left - 1) for there in after)

    assert 2 * value(5, HORIZON) == pytest.approx(BEST, rel=1e-12)


def test_any_plan_made_without_looking_receives_half_on_average_over_corners() -> None:
    env, draws = task(), np.random.default_rng(0)
    plans = [draws.uniform(-1, 1, (HORIZON, 2)), np.ones((HORIZON, 2)), np.tile([1.0, -0.3], (HORIZON, 1))]
    for plan in plans:
        returns = []
        for corner in CORNERS:
            to(env, corner)
            returns.append(play(env, plan))
        assert np.mean(returns) == pytest.approx(BLIND, rel=1e-12)


def test_a_random_policy_receives_half_and_twenty_of_its_episodes_are_far_from_the_best() -> None:
    env, draws = task(), np.random.default_rng(1)
    returns = []
    for seed in range(500):
        env.reset(seed=seed)
        returns.append(play(env, draws.uniform(-1, 1, (HORIZON, 2))))
    assert abs(np.mean(returns) - BLIND) < 3 * np.std(returns) / np.sqrt(500)
    assert 1.0 < np.std(returns) < 3.0
    assert max(np.reshape(returns, (25, 20)).mean(axis=1)) < 12  # of twenty episodes, as many as an evaluation may have


def test_corners_are_equally_likely_and_a_seed_decides() -> None:
    env = task()
    corners = [tuple(env.corner) for seed in range(400) if env.reset(seed=seed)]
    assert corners == [tuple(env.corner) for seed in range(400) if env.reset(seed=seed)]
    counts = [corners.count(corner) for corner in product((-1.0, 1.0), repeat=2)]
    assert sum(counts) == 400
    assert all(abs(count - 100) < 4 * np.sqrt(75) for count in counts)


@pytest.mark.parametrize(("corner", "rows", "columns"), [((-1, 1), (0, 5), (0, 5)), ((1, -1), (11, 16), (11, 16))])
def test_the_mark_is_in_its_corner_the_right_way_up(corner: tuple, rows: tuple, columns: tuple) -> None:
    expected = np.zeros((16, 16), np.uint8)
    expected[slice(*rows), slice(*columns)] = 255
    np.testing.assert_array_equal(to(task(), np.array(corner))[1], expected)


def test_the_picture_says_where_the_point_is() -> None:
    """The centre of the red square's area: 2 pixels from an edge at ±1, so 6 pixels to a unit."""
    env, draws = task(), np.random.default_rng(2)
    picture, _ = env.reset(seed=0)
    for _ in range(HORIZON):
        weight = picture[0] / 255.0
        middle = np.arange(16) + 0.5
        x, y = (weight.sum(0) @ middle / weight.sum() - 8) / 6, (8 - weight.sum(1) @ middle / weight.sum()) / 6
        assert weight.sum() == pytest.approx(16, abs=0.02)
        np.testing.assert_allclose([x, y], env.place, atol=0.002)
        assert not picture[2].any()
        picture, *_ = env.step(draws.uniform(-1, 1, 2))


def test_actions_and_the_square_have_bounds() -> None:
    env = task()
    env.reset(seed=0)
    env.step(np.array([100.0, -100.0]))
    np.testing.assert_allclose(env.place, [STEP, -STEP])
    for _ in range(10):
        env.step(np.array([1.0, -1.0]))
    np.testing.assert_allclose(env.place, [1.0, -1.0])


def test_an_unknown_task_is_one_line() -> None:
    with pytest.raises(RelatentError, match="no corner task 'edge', expected corner"):
        make({"suite": "corner", "task": "edge"})
