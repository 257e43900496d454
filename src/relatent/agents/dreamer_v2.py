"""DreamerV2 (Hafner et al. 2021), the baseline of RPG's Figure 6. All of it is in
relatent.objectives.categorical_dreamer."""

from dataclasses import dataclass

from relatent.objectives.categorical_dreamer import CategoricalDreamer


@dataclass(frozen=True)
class Hyper:
    deter: int
    """Numbers in h_t, and units of every hidden layer around it."""
    stoch: int
    """Categorical variables in z_t."""
    classes: int
    """Values of each."""
    depth: int
    """Channels of the image encoder's first convolution; vectors have none."""
    width: int
    """Units of each hidden layer in actor, critic and reward head, and in encoder and decoder of vectors."""
    layers: int
    """Their hidden layers."""
    batch: int
    """Sequences in one update."""
    length: int
    """Observations in a sequence."""
    horizon: int
    """Imagined steps from each of them."""
    lambda_weight: float
    """λ, how much a return of k + 1 steps counts beside one of k."""
    model_lr: float
    """Adam's learning rate for the world model."""
    actor_lr: float
    """Adam's learning rate for the policy."""
    critic_lr: float
    """Adam's learning rate for the value."""
    adam_eps: float
    """What Adam adds to its denominator."""
    weight_decay: float
    """What every parameter loses of itself in an update."""
    clip_norm: float
    """Largest norm of the gradient of world model, actor and critic, each."""
    free_nats: float
    """Divergence below which the world model is not asked for less."""
    balance: float
    """How much of its gradient moves the prior; the rest moves the posterior."""
    gamma: float
    """Discount of one agent step."""
    entropy: float
    """Weight of the policy's entropy."""
    target_every: int
    """Updates after which the slow critic becomes the critic."""
    update_after: int
    """Frames from which on there are updates."""
    pretrain: int
    """Updates more at the first time of updating."""
    update_every: int
    """Frames from one time of updating to the next."""
    updates: int
    """Updates at each such time."""
    replay: int
    """Agent steps kept, in whole episodes; the oldest make room for new ones."""


class DreamerV2(CategoricalDreamer):
    """The agent."""
