"""Cabinet: a mobile arm opens two doors (RPG, appendix C). A DECLARED SUBSTITUTE: other cabinet, other simulator.

The paper's is ManiSkill2's mobile Panda (haosulab/RPG@a7dc920, envs/maniskill) before PartNet-Mobility model 1018, in
SAPIEN. The model's meshes are a download that no package holds. Here the same kind of arm, gymnasium-robotics' Franka,
stands before the hinge cabinet of its kitchen, in MuJoCo.

The same as there: mount of the arm, start, controllers with their limits, gains and forces, 25 simulator steps of
0.002 s an agent step, gravity compensated, door friction and damping drawn in the same ranges, what counts as open,
rewards, success, the episode's 60 steps, and the length and order of observations.
Different:
- the cabinet: 0.8 wide, 0.4 high, on a plinth 0.2 high, doors 0.386 wide that open to 1.57 (there about 1.67), upright
  bars of radius 0.022 for handles; friction of doors is a torque in N m (there SAPIEN's joint friction),
- the fingers, 1.75 times as long; all that is measured along them is scaled by that; a finger's friction is 1.5, what
  SAPIEN makes of a finger's 2 and a door's 1,
- the zeros of arm joints 6 and 7, which are a quarter and an eighth of a turn from there; joint 4 ends at -0.4,
- the carriage, which is a box and has no friction; in `sparse` its four joints do not exist (there they are locked),
- handle points: 100 in a fixed pattern on the bar's surface (there 100 drawn from the handle's mesh each episode).
To add the original, write a module beside this one that wraps a ManiSkill2 installation with the user's assets, and
give it its own name among the suites: what is trained on it is another task.

The cabinet faces -x and the arm comes along x. Door 0, whose opening is worth more, has its hinge at +y; the hand of
the dense task starts nearer to the other one, which makes that one a local optimum (the paper's "left door", as the
cabinet has its left).

    task     base                                            reward                                    success
    dense    x in [-1.8, -1.6], y = 0.5, heading +-0.05 pi   sum over doors of q/goal, 2 if door 0     door 0 is open
                                                             is open, 1 if door 1 is, less d
    sparse   at (-1.1, 0), cannot move                       1 if both doors' q > 0.8 goal             the same

q is a door's angle, clipped to [0, goal]; goal is 0.9 of its range; open is q >= goal; d is the smaller one, over
doors, of 2 times the mean over both fingers of a finger's distance to the handle.

Actions (12), each in [-1, 1]: velocities of the base along its own x and y, its heading and its height (0.5 m/s, 0.5
m/s, 3.14 rad/s, 0.5 m/s), velocities of the seven arm joints (3.14 rad/s), where the fingers go (-0.01 to 0.04 m).

The state (75): positions (10) and velocities (10) of height, arm joints and fingers; base position (2), heading, base
velocity (2), turn rate; the cabinet's root position and quaternion (7), its linear and angular velocity (6, zeros),
door angles padded to 8, their velocities padded to 8; finger tips (2 x 3), finger velocities (2 x 3); 8 zeros, the
official code's unused target indicator. With e, the middle of the finger tips (3), and q, the two door angles:

    dense                (78)    e, state
    sparse, octaves 0    (75)    state
    sparse, octaves n    (80 + 5 (1 + 2n), which is 145 for 6)    0.05 e, 0.05 q, 0.05 state, encoding of (e, q)
"""

from dataclasses import dataclass
from typing import Any

import gymnasium
import mujoco
import numpy as np

from relatent.envs.cabinet_model import (
    ARM_JOINTS,
    BASE_JOINTS,
    DOOR_JOINTS,
    FINGER_BODIES,
    FINGER_JOINTS,
    FROZEN,
    HEIGHT,
    build,
)
from relatent.envs.picture import Picture
from relatent.envs.positional import encode
from relatent.specs.errors import RelatentError

