"""Pictures of a MuJoCo model, for films and figures: no observation is made of them."""

import weakref

import mujoco
import numpy as np

from relatent.envs import gl
from relatent.specs.errors import RelatentError

SIDE = 128  # pixels


class Picture:
    """What one camera of a model sees. OpenGL is asked for when the first picture is taken, not before."""

    def __init__(self, model: mujoco.MjModel, camera: str) -> None:
        self.model, self.camera = model, camera
        self.renderer: mujoco.Renderer | None = None

    def take(self, data: mujoco.MjData) -> np.ndarray:
        """uint8, SIDE x SIDE x 3, red, green and blue."""
        if self.renderer is None:
            self.renderer = self.open()
        self.renderer.update_scene(data, self.camera)
        return self.renderer.render()

    def open(self) -> mujoco.Renderer:
        try:
            renderer = mujoco.Renderer(self.model, SIDE, SIDE)
        except (mujoco.FatalError, RuntimeError) as error:
            raise RelatentError(f"a picture {gl.NEEDED} ({error})") from None
        # At the interpreter's exit MuJoCo would free it when OpenGL is gone already, and print an exception.
        weakref.finalize(self, renderer.close)
        return renderer
