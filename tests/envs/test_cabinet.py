"""Cabinet: geometry, starts, controllers, observation, rewards, horizon, seeds."""

import mujoco
import numpy as np
import pytest

from relatent.envs import cabinet
from relatent.envs.cabinet import Cabinet, make
from relatent.envs.positional import encode
from relatent.specs.errors import RelatentError

FULL = 1.57  # a door's range
LAYOUTS = [("cabinet_dense", 0, 78), ("cabinet_sparse", 0, 75), ("cabinet_sparse", 6, 145), ("cabinet_sparse", 2, 105)]


@pytest.fixture(scope="module", params=["cabinet_dense", "cabinet_sparse"])
def env(request: pytest.FixtureRequest) -> Cabinet:
    return make(request.param)


@pytest.fixture(scope="module")
def dense() -> Cabinet:
    return make("cabinet_dense")


@pytest.fixture(scope="module")
def sparse() -> Cabinet:
    return make("cabinet_sparse", 6)


def place(env: Cabinet, **joints: float) -> None:
    for name, value in joints.items():
        env.data.joint(name).qpos[0] = value
    mujoco.mj_forward(env.model, env.data)


def doors(env: Cabinet, first: float, second: float) -> None:
    place(env, left_hinge_cabinet=first, right_hinge_cabinet=second)


@pytest.mark.parametrize(("task", "octaves", "size"), LAYOUTS)
def test_sizes(task: str, octaves: int, size: int) -> None:
    env = make(task, octaves)
    observation, _ = env.reset(seed=0)
    assert (observation.shape, observation.dtype) == ((size,), np.float32)
    assert (env.observation_space.shape, env.action_space.shape) == ((size,), (12,))


def test_the_state_is_in_maniskills_order(env: Cabinet) -> None:
    """Every number by its name in the simulator, after steps in which all of them move."""
    env.reset(seed=3)
    actions = np.random.default_rng(0)
    for _ in range(4):
        env.data.joint("left_hinge_cabinet").qvel[0], env.data.joint("right_hinge_cabinet").qvel[0] = 2.0, 1.0
        observation = env.step(actions.uniform(-1, 1, 12))[0].astype(np.float64)
    data, state = env.data, observation[-75:]
    names = [*cabinet.ARM_JOINTS, *cabinet.FINGER_JOINTS]
    np.testing.assert_allclose(state[1:10], [data.joint(name).qpos[0] for name in names], rtol=1e-6)
    np.testing.assert_allclose(state[11:20], [data.joint(name).qvel[0] for name in names], rtol=1e-6)
    base = [(-1.1, 0), (0, 0), (0, 0), (1e-4, 0)]
    if env.dense:
        base = [(data.joint(name).qpos[0], data.joint(name).qvel[0]) for name in cabinet.BASE_JOINTS]
        assert np.abs(base).min() > 0
    (x, vx), (y, vy), (heading, turn), (lift, rise) = base
    np.testing.assert_allclose(state[[0, 10]], [lift, rise], rtol=1e-6)
    np.testing.assert_allclose(state[20:26], [x, y, heading, vx, vy, turn], rtol=1e-6)
    np.testing.assert_allclose(state[26:33], [0, 0, 0.4, np.sqrt(0.5), 0, 0, -np.sqrt(0.5)], atol=1e-7)
    angles = [data.joint(name).qpos[0] for name in ("left_hinge_cabinet", "right_hinge_cabinet")]
    velocities = [data.joint(name).qvel[0] for name in ("left_hinge_cabinet", "right_hinge_cabinet")]
    assert min(angles) > 0.01
    np.testing.assert_allclose(state[33:55], [*[0] * 6, *angles, *[0] * 6, *velocities, *[0] * 6], rtol=1e-6)
    tips, moved = [], []
    for name in ("panda0_leftfinger", "panda0_rightfinger"):
        body = data.body(name)
        tips.append(body.xpos + 1.75 * 0.035 * body.xmat.reshape(3, 3)[:, 2])
        jacobian = np.zeros((3, env.model.nv))
        mujoco.mj_jacBodyCom(env.model, data, jacobian, None, env.model.body(name).id)
        moved.append(jacobian @ data.qvel)
    np.testing.assert_allclose(state[55:61], np.concatenate(tips), rtol=1e-6)
    np.testing.assert_allclose(state[61:67], np.concatenate(moved), rtol=1e-5, atol=1e-7)
    assert not state[67:].any()
    if env.dense:
        np.testing.assert_allclose(observation[:3], np.mean(tips, axis=0), rtol=1e-6)


def test_what_is_sparse_is_encoded_and_the_rest_is_small(sparse: Cabinet) -> None:
    sparse.reset(seed=0)
    doors(sparse, 0.7, 0.4)
    observation, state = sparse.observation(), sparse.state()
    objects = np.concatenate([state[55:61].reshape(2, 3).mean(axis=0), [0.7, 0.4]])
    expected = [0.05 * objects, 0.05 * state, encode(objects, 6)]
    np.testing.assert_allclose(observation, np.concatenate(expected), atol=1e-6)


