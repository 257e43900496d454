"""AntPush: the maze, the ant's changes, observation, reward, horizon, and an ant that walks round the block."""

from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest

from relatent.envs import ant_push
from relatent.envs.ant_push import AntPush, make
from relatent.envs.positional import encode
from relatent.specs.errors import RelatentError

PLAN = ["#####", "## ##", "# B #", "#  ##", "#####"]  # from y = 24 down to y = -8, x = -16 to 16; B is the block


@pytest.fixture
def env() -> AntPush:
    env = make("ant_push")
    env.reset(seed=0)
    return env


def test_the_maze_has_its_walls_and_its_block_where_the_plan_has_them(env: AntPush) -> None:
    """What a ray from above meets at the centre and near the corners of every cell."""
    torso = env.model.body("torso").id
    hit = np.zeros(1, np.int32)
    for row, line in enumerate(PLAN):
        for column, cell in enumerate(line):
            for offset in ((0, 0), (3.9, 3.9), (-3.9, -3.9)):
                start = np.array([8.0 * column - 16 + offset[0], 24 - 8.0 * row + offset[1], 20.0])
                down = np.array([0.0, 0.0, -1.0])
                fall = mujoco.mj_ray(env.model, env.data, start, down, None, 1, torso, hit)
                top = 20 - fall
                if np.linalg.norm(start[:2]) > 2:  # the ant stands at the origin
                    assert abs(top - (0 if cell == " " else 4)) < 1e-6, (row, column)
                    assert (env.model.geom_bodyid[hit[0]] == env.model.body("block").id) == (cell == "B")


def test_the_ant_is_gymnasiums_but_for_torque_contact_and_time_step(env: AntPush) -> None:
    xml = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "ant.xml"
    ours, theirs = env.model, mujoco.MjModel.from_xml_path(str(xml))
    bodies, joints, dofs, positions = theirs.nbody, theirs.njnt, theirs.nv, theirs.nq
    assert (bodies, joints, dofs, positions) == (14, 9, 14, 15)
    np.testing.assert_array_equal(ours.body_mass[:bodies], theirs.body_mass)
    np.testing.assert_array_equal(ours.body_inertia[:bodies], theirs.body_inertia)
    np.testing.assert_array_equal(ours.jnt_range[:joints], theirs.jnt_range)
    np.testing.assert_array_equal(ours.dof_armature[:dofs], theirs.dof_armature)
    np.testing.assert_array_equal(ours.dof_damping[:dofs], theirs.dof_damping)
    np.testing.assert_array_equal(ours.qpos0[:positions], theirs.qpos0)
    np.testing.assert_array_equal(ours.actuator_trnid, theirs.actuator_trnid)
    np.testing.assert_array_equal(ours.geom_friction[: theirs.ngeom], theirs.geom_friction)
    assert (ours.opt.timestep, theirs.opt.timestep) == (0.02, 0.01)
    assert ours.opt.integrator == theirs.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4
    np.testing.assert_array_equal(ours.geom_solref, np.tile([0.02, 1], (ours.ngeom, 1)))
    np.testing.assert_array_equal(ours.geom_solimp[:, :3], np.tile([0.995, 0.995, 0.01], (ours.ngeom, 1)))


def test_the_block_weighs_a_fifth_of_a_gram_and_slides_freely(env: AntPush) -> None:
    block = env.model.body("block")
    assert env.model.body_mass[block.id] == 0.0002
    np.testing.assert_array_equal(env.model.geom_size[block.geomadr[0]], [4, 4, 2])
    assert env.model.jnt_type[-2:].tolist() == [mujoco.mjtJoint.mjJNT_SLIDE] * 2
    np.testing.assert_array_equal(env.model.jnt_axis[-2:], [[1, 0, 0], [0, 1, 0]])
    assert env.model.jnt_limited[-2:].tolist() == [0, 0]
    assert env.model.dof_damping[-2:].tolist() == env.model.dof_armature[-2:].tolist() == [0, 0]


@pytest.mark.parametrize(("action", "torque"), [(1.0, 30.0), (-0.5, -15.0), (7.0, 30.0)])
def test_an_action_is_a_torque_of_at_most_thirty(env: AntPush, action: float, torque: float) -> None:
    before = env.data.time
    env.step(np.full(8, action))
    np.testing.assert_allclose(env.data.qfrc_actuator[6:14], torque)
    assert env.data.time - before == pytest.approx(0.1)


