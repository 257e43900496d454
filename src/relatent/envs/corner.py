"""A point that must reach a corner, seen in pictures of 16 x 16: the smallest task that is learnt from pixels.

The point starts in the middle of the square [-1, 1]² and moves by STEP times its action. One of the four corners, each
equally likely, is marked in the picture and nowhere else. A step's reward is 1 less a quarter of the distance to it
(along x plus along y), at the place arrived at: with corner c and place p, both in [-1, 1]², it is 1/2 + c·p / 4. The
time limit cuts episodes off after HORIZON steps, which is no termination.

So it is known exactly what has been learnt, since c is independent of all else and its mean is 0:

    BLIND   10 = HORIZON / 2   expected of every policy that does not look, a random or a constant one among them
    BEST    19                 of going straight to the corner, whichever it is: p = 0.2, 0.4, 0.6, 0.8, 1, 1, ..
"""

from itertools import product
from typing import Any

import gymnasium
import numpy as np

from relatent.specs.errors import RelatentError

SIDE = 16  # pixels
POINT, MARK = 4, 5  # sides of the point and of the corner's mark, in pixels
STEP = 0.2
HORIZON = 20
CORNERS = np.array(list(product((-1.0, 1.0), repeat=2)))  # x to the right, y upward
BLIND, BEST = HORIZON / 2, HORIZON - 1.0  # returns


class Corner(gymnasium.Env):
    """The task. `reset` takes a seed each time, which alone decides the corner. A step's info says whether the point is
    there (success)."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 255, (3, SIDE, SIDE), np.uint8)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.corner, self.place, self.steps = CORNERS[0], np.zeros(2), 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed, options=options)
        self.corner, self.place, self.steps = self.np_random.choice(CORNERS), np.zeros(2), 0
        return self.observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.place = np.clip(self.place + STEP * np.clip(action, -1.0, 1.0), -1.0, 1.0)
        self.steps += 1
        reward = 0.5 + self.corner @ self.place / 4.0
        there = np.abs(self.corner - self.place).max() < STEP / 2
        return self.observation(), float(reward), False, self.steps == HORIZON, {"success": float(there)}

    def observation(self) -> np.ndarray:
        """uint8 (3, 16, 16): the point in red, the corner in green; the top row, of the largest y, comes first."""
        picture = np.zeros((3, SIDE, SIDE))
        picture[0], picture[1] = square(self.place, POINT), square(self.corner, MARK)
        return np.rint(255.0 * picture).astype(np.uint8)

    def render(self) -> np.ndarray:
        """The picture as uint8 (16, 16, 3)."""
        return self.observation().transpose(1, 2, 0)


def square(place: np.ndarray, side: int) -> np.ndarray:
    """What fraction of each pixel lies in a square of `side` pixels at a place of [-1, 1]², where it just fits in."""
    x, y = (SIDE - side) * (1.0 + place * (1.0, -1.0)) / 2.0  # its left and its upper edge
    pixels = np.arange(SIDE)
    across, down = (np.clip(np.minimum(edge + side - pixels, pixels + 1 - edge), 0.0, 1.0) for edge in (x, y))
    return np.outer(down, across)


def make(task: str) -> Corner:
    if task != "corner":
        raise RelatentError(f"there is no corner task {task!r}, expected corner")
    return Corner()