def test_doors_hang_where_they_should_and_open_towards_the_arm(env: Cabinet) -> None:
    env.reset(seed=0)
    for angle in (0.0, 0.5, FULL):
        doors(env, angle, angle)
        for side, site in ((1, "hinge_site1"), (-1, "hinge_site2")):  # door 0 at +y, door 1 at -y
            across, out = 0.302, 0.128  # of the handle, from the hinge, in the door
            x = -0.32 - out * np.cos(angle) - across * np.sin(angle)
            y = side * (0.38 + out * np.sin(angle) - across * np.cos(angle))
            np.testing.assert_allclose(env.data.site(site).xpos, [x, y, 0.4], atol=1e-9)
    np.testing.assert_allclose(env.goals, 0.9 * FULL)
    for name in ("left_hinge_cabinet", "right_hinge_cabinet"):
        np.testing.assert_allclose(env.model.joint(name).range, [0, FULL])


def test_starts_and_doors_are_drawn_in_the_papers_ranges(env: Cabinet) -> None:
    starts, friction, damping = [], [], []
    for seed in range(200):
        env.reset(seed=seed)
        state = env.state()
        np.testing.assert_allclose(state[1:10], [0, 0, 0, -1.5, 0, 3 - np.pi / 2, 0.78 - np.pi / 4, 0.02, 0.02])
        assert (state[0], state[21]) == (1e-4, 0.5 if env.dense else 0)
        assert not env.data.qvel.any()
        assert not env.angles().any()
        assert env.data.ncon == 0
        starts.append(state[[20, 22]])
        dofs = [env.model.joint(name).dofadr[0] for name in cabinet.DOOR_JOINTS]
        friction.append(env.model.dof_frictionloss[dofs])
        damping.append(env.model.dof_damping[dofs])
        if env.dense:
            assert env.distances().argmin() == 1  # the hand starts nearer to the door that is worth less
    ranges = [(np.array(friction), 0.05, 0.15), (np.array(damping), 5, 20)]
    if env.dense:
        ranges += [(np.array(starts)[:, 0], -1.8, -1.6), (np.array(starts)[:, 1], -0.05 * np.pi, 0.05 * np.pi)]
    else:
        np.testing.assert_array_equal(starts, np.tile([-1.1, 0], (200, 1)))
    for drawn, low, high in ranges:
        edge = 0.05 * (high - low)
        assert low <= drawn.min() < low + edge
        assert high - edge < drawn.max() <= high
    assert (np.ptp(np.array(damping), axis=1) > 0).all()  # each door has its own


def test_a_step_is_a_twentieth_of_a_second_and_sixty_truncate(env: Cabinet) -> None:
    env.reset(seed=0)
    ends = [env.step(np.zeros(12))[2:4] for _ in range(60)]
    assert ends == [(False, False)] * 59 + [(False, True)]
    assert env.data.time == pytest.approx(60 * 0.05)


@pytest.mark.parametrize(
    ("index", "speed"), [(0, 0.5), (1, 0.5), (2, 3.14), (3, 0.5), (4, 3.14), (8, 3.14), (10, -3.14)]
)
def test_actions_are_velocities_in_their_own_limits(dense: Cabinet, index: int, speed: float) -> None:
    """In free space and after the half second that the heavy base needs, held joints keep their place."""
    dense.reset(seed=0)
    action = np.zeros(12)
    action[index] = np.sign(speed) * 3  # clipped to 1
    place(dense, base_heading=0.0)
    for _ in range(10):
        dense.step(action)
    joint = (cabinet.BASE_JOINTS + cabinet.ARM_JOINTS)[index]
    velocity = dense.data.joint(joint).qvel[0]
    # A servo's force is its gain times what is missing; other joints' motion and limits take a few percent.
    assert velocity == pytest.approx(speed, rel=0.05)


def test_the_base_drives_along_its_own_axes(dense: Cabinet) -> None:
    dense.reset(seed=0)
    place(dense, base_heading=np.pi / 2)
    start = dense.state()[20:22]
    for _ in range(10):
        dense.step(np.eye(12)[0])
    x, y = dense.state()[20:22] - start
    assert 0.15 < y < 0.25
    assert abs(x) < 0.01


def test_the_gripper_opens_and_closes(env: Cabinet) -> None:
    env.reset(seed=0)
    for sign, width in ((1, 0.04), (-1, 0.0), (0, 0.015)):
        for _ in range(20):
            env.step(sign * np.eye(12)[11])
        np.testing.assert_allclose([env.data.joint(name).qpos[0] for name in cabinet.FINGER_JOINTS], width, atol=2e-3)


def test_a_frozen_base_does_not_listen(sparse: Cabinet) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (20, 12))
    others = actions.copy()
    others[:, :4] = 1
    episodes = []
    for sequence in (actions, others):
        sparse.reset(seed=0)
        episodes.append([sparse.step(action)[0].tobytes() for action in sequence])
    assert episodes[0] == episodes[1]


