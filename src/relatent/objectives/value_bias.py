"""How far an agent's own estimate of returns is from the returns of its episodes (REDQ, Chen et al. 2021; ALM, App E).

The first STEPS decisions of whole evaluation episodes count. Monte Carlo returns are discounted to their episode's end
and not bootstrapped there, so that an episode's last decisions are left out where it is cut off after 1000. A bias is
normalised by the size of its own return, at least FLOOR, as both official codes do; the paper's formula divides by the
size of the mean return.

Episodes are those of evaluations, without exploration, and returns are plain. Chen et al. sample actions and add the
policy's entropy to returns; the Q-functions of agents with an entropy bonus contain it, so that here it is part of
their bias.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from relatent.nets.batch import Played

STEPS, FLOOR = 350, 10.0


def discounted_returns(rewards: np.ndarray, gamma: float) -> np.ndarray:
    """Σ_k γ^k r_{t+k} to the episode's end, (T,), in float64."""
    from scipy.signal import lfilter  # a second to read, and needed in evaluations only

    return lfilter([1.0], [1.0, -gamma], rewards[::-1].astype(np.float64))[::-1]


def value_bias(
    episodes: Sequence[Played], gamma: float, estimate: Callable[[Tensor, Tensor], Tensor], device: torch.device
) -> dict[str, float]:
    """Mean and deviation of the normalised bias of `estimate(observations, actions)`, (N,): positive where an agent is
    too hopeful."""
    returns = np.concatenate([discounted_returns(episode.rewards, gamma)[:STEPS] for episode in episodes])
    seen, done = (
        torch.from_numpy(np.concatenate([column[:STEPS] for column in columns])).to(device)
        for columns in zip(*((episode.observations, episode.actions) for episode in episodes), strict=True)
    )
    bias = (estimate(seen, done).cpu().double().numpy() - returns) / np.maximum(np.abs(returns), FLOOR)
    return {"mean": float(bias.mean()), "deviation": float(bias.std())}
