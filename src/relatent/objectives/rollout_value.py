"""The value of an imagined rollout: discounted gains, then what a critic expects after them. # RPG, Eq 3"""

import torch
from torch import Tensor


def length_weights(horizon: int, decay: float | None) -> Tensor:
    """How rollouts of 1 .. horizon steps count: as the powers of `decay`, or the longest alone; sums to one."""
    if decay is None:
        return torch.eye(horizon)[-1]
    powers = decay ** torch.arange(horizon, dtype=torch.get_default_dtype())
    return powers / powers.sum()


def rollout_value(gains: Tensor, bootstraps: Tensor, gamma: float, weights: Tensor) -> Tensor:
    """Σ_k w_k v_k with v_k = Σ_{j<=k} γ^j gain_j + γ^{k+1} bootstrap_k. # Eq 3 is v_{H-1} alone

    `gains` (H, ...) are received at steps 0 .. H-1; `bootstraps` (..., H, ...) has the value of the state that each
    step leads to, with any axes of critics before H. Returns the shape of `bootstraps` without H.
    """
    horizon, over = len(weights), gains.dim() - 1
    discounts = gamma ** torch.arange(horizon, dtype=gains.dtype, device=gains.device).view(-1, *[1] * over)
    values = (discounts * gains).cumsum(0) + gamma * discounts * bootstraps
    return (weights.to(gains).view(-1, *[1] * over) * values).sum(-1 - over)
