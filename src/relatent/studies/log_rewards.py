"""What the logarithm of a shifted and scaled reward does to it: ALM's Figure 6 and Appendix A.8.

    y  =  a (log(r + a) - log a)  =  r - r²/(2a) + r³/(3a²) - ..

and its slope, a / (r + a), says what a little more reward is worth. Everything is exact; no seed matters.

What `run` records
    reward, transformed     (n,) r and y of the figure's shift, for |r| <= largest
    magnitude               (m,) rewards, or sums of rewards, from 0.1 up
    relative_difference     (m, shifts) (r - y) / r there
    slope                   (m, shifts) of y
    difference              (k,) r - y of the figure's shift, at the rewards EXAMPLES
    largest_relative_difference
                            (1,) the largest |r - y| / |r|, |r| <= largest
    second_order_error      (1,) the largest relative distance of r - y from r²/(2a) there
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
EXAMPLES = np.array([10.0, 100.0, 1000.0])


@dataclass(frozen=True)
class Hyper:
    shift: float
    """a of the figure."""
    other_shifts: tuple[float, ...]
    """More values of a, to compare with."""
    largest: float
    """Largest |r| of the figure."""
    largest_sum: float
    """Largest reward, or sum of rewards, of the comparison."""


def shifted_log(reward: Array, shift: float | Array) -> Array:
    """a (log(r + a) - log a), without the rounding of two large logarithms."""
    return np.asarray(shift * np.log1p(reward / shift))


def run(spec: dict[str, Any], record: Any) -> None:
    """Compute and record what the module's text lists."""
    hyper = Hyper(**spec["hyper"])
    reward = np.linspace(-hyper.largest, hyper.largest, 200)  # an even number, so that none is zero
    transformed = shifted_log(reward, hyper.shift)
    missing = reward - transformed
    magnitude = np.logspace(-1, np.log10(hyper.largest_sum), 101)
    shifts = np.array([*hyper.other_shifts, hyper.shift])
    column = magnitude[:, None]
    record.arrays(
        reward=reward,
        transformed=transformed,
        magnitude=magnitude,
        relative_difference=(column - shifted_log(column, shifts)) / column,
        slope=shifts / (column + shifts),
        difference=EXAMPLES - shifted_log(EXAMPLES, hyper.shift),
        largest_relative_difference=np.abs(missing / reward).max(keepdims=True),
        second_order_error=np.abs(missing / (reward**2 / (2 * hyper.shift)) - 1).max(keepdims=True),
    )
