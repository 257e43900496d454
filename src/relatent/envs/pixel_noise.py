"""Disturbed pictures: what SMAC's Table 1 adds to every picture that is seen, in training and in evaluation alike.

`gaussian` adds N(0, level²) to pixels of [0, 1] and clips them. The official code
(zdhNarsil/Stochastic-Marginal-Actor-Critic@31d1f56, envs/pomdp_dmc/wrappers.py) goes back to 256 levels by leaving out
the fraction, `rounding: down`, so that pictures are half a level darker on average; `nearest` shifts nothing. Far from
black and white what is seen is then a standard deviation of sqrt((255 level)² + 1/12) levels away from the scene.

`missing` sets each pixel's red, green and blue to 0, independently with probability `level`: dropouts are coloured,
though the paper says that pixels turn black.
"""

from typing import Any, Literal

import gymnasium
import numpy as np

STREAM = 1  # beside whatever else an episode's seed decides

Rounding = Literal["down", "nearest"]


def gaussian(picture: np.ndarray, level: float, rounding: Rounding, stream: np.random.Generator) -> np.ndarray:
    """uint8 of the same shape. In levels of grey, which is the same arithmetic as in fractions of 255."""
    disturbed = picture + np.float32(255.0 * level) * stream.standard_normal(picture.shape, np.float32)
    if rounding == "nearest":
        disturbed = np.rint(disturbed)
    return np.clip(disturbed, 0.0, 255.0).astype(np.uint8)


def missing(picture: np.ndarray, level: float, rounding: Rounding, stream: np.random.Generator) -> np.ndarray:
    """uint8 of the same shape."""
    del rounding
    return np.where(stream.random(picture.shape, np.float32) < level, np.uint8(0), picture)


KINDS = {"gaussian": gaussian, "missing": missing}


class NoisyPixels(gymnasium.ObservationWrapper):
    """An environment that shows uint8 pictures, disturbed. The seed of a reset alone decides its episode's noise;
    scenes, rewards and ends of episodes are those of the environment."""

    def __init__(self, env: gymnasium.Env, kind: str, level: float, rounding: Rounding = "down") -> None:
        super().__init__(env)
        self.disturb, self.level, self.rounding = KINDS[kind], level, rounding
        self.stream = np.random.default_rng()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        if seed is not None:
            self.stream = np.random.default_rng([STREAM, seed])
        return super().reset(seed=seed, options=options)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return self.disturb(observation, self.level, self.rounding, self.stream)
