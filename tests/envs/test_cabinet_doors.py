"""Both cabinet tasks can be solved: an arm opens the doors by its actions alone.

The controller knows the simulator's state, as no agent does, and sets joint velocities by damped least squares, so that
the middle of the finger tips goes to places in a door's own frame.
"""

from collections.abc import Iterator

import mujoco
import numpy as np
import pytest

from relatent.envs import cabinet
from relatent.envs.cabinet import Cabinet, make

GOAL = 0.9 * 1.57  # the angle of an open door
HANDLE = (0.302, -0.128)


def at(env: Cabinet, door: int, across: float, out: float, turn: float = 0.0) -> np.ndarray:
    """A place at half height: `across` a door from its hinge, `out` behind it, if it were open by `turn` more."""
    side = 1 if door == 0 else -1
    body = env.data.body(cabinet.DOOR_BODIES[door])
    x, y, z = body.xmat.reshape(3, 3) @ [side * across, out, 0]
    cosine, sine = np.cos(-side * turn), np.sin(-side * turn)
    return body.xpos + np.array([cosine * x - sine * y, sine * x + cosine * y, z])


def hand(env: Cabinet) -> tuple[np.ndarray, np.ndarray]:
    """Middle of the finger tips; rotation whose third column is where fingers point, first across their closing."""
    tips = env.state()[55:61].reshape(2, 3)
    return tips.mean(axis=0), env.data.body("panda0_leftfinger").xmat.reshape(3, 3)


def reach(env: Cabinet, velocity: np.ndarray, look: float, firmly: float, gripper: float) -> np.ndarray:
    """The action that moves the finger tips with a velocity and turns the hand so that it grasps upright bars and,
    more or less firmly, points into a horizontal direction."""
    tips, frame = hand(env)
    names = (cabinet.BASE_JOINTS[:3] if env.dense else []) + cabinet.ARM_JOINTS
    limits = np.delete(cabinet.LIMITS, 3)[-len(names) :]
    joints = [env.model.joint(name) for name in names]
    shift, turn = np.zeros((3, env.model.nv)), np.zeros((3, env.model.nv))
    mujoco.mj_jac(env.model, env.data, shift, turn, tips, env.model.body("panda0_link7").id)
    dofs = [joint.dofadr[0] for joint in joints]
    pointing = np.array([np.cos(look), np.sin(look), 0])
    turning = 1.8 * (np.cross(frame[:, 0], [0, 0, 1]) + firmly * np.cross(frame[:, 2], pointing))
    off_centre = np.zeros(len(names))  # arm joints are drawn to the middle of their ranges
    for index, joint in enumerate(joints[-7:], start=len(names) - 7):
        low, high = joint.range
        off_centre[index] = (2 * env.data.joint(joint.name).qpos[0] - low - high) / (high - low)
    matrix = np.concatenate([np.concatenate([shift[:, dofs], 0.3 * turn[:, dofs]]) * limits, np.diag(0.05 * limits)])
    wanted = np.concatenate([velocity, turning, -0.1 * off_centre**3])
    speeds = np.linalg.lstsq(matrix, wanted, rcond=None)[0]
    speeds /= max(1.0, np.abs(speeds).max())
    action = np.zeros(12)
    action[4:11], action[11] = speeds[-7:], gripper
    if env.dense:
        heading = env.data.joint("base_heading").qpos[0]
        turned = np.array([[np.cos(heading), np.sin(heading)], [-np.sin(heading), np.cos(heading)]])
        action[:2], action[2] = turned @ speeds[:2], speeds[2]
    return action


def grasp(env: Cabinet, door: int, look: float, firmly: float, away: float, near: float, gain: float) -> Iterator:
    """Actions until the open gripper is around the handle, then one that closes it."""
    pointing = np.array([np.cos(look), np.sin(look), 0])
    while True:
        tips, frame = hand(env)
        gap = at(env, door, *HANDLE) - away * pointing - tips
        if np.linalg.norm(gap) < near and frame[:, 2] @ pointing > 0.75 and abs(frame[2, 0]) > 0.75:
            break
        yield reach(env, gain * gap, look, firmly, 1.0)
    while np.linalg.norm(gap := at(env, door, *HANDLE) - hand(env)[0]) >= 0.025:
        yield reach(env, gain * gap, look, firmly, 1.0)
    yield reach(env, gain * gap, look, firmly, -1.0)


