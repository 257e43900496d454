"""RealNVP (Dinh et al. 2017) over actions, conditioned on observations."""

import torch
from torch import Tensor, nn

from relatent.nets.mlp import mlp


class Coupling(nn.Module):
    """One block: the dimensions that `mask` keeps, and the observation, decide scale and shift of the others.

    One network of `layers` hidden layers gives both. Its last layer starts at zero, so that the block starts as the
    identity. An action of one dimension has nothing to keep: then the observation alone decides.
    """

    mask: Tensor

    def __init__(
        self, observation_size: int, action_size: int, width: int, layers: int, log_scale_bound: float, parity: int
    ) -> None:
        super().__init__()
        kept = (torch.arange(action_size) + parity) % 2 == 0 if action_size > 1 else torch.zeros(action_size)
        self.register_buffer("mask", kept.float())
        self.conditioner = mlp([observation_size + action_size, *[width] * layers, 2 * action_size])
        last = self.conditioner[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.log_scale_bound = log_scale_bound

    def forward(self, observation: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """The transformed value and the logarithm of the Jacobian's determinant."""
        log_scale, shift = self._terms(observation, value)
        return value * log_scale.exp() + shift, log_scale.sum(-1)

    def inverse(self, observation: Tensor, value: Tensor) -> Tensor:
        """The value that `forward` takes to this one."""
        log_scale, shift = self._terms(observation, value)
        return (value - shift) * torch.exp(-log_scale)

    def _terms(self, observation: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = self.conditioner(torch.cat([observation, value * self.mask], dim=-1)).chunk(2, dim=-1)
        changed = 1 - self.mask
        return changed * self.log_scale_bound * torch.tanh(raw), changed * shift


class RealNVP(nn.Module):
    """Blocks whose masks alternate between even and odd dimensions."""

    def __init__(
        self, observation_size: int, action_size: int, width: int, layers: int, blocks: int, log_scale_bound: float
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Coupling(observation_size, action_size, width, layers, log_scale_bound, parity) for parity in range(blocks)
        )

    def forward(self, observation: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """The transformed value and the logarithm of the Jacobian's determinant."""
        total = value.new_zeros(value.shape[:-1])
        for block in self.blocks:
            value, log_det = block(observation, value)
            total = total + log_det
        return value, total

    def inverse(self, observation: Tensor, value: Tensor) -> Tensor:
        """The value that `forward` takes to this one."""
        for block in reversed(self.blocks):
            assert isinstance(block, Coupling)
            value = block.inverse(observation, value)
        return value
