"""GapMaze against the published list of walls, a second implementation of its motion, and what can be counted."""

import itertools
import json
import math
from collections import deque
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from relatent.envs.maze import cell, make, move, random_walk, walls
from relatent.envs.positional import encode
from relatent.specs.errors import RelatentError

PUBLISHED = np.array(json.loads((Path(__file__).parent / "gap_maze_walls.json").read_text()))

# Rooms to pass from the centre to each, the top row first.
HOPS = [[4, 5, 2, 3, 4], [3, 4, 1, 2, 3], [2, 1, 0, 1, 2], [3, 2, 1, 4, 5], [4, 3, 2, 3, 4]]

ROOMS = list(itertools.product(range(5), repeat=2))  # (column, row)


def middle(room: tuple[int, int]) -> tuple[float, float]:
    return 2.0 * room[0] - 4.0, 2.0 * room[1] - 4.0


def walk(start: tuple[float, float], goal: tuple[float, float]) -> list[tuple[float, float]]:
    """The positions of a straight walk in steps of at most 0.25 in x and y; it may end before the goal."""
    steps = math.ceil(max(abs(goal[0] - start[0]), abs(goal[1] - start[1])) / 0.25)
    passed = [start]
    for _ in range(steps):
        passed.append(move(*passed[-1], *[(goal[i] - start[i]) / steps / 0.25 for i in range(2)]))
    return passed[1:]


@cache
def joined() -> dict[tuple[int, int], list[tuple[int, int]]]:
    """The rooms that a straight walk from the middle of each reaches."""
    beside = {room: [(room[0] + i, room[1] + j) for i, j in ((1, 0), (-1, 0), (0, 1), (0, -1))] for room in ROOMS}
    return {
        room: [other for other in others if walk(middle(room), middle(other))[-1] == pytest.approx(middle(other))]
        for room, others in beside.items()
    }


@cache
def routes() -> dict[tuple[int, int], list[tuple[int, int]]]:
    """The shortest way from the central room to each room."""
    doors, found, ahead = joined(), {(2, 2): [(2, 2)]}, deque([(2, 2)])
    while ahead:
        room = ahead.popleft()
        for other in doors[room]:
            if other not in found:
                found[other] = [*found[room], other]
                ahead.append(other)
    return found


def test_walls_are_the_published_ones() -> None:
    def unordered(segments: np.ndarray) -> list:
        return sorted(sorted(map(tuple, ends)) for ends in segments.tolist())

    assert walls().shape == (68, 2, 2)
    assert unordered(walls()) == unordered(PUBLISHED)


def test_rooms_form_a_tree_of_the_published_depths() -> None:
    doors, found = joined(), routes()
    assert sum(map(len, doors.values())) == 2 * 24
    assert len(found) == 25  # connected by one edge less than rooms: a tree
    assert [[len(found[column, 4 - row]) - 1 for column in range(5)] for row in range(5)] == HOPS


def test_a_scripted_walk_reaches_each_cell_within_an_episode() -> None:
    seen = set()
    for room, route in routes().items():
        for right, up in itertools.product((-0.5, 0.5), repeat=2):
            goal = (middle(room)[0] + right, middle(room)[1] + up)
            env, points, steps = make("gap_maze"), [*map(middle, route), goal], 0
            env.reset(seed=0)
            for start, end in itertools.pairwise(points):
                while np.abs(np.subtract(end, (env.x, env.y))).max() > 1e-9:
                    *_, truncated, info = env.step(np.clip(np.subtract(end, (env.x, env.y)) / 0.25, -1, 1))
                    steps += 1
                    assert steps < 50 or truncated
                    assert steps <= 50, (start, end)
            assert info["cell"] == cell(*goal) >= 0
            seen.add(info["cell"])
    assert seen == set(range(100))


