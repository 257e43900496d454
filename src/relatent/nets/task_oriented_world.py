"""TD-MPC's latent dynamics, which know of observations only what rewards and values need, and its policy (Hansen et al.
2022, Sec 4 and App F). Sizes, initial weights and the policy's noise are those of nicklashansen/tdmpc.
"""

import torch
from torch import Tensor, nn

from relatent.nets.latent_world import elu, two_layers
from relatent.nets.mlp import mlp, orthogonal

NOISE_LIMIT = 0.3  # largest distance of a policy's action from its mean
EDGE = 1 - 1e-6  # largest absolute value of a policy's action


class TaskOrientedWorld(nn.Module):
    """Everything that one loss trains: encoder, dynamics, reward and two critics. Rewards and values begin as zero."""

    def __init__(
        self, observation_size: int, action_size: int, state_size: int, encoder_width: int, width: int
    ) -> None:
        super().__init__()
        inputs = state_size + action_size
        self.encode = mlp([observation_size, encoder_width, state_size], activation=elu, init=orthogonal)
        self.dynamics = two_layers(inputs, state_size, width)
        self.predict_reward = two_layers(inputs, 1, width)
        self.critics = nn.ModuleList(critic(inputs, width) for _ in range(2))
        for net in (self.predict_reward, *self.critics):
            *_, last = (layer for layer in net.modules() if isinstance(layer, nn.Linear))
            nn.init.zeros_(last.weight)

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """The next state (..., state_size) and the reward (...)."""
        inputs = torch.cat([state, action], dim=-1)
        return self.dynamics(inputs), self.predict_reward(inputs).squeeze(-1)

    def values(self, state: Tensor, action: Tensor) -> Tensor:
        """Both critics' values, (2, ...)."""
        inputs = torch.cat([state, action], dim=-1)
        return torch.stack([critic(inputs).squeeze(-1) for critic in self.critics])


def critic(inputs: int, width: int) -> nn.Sequential:
    """A Q-function whose first layer is normalised and bounded."""
    layers = mlp([inputs, width, width, 1], activation=elu, init=orthogonal)
    return nn.Sequential(layers[0], nn.LayerNorm(width), nn.Tanh(), layers[2:])


class BoundedPolicy(nn.Module):
    """tanh of a mean plus normal noise of a fixed deviation, cut off at 0.3. Actions are held within [-1, 1], with the
    gradient of those that are not."""

    def __init__(self, state_size: int, action_size: int, width: int, std: float) -> None:
        super().__init__()
        self.std = std
        self.net = two_layers(state_size, action_size, width)

    def forward(self, state: Tensor, noise: Tensor) -> Tensor:
        action = torch.tanh(self.net(state)) + (self.std * noise).clamp(-NOISE_LIMIT, NOISE_LIMIT)
        return action + (action.clamp(-EDGE, EDGE) - action).detach()
