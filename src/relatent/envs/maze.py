"""GapMaze: rooms joined by narrow gaps, without a reward, to see how much of it an agent explores (RPG, section 5.1).

The square [-5, 5]² holds 5 x 5 rooms of side 2. The agent starts in the middle of the central one and moves by 0.25 a,
a in [-1, 1]². A move that meets a wall ends there; it does not slide along it. The paper says that every room is joined
to its neighbours; in haosulab/RPG@a7dc920, which is followed here, 24 of the 40 inner edges are open, so that there is
one way only between any two rooms. An open edge has a gap in its middle, a fifth of a room wide.

What counts is the coverage: how many of the 100 unit cells an agent has been in so far, in all its episodes. A cell is
open: whoever stands exactly on an integer coordinate, as the start does, is in none.
"""

import math
from typing import Any

import gymnasium
import numpy as np

from relatent.envs.positional import encode
from relatent.specs.errors import RelatentError

SIZE = 5.0  # half the side of the maze
ROOMS = 5  # a side
ROOM = 2.0  # side of a room
GAP = 0.4  # width
REACH = 0.25  # of one action, in each direction
BACK = 1e-5  # a stopped move ends this fraction of the whole move before the wall
HORIZON = 50
CELLS = 10  # a side
PIXELS = 20  # of a picture, per unit of length

# Edges without a gap. A room is (column, row), counted from the lower left.
CLOSED_BELOW = ((0, 2), (1, 2), (3, 2), (4, 2), (1, 3), (3, 3))
CLOSED_LEFT = ((1, 0), (2, 0), (3, 1), (4, 1), (2, 3), (4, 3), (1, 4), (2, 4), (3, 4), (4, 4))

# The gap in each line of walls, by the line (0 and 5 are the outer walls) and the room along it: (low, high), or None.
Gaps = list[list[tuple[float, float] | None]]


def _gaps(closed: set[tuple[int, int]]) -> Gaps:
    """closed: edges without a gap, as (line, room along it)."""
    middles = [-SIZE + ROOM * (along + 0.5) for along in range(ROOMS)]
    return [
        [
            None if line in (0, ROOMS) or (line, along) in closed else (middle - GAP / 2, middle + GAP / 2)
            for along, middle in enumerate(middles)
        ]
        for line in range(ROOMS + 1)
    ]


VERTICAL = _gaps(set(CLOSED_LEFT))  # lines x = -5, -3, ... 5, rooms from below
HORIZONTAL = _gaps({(row, column) for column, row in CLOSED_BELOW})  # lines y = -5, -3, ... 5, rooms from the left


def walls() -> np.ndarray:
    """(68, 2, 2): start and end (x, y) of every wall; the outer ones are whole, an edge with a gap has two."""
    segments = []
    for turned, lines in ((False, VERTICAL), (True, HORIZONTAL)):
        for line, gaps in enumerate(lines):
            at = -SIZE + ROOM * line
            if line in (0, ROOMS):
                pieces = [(-SIZE, SIZE)]
            else:
                pieces = []
                for along, gap in enumerate(gaps):
                    low, high = -SIZE + ROOM * along, -SIZE + ROOM * (along + 1)
                    pieces += [(low, high)] if gap is None else [(low, gap[0]), (gap[1], high)]
            ends = np.array([[(at, low), (at, high)] for low, high in pieces])
            segments.append(ends[..., ::-1] if turned else ends)
    return np.concatenate(segments)


def _hit(start: float, change: float, other: float, other_change: float, lines: Gaps) -> float:
    """The fraction of a move at which it meets a wall of these lines; infinity if it meets none.

    start, change: across the lines; other, other_change: along them. A move is shorter than a room, so it meets one
    line at most, the first that lies ahead. A wall has its ends, a gap has not.
    """
    if change == 0.0:
        return math.inf
    place = (start + SIZE) / ROOM
    line = math.ceil(place) if change > 0.0 else math.floor(place)
    fraction = (-SIZE + ROOM * line - start) / change
    if not 0.0 <= fraction <= 1.0:  # below 0 where rounding took the line just left for the next
        return math.inf
    at = other + fraction * other_change
    gap = lines[line][min(int((at + SIZE) / ROOM), ROOMS - 1)]
    return math.inf if gap is not None and gap[0] < at < gap[1] else fraction


