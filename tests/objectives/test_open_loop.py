"""Open-loop errors of models of linear systems: none of a right one, a known one of wrong ones."""

import numpy as np
import pytest
import torch
from torch import Tensor

from relatent.nets.batch import Played
from relatent.objectives.open_loop import STEPS, open_loop

CPU = torch.device("cpu")


def walk(steps: int, seed: int, decay: float = 1.0) -> Played:
    """s' = decay s + a, in two dimensions; whole numbers where nothing decays, which are exact in floating point."""
    draws = np.random.default_rng(seed)
    states, actions = [draws.integers(-5, 6, 2).astype(np.float64)], draws.integers(-3, 4, (steps, 2)).astype(float)
    for action in actions[:-1]:
        states.append(decay * states[-1] + action)
    return Played(np.array(states), actions, np.zeros(steps))


def encode(observation: Tensor) -> Tensor:
    """z is the second number, and twice the first."""
    return observation @ torch.tensor([[0.0, 2.0], [1.0, 0.0]], dtype=torch.float64)


def step(latent: Tensor, action: Tensor) -> Tensor:
    return latent + encode(action)


def variance(*episodes: Played) -> float:
    """Of z over states, a mean over its numbers."""
    seen = np.concatenate([episode.observations for episode in episodes])
    return float((4 * seen[:, 0].var() + seen[:, 1].var()) / 2)


def test_a_right_model_has_no_error() -> None:
    episodes = [walk(80, 0), walk(60, 1)]
    found = open_loop(episodes, encode, step, CPU)
    assert found["error"].tolist() == [0.0] * STEPS
    assert found["true"].tolist() == episodes[0].observations[: STEPS + 1, 1].tolist()
    assert found["predicted"].tolist() == found["true"].tolist()
    assert found["true"].std() > 1


def test_a_model_that_drifts_has_a_known_error() -> None:
    """By (1, 3) in each step: after h steps h² (1 + 9) / 2 for each number of z."""
    episodes = [walk(80, 0), walk(60, 1)]
    drift = torch.tensor([1.0, 3.0], dtype=torch.float64)
    found = open_loop(episodes, encode, lambda latent, action: step(latent, action) + drift, CPU)
    expected = [5 * ahead**2 / variance(*episodes) for ahead in range(1, STEPS + 1)]
    assert found["error"].tolist() == pytest.approx(expected, rel=1e-12)
    offsets = found["predicted"] - found["true"]
    assert offsets.tolist() == list(range(STEPS + 1))


def test_a_model_that_forgets_is_wrong_by_what_it_forgot() -> None:
    """It predicts 0.9 z + a where z' = z + a: after h steps it misses every action by what it lost of it."""
    episodes = [walk(12, 2), walk(9, 3)]
    found = open_loop(episodes, encode, lambda latent, action: 0.9 * latent + encode(action), CPU)
    for ahead in range(1, 12):
        squares = []
        for episode in episodes:
            latents = encode(torch.from_numpy(episode.observations)).numpy()
            changes = encode(torch.from_numpy(episode.actions)).numpy()
            for start in range(len(latents) - ahead):
                latent = latents[start]
                for k in range(ahead):
                    latent = 0.9 * latent + changes[start + k]
                squares += list((latent - latents[start + ahead]) ** 2)
        assert found["error"][ahead - 1] == pytest.approx(np.mean(squares) / variance(*episodes), rel=1e-12)
        assert np.mean(squares) > 0.01


def test_where_no_episode_is_so_long_there_is_no_error() -> None:
    found = open_loop([walk(4, 0), walk(7, 1), walk(1, 2)], encode, step, CPU)
    assert found["error"].shape == (STEPS,)
    assert found["error"][:6].tolist() == [0.0] * 6
    assert np.isnan(found["error"][6:]).all()
    assert len(found["true"]) == len(found["predicted"]) == 4


def test_a_latent_that_is_the_same_everywhere_is_no_division_by_zero() -> None:
    found = open_loop([walk(9, 0)], lambda seen: seen * 0, lambda latent, _: latent, CPU)
    assert found["error"][:8].tolist() == [0.0] * 8
