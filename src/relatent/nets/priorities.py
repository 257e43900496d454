"""What is drawn from replay, and how often: prioritised replay (Schaul et al. 2016), as nicklashansen/tdmpc has it.

An agent holds the priorities, so that they travel with its other buffers; replay knows nothing of them.
"""

from typing import Any

import torch
from torch import Tensor, nn

LEAST_ERROR = 1e-6


class Priorities(nn.Module):
    """Chances of the transitions in a replay of at most `size`: their last errors to the power of `alpha`."""

    chances: Tensor

    def __init__(self, size: int, alpha: float, beta: float) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta
        self.register_buffer("chances", torch.zeros(size))
        self.known = 0  # transitions since the start that have had a chance

    def draw(self, replay: Any, batch_size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Places of transitions, drawn without replacement, and importance weights, of which the largest is one; (B,).

        Transitions that came since the last draw are as likely as the likeliest is.
        """
        first = max(self.known, replay.transitions - len(replay))
        if first < replay.transitions:
            new = torch.arange(first, replay.transitions, device=self.chances.device) % replay.capacity
            self.chances[new] = self.chances.max() if self.known else 1.0
            self.known = replay.transitions
        chances = self.chances[: len(replay)]
        places = torch.multinomial(chances, batch_size, generator=generator)
        weights = (chances[places] / chances.mean()) ** -self.beta
        return places, weights / weights.max()

    def rate(self, places: Tensor, errors: Tensor) -> None:
        """Give the transitions at `places` (..., B) the chances that their errors (..., B) make."""
        self.chances.scatter_(-1, places, (errors + LEAST_ERROR) ** self.alpha)

    def get_extra_state(self) -> int:
        """Stored by PyTorch beside the chances."""
        return self.known

    def set_extra_state(self, state: int) -> None:
        """Restore what `get_extra_state` returned."""
        self.known = state
