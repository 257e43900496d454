"""The probe `pictures`: what the evaluation environment looks like before training, and where evaluations end.

RPG's Figure 10 shows the first state and five that were "sampled from a single agent"; when these were taken is not
said. Ours: one at the first evaluation after each fifth of training, of the last state of its first episode.
"""

import gymnasium
import numpy as np

from relatent.specs.errors import RelatentError

MOMENTS = 5
SIDE = 128
"""Pixels; of larger pictures every second, third .. pixel is kept, so that six take 295 kB at most."""


def due(frames: int, whole: int, taken: int) -> bool:
    """Whether an evaluation is the first one after the next fifth of training. `taken`: states that there are
    pictures of, without the first. Where evaluations are fewer than fifths, there is a picture of each."""
    return frames * MOMENTS >= whole * (taken + 1)


def view(env: gymnasium.Env) -> np.ndarray:
    """A copy of what an environment draws now: uint8 (side, side, 3), red, green and blue.

    Raises RelatentError where it draws nothing, or something else.
    """
    try:
        drawn = np.asarray(env.render())
    except NotImplementedError:
        raise RelatentError("the probe pictures needs an environment that can be rendered, this one cannot") from None
    if drawn.dtype != np.uint8 or drawn.shape != (len(drawn), len(drawn), 3):
        found = f"{drawn.dtype} {drawn.shape}"
        raise RelatentError(f"the probe pictures expects square pictures of uint8 (side, side, 3), got {found}")
    step = -(-len(drawn) // SIDE)
    return drawn[::step, ::step].copy()
