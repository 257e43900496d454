"""Soft actor-critic with a learned temperature (Haarnoja et al. 2018), as SMAC's baseline uses it.

SMAC's paper follows pranz24/pytorch-soft-actor-critic and widens its networks to 400 units (App C). One update goes:
critic (Eq 2, 23), actor with the updated critic (Eq 3, 24), temperature, target network, all of it in
relatent.objectives.soft_actor_critic.
"""

from dataclasses import dataclass

from relatent.nets.distributions import GaussianHead
from relatent.nets.mlp import xavier
from relatent.objectives.soft_actor_critic import SoftActorCritic


@dataclass(frozen=True)
class Hyper:
    width: int
    """Units of each hidden layer, in actor and critics."""
    layers: int
    """Hidden layers, in actor and critics."""
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


class SAC(SoftActorCritic):
    """The agent. Target entropy is -|A|."""

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper = hyper
        sizes = observation_size, action_size, hyper.width, hyper.layers
        self.make_policy(GaussianHead(*sizes, init=xavier), action_size, hyper.init_alpha, -float(action_size))
        self.make_networks(*sizes)
        self.optimise_all(hyper.actor_lr, hyper.critic_lr, hyper.alpha_lr)
