"""Locomotion tasks: what is common to all, and the cheetah that must run backward."""

import numpy as np
import pytest

from relatent.envs.mujoco import DISTANCE, STEPS, Locomotion, is_back, make
from relatent.specs.errors import RelatentError

SIZES = {  # task and octaves: observation and action sizes
    ("half_cheetah", 0): (17, 6),
    ("walker2d", 0): (17, 6),
    ("hopper", 0): (11, 3),
    ("ant", 0): (111, 8),
    ("ant_truncated", 0): (27, 8),
    ("humanoid", 0): (376, 17),
    ("humanoid_truncated", 0): (45, 17),
    ("cheetah_back", 0): (18, 6),
    ("cheetah_back", 6): (30, 6),
}
# Found by a search over frequency and phases: every joint swings fully, each at its own phase.
FREQUENCY, PHASES = 1.6, np.array([1.1, 0.2, 2.4, -0.5, 1.4, -2.4])


@pytest.mark.parametrize(("name", "sizes"), SIZES.items())
def test_sizes(name: tuple[str, int], sizes: tuple[int, int]) -> None:
    env = make(*name)
    observation, _ = env.reset(seed=0)
    assert (env.observation_space.shape, env.action_space.shape) == ((sizes[0],), (sizes[1],))
    assert (observation.shape, observation.dtype) == ((sizes[0],), np.float32)
    assert (env.action_space.low == -1).all()
    assert (env.action_space.high == 1).all()


GOLDEN = {  # of 15 random steps: rewards' sum, sum of the last observation's sizes, its first three numbers
    ("half_cheetah", 0): (-2.85300386493299, 33.7859308719635, (-0.07144138, -0.30112466, -0.04288763)),
    ("humanoid", 0): (73.03858953642195, 1512.5507215482212, (1.14043701, 0.99931794, -0.01012223)),
    ("cheetah_back", 0): (0.0, 33.813762329518795, (-0.02783146, -0.07144138, -0.30112466)),
    ("cheetah_back", 6): (0.0, 7.777018973836675, (-0.00357207, -0.01505623, -0.00214438)),
}


@pytest.mark.parametrize(("task", "octaves"), GOLDEN)
def test_tasks_of_rpg_are_what_they_were(task: str, octaves: int) -> None:
    """Before ALM's tasks stood beside them."""
    env, draw = make(task, octaves), np.random.default_rng(3)
    env.reset(seed=3)
    total = 0.0
    for _ in range(15):
        observation, reward, terminated, _, _ = env.step(draw.uniform(-1.2, 1.2, env.action_space.shape))
        total += reward
        assert not terminated
    rewards, sizes, first = GOLDEN[task, octaves]
    assert total == pytest.approx(rewards, rel=1e-8)
    assert np.abs(observation.astype(np.float64)).sum() == pytest.approx(sizes, rel=1e-6)
    np.testing.assert_allclose(observation[:3], first, rtol=1e-5)


@pytest.mark.parametrize("task", sorted({task for task, _ in SIZES}))
def test_the_time_limit_truncates_after_a_thousand_steps(task: str) -> None:
    env = make(task)
    action = np.zeros(env.action_space.shape)
    env.reset(seed=0)
    position, velocity = env.simulator.data.qpos.copy(), env.simulator.data.qvel.copy()
    ends = []
    for _ in range(1000):
        env.simulator.set_state(position, velocity)  # before it falls
        ends.append(env.step(action)[2:4])
    assert ends == [(False, False)] * 999 + [(False, True)]
    env.reset(seed=1)
    assert env.step(action)[2:4] == (False, False)


def episode(env: Locomotion, seed: int) -> list[bytes]:
    draw = np.random.default_rng(seed)
    seen = [env.reset(seed=seed)[0].tobytes()]
    return seen + [env.step(draw.uniform(-1, 1, env.action_space.shape))[0].tobytes() for _ in range(15)]


@pytest.mark.parametrize(("task", "octaves"), SIZES)
def test_a_seed_decides_the_whole_episode_whatever_came_before(task: str, octaves: int) -> None:
    fresh, used = make(task, octaves), make(task, octaves)
    first = episode(fresh, 7)
    assert episode(used, 8) != first
    assert episode(used, 7) == first


