"""Values of imagined rollouts of all lengths at once."""

import torch
from torch import Tensor


def lambda_returns(rewards: Tensor, values: Tensor, gamma: float, lambda_weight: float) -> Tensor:
    """R_K = V_K, R_t = r_t + γ (1 - λ) V_{t+1} + γ λ R_{t+1}; (K, ...) from rewards (K, ...) and values (K + 1, ...).

    R_t is the mean of the returns of 1 .. K - t steps, weighted by (1 - λ) λ^{k-1}, the longest by λ^{K-t-1}
    (ALM, App A.3; Hafner et al. 2019).
    """
    following, returns = values[-1], []
    for reward, value in zip(rewards.flip(0), values[1:].flip(0), strict=True):
        following = reward + gamma * ((1 - lambda_weight) * value + lambda_weight * following)
        returns.append(following)
    return torch.stack(returns[::-1])