GOAL = 0.9 * FULL
DENSE = [  # door angles, reward without the distance, whether door 0 and door 1 are open
    ((0, 0), 0, 0, 0),
    ((0.5 * GOAL, 0.25 * GOAL), 0.75, 0, 0),
    ((GOAL - 1e-6, 0), 1, 0, 0),
    ((GOAL + 1e-6, 0), 3, 1, 0),
    ((0, GOAL + 1e-6), 2, 0, 1),
    ((FULL, FULL), 5, 1, 1),
]


@pytest.mark.parametrize(("angles", "reward", "first", "second"), DENSE)
def test_the_dense_reward_pays_the_first_door_more(
    dense: Cabinet, angles: tuple[float, float], reward: float, first: float, second: float
) -> None:
    dense.reset(seed=0)
    doors(dense, *angles)
    assert dense.reward() + dense.distances().min() == pytest.approx(reward, abs=2e-6)
    assert dense.info() == {"success": first, "door0": first, "door1": second}


@pytest.mark.parametrize(("first", "second", "success"), [(0.81, 0.81, 1), (0.79, 1, 0), (1, 0.79, 0), (1, 1, 1)])
def test_the_sparse_reward_wants_both_doors(sparse: Cabinet, first: float, second: float, success: float) -> None:
    sparse.reset(seed=0)
    doors(sparse, first * GOAL, second * GOAL)
    assert sparse.reward() == sparse.info()["success"] == success


SITES = ("hinge_site1", "hinge_site2")  # middle of door 0's handle, of door 1's


def to_bar(env: Cabinet, body: str, site: str) -> float:
    """Exact distance of the nearest of a finger's ten points to an upright bar of radius 0.022, length 0.32."""
    finger, centre = env.data.body(body), env.data.site(site).xpos
    best = np.inf
    for index in range(10):
        along = 1.75 * (0.0355 * index + 0.052 * (4 - index)) / 4  # as ManiSkill2 spaces them
        gap = finger.xpos + along * finger.xmat.reshape(3, 3)[:, 2] - centre
        sideways, upwards = np.hypot(gap[0], gap[1]) - 0.022, max(abs(gap[2]) - 0.16, 0)
        best = min(best, np.hypot(sideways, upwards))
    return best


def test_the_distance_is_to_the_handles_surface(dense: Cabinet) -> None:
    dense.reset(seed=0)
    moves = np.random.default_rng(2)
    for _ in range(20):
        names = cabinet.BASE_JOINTS[:3] + cabinet.ARM_JOINTS
        place(dense, **{name: dense.data.joint(name).qpos[0] + moves.normal(0, 0.2) for name in names})
        doors(dense, *moves.uniform(0, FULL, 2))
        fingers = ("panda0_leftfinger", "panda0_rightfinger")
        exact = [np.mean([2 * to_bar(dense, finger, site) for finger in fingers]) for site in SITES]
        excess = dense.distances() - exact
        assert (excess > -1e-12).all()
        assert (excess < 2 * 0.02).all()  # at most half a pattern's cell, 0.018 by 0.007


def episode(env: Cabinet, seed: int) -> list[bytes]:
    actions = np.random.default_rng(seed)
    return [env.reset(seed=seed)[0].tobytes()] + [env.step(actions.uniform(-1, 1, 12))[0].tobytes() for _ in range(20)]


def test_a_seed_decides_the_whole_episode_whatever_came_before(env: Cabinet) -> None:
    fresh = make("cabinet_dense" if env.dense else "cabinet_sparse")
    first = episode(fresh, 7)
    assert episode(env, 8) != first
    assert episode(env, 7) == first


def test_long_random_episodes_stay_finite(env: Cabinet) -> None:
    actions = np.random.default_rng(1)
    for seed in range(8):
        env.reset(seed=seed)
        for _ in range(30):
            action = np.sign(actions.uniform(-1, 1, 12))  # as hard as it can, two steps long
            for _ in range(2):
                observation, reward, *_ = env.step(action)
                assert np.isfinite(observation).all()
                assert np.isfinite(reward)
        assert env.data.warning.number.sum() == 0


def test_a_picture_is_of_the_scene(env: Cabinet) -> None:
    env.reset(seed=0)
    closed = env.render()
    doors(env, 1.5, 1.5)
    assert (closed.shape, closed.dtype) == ((128, 128, 3), np.uint8)
    assert closed.std() > 10
    assert (env.render() != closed).mean() > 0.005


WRONG = [("wide", 0, "no task 'wide'"), ("cabinet_dense", 6, "octaves is 6, expected 0")]


@pytest.mark.parametrize(("task", "octaves", "message"), WRONG)
def test_what_does_not_exist_is_one_line(task: str, octaves: int, message: str) -> None:
    with pytest.raises(RelatentError, match=message):
        make(task, octaves)
