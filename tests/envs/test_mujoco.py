"""gym's locomotion tasks: rewards and terminations of version 2 recomputed, and the cheetah that must run backward."""

import numpy as np
import pytest
from gymnasium.envs.mujoco.humanoid_v5 import HumanoidEnv as HumanoidV5

from relatent.envs.mujoco import DISTANCE, STEPS, Locomotion, is_back, make
from relatent.specs.errors import RelatentError

SIZES = {  # task and octaves: observation and action sizes
    ("half_cheetah", 0): (17, 6),
    ("humanoid", 0): (376, 17),
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


def test_half_cheetah_has_the_reward_of_version_2() -> None:
    env = make("half_cheetah", 0)
    env.reset(seed=0)
    draw = np.random.default_rng(0)
    for _ in range(300):
        before = env.simulator.data.qpos[0]
        action = draw.uniform(-1, 1, 6)
        observation, reward, terminated, truncated, info = env.step(action)
        data = env.simulator.data
        assert reward == pytest.approx((data.qpos[0] - before) / 0.05 - 0.1 * np.sum(action**2), abs=1e-12)
        np.testing.assert_array_equal(observation, np.concatenate([data.qpos[1:], data.qvel]).astype(np.float32))
        assert (terminated, truncated, info) == (False, False, {})


def centre_of_mass(env: Locomotion) -> float:
    """Its x."""
    model, data = env.simulator.model, env.simulator.data
    return float(model.body_mass @ data.xipos[:, 0] / model.body_mass.sum())


def test_humanoid_has_the_reward_and_the_termination_of_version_2() -> None:
    env = make("humanoid", 0)
    draw = np.random.default_rng(0)
    costs, falls = [], 0
    for seed in range(20):
        env.reset(seed=seed)
        terminated = False
        while not terminated:
            before = centre_of_mass(env)
            action = draw.uniform(-1, 1, 17)
            observation, reward, terminated, truncated, _ = env.step(action)
            data = env.simulator.data
            costs.append(min(0.5e-6 * np.square(data.cfrc_ext).sum(), 10.0))
            moved = 1.25 * (centre_of_mass(env) - before) / 0.015
            assert reward == pytest.approx(moved - 0.1 * np.sum((0.4 * action) ** 2) - costs[-1] + 5.0, abs=1e-9)
            assert terminated == (data.qpos[2] < 1.0 or data.qpos[2] > 2.0)
            assert not truncated
            arrays = (data.qpos[2:], data.qvel, data.cinert, data.cvel, data.qfrc_actuator, data.cfrc_ext)
            seen = np.concatenate([array.ravel() for array in arrays])
            np.testing.assert_array_equal(observation, seen.astype(np.float32))
        falls += 1
    assert falls == 20
    assert max(costs) > 1  # contacts cost something


def test_humanoid_is_version_5_with_a_reward_for_being_alive_in_a_falls_last_step() -> None:
    env, other = make("humanoid", 0), HumanoidV5()
    draw = np.random.default_rng(1)
    for seed in range(5):
        env.reset(seed=seed)
        other.reset(seed=seed)
        terminated = False
        while not terminated:
            action = draw.uniform(-1, 1, 17)
            observation, reward, terminated, _, _ = env.step(action)
            seen, rewarded, ended, _, _ = other.step(0.4 * action)
            assert terminated == ended
            assert reward == pytest.approx(rewarded + 5.0 * ended, abs=1e-9)
            np.testing.assert_array_equal(observation[:45], seen[:45].astype(np.float32))


@pytest.mark.parametrize(("task", "half_range"), [("half_cheetah", 1.0), ("humanoid", 0.4)])
def test_actions_are_stretched_to_the_robots_bounds_and_clipped(task: str, half_range: float) -> None:
    env = make(task, 0)
    env.reset(seed=0)
    action = np.linspace(-2, 2, env.action_space.shape[0])
    env.step(action)
    np.testing.assert_allclose(env.simulator.data.ctrl, half_range * np.clip(action, -1, 1), rtol=1e-6)


@pytest.mark.parametrize("task", ["half_cheetah", "cheetah_back"])
def test_the_time_limit_truncates_after_a_thousand_steps(task: str) -> None:
    env = make(task, 0)
    for seed in range(2):
        env.reset(seed=seed)
        ends = [env.step(np.zeros(6))[2:4] for _ in range(1000)]
        assert ends == [(False, False)] * 999 + [(False, True)]


def test_a_humanoid_that_stands_is_truncated_after_a_thousand_steps() -> None:
    env = make("humanoid", 0)
    env.reset(seed=0)
    position, velocity = env.simulator.data.qpos.copy(), env.simulator.data.qvel.copy()
    ends = []
    for _ in range(1000):
        env.simulator.set_state(position, velocity)  # before it falls
        ends.append(env.step(np.zeros(17))[2:4])
    assert ends == [(False, False)] * 999 + [(False, True)]


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
