"""SMAC's regulariser against exploring with one wide mode (Eq 26)."""

from typing import Literal

from torch import Tensor

Scale = Literal["absolute", "alpha"]


def conditional_entropy_penalty(log_probs: Tensor, coefficient: float, scale: Scale, alpha: Tensor) -> Tensor:
    """β H(π(·|s)), to be added to the actor's loss; from one sample, -β log π(a|s^0). # Eq 26

    `log_probs` has shape (..., K+1), particle 0 having generated the action; the result has shape (...). The paper's β
    is `coefficient` itself ("absolute"); the official code's is `coefficient` times the temperature ("alpha"), under
    the name pazent. No gradient reaches the temperature `alpha`.
    """
    beta = coefficient * alpha.detach() if scale == "alpha" else coefficient
    return -beta * log_probs[..., 0]
