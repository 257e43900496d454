"""Latent-SAC: soft actor-critic on the states of a recurrent world model, the baseline of SMAC from pictures (Sec 5.2).

All of it is in relatent.objectives.latent_actor_critic. The paper follows Wang et al. 2022, who have 400 units,
predicted rewards and half the critics' error; zdhNarsil/Stochastic-Marginal-Actor-Critic@31d1f56, followed here, has
300 and rewards as they were received.
"""

from dataclasses import dataclass

from relatent.objectives.latent_actor_critic import LatentActorCritic


@dataclass(frozen=True)
class Hyper:
    deter: int
    """Numbers in h_t, and units of every hidden layer around it."""
    stoch: int
    """Numbers in z_t."""
    depth: int
    """Channels of the encoder's first convolution."""
    width: int
    """Units of each hidden layer in reward head, actor and critics."""
    batch: int
    """Sequences in one update."""
    length: int
    """Observations in a sequence."""
    model_lr: float
    """Adam's learning rate for the world model."""
    actor_lr: float
    """Adam's learning rate for the policy."""
    critic_lr: float
    """Adam's learning rate for both Q-functions."""
    alpha_lr: float
    """Adam's learning rate for the logarithm of the temperature."""
    clip_norm: float
    """Largest norm of the gradient of world model, actor and critics, each."""
    free_nats: float
    """Divergence below which the world model is not asked for less."""
    gamma: float
    """Discount of one agent step."""
    tau: float
    """How far the target critic moves towards the critic at each update."""
    init_alpha: float
    """Temperature before the first update."""
    raw_std: float
    """Added to what the softplus of the policy's deviation reads."""
    exploration_noise: float
    """Deviation of the noise upon a training action."""
    update_after: int
    """Frames from which on there are updates."""
    update_every: int
    """Frames from one time of updating to the next."""
    updates: int
    """Updates at each such time."""
    replay: int
    """Agent steps kept, in whole episodes; the oldest make room for new ones."""


class LatentSAC(LatentActorCritic):
    """The agent."""

    hyper: Hyper
