"""What a paper's file may say of an environment, by suite, and the tasks of each suite."""

import operator
from typing import Annotated, Literal

from pydantic import Field

from relatent.specs.closed import Closed, NonNegative, Positive
from relatent.specs.tasks import DMC_TASKS


class Noise(Closed):
    """Disturbed observations."""

    kind: Literal["gaussian", "missing"]
    level: Annotated[float, Field(gt=0)]
    """Standard deviation, of pixels in [0, 1], or the probability that a pixel's value is missing."""
    # Left out of specs where it is down, as it was before there was a choice.
    rounding: Annotated[Literal["down", "nearest"], Field(exclude_if=lambda rounding: rounding == "down")] = "down"
    """How a disturbed pixel becomes one of 256 levels again; down makes pictures half a level darker."""


class GaussianNoise(Closed):
    """Disturbed states."""

    kind: Literal["gaussian"]
    level: Annotated[float, Field(gt=0)]
    """Standard deviation."""


class DMC(Closed):
    """A DeepMind Control task."""

    suite: Literal["dmc"]
    action_repeat: Positive
    """Frames for which one action is held."""
    pixels: Positive | None = None
    """Width and height of the images that replace states."""
    # Left out of specs where it is near_lossless, as it was before there was a choice.
    quality: Annotated[
        Literal["near_lossless", "default"], Field(exclude_if=lambda quality: quality == "near_lossless")
    ] = "near_lossless"
    """How images are rendered: near_lossless with coarser shadows, in about half the time of dm_control's default."""
    noise: Noise | None = None
    # Left out of specs where it is false, as it was before there was a choice: such runs stay the same runs.
    hide_velocities: Annotated[bool, Field(exclude_if=operator.not_)] = False
    """The task's velocities are left out of what is seen."""


class Bandit(Closed):
    """A one-step problem whose reward is the log-density of four Gaussians at (±spacing, ±spacing)."""

    suite: Literal["bandit"]
    spacing: Annotated[float, Field(gt=0)]
    std: Annotated[float, Field(gt=0)]


class ClosedForm(Closed):
    """A latent policy whose entropies are known: s ~ N(0, I), a = s + σ ε."""

    suite: Literal["closed_form"]


class TwoPeaks(Closed):
    """One decision in (-1, 1) whose reward has a tall, narrow peak and a low, wide one that ends in a jump."""

    suite: Literal["two_peaks"]


class ElboFamily(Closed):
    """Models so small that evidence, bound and divergence are known exactly."""

    suite: Literal["elbo_family"]


class Theory(Closed):
    """Processes and Gaussians so small that bounds and limits are known exactly."""

    suite: Literal["theory"]


class Interaction(Closed):
    """A task with a time limit and an action repeat of its own; its frames are the agent's actions."""

    suite: Literal["maze", "block_push", "ant_push", "cabinet", "adroit", "metaworld", "corner"]
    octaves: NonNegative | None = None
    """Frequencies 1, 2, 4, .. at which the position of an object is encoded; 0 leaves observations as they are. Not of
    tasks without such an encoding."""


class Mujoco(Closed):
    """A locomotion task of gym's version 2, or a cheetah that runs backward; its frames are the agent's actions."""

    suite: Literal["mujoco"]
    octaves: NonNegative | None = None
    """Frequencies 1, 2, 4, .. at which the cheetah's x is encoded; 0 for all other tasks."""
    noise: GaussianNoise | None = None
    """Added to every number that is seen, in training and evaluation; what happens is undisturbed."""
    # Left out of specs where it is true, as it was before there was a choice: such runs stay the same runs.
    clip_actions: Annotated[bool, Field(exclude_if=bool)] = True
    """Actions beyond the robot's bounds are clipped; if false they cost what gym charges for them."""


class Mbbl(Closed):
    """A robot of gym under the rules of Wang et al.'s benchmark, mbbl; its frames are the agent's actions."""

    suite: Literal["mbbl"]


Env = Annotated[
    DMC | Bandit | ClosedForm | TwoPeaks | ElboFamily | Theory | Interaction | Mujoco | Mbbl,
    Field(discriminator="suite"),
]
SUITE_TASKS = {
    "dmc": DMC_TASKS,
    "bandit": ("four_modes",),
    "closed_form": ("linear_gaussian",),
    "two_peaks": ("two_peaks",),
    "elbo_family": ("small_models",),
    "theory": (
        *("small_processes", "shifted_rewards", "gaussian_pairs"),
        *("linear_agents", "small_pomdps", "distracted_point", "uneven_plane", "noisy_line"),
    ),
    "maze": ("gap_maze",),
    "block_push": ("two_blocks", "one_block_pixels"),
    "ant_push": ("ant_push",),
    "cabinet": ("cabinet_dense", "cabinet_sparse"),
    "adroit": ("door", "hammer"),
    "metaworld": ("basketball", "stick_pull"),
    "corner": ("corner",),
    "mujoco": (
        *("half_cheetah", "walker2d", "hopper", "ant", "ant_truncated", "humanoid", "humanoid_truncated"),
        "cheetah_back",
    ),
    "mbbl": (
        *("mbbl_cheetah", "mbbl_walker2d", "mbbl_walker2d_et", "mbbl_hopper", "mbbl_hopper_et", "mbbl_ant"),
        *("mbbl_ant_et", "mbbl_humanoid_et", "mbbl_slim_humanoid", "mbbl_slim_humanoid_et"),
    ),
}

EPISODE_FRAMES = {
    **{"gap_maze": 50, "two_blocks": 60, "one_block_pixels": 60, "cabinet_dense": 60, "cabinet_sparse": 60},
    **{"door": 100, "basketball": 100, "stick_pull": 100, "hammer": 125, "ant_push": 400, "corner": 20},
}
"""Time limits, of tasks whose limit is not USUAL_EPISODE_FRAMES."""
USUAL_EPISODE_FRAMES = 1000
