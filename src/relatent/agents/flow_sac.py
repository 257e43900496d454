"""SAC whose policy is a normalizing flow: Flow2 and Flow4 of SMAC's Figure 11.

a = tanh(f(z, x)) with z ~ N(0, I) and f a RealNVP of two or four blocks (App C, after Haarnoja et al. 2018a and Ward et
al. 2019). The paper states that they have about two and four times SAC's parameters, which holds for one network per
block that gives both scale and shift; widths, masks, base and initialisation are not stated.
Everything else is SAC.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from relatent.nets.distributions import Gaussian, tanh_log_det
from relatent.nets.flows import RealNVP
from relatent.objectives.soft_actor_critic import SoftActorCritic


@dataclass(frozen=True)
class Hyper:
    width: int
    """Units of each hidden layer, in the blocks' networks and the critics."""
    layers: int
    """Hidden layers, in the blocks' networks and the critics."""
    batch: int
    """Transitions in one update."""
    actor_lr: float
    """Adam's learning rate for the policy."""
    critic_lr: float
    """Adam's learning rate for both Q-functions."""
    alpha_lr: float
    """Adam's learning rate for the logarithm of the temperature."""
    gamma: float
    """Discount of one agent step."""
    tau: float
    """How far the target critic moves towards the critic at each update."""
    init_alpha: float
    """Temperature before the first update."""
    update_after: int
    """Environment frames before the first update."""
    replay: int
    """Transitions kept; the oldest make room for new ones."""
    blocks: int
    """Coupling blocks of the policy."""
    log_scale_bound: float
    """Largest absolute value of a block's log-scale."""


class FlowSAC(SoftActorCritic):
    """The agent. Target entropy is -|A|."""

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper = hyper
        sizes = observation_size, action_size, hyper.width, hyper.layers
        flow = RealNVP(*sizes, hyper.blocks, hyper.log_scale_bound)
        self.make_policy(flow, action_size, hyper.init_alpha, -float(action_size))
        self.make_networks(*sizes)
        self.optimise_all(hyper.actor_lr, hyper.critic_lr, hyper.alpha_lr)

    def choose(self, observation: Tensor, belief: Any, noise: Tensor) -> tuple[Tensor, Any]:
        """The image of a draw under the flow; the agent is judged by that of z = 0."""
        return torch.tanh(self.actor(observation, noise)[0]), belief

    def sample_action(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """A reparameterised action and its log-density, of shapes (B, action_size) and (B,)."""
        pre_tanh, log_det = self.actor(observation, noise)
        base = Gaussian(torch.zeros_like(noise), torch.zeros_like(noise)).log_prob(noise)
        return torch.tanh(pre_tanh), base - log_det - tanh_log_det(pre_tanh)