def move(x: float, y: float, action_x: float, action_y: float) -> tuple[float, float]:
    """Where an action ends that is taken at (x, y)."""
    dx, dy = REACH * min(max(action_x, -1.0), 1.0), REACH * min(max(action_y, -1.0), 1.0)
    fraction = min(_hit(x, dx, y, dy, VERTICAL), _hit(y, dy, x, dx, HORIZONTAL))
    if fraction > 1.0:
        return x + dx, y + dy
    fraction = max(fraction - BACK, 0.0)
    return x + fraction * dx, y + fraction * dy


def cell(x: float, y: float) -> int:
    """The unit cell around (x, y), 10 row + column from the lower left, or -1 on a border of cells."""
    column, row = math.floor(x), math.floor(y)
    return -1 if column == x or row == y else int(CELLS * (row + SIZE) + column + SIZE)


class GapMaze(gymnasium.Env):
    """The maze. With octaves the observation is 0.01 (x, y) and the encoding of (x, y)/5, without it is (x, y).

    A step's info has the position (2,) and the cell; success is 0 throughout, as there is no goal. Nothing is random.
    """

    def __init__(self, octaves: int) -> None:
        self.octaves = octaves
        size = 2 if octaves == 0 else 2 + 2 * (1 + 2 * octaves)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.x, self.y, self.steps = 0.0, 0.0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed, options=options)
        self.x, self.y, self.steps = 0.0, 0.0, 0
        position = np.array([self.x, self.y])
        return self.observation(position), self.info(position)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.x, self.y = move(self.x, self.y, float(action[0]), float(action[1]))
        self.steps += 1
        position = np.array([self.x, self.y])
        return self.observation(position), 0.0, False, self.steps >= HORIZON, self.info(position)

    def observation(self, position: np.ndarray) -> np.ndarray:
        if self.octaves == 0:
            return position.astype(np.float32)
        return np.concatenate([0.01 * position, encode(position / SIZE, self.octaves)]).astype(np.float32)

    def info(self, position: np.ndarray) -> dict[str, Any]:
        return {"success": 0.0, "position": position, "cell": cell(self.x, self.y), "cells": CELLS**2}

    def render(self) -> np.ndarray:
        """The maze from above, uint8 (200, 200, 3): white walls and a green agent on black."""
        picture = np.zeros((int(2 * SIZE * PIXELS),) * 2 + (3,), np.uint8)
        # Row 0 is the highest y. A wall is two pixels wide, of the outer ones one is in the picture.
        for ends in (walls() + SIZE) * PIXELS:
            (left, low), (right, high) = np.rint(ends).astype(int)
            rows = slice(max(len(picture) - high - 1, 0), len(picture) - low + 1)
            picture[rows, max(left - 1, 0) : right + 1] = 255
        column, row = round((self.x + SIZE) * PIXELS), len(picture) - round((self.y + SIZE) * PIXELS)
        picture[max(row - 2, 0) : row + 2, max(column - 2, 0) : column + 2] = (0, 255, 0)
        return picture


def make(task: str, octaves: int = 6) -> GapMaze:
    if task != "gap_maze":
        raise RelatentError(f"there is no maze {task!r}, expected gap_maze")
    return GapMaze(octaves)


HELD = {"uniform": 1, "every_10": 10, "per_episode": HORIZON}  # steps for which a random walk keeps its action


def random_walk(kind: str, frames: int, seed: int) -> np.ndarray:
    """(frames,): the coverage so far, a fraction, of a policy that learns nothing, as a control of those that do.

    uniform: an action uniform in [-1, 1]² at each step; every_10 and per_episode: a uniform direction, at full length,
    that is held for 10 steps or for the episode.
    """
    draws = np.random.default_rng(seed)
    held = HELD[kind]
    decisions = -(-frames // held)
    if kind == "uniform":
        actions = draws.uniform(-1.0, 1.0, (decisions, 2))
    else:
        angles = draws.uniform(0.0, 2.0 * math.pi, decisions)
        actions = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    seen: set[int] = set()
    coverage = np.empty(frames)
    x, y = 0.0, 0.0
    for frame, (action_x, action_y) in enumerate(np.repeat(actions, held, axis=0)[:frames].tolist()):
        if frame % HORIZON == 0:
            x, y = 0.0, 0.0
        x, y = move(x, y, action_x, action_y)
        if (here := cell(x, y)) >= 0:
            seen.add(here)
        coverage[frame] = len(seen) / CELLS**2
    return coverage
