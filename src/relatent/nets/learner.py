"""What every agent needs to take gradient steps and to be saved with its optimisers."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Learner(nn.Module):
    """A module that owns named Adam optimisers, whose state travels in `state_dict()`.

    A loss is differentiated with respect to one optimiser's parameters only, so that an actor's loss spends no time on
    the critic's gradients and can never move the critic.
    """

    def __init__(self) -> None:
        super().__init__()
        self.optimisers: dict[str, torch.optim.Adam] = {}

    def optimise(self, name: str, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        """Give `parameters` an Adam optimiser under `name`."""
        self.optimisers[name] = torch.optim.Adam(list(parameters), lr=learning_rate, fused=True)

    def minimise(self, name: str, loss: Tensor) -> None:
        """One step of the named optimiser down the gradient of a scalar loss."""
        optimiser = self.optimisers[name]
        parameters = optimiser.param_groups[0]["params"]
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        optimiser.step()

    def get_extra_state(self) -> dict[str, Any]:
        """The optimisers' state, stored by PyTorch beside the parameters."""
        return {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_extra_state` returned."""
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state[name])


@torch.no_grad()
def move_towards(target: nn.Module, source: nn.Module, fraction: float) -> None:
    """Exponential moving average of parameters: target <- target + fraction (source - target)."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), fraction)
