"""Q-functions that are computed as one: stacked weights and one batched matrix product a layer.

Ten critics cost as many kernels as a single one, forward and backward and in their optimiser. Nothing else differs from
ten perceptrons side by side: each has its own weights, drawn as its own, and no gradient passes between them.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.mlp import mlp


class StackedLinear(nn.Module):
    """Linear layers of one size as one: weight (N, inputs, outputs) and bias (N, 1, outputs)."""

    def __init__(self, layers: list[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().t() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach()[None] for layer in layers]))

    def forward(self, inputs: Tensor, members: Tensor | None = None) -> Tensor:
        """Outputs (N, B, outputs) of inputs (N, B, inputs); with `members`, of those layers only and in that order."""
        if members is None:
            return torch.baddbmm(self.bias, inputs, self.weight)
        return torch.baddbmm(self.bias[members], inputs, self.weight[members])


class QEnsemble(nn.Module):
    """`members` independent Q-functions of (observation, action), with ReLU between their layers."""

    def __init__(
        self,
        members: int,
        observation_size: int,
        action_size: int,
        width: int,
        layers: int,
        init: Callable[[nn.Linear], None] | None = None,
    ) -> None:
        super().__init__()
        sizes = [observation_size + action_size, *[width] * layers, 1]
        nets = [mlp(sizes, init=init) for _ in range(members)]
        linear = [[layer for layer in net if isinstance(layer, nn.Linear)] for net in nets]
        self.size = members
        self.layers = nn.ModuleList(StackedLinear(list(same)) for same in zip(*linear, strict=True))

    def forward(self, observation: Tensor, action: Tensor, members: Tensor | None = None) -> Tensor:
        """Values (N, B) of observations (B, observation_size) and actions (B, action_size); (M, B) where `members`,
        (M,) numbers of Q-functions, says which ones to ask."""
        inputs = torch.cat([observation, action], dim=-1)
        features = inputs.expand(self.size if members is None else len(members), *inputs.shape)
        *hidden, last = self.layers
        for layer in hidden:
            features = F.relu(layer(features, members), inplace=True)
        return last(features, members).squeeze(-1)