@pytest.mark.parametrize(
    ("aside", "passes"), [(0.0, True), (0.199, True), (-0.199, True), (0.201, False), (-0.201, False)]
)
def test_a_gap_is_two_fifths_wide_and_central(aside: float, passes: bool) -> None:
    for room, others in joined().items():
        for other in others:
            (x, y), (to_x, to_y) = middle(room), middle(other)
            sideways = (aside, 0.0) if to_x == x else (0.0, aside)
            start, goal = (x + sideways[0], y + sideways[1]), (to_x + sideways[0], to_y + sideways[1])
            assert (walk(start, goal)[-1] == pytest.approx(goal)) == passes


def test_a_stopped_move_ends_just_before_the_wall_and_does_not_slide() -> None:
    # The wall x = -1 is met after two fifths of the move; it is whole below y = -0.2.
    assert move(-0.9, -0.5, -1.0, -0.25) == (
        pytest.approx(-0.9 - 0.25 * (0.4 - 1e-5), rel=1e-14),
        pytest.approx(-0.5 - 0.0625 * (0.4 - 1e-5), rel=1e-14),
    )
    # Two walls, y = 1 at a fifth and x = 1 at a half of the move: the first counts.
    assert move(0.875, 0.95, 1.0, 1.0) == (
        pytest.approx(0.875 + 0.25 * (0.2 - 1e-5), rel=1e-14),
        pytest.approx(0.95 + 0.25 * (0.2 - 1e-5), rel=1e-14),
    )


def test_actions_are_clipped() -> None:
    assert move(0.0, 0.0, 7.0, -0.5) == (0.25, -0.125)


def second_move(position: np.ndarray, action: np.ndarray) -> np.ndarray:
    """The motion by intersecting the move with each published segment, by determinants."""
    change = 0.25 * np.clip(action, -1, 1)
    start, along = PUBLISHED[:, 0], PUBLISHED[:, 1] - PUBLISHED[:, 0]
    offset = start - position
    determinant = along[:, 0] * change[1] - along[:, 1] * change[0]
    of_move = (along[:, 0] * offset[:, 1] - along[:, 1] * offset[:, 0]) / determinant
    of_wall = (change[0] * offset[:, 1] - change[1] * offset[:, 0]) / determinant
    hits = of_move[(of_move >= 0) & (of_move <= 1) & (of_wall >= 0) & (of_wall <= 1)]
    return position + change * (max(hits.min() - 1e-5, 0.0) if len(hits) else 1.0)


def test_motion_is_that_of_a_second_implementation() -> None:
    draws = np.random.default_rng(0)
    stopped = 0
    for _ in range(4000):
        position, action = draws.uniform(-5, 5, 2), draws.uniform(-1.2, 1.2, 2)
        expected = second_move(position, action)
        np.testing.assert_allclose(move(*position, *action), expected, rtol=0, atol=1e-12)
        stopped += not np.allclose(expected, position + 0.25 * np.clip(action, -1, 1), rtol=0, atol=1e-9)
    assert 200 < stopped < 2000


def crossed(old: tuple[float, float], new: tuple[float, float]) -> bool:
    """Whether a move goes through a wall, in exact arithmetic; starting on one and leaving it is going through it."""
    for axis in (0, 1):
        across, along = (Fraction(old[axis]), Fraction(new[axis])), (Fraction(old[1 - axis]), Fraction(new[1 - axis]))
        for ends in PUBLISHED:
            at = ends[0, axis]
            if ends[1, axis] == at and across[1] != at and min(across) <= at <= max(across):
                met = along[0] + (Fraction(at) - across[0]) / (across[1] - across[0]) * (along[1] - along[0])
                low, high = sorted(ends[:, 1 - axis])
                # Rounding the new position moves the crossing by 1e-16, which decides at the very end of a wall.
                if low + 1e-12 < met < high - 1e-12:
                    return True
    return False


coordinates = st.floats(-1.0, 1.0) | st.sampled_from([-1.0, 0.0, 1.0, 1e-12, -1e-12, 1e-300])