SUBSTEPS = 25
HORIZON = 60
RANGES = (0.05, 5.0), (0.15, 20.0)  # least and most of a door's friction and damping, N m and N m s
GOAL = 0.9  # of a door's range
FAR = 0.8  # of the goal, which is enough in `sparse`
LIMITS = np.array([0.5, 0.5, 3.14, 0.5] + [3.14] * 7)  # of velocities, m/s and rad/s
FINGERS = (-0.01, 0.04)  # the targets of actions -1 and 1; fingers stop at 0, so less than that is force
ARM = np.array([0.0, 0.0, 0.0, -1.5, 0.0, 3.0 - np.pi / 2, 0.78 - np.pi / 4, 0.02, 0.02])  # start of joints and fingers
LONGER = 1.75  # these fingers, of the original ones
TIP = np.array([0.0, 0.0, 0.035]) * LONGER  # of a finger, in its frame
ALONG = np.outer(np.linspace(0.052, 0.014875, 10), [0.0, 0.0, 1.0]) * LONGER  # ten points on a finger
DOOR_BODIES = ["hingeleftdoor", "hingerightdoor"]
BAR_RADIUS, BAR_HALF_LENGTH = 0.022, 0.16
BARS = np.array([[0.302, -0.128, 0.0], [-0.302, -0.128, 0.0]])  # centres in their doors' frames
PADDED = 8  # doors that a state has room for


@dataclass(frozen=True)
class Addresses:
    """Where joints' positions and velocities stand."""

    position: np.ndarray
    velocity: np.ndarray


def bar(centre: np.ndarray) -> np.ndarray:
    """A hundred points (100, 3) on the surface of an upright handle: ten heights, ten directions."""
    angles, heights = np.meshgrid(np.arange(10) * 0.2 * np.pi, np.linspace(-BAR_HALF_LENGTH, BAR_HALF_LENGTH, 10))
    ring = BAR_RADIUS * np.cos(angles), BAR_RADIUS * np.sin(angles), heights
    return centre + np.stack(ring, axis=-1).reshape(-1, 3)


HANDLES = np.stack([bar(centre) for centre in BARS])  # door, point, xyz in the door's frame