def test_the_observation_is_ant_position_velocity_time_and_block(env: AntPush) -> None:
    actions = np.random.default_rng(0)
    for _ in range(20):
        env.data.qvel[14:] = [0.5, -0.3]  # the block's
        observation = env.step(actions.uniform(-1, 1, 8))[0]
    root, block = env.data.joint("root"), env.model.body("block").id
    np.testing.assert_array_equal(observation[:7], root.qpos.astype(np.float32))
    np.testing.assert_array_equal(observation[15:21], root.qvel.astype(np.float32))
    for index, name in enumerate(["hip_1", "ankle_1", "hip_2", "ankle_2", "hip_3", "ankle_3", "hip_4", "ankle_4"]):
        joint = env.data.joint(name)
        assert observation[7 + index] == np.float32(joint.qpos[0])
        assert observation[21 + index] == np.float32(joint.qvel[0])
    assert observation[29] == np.float32(0.02)
    mujoco.mj_kinematics(env.model, env.data)
    np.testing.assert_allclose(observation[30:], env.data.xpos[block], rtol=1e-6)
    assert abs(observation[30:32] - [0, 8]).min() > 1e-3  # it moved both ways
    assert (observation.shape, observation.dtype) == ((33,), np.float32)
    assert env.observation_space.contains(observation)


def test_with_octaves_the_observation_is_the_official_one_of_sparse_rewards() -> None:
    raw, encoded = make("ant_push", 0), make("ant_push", 6)
    plain, observation = raw.reset(seed=4)[0].astype(np.float64), encoded.reset(seed=4)[0]
    expected = [0.01 * plain[:2], 0.1 * plain[2:30], encode(plain[:15] / 10, 6), encode(plain[30:32] - [0, 8], 6)]
    assert observation.shape == (251,) == encoded.observation_space.shape
    np.testing.assert_allclose(observation, np.concatenate(expected), atol=1e-5)


PLACES = [((0, 14.01), 1.0), ((0, 13.99), 0.0), ((3.0, 15.01), 1.0), ((3.0, 14.99), 0.0), ((-8, 8), 0.0), ((0, 0), 0.0)]


@pytest.mark.parametrize(("place", "success"), PLACES)
def test_success_is_to_be_within_five_of_the_goal(env: AntPush, place: tuple[float, float], success: float) -> None:
    env.data.qpos[:2] = place
    assert env.info()["success"] == success
    np.testing.assert_array_equal(env.info()["position"], place)


def test_the_reward_is_a_tenth_of_the_distance_after_the_step_and_nothing_ends_before_400_steps(env: AntPush) -> None:
    actions = np.random.default_rng(0)
    ends = []
    for _ in range(400):
        _, reward, terminated, truncated, info = env.step(actions.uniform(-1, 1, 8))
        x, y = env.data.joint("root").qpos[:2]
        assert reward == pytest.approx(-0.1 * np.hypot(x, y - 19), abs=1e-12)
        assert info["success"] == float(np.hypot(x, y - 19) < 5)
        ends.append((terminated, truncated))
    assert ends == [(False, False)] * 399 + [(False, True)]


def test_a_start_is_near_the_origin_with_the_block_at_rest() -> None:
    env = make("ant_push")
    places, velocities = [], []
    for seed in range(300):
        env.reset(seed=seed)
        places.append(env.data.qpos.copy() - env.model.qpos0)
        velocities.append(env.data.qvel.copy())
        assert not places[-1][15:].any()
        assert not velocities[-1][14:].any()
    noise = np.array(places)[:, :15]
    assert -0.1 <= noise.min() < -0.099
    assert 0.099 < noise.max() <= 0.1
    assert np.array(velocities)[:, :14].std() == pytest.approx(0.1, abs=0.005)  # 4200 draws: 4.6 standard errors


def episode(env: AntPush, seed: int) -> list[bytes]:
    actions = np.random.default_rng(seed)
    return [env.reset(seed=seed)[0].tobytes()] + [env.step(actions.uniform(-1, 1, 8))[0].tobytes() for _ in range(40)]


def test_a_seed_decides_the_whole_episode_whatever_came_before() -> None:
    fresh, used = make("ant_push"), make("ant_push")
    first = episode(fresh, 7)
    assert episode(used, 8) != first
    assert episode(used, 7) == first


def test_long_random_episodes_stay_finite_and_inside_the_walls() -> None:
    env = make("ant_push")
    actions = np.random.default_rng(1)
    for seed in range(4):
        env.reset(seed=seed)
        for _ in range(400):
            held = np.sign(actions.uniform(-1, 1, 8))  # as hard as it can
            observation = env.step(held)[0]
            assert np.isfinite(observation).all()
        x, y = env.data.qpos[:2]
        assert -12 < x < 12
        assert -4 < y < 20
        assert env.data.warning.number.sum() == 0


