"""The encoding of objects' coordinates by sines and cosines of doubling frequencies (RPG, section 4.3.2).

Two places that are close together differ by little in raw coordinates, so a network is slow to tell a new one from a
known one; in the highest frequency they differ. The paper counts the frequencies from 2^1; the official code,
haosulab/RPG@a7dc920, starts at 2^0 and keeps the raw coordinates beside them, which is followed here.
"""

import numpy as np


def encode(values: np.ndarray, octaves: int) -> np.ndarray:
    """values (..., n) as (..., n (1 + 2 octaves)): the values, then sin(2^i values) and cos(2^i values) for i = 0, 1,
    ..., octaves - 1, each a block of n. No octaves give the values as they are."""
    leading, n = values.shape[:-1], values.shape[-1]
    angles = values[..., None, :] * 2.0 ** np.arange(octaves)[:, None]
    waves = np.empty((*leading, octaves, 2, n))
    np.sin(angles, out=waves[..., 0, :])
    np.cos(angles, out=waves[..., 1, :])
    return np.concatenate([values, waves.reshape(*leading, 2 * octaves * n)], axis=-1)