class Cabinet(gymnasium.Env):
    """The arm and the cabinet. `reset` takes a seed each time, which alone decides an episode's start and doors."""

    def __init__(self, task: str, octaves: int) -> None:
        self.dense, self.octaves = task == "cabinet_dense", octaves
        self.model = build(mobile=self.dense)
        self.data = mujoco.MjData(self.model)
        self.picture = Picture(self.model, "behind")
        self.base = _addresses(self.model, BASE_JOINTS if self.dense else [])
        self.arm = _addresses(self.model, ARM_JOINTS + FINGER_JOINTS)
        self.doors = _addresses(self.model, DOOR_JOINTS)
        self.fingers = [self.model.body(name).id for name in FINGER_BODIES]
        self.door_bodies = [self.model.body(name).id for name in DOOR_BODIES]
        self.root = self.model.body("cabinet").id
        self.goals = GOAL * np.array([self.model.joint(name).range[1] for name in DOOR_JOINTS])
        self.steps = 0
        mujoco.mj_forward(self.model, self.data)
        size = len(self.observation())
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (len(LIMITS) + 1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed, options=options)
        mujoco.mj_resetData(self.model, self.data)
        if self.dense:
            distance, heading = self.np_random.uniform([1.6, -0.05 * np.pi], [1.8, 0.05 * np.pi])
            self.data.qpos[self.base.position] = [-distance, 0.5, heading, HEIGHT]
        self.data.qpos[self.arm.position] = ARM
        for dof in self.doors.velocity:
            self.model.dof_frictionloss[dof], self.model.dof_damping[dof] = self.np_random.uniform(*RANGES)
        mujoco.mj_forward(self.model, self.data)
        self.steps = 0
        return self.observation(), self.info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.data.ctrl[:] = self.controls(np.clip(action, -1.0, 1.0))
        mujoco.mj_step(self.model, self.data, SUBSTEPS)
        mujoco.mj_forward(self.model, self.data)  # a step leaves places of bodies as they were before it
        self.steps += 1
        return self.observation(), self.reward(), False, self.steps >= HORIZON, self.info()

    def controls(self, action: np.ndarray) -> np.ndarray:
        """Targets of the actuators: velocities, the base's turned into the world's directions, then both fingers."""
        velocities = action[:-1] * LIMITS
        low, high = FINGERS
        finger = low + (action[-1] + 1.0) * 0.5 * (high - low)
        if not self.dense:
            return np.concatenate([velocities[len(BASE_JOINTS) :], [finger, finger]])
        heading = self.data.qpos[self.base.position[2]]
        turn = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]])
        return np.concatenate([turn @ velocities[:2], velocities[2:], [finger, finger]])

    def angles(self) -> np.ndarray:
        """How far door 0 and door 1 are open."""
        return self.data.qpos[self.doors.position].copy()

    def opened(self) -> np.ndarray:
        """For each door, its angle over what counts as open, from 0 to 1."""
        return np.clip(self.angles() / self.goals, 0.0, 1.0)

    def distances(self) -> np.ndarray:
        """For each door, 2 times the mean over both fingers of a finger's distance to the handle."""
        fingers = np.stack([self.world(body, ALONG) for body in self.fingers])
        handles = np.stack([self.world(body, points) for body, points in zip(self.door_bodies, HANDLES, strict=True)])
        apart = handles[:, None, None] - fingers[None, :, :, None]  # door, finger, point on it, point on handle, xyz
        squares = np.einsum("dfphx,dfphx->dfph", apart, apart)
        return 2.0 * np.sqrt(squares.min(axis=(2, 3))).mean(axis=1)

    def reward(self) -> float:
        if not self.dense:
            return float((self.opened() > FAR).all())
        fully = self.angles() >= self.goals
        return float(self.opened().sum() + 2.0 * fully[0] + 1.0 * fully[1] - self.distances().min())

    def info(self) -> dict[str, float]:
        fully = self.angles() >= self.goals
        success = fully[0] if self.dense else (self.opened() > FAR).all()
        return {"success": float(success), "door0": float(fully[0]), "door1": float(fully[1])}

    def world(self, body: int, points: np.ndarray) -> np.ndarray:
        """points (..., 3) of a body's frame, in the world's."""
        return points @ self.data.xmat[body].reshape(3, 3).T + self.data.xpos[body]

    def observation(self) -> np.ndarray:
        state = self.state()
        tips = np.mean([self.world(body, TIP) for body in self.fingers], axis=0)
        if self.dense:
            parts = [tips, state]
        elif self.octaves == 0:
            parts = [state]
        else:
            objects = np.concatenate([tips, self.angles()])
            parts = [0.05 * objects, 0.05 * state, encode(objects, self.octaves)]
        return np.concatenate(parts).astype(np.float32)

    def state(self) -> np.ndarray:
        """All 75 numbers, in ManiSkill2's order."""
        data = self.data
        base, base_velocity = FROZEN, np.zeros(len(FROZEN))
        if self.dense:
            base, base_velocity = data.qpos[self.base.position], data.qvel[self.base.velocity]
        angles, velocities = np.zeros(PADDED), np.zeros(PADDED)
        angles[:2], velocities[:2] = self.angles(), data.qvel[self.doors.velocity]
        return np.concatenate(
            [
                base[3:],
                data.qpos[self.arm.position],
                base_velocity[3:],
                data.qvel[self.arm.velocity],
                base[:3],
                base_velocity[:3],
                data.xpos[self.root],
                data.xquat[self.root],
                np.zeros(6),
                angles,
                velocities,
                *[self.world(body, TIP) for body in self.fingers],
                *[self.linear_velocity(body) for body in self.fingers],
                np.zeros(PADDED),
            ]
        )

    def linear_velocity(self, body: int) -> np.ndarray:
        """Of a body's centre of mass, along the world's axes."""
        velocity = np.empty(6)
        mujoco.mj_objectVelocity(self.model, self.data, mujoco.mjtObj.mjOBJ_BODY, body, velocity, 0)
        return velocity[3:]

    def render(self) -> np.ndarray:
        """Arm and cabinet from behind the arm: uint8, height x width x 3, red, green and blue."""
        return self.picture.take(self.data)


def _addresses(model: mujoco.MjModel, joints: list[str]) -> Addresses:
    ids = [model.joint(name).id for name in joints]
    return Addresses(model.jnt_qposadr[ids], model.jnt_dofadr[ids])


def make(task: str, octaves: int = 0) -> Cabinet:
    if task not in ("cabinet_dense", "cabinet_sparse"):
        raise RelatentError(f"cabinet has no task {task!r}, expected cabinet_dense or cabinet_sparse")
    if task == "cabinet_dense" and octaves != 0:
        raise RelatentError(f"the dense cabinet's observation is not encoded: octaves is {octaves}, expected 0")
    return Cabinet(task, octaves)
