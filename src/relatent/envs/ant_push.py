"""AntPush: an ant walks to a room that a light block closes (RPG, appendix C; Nachum et al., 2018).

    y
    24   # # # # #      cells of 8 x 8, walls 4 high; the ant starts at the origin, facing along x
    16   # # G # #      G is the room: the goal is (0, 19), and to be within 5 of it is success
     8   # . B . #      B is the block: 8 x 8 x 4, 0.2 g, slides along x and y while it is pushed
     0   # . A # #
    -8   # # # # #
       -16-8 0 8 16  x

Pushed ahead, the block fills the room for good. The way in is to walk left round the block and to push it to the right.

The model is gymnasium's ant.xml made into the one of haosulab/RPG@a7dc920 (envs/hiro_robot_envs): joint torques of at
most 30 instead of 150, a time step of 0.02 instead of 0.01, stiffer contacts because of the block, the maze's boxes.
An agent step holds an action for five time steps, 0.1 s. The reward is -0.1 times the ant's distance to the goal;
nothing terminates, 400 agent steps truncate.

Without octaves, as published, the observation (33) is the ant's position (15: x, y, z, quaternion, eight joints), its
velocity (14), the number of agent steps times 0.001, and the block's centre (3). With octaves it is what the official
code gives to sparse rewards: x and y times 0.01, the other 28 of those numbers times 0.1, and the encodings of the
ant's position over 10 and of the block's displacement.
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np

from relatent.envs.picture import Picture
from relatent.envs.positional import encode
from relatent.specs.errors import RelatentError

CELL = 8.0
HEIGHT = 4.0  # of walls and block
OPEN = {(-8.0, 0.0), (0.0, 0.0), (-8.0, 8.0), (8.0, 8.0), (0.0, 16.0)}  # centres of cells without a wall
BLOCK = (0.0, 8.0, HEIGHT / 2)  # its centre at the start
GOAL = np.array([0.0, 19.0])
REACHED = 5.0
TORQUE = 30.0
SUBSTEPS = 5
HORIZON = 400
POSITIONS, VELOCITIES = 15, 14  # of the ant alone


class AntPush(gymnasium.Env):
    """The ant, the maze and the block. `reset` takes a seed each time, which alone decides the episode's start."""

    def __init__(self, octaves: int) -> None:
        self.octaves = octaves
        self.model = mujoco.MjModel.from_xml_string(maze())
        self.data = mujoco.MjData(self.model)
        self.picture = Picture(self.model, "above")
        self.steps = 0
        size = len(self.observation())
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (self.model.nu,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed, options=options)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:POSITIONS] += self.np_random.uniform(-0.1, 0.1, POSITIONS)
        self.data.qvel[:VELOCITIES] = 0.1 * self.np_random.standard_normal(VELOCITIES)
        mujoco.mj_forward(self.model, self.data)
        self.steps = 0
        return self.observation(), self.info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.data.ctrl[:] = TORQUE * np.clip(action, -1.0, 1.0)
        mujoco.mj_step(self.model, self.data, SUBSTEPS)
        self.steps += 1
        return self.observation(), -0.1 * self.distance(), False, self.steps >= HORIZON, self.info()

    def distance(self) -> float:
        """Of the ant's centre to the goal."""
        return float(np.linalg.norm(self.data.qpos[:2] - GOAL))

    def info(self) -> dict[str, Any]:
        return {"success": float(self.distance() < REACHED), "position": self.data.qpos[:2].copy()}

    def observation(self) -> np.ndarray:
        ant, block = self.data.qpos[:POSITIONS], self.data.qpos[POSITIONS:]
        state = np.concatenate([ant, self.data.qvel[:VELOCITIES], [0.001 * self.steps]])
        if self.octaves == 0:
            centre = np.array(BLOCK)
            centre[:2] += block
            parts = [state, centre]
        else:
            parts = [0.01 * state[:2], 0.1 * state[2:], encode(ant / 10.0, self.octaves), encode(block, self.octaves)]
        return np.concatenate(parts).astype(np.float32)

    def render(self) -> np.ndarray:
        """The maze from above, x to the right and y upwards: uint8, height x width x 3, red, green and blue."""
        return self.picture.take(self.data)


def maze() -> str:
    """The model's XML: gymnasium's ant with HIRO's torques, contacts and time step, the walls and the block."""
    tree = ElementTree.parse(Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "ant.xml")
    root = tree.getroot()
    _only(root, "option").set("timestep", "0.02")
    geom = _only(root, "default/geom")
    geom.set("solref", ".02 1")
    geom.set("solimp", ".995 .995 .01")
    for motor in root.iterfind("actuator/motor"):
        motor.set("gear", "1")
        motor.set("ctrlrange", f"{-TORQUE} {TORQUE}")
    world = _only(root, "worldbody")
    centres = [(CELL * x, CELL * y) for y in range(-1, 4) for x in range(-2, 3)]
    for x, y in centres:
        if (x, y) not in OPEN and (x, y) != BLOCK[:2]:
            world.append(_box(f"{x} {y} {HEIGHT / 2}", "0.4 0.4 0.4 1"))
    block = ElementTree.SubElement(world, "body", name="block", pos="{} {} {}".format(*BLOCK))
    for axis in ("1 0 0", "0 1 0"):
        ElementTree.SubElement(
            block, "joint", type="slide", axis=axis, limited="false", armature="0", damping="0", margin="0.01"
        )
    block.append(_box("0 0 0", "0.9 0.1 0.1 1", mass="0.0002"))
    ElementTree.SubElement(world, "camera", name="above", pos="0 8 50", fovy="48")
    return ElementTree.tostring(root, encoding="unicode")


def _only(root: ElementTree.Element, path: str) -> ElementTree.Element:
    found = root.find(path)
    assert found is not None, f"gymnasium's ant.xml has no {path}"
    return found


def _box(centre: str, colour: str, **attributes: str) -> ElementTree.Element:
    """A cell's box, which touches the ant, other boxes and the floor."""
    size = f"{CELL / 2} {CELL / 2} {HEIGHT / 2}"
    box = {"type": "box", "pos": centre, "size": size, "rgba": colour, "contype": "1", "conaffinity": "1"}
    return ElementTree.Element("geom", box | attributes)


def make(task: str, octaves: int = 0) -> AntPush:
    if task != "ant_push":
        raise RelatentError(f"ant_push has no task {task!r}, expected ant_push")
    return AntPush(octaves)