def test_cheetah_back_sees_x_and_its_encoding() -> None:
    raw, encoded = make("cheetah_back", 0), make("cheetah_back", 6)
    draw = np.random.default_rng(0)
    for env in (raw, encoded):
        env.reset(seed=4)
    for _ in range(20):
        action = draw.uniform(-1, 1, 6)
        data = raw.simulator.data
        plain = raw.step(action)[0]
        np.testing.assert_array_equal(plain, np.concatenate([data.qpos, data.qvel]).astype(np.float32))
        x = data.qpos[0] / 20
        waves = [wave(2.0**octave * x) for octave in range(6) for wave in (np.sin, np.cos)]
        expected = np.concatenate([0.05 * data.qpos[1:], 0.05 * data.qvel, [x], waves])
        np.testing.assert_allclose(encoded.step(action)[0], expected, rtol=1e-6, atol=1e-7)


def test_cheetah_back_is_solved_at_the_line() -> None:
    env = make("cheetah_back", 0)
    env.reset(seed=0)
    for x, back in ((-20.0, 1.0), (np.nextafter(-20.0, 0.0), 0.0), (20.0, 0.0)):
        env.simulator.data.qpos[0] = x
        assert is_back(env.simulator) == back
    assert DISTANCE == 20


@pytest.mark.parametrize(("beyond", "rewarded"), [(1e-6, 1.0), (-1e-6, 0.0)])
def test_cheetah_back_is_rewarded_for_where_a_step_ends(beyond: float, rewarded: float) -> None:
    env = make("cheetah_back", 0)
    env.reset(seed=0)
    position, velocity = env.simulator.data.qpos.copy(), env.simulator.data.qvel.copy()
    env.step(np.ones(6))
    position[0] -= env.simulator.data.qpos[0] + DISTANCE + beyond
    env.reset(seed=0)
    env.simulator.set_state(position, velocity)
    _, reward, _, _, info = env.step(np.ones(6))
    assert (reward, info) == (rewarded, {"success": rewarded})


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_gait_that_is_written_down_solves_cheetah_back(seed: int) -> None:
    env = make("cheetah_back", 6)
    env.reset(seed=seed)
    rewards, places = [], []
    for step in range(STEPS):
        _, reward, _, truncated, info = env.step(np.sin(FREQUENCY * step + PHASES))
        rewards.append(reward)
        places.append(env.simulator.data.qpos[0])
    assert truncated
    assert info["success"] == 1
    assert rewards == [float(place <= -20) for place in places]


def test_random_actions_never_solve_cheetah_back() -> None:
    """100 episodes, as the module says: -4.5 ± 4.1 m at their ends, and nobody farther back than -14 m."""
    env = make("cheetah_back", 0)
    draw = np.random.default_rng(0)
    ends, farthest = [], 0.0
    for seed in range(100):
        env.reset(seed=seed)
        for _ in range(STEPS):
            _, reward, _, _, info = env.step(draw.uniform(-1, 1, 6))
            assert (reward, info["success"]) == (0, 0)
            farthest = min(farthest, env.simulator.data.qpos[0])
        ends.append(env.simulator.data.qpos[0])
    assert abs(np.mean(ends) + 4.5) < 3 * 4.1 / np.sqrt(100)
    assert 3 < np.std(ends) < 5.5
    assert farthest > -DISTANCE + 4


def test_a_picture_is_of_the_robot() -> None:
    env = make("half_cheetah", 0)
    env.reset(seed=0)
    before = env.render()
    for _ in range(20):
        env.step(np.ones(6))
    assert (before.dtype, before.shape[2]) == (np.uint8, 3)
    assert before.std() > 10
    assert (env.render() != before).any()


@pytest.mark.parametrize(
    ("task", "octaves", "message"),
    [("walker", 0, "no MuJoCo task 'walker'"), ("humanoid", 6, "humanoid has no object to encode")],
)
def test_a_users_mistake_is_one_line(task: str, octaves: int, message: str) -> None:
    with pytest.raises(RelatentError, match=message):
        make(task, octaves)
