"""BlockPush: a red box pushes other boxes to their goals, for a reward only once all are there (RPG, appendix C).

Boxes slide in the plane and never turn. The agent's velocity is set to what its action says before every substep; once
it pushes, the block, of its own mass and dragging, slows it down. Sizes, masses, places and rules are those of
haosulab/RPG@a7dc920, which simulates them in SAPIEN; here MuJoCo does. Boxes are without friction but for the rim: its
walls have SAPIEN's default friction of 1, a box 0, and SAPIEN takes the mean, so that who presses against a wall slides
slowly along it. MuJoCo's contacts begin when boxes overlap, so that positions differ by up to a substep's 4 cm.

`two_blocks` is what the official code runs and observes positions and velocities. `one_block_pixels` observes pictures
of block 0 alone (section 5.3). Its code was not released, the paper gives two frames of 64 x 64 and nothing else:
camera, brightness and the time limit, that of `two_blocks`, are ours.
"""

from typing import Any

import gymnasium
import mujoco
import numpy as np
from dm_control.mujoco import Physics, engine

from relatent.envs import gl
from relatent.envs.positional import encode
from relatent.specs.errors import RelatentError

HALF = 0.2  # side of a box
RIM = 2.0  # inner faces of the walls, so that a box's middle keeps within 1.8
SPEED = 4.0  # of the agent, per unit of action
SUBSTEPS = 8  # of 0.01 s
DRAG = 5000.0  # of a block, in newtons per metre and second
NEAR = 0.2  # a block less far from its goal has reached it
HORIZON = 60
AGENT = (0.0, -1.4)
BLOCKS = ((-1.2, 0.0), (0.0, 0.0))
GOALS = ((-1.4, 1.4), (0.0, 1.4))
FRAME = 64  # pixels
FRAMES = 2  # that an agent sees at once
VIEW = 2.2  # half the side of the square that a picture shows

RED, GREY, WALL = (0.75, 0.25, 0.25), (0.2, 0.2, 0.2), (0.3, 0.7, 0.3)
COLOURS = ((0.25, 0.25, 0.75), (0.25, 0.75, 0.25))  # of blocks
BRIGHTER = 1.2  # a goal than its block


def _scene(blocks: int) -> str:
    """The MuJoCo model. The camera looks straight down without perspective and lights nothing, so colours are flat."""

    def geom(kind: str, at: tuple, size: tuple, colour: tuple) -> str:
        numbers = [" ".join(map(str, values)) for values in (at, size, colour)]
        return f'<geom class="{kind}" pos="{numbers[0]}" size="{numbers[1]}" rgba="{numbers[2]} 1"/>'

    def box(colour: tuple, drag: float) -> str:
        joints = "".join(f'<joint type="slide" axis="{axis}" damping="{drag}"/>' for axis in ("1 0 0", "0 1 0"))
        return f'<body pos="0 0 {HALF}">{joints}{geom("box", (0, 0, 0), (HALF,) * 3, colour)}</body>'

    floor = geom("picture", (0, 0, -0.1), (VIEW, VIEW, 0.1), GREY)
    middle, half = (VIEW + RIM) / 2, (VIEW - RIM) / 2
    walls = [geom("wall", (side * middle, 0, 0.3), (half, VIEW, 0.3), WALL) for side in (-1, 1)]
    walls += [geom("wall", (0, side * middle, 0.3), (VIEW, half, 0.3), WALL) for side in (-1, 1)]
    goals = [
        geom("picture", (*goal, 0), (HALF, HALF, 0.1), tuple(BRIGHTER * part for part in colour))
        for goal, colour in zip(GOALS[:blocks], COLOURS, strict=False)
    ]
    boxes = [box(colour, DRAG) for colour in COLOURS[:blocks]] + [box(RED, 0.0)]
    # In one substep a contact takes off nearly all of the speed at which boxes meet. If it took off a little more than
    # all, which it does with a time constant of 0.02, who presses against a wall would be thrown off it now and then.
    # Where a wall and a box meet, the wall's settings hold, friction among them.
    return f"""
    <mujoco>
      <option timestep="0.01" gravity="0 0 0" integrator="implicitfast" cone="elliptic"/>
      <visual>
        <global offwidth="{FRAME}" offheight="{FRAME}"/>
        <headlight ambient="1 1 1" diffuse="0 0 0" specular="0 0 0"/>
      </visual>
      <default>
        <geom type="box" density="1000" solref="0.0205 1" solimp="0.98 0.98 0.001"/>
        <default class="box"><geom condim="1"/></default>
        <default class="wall"><geom condim="3" friction="0.5 0 0" priority="1"/></default>
        <default class="picture"><geom contype="0" conaffinity="0"/></default>
      </default>
      <worldbody>
        <camera name="above" pos="0 0 3" orthographic="true" fovy="{2 * VIEW}"/>
        {"".join([floor, *walls, *goals, *boxes])}
      </worldbody>
    </mujoco>"""


