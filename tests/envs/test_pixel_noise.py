"""Noise on pictures: its statistics as SMAC's Table 1 needs them, and that it disturbs nothing else."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import norm

from relatent.envs import make
from relatent.envs.pixel_noise import NoisyPixels, Rounding, gaussian, missing

SHAPE = (60, 3, 64, 64)
COUNT = int(np.prod(SHAPE))
SMALL, LARGE = 0.01, 0.05


def grey(level: int) -> np.ndarray:
    return np.full(SHAPE, level, np.uint8)


def noisy(kind: str, level: float, rounding: Rounding = "down") -> NoisyPixels:
    return NoisyPixels(make({"suite": "corner", "task": "corner"}), kind, level, rounding)


@pytest.mark.parametrize(("rounding", "shift"), [("down", -0.5), ("nearest", 0.0)])
@pytest.mark.parametrize(("level", "deviation"), [(SMALL, 2.5663), (LARGE, 12.7533)])
def test_far_from_black_and_white_it_is_gaussian_and_darker_by_truncation(
    level: float, deviation: float, rounding: Rounding, shift: float
) -> None:
    """The mean of x + n without its fraction is x - 1/2, its variance that of n and 1/12 of the fraction."""
    assert deviation == pytest.approx(np.sqrt((255 * level) ** 2 + 1 / 12), abs=1e-4)
    change = gaussian(grey(128), level, rounding, np.random.default_rng(0)) - 128.0
    assert abs(change.mean() - shift) < 3 * deviation / np.sqrt(COUNT)
    assert abs(change.std() - deviation) < 3 * deviation / np.sqrt(2 * COUNT)
    across, down = change[..., 1:] - shift, change[:, :, 1:] - shift
    for neighbours in (across * (change[..., :-1] - shift), down * (change[:, :, :-1] - shift)):
        assert abs(neighbours.mean()) < 4 * deviation**2 / np.sqrt(neighbours.size)  # independent


@pytest.mark.parametrize("level", [SMALL, LARGE])
def test_black_and_white_are_clipped_before_the_fraction_goes(level: float) -> None:
    """A black value is k or more with probability P(n >= k); a white one 255 - k or less with P(n < 1 - k)."""
    sizes = np.arange(1, 256)
    black = norm.sf(sizes / (255 * level)).sum()
    white = 255 - norm.cdf((1 - sizes) / (255 * level)).sum()
    for start, expected in ((0, black), (255, white)):
        seen = gaussian(grey(start), level, "down", np.random.default_rng(1))
        assert abs(seen.mean() - expected) < 4 * seen.std() / np.sqrt(COUNT)


@pytest.mark.parametrize("level", [SMALL, LARGE])
def test_it_is_the_official_codes_arithmetic(level: float) -> None:
    """x / 255 - 1/2 plus noise, clipped to [-1/2, 1/2], plus 1/2, times 255, without its fraction; in float64, where a
    value within 1e-4 of a whole number is left out."""
    picture = np.random.default_rng(2).integers(0, 256, SHAPE).astype(np.uint8)
    draws = np.random.default_rng(3).standard_normal(SHAPE, np.float32).astype(np.float64)
    exact = 255 * (np.clip(picture / 255 - 0.5 + level * draws, -0.5, 0.5) + 0.5)
    seen = gaussian(picture, level, "down", np.random.default_rng(3))
    clear = np.abs(exact - np.rint(exact)) > 1e-4
    clear |= (exact <= 0) | (exact >= 255)
    assert clear.mean() > 0.999
    np.testing.assert_array_equal(seen[clear], np.floor(exact[clear]))


@pytest.mark.parametrize("level", [SMALL, LARGE])
def test_each_colour_of_each_pixel_is_missing_independently(level: float) -> None:
    picture = np.random.default_rng(4).integers(1, 256, SHAPE).astype(np.uint8)
    seen = missing(picture, level, "down", np.random.default_rng(5))
    lost = seen == 0
    np.testing.assert_array_equal(seen[~lost], picture[~lost])
    pixels = lost.sum(axis=1)
    binomial = [(1 - level) ** 3, 3 * level * (1 - level) ** 2, 3 * level**2 * (1 - level), level**3]
    assert abs(lost.mean() - level) < 3 * np.sqrt(level * (1 - level) / COUNT)
    for colours, share in enumerate(binomial):
        assert abs((pixels == colours).mean() - share) < 3 * np.sqrt(share * (1 - share) / pixels.size)


VISIBLE = [("gaussian", LARGE), ("missing", 0.5)]  # on few coloured pixels too


@pytest.mark.parametrize(("kind", "level"), VISIBLE)
def test_a_seed_decides_an_episodes_noise_whatever_came_before(kind: str, level: float) -> None:
    fresh, used = noisy(kind, level), noisy(kind, level)

    def episode(env: NoisyPixels, seed: int) -> list[np.ndarray]:
        return [env.reset(seed=seed)[0], *(env.step(np.ones(2))[0] for _ in range(5))]

    def corner(seed: int) -> tuple:
        fresh.reset(seed=seed)
        return tuple(fresh.unwrapped.corner)  # type: ignore[attr-defined]

    same_scene = next(seed for seed in range(8, 100) if corner(seed) == corner(7))
    first, other = episode(fresh, 7), episode(used, same_scene)
    again = episode(used, 7)
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert all((one != two).any() for one, two in zip(first, other, strict=True))
    still = [used.reset(seed=7)[0], *(used.step(np.zeros(2))[0] for _ in range(5))]
    assert all((one != two).any() for one, two in pairwise(still))  # new noise at every step


@pytest.mark.parametrize(("kind", "level"), VISIBLE)
def test_only_what_is_seen_is_disturbed(kind: str, level: float) -> None:
    clean, env = make({"suite": "corner", "task": "corner"}), noisy(kind, level)
    assert env.observation_space == clean.observation_space
    seen, picture = env.reset(seed=3)[0], clean.reset(seed=3)[0]
    actions = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    for action in actions:
        assert (seen.dtype, seen.shape) == (np.uint8, (3, 16, 16))
        assert (seen != picture).any()
        np.testing.assert_array_equal(env.render(), clean.render())
        (seen, *mine), (picture, *theirs) = env.step(action), clean.step(action)
        assert mine == theirs
    assert mine[2]  # the time limit