def pull(
    env: Cabinet, door: int, until: float, look: float, firmly: float, lead: float, slip: float, gain: float
) -> Iterator:
    """Actions along the handle's arc, slower where the handle slips out of the gripper."""
    while env.angles()[door] < until:
        handle, tips = at(env, door, *HANDLE), hand(env)[0]
        held = max(0.0, 1 - np.linalg.norm((handle - tips)[:2]) / slip)
        tangent = (at(env, door, *HANDLE, turn=0.01) - handle) / 0.01
        velocity = gain * (at(env, door, *HANDLE, turn=held * lead) - tips) + 2.09 * held * tangent
        yield reach(env, velocity, look, firmly, -1.0)


def open_one(env: Cabinet, door: int) -> Iterator:
    look = 0.6 if door == 0 else -0.6  # towards the hinge
    yield from grasp(env, door, look, 0.9, away=0.1, near=0.1, gain=15)
    yield from pull(env, door, np.inf, look, 0.3, lead=0.15, slip=0.08, gain=15)


def open_both(env: Cabinet) -> Iterator:
    """Door 0 is pulled a little and pushed from inside, so that the hand is free for door 1, which is pulled."""
    gain = 18.5
    yield from grasp(env, 0, np.deg2rad(50), 1.1, away=0.06, near=0.09, gain=gain)
    yield from pull(env, 0, 0.4, np.deg2rad(50), 0.33, lead=0.03, slip=0.1, gain=gain)
    while (at(env, 0, *HANDLE) - hand(env)[0]) @ hand(env)[1][:, 2] <= 0.09:
        yield reach(env, -0.12 * gain * hand(env)[1][:, 2], 0, 0, 1.0)
    while np.linalg.norm(gap := at(env, 0, 0.37, -0.12) - hand(env)[0]) >= 0.05:
        yield reach(env, gain * gap, np.deg2rad(55), 0.68, -1.0)
    while env.angles()[0] < 1.14:
        yield reach(env, gain * (at(env, 0, 0.345, 0.02, turn=0.48) - hand(env)[0]), np.deg2rad(55), 0.68, -1.0)
    yield from grasp(env, 1, np.deg2rad(12), 1.1, away=0.06, near=0.09, gain=gain)
    yield from pull(env, 1, 1.3, np.deg2rad(12), 0.33, lead=0.03, slip=0.1, gain=gain)
    while True:
        yield reach(env, np.zeros(3), 0, 0, -1.0)


@pytest.mark.parametrize("seed", [0, 2, 4, 7])
@pytest.mark.parametrize("door", [0, 1])
def test_an_arm_on_wheels_opens_either_door_fully_and_only_the_first_is_success(door: int, seed: int) -> None:
    dense = make("cabinet_dense")
    dense.reset(seed=seed)
    actions = open_one(dense, door)
    rewards = []
    for _ in range(60):
        _, reward, _, truncated, info = dense.step(next(actions))
        rewards.append(reward)
    assert truncated
    assert info == {"success": 1 - door, "door0": 1 - door, "door1": door}
    assert dense.angles()[door] >= GOAL
    assert rewards[0] < 0
    # q/goal is 1, the bonus 2 or 1, and the hand still holds the handle.
    assert 0 < (2 - door + 1) - rewards[-1] < 0.1


@pytest.mark.parametrize("seed", [0, 2, 4, 11])  # episodes whose door 1 is not among the stiff ones
def test_an_arm_that_cannot_drive_opens_both_doors(seed: int) -> None:
    sparse = make("cabinet_sparse")
    sparse.reset(seed=seed)
    actions = open_both(sparse)
    rewards = []
    for _ in range(60):
        _, reward, _, truncated, info = sparse.step(next(actions))
        rewards.append(reward)
    assert truncated
    assert info["success"] == 1
    assert (sparse.angles() > 0.8 * GOAL).all()
    assert rewards == sorted(rewards)  # 0 until both are open
    assert rewards[0] == 0