@settings(max_examples=300, deadline=None)
@given(
    room=st.sampled_from(ROOMS),
    start=st.tuples(*[st.floats(-1.0, 1.0, exclude_min=True, exclude_max=True)] * 2),
    actions=st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=20),
)
def test_no_move_crosses_a_wall(room: tuple[int, int], start: tuple[float, float], actions: list) -> None:
    position = (middle(room)[0] + start[0], middle(room)[1] + start[1])
    for action in actions:
        following = move(*position, *action)
        assert not crossed(position, following)
        assert max(map(abs, following)) <= 5
        position = following


@settings(max_examples=50, deadline=None)
@given(action=st.tuples(coordinates, coordinates), every=st.integers(1, 7), turn=st.floats(-3.2, 3.2))
def test_an_episode_keeps_to_rooms_that_gaps_join(action: tuple, every: int, turn: float) -> None:
    """The same by rooms instead of segments, over whole episodes that turn now and then."""
    doors, position, angle = joined(), (0.0, 0.0), 0.0
    room = (2, 2)
    for step in range(50):
        angle += turn if step % every == 0 else 0.0
        x = action[0] * math.cos(angle) - action[1] * math.sin(angle)
        y = action[0] * math.sin(angle) + action[1] * math.cos(angle)
        position = move(*position, x, y)
        entered = (int((position[0] + 5) // 2), int((position[1] + 5) // 2))
        assert entered == room or entered in doors[room]
        room = entered


def test_cells_are_unit_squares_without_their_borders() -> None:
    points = np.random.default_rng(1).uniform(-5, 5, (3000, 2))
    centres = np.arange(10) - 4.5
    for x, y in points:
        (column,), (row,) = np.nonzero(np.abs(x - centres) < 0.5)[0], np.nonzero(np.abs(y - centres) < 0.5)[0]
        assert cell(x, y) == 10 * row + column
    assert cell(-4.5, -4.5) == 0
    assert cell(4.5, -4.5) == 9
    assert cell(-4.5, 4.5) == 90
    assert [cell(0.0, 0.0), cell(0.5, 2.0), cell(-3.0, 0.5), cell(5.0, 4.5), cell(4.5, -5.0)] == [-1] * 5


@pytest.mark.parametrize("octaves", [6, 2, 0])
def test_observation(octaves: int) -> None:
    env = make("gap_maze", octaves=octaves)
    env.reset(seed=0)
    for _ in range(3):
        observation, *_, info = env.step(np.array([0.9, -0.4]))
    x, y = 3 * 0.225, -3 * 0.1
    np.testing.assert_allclose(info["position"], [x, y], rtol=1e-14)
    expected = [x, y] if octaves == 0 else [0.01 * x, 0.01 * y, *encode(np.array([x / 5, y / 5]), octaves)]
    assert env.observation_space.shape == observation.shape == ({6: 28, 2: 12, 0: 2}[octaves],)
    assert observation.dtype == np.float32
    np.testing.assert_allclose(observation, expected, rtol=1e-6)


def test_an_episode_is_fifty_steps_from_the_centre_without_a_reward() -> None:
    env = make("gap_maze")
    for _ in range(2):
        _, info = env.reset(seed=0)
        assert (info["position"].tolist(), info["cell"]) == ([0.0, 0.0], -1)
        steps = [env.step(np.array([1.0, 0.3])) for _ in range(50)]
        assert [step[1] for step in steps] == [0.0] * 50
        assert [step[2:4] for step in steps] == [(False, False)] * 49 + [(False, True)]
        assert {step[4]["success"] for step in steps} == {0.0}
        assert [step[4]["cell"] for step in steps] == [cell(*step[4]["position"]) for step in steps]


@pytest.mark.filterwarnings("ignore::UserWarning")  # gymnasium's advice on spaces without a maximum and on render modes
def test_it_is_a_gymnasium_environment() -> None:
    check_env(make("gap_maze"), skip_render_check=True)


def test_a_picture_shows_walls_gaps_and_the_agent() -> None:
    env = make("gap_maze")
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.array([1.0, 1.0]))
    picture = env.render()
    assert (picture.shape, picture.dtype) == ((200, 200, 3), np.uint8)

    def colour(x: float, y: float) -> list[int]:
        return picture[int(199 - (y + 5) * 20), int((x + 5) * 20)].tolist()

    assert colour(0.5, 0.5) == [0, 255, 0]
    assert [colour(0.0, 0.0), colour(1.0, 0.05), colour(-0.05, -1.0)] == [[0, 0, 0]] * 3  # a room and two gaps
    assert [colour(1.0, 0.5), colour(-2.0, 1.0), colour(-4.99, -2.5), colour(2.5, 4.99)] == [[255] * 3] * 4


def test_an_unknown_task_is_one_line() -> None:
    with pytest.raises(RelatentError, match="no maze 'large_maze'"):
        make("large_maze")


@pytest.mark.parametrize("kind", ["uniform", "every_10", "per_episode"])
def test_coverage_of_a_random_walk_is_what_stepping_the_maze_covers(kind: str) -> None:
    frames = 1230  # not a multiple of an episode
    coverage = random_walk(kind, frames, 3)
    draws, held, seen = np.random.default_rng(3), {"uniform": 1, "every_10": 10, "per_episode": 50}[kind], set()
    decisions = -(-frames // held)
    if kind == "uniform":
        actions = draws.uniform(-1, 1, (decisions, 2))
    else:
        angles = draws.uniform(0, 2 * np.pi, decisions)
        actions = np.stack([np.cos(angles), np.sin(angles)], -1)
    env, truncated = make("gap_maze"), True
    for frame in range(frames):
        if truncated:
            env.reset(seed=0)
        *_, truncated, info = env.step(actions[frame // held])
        seen.add(info["cell"])
        assert coverage[frame] == len(seen - {-1}) / 100
    np.testing.assert_array_equal(random_walk(kind, 400, 3), coverage[:400])
    assert random_walk(kind, frames, 4).tolist() != coverage.tolist()


@pytest.mark.parametrize(("kind", "mean", "deviation"), [("uniform", 0.292, 0.018), ("every_10", 0.660, 0.040)])
def test_coverage_of_random_walks_over_a_whole_run(kind: str, mean: float, deviation: float) -> None:
    """250,000 frames, as the agents get. Mean and standard deviation are those of 30 and 20 other runs."""
    runs = [random_walk(kind, 250_000, seed) for seed in (100, 101)]
    assert all((np.diff(run) >= 0).all() for run in runs)
    assert abs(np.mean([run[-1] for run in runs]) - mean) < 3 * deviation / np.sqrt(2)


def test_straight_walks_cover_what_is_in_sight_of_the_centre() -> None:
    """36 cells, however many are drawn. Sight is counted apart, along 4000 rays."""
    in_sight = set()
    for angle in np.linspace(0, 2 * np.pi, 4000, endpoint=False) + 1e-4:
        direction = np.array([math.cos(angle), math.sin(angle)])
        along, start = PUBLISHED[:, 1] - PUBLISHED[:, 0], PUBLISHED[:, 0]
        determinant = along[:, 0] * direction[1] - along[:, 1] * direction[0]
        distance = (along[:, 0] * start[:, 1] - along[:, 1] * start[:, 0]) / determinant
        of_wall = (direction[0] * start[:, 1] - direction[1] * start[:, 0]) / determinant
        nearest = distance[(distance > 0) & (of_wall >= 0) & (of_wall <= 1)].min()
        # Where a walk of 0.25 a step stands, until it meets the wall.
        stands = [*np.arange(0.25, nearest, 0.25), nearest - 1e-6]
        in_sight |= {cell(*(distance * direction)) for distance in stands}
    covered = random_walk("per_episode", 250_000, 0)
    assert covered[-1] == len(in_sight) / 100 == 0.36