class BlockPush(gymnasium.Env):
    """The task with positions and velocities. Nothing is random.

    With octaves the observation is, for each block and then the agent, the encoding of half its position, and after
    these a tenth of: blocks' positions, their velocities, goals minus blocks, the agent's position and velocity.
    Without octaves it is this last part unscaled. A step's info has the fraction of blocks at their goals (success),
    whether all are there (all_blocks) and the agent's position (2,).
    """

    def __init__(self, blocks: int, octaves: int) -> None:
        self.octaves, self.steps = octaves, 0
        self.start, self.goals = np.array([*BLOCKS[:blocks], AGENT]), np.array(GOALS[:blocks])
        self.physics = Physics.from_xml_string(_scene(blocks))
        self.model, self.data = self.physics.model.ptr, self.physics.data.ptr
        self.camera: engine.Camera | None = None
        size = 6 * blocks + 4 + (0 if octaves == 0 else 2 * (blocks + 1) * (1 + 2 * octaves))
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed, options=options)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = self.start.ravel()
        mujoco.mj_forward(self.model, self.data)
        self.steps = 0
        return self.observation(), self.info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        velocity, velocities = SPEED * np.clip(action, -1.0, 1.0), self.data.qvel
        for _ in range(SUBSTEPS):
            velocities[-2:] = velocity
            mujoco.mj_step(self.model, self.data)
        mujoco.mj_kinematics(self.model, self.data)  # for a picture of where boxes are now, not a substep ago
        self.steps += 1
        info = self.info()
        return self.observation(), float(info["all_blocks"]), False, self.steps >= HORIZON, info

    def observation(self) -> np.ndarray:
        places, velocities = self.data.qpos.reshape(-1, 2), self.data.qvel.reshape(-1, 2)
        blocks = places[:-1]
        state = np.concatenate([blocks, velocities[:-1], self.goals - blocks, places[-1:], velocities[-1:]]).ravel()
        if self.octaves == 0:
            return state.astype(np.float32)
        return np.concatenate([encode(places / 2.0, self.octaves).ravel(), 0.1 * state]).astype(np.float32)

    def info(self) -> dict[str, Any]:
        places = self.data.qpos.reshape(-1, 2)
        there = ((places[:-1] - self.goals) ** 2).sum(axis=-1) < NEAR**2
        return {"success": float(there.mean()), "all_blocks": bool(there.all()), "position": places[-1].copy()}

    def render(self) -> np.ndarray:
        """The scene from above, uint8 (64, 64, 3): x from -2.2 to 2.2 along a row, y from 2.2 down to -2.2."""
        try:
            if self.camera is None:
                self.camera = engine.Camera(self.physics, FRAME, FRAME, camera_id="above")
            return self.camera.render()
        except (mujoco.FatalError, RuntimeError) as error:
            if "opengl" in str(error).lower():
                raise RelatentError(f"a picture {gl.NEEDED} ({error})") from None
            raise


class Pixels(BlockPush):
    """The task with one block and, as observation, the last two pictures: uint8 (6, 64, 64), red, green and blue of the
    earlier one and then of the present one. An episode starts with the same picture twice."""

    def __init__(self) -> None:
        super().__init__(blocks=1, octaves=0)
        self.observation_space = gymnasium.spaces.Box(0, 255, (3 * FRAMES, FRAME, FRAME), np.uint8)
        self.seen = np.zeros((3 * FRAMES, FRAME, FRAME), np.uint8)

    def observation(self) -> np.ndarray:
        picture = self.render().transpose(2, 0, 1)
        earlier = [picture] * (FRAMES - 1) if self.steps == 0 else [self.seen[3:]]
        self.seen = np.concatenate([*earlier, picture])
        return self.seen


def make(task: str, octaves: int | None = None) -> BlockPush:
    """two_blocks has 6 octaves unless it is told otherwise; one_block_pixels has no setting."""
    if task == "two_blocks":
        return BlockPush(blocks=2, octaves=6 if octaves is None else octaves)
    if task != "one_block_pixels":
        raise RelatentError(f"there is no pushing task {task!r}, expected two_blocks or one_block_pixels")
    if octaves is not None:
        raise RelatentError(f"one_block_pixels observes pictures, which have no octaves, found octaves {octaves}")
    return Pixels()
