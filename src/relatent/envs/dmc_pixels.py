"""DeepMind Control tasks seen through a camera: uint8 pictures (3, pixels, pixels), red, green and blue.

Dynamics, action repeat, rewards and time limit are those of the same task with states (dmc.py); one picture is taken an
agent step, of its last frame. The camera is the task's first, a quadruped's the third, which follows it, as in the
official code of SMAC and in Dreamer's.

Software renders slowly, and most of the time goes to shadows and to the edges of a large image that is then cut.
`quality: near_lossless` renders an image of exactly the size that is wanted, which changes no pixel, and casts shadows
at a quarter of the resolution, which changes a few pixels at their edges, 0.1 of 255 levels on average at most.
`quality: default` renders as dm_control does by itself.
"""

from typing import Any, Literal

import gymnasium
import mujoco
import numpy as np
from dm_control.mujoco import engine

from relatent.envs import gl
from relatent.envs.dmc import DMC, split
from relatent.envs.pixel_noise import NoisyPixels
from relatent.specs.errors import RelatentError

CAMERAS = {"quadruped": 2}  # by domain; 0 otherwise
SHADOWS = 512  # side of the shadow map; dm_control's is 2048

Quality = Literal["near_lossless", "default"]


class DMCPixels(DMC):
    """One task of the suite. `reset` takes a seed each time, which alone decides the initial state."""

    def __init__(self, task: str, action_repeat: int, pixels: int, quality: Quality = "near_lossless") -> None:
        super().__init__(task, action_repeat)
        self.pixels, self.camera_number = pixels, CAMERAS.get(split(task)[0], 0)
        self.camera: engine.Camera | None = None  # opens OpenGL, with the first picture
        self.observation_space = gymnasium.spaces.Box(0, 255, (3, pixels, pixels), np.uint8)
        if quality == "near_lossless":
            visual = self.env.physics.model.vis  # read when OpenGL is opened, not later
            visual.global_.offwidth = visual.global_.offheight = pixels
            visual.quality.shadowsize = SHADOWS

    def observation(self, arrays: dict[str, Any]) -> np.ndarray:
        """The picture that the task's state gives, uint8 (3, pixels, pixels); its arrays are not looked at."""
        del arrays
        return self.render().transpose(2, 0, 1).copy()

    def render(self) -> np.ndarray:
        """The same picture as uint8 (pixels, pixels, 3), its top row first."""
        try:
            if self.camera is None:
                self.camera = engine.Camera(self.env.physics, self.pixels, self.pixels, camera_id=self.camera_number)
            return self.camera.render().copy()  # out of a buffer that the next picture is written to
        except (mujoco.FatalError, RuntimeError) as error:
            if "opengl" in str(error).lower():
                raise RelatentError(f"a picture {gl.NEEDED} ({error})") from None
            raise


def make(
    task: str,
    action_repeat: int,
    pixels: int,
    quality: Quality = "near_lossless",
    noise: dict[str, Any] | None = None,
    hide_velocities: bool = False,
) -> gymnasium.Env:
    """`noise` has a kind, a level and, unless it is down, a rounding."""
    if hide_velocities:
        raise RelatentError(f"{task} with pixels shows no velocities, expected hide_velocities: false")
    env = DMCPixels(task, action_repeat, pixels, quality)
    return NoisyPixels(env, **noise) if noise else env