# An omnidirectional trot, found by random search over its seven numbers: diagonal legs alternate, hips sweep along the
# wanted direction while a foot is down, ankles lift it on the way back; torques follow by proportion and damping.
CYCLES, SWEEP, BEND, LIFT, STIFFNESS, DAMPING, STRAIGHTEN = 1.255, 0.82, 0.498, 0.588, 99.4, 9.77, 0.188
AZIMUTHS, PHASES = np.deg2rad([45, 135, 225, 315]), np.array([0, np.pi, 0, np.pi])
SIGNS = np.array([1, -1, -1, 1])  # of an ankle's angle that bends it down
LEGS = [3, 0, 1, 2]  # as the actuators have them


def trot(observation: np.ndarray, step: int, towards: np.ndarray) -> np.ndarray:
    w, x, y, z = observation[3:7]
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    ahead = np.arctan2(towards[1], towards[0]) - yaw
    turned = (yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4  # from the nearest of four headings that are alike to an ant
    phase = 2 * np.pi * CYCLES * 0.1 * (step + 1) + PHASES
    hips = np.clip(SWEEP * (np.sin(ahead - AZIMUTHS) - STRAIGHTEN * turned) * np.cos(phase), -0.52, 0.52)
    ankles = SIGNS * np.clip(BEND + LIFT * np.sin(phase), 0.52, 1.22)
    wanted = np.stack([hips, ankles], axis=1)[LEGS]
    positions, velocities = observation[7:15].reshape(4, 2)[LEGS], observation[21:29].reshape(4, 2)[LEGS]
    return np.clip((STIFFNESS * (wanted - positions) - DAMPING * velocities) / 30, -1, 1).ravel()


def walk(env: AntPush, seed: int, route: list[tuple[float, float]]) -> tuple[dict, np.ndarray]:
    """info after the last step and the block's x and y, when the ant trots along a route; all by actions."""
    observation, info = env.reset(seed=seed)
    left = list(route)
    for step in range(400):
        position = info["position"]
        while len(left) > 1 and np.linalg.norm(position - left[0]) < 0.8:
            left.pop(0)
        observation, _, _, truncated, info = env.step(trot(observation, step, np.array(left[0]) - position))
    assert truncated
    return info, observation[30:32]


ROUND = [(-5.7, 1.2), (-6.0, 6.5), (-0.8, 7.0), (-2.4, 9.0), (-2.3, 13.5), (0.0, 17.0)]


@pytest.mark.parametrize("seed", [1, 2, 5, 9])
def test_an_ant_that_walks_left_round_the_block_pushes_it_aside_and_reaches_the_room(env: AntPush, seed: int) -> None:
    info, block = walk(env, seed, ROUND)
    assert info["success"] == 1.0
    assert block[0] > 2.5  # aside, to the right
    assert abs(block[1] - 8) < 0.1


def test_an_ant_that_walks_straight_ahead_closes_the_room(env: AntPush) -> None:
    info, block = walk(env, 0, [(0.0, 19.0)])
    assert info["success"] == 0.0
    assert block[1] > 8.5  # into the room's entrance
    assert info["position"][1] < block[1] - 3.9  # and the ant is still behind it


def test_the_block_fills_the_room_when_it_is_pushed_ahead(env: AntPush) -> None:
    """Pushed by a force that nothing in the task has, until it meets the room's far wall."""
    env.data.xfrc_applied[env.model.body("block").id, :2] = [0, 10]
    for _ in range(100):
        observation = env.step(np.zeros(8))[0]
    np.testing.assert_allclose(observation[30:32], [0, 16], atol=0.2)


def test_a_picture_shows_the_red_block_at_its_place(env: AntPush) -> None:
    pictures = []
    for x in (0.0, 8.0):
        env.data.qpos[15] = x
        mujoco.mj_forward(env.model, env.data)
        pictures.append(env.render())
    assert (pictures[0].shape, pictures[0].dtype) == ((128, 128, 3), np.uint8)
    columns = [np.nonzero(picture[..., 0] > 1.5 * picture[..., 2] + 50)[1].mean() for picture in pictures]
    assert columns[0] == pytest.approx(63.5, abs=3)
    assert columns[1] > columns[0] + 10


def test_an_unknown_task_is_one_line() -> None:
    with pytest.raises(RelatentError, match="no task 'sparse', expected ant_push"):
        ant_push.make("sparse")
