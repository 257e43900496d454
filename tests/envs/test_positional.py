import numpy as np
import pytest

from relatent.envs.positional import encode


def test_values_come_first_then_each_frequencys_sines_and_cosines() -> None:
    u, v = 0.3, -1.7
    expected = [u, v]
    for frequency in (1, 2, 4, 8, 16, 32):
        expected += [np.sin(frequency * u), np.sin(frequency * v), np.cos(frequency * u), np.cos(frequency * v)]
    np.testing.assert_allclose(encode(np.array([u, v]), 6), expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("n", "octaves", "size"), [(2, 6, 26), (7, 6, 91), (9, 6, 117), (5, 6, 65), (3, 1, 9), (4, 0, 4)]
)
def test_sizes(n: int, octaves: int, size: int) -> None:
    assert encode(np.zeros(n), octaves).shape == (size,)


def test_no_octaves_change_nothing() -> None:
    values = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_array_equal(encode(values, 0), values)


def test_each_frequencys_squares_add_to_one() -> None:
    values = np.random.default_rng(1).uniform(-5, 5, 4)
    waves = encode(values, 6)[4:].reshape(6, 2, 4)
    np.testing.assert_allclose((waves**2).sum(axis=1), 1.0, rtol=1e-12)


def test_a_batch_is_its_rows() -> None:
    batch = np.random.default_rng(2).normal(size=(3, 2, 5))
    encoded = encode(batch, 4)
    assert encoded.shape == (3, 2, 45)
    for index in np.ndindex(3, 2):
        np.testing.assert_array_equal(encoded[index], encode(batch[index], 4))
