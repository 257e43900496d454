"""gym's locomotion tasks against version 2: what is seen, rewards, falls and resets are written down here again."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium.envs.mujoco.humanoid_v5 import HumanoidEnv as HumanoidV5

from relatent.envs.mujoco import STEPS, Locomotion, make

V2 = ("half_cheetah", "walker2d", "hopper", "ant", "ant_truncated", "humanoid", "humanoid_truncated")
FALLING = V2[1:]


def x_of(task: str, env: Locomotion) -> float:
    """What version 2 takes for the robot's x: the root's, the torso's or the centre of mass."""
    model, data = env.simulator.model, env.simulator.data
    if "ant" in task:
        return float(data.body("torso").xpos[0])
    if "humanoid" in task:
        return float(model.body_mass @ data.xipos[:, 0] / model.body_mass.sum())
    return float(data.qpos[0])


def reward_of_version_2(task: str, moved: float, action: np.ndarray, contacts: np.ndarray) -> float:
    """gym 0.17's: `moved` is how far x went, `action` the robot's own, `contacts` cfrc_ext after the step."""
    squares = float(np.sum(action**2))
    if "ant" in task:
        return moved / 0.05 - 0.5 * squares - 0.5e-3 * float(np.sum(np.clip(contacts, -1, 1) ** 2)) + 1
    if "humanoid" in task:
        return 0.25 * moved / 0.003 - 0.1 * squares - min(0.5e-6 * float(np.sum(contacts**2)), 10.0) + 5
    if task == "half_cheetah":
        return moved / 0.05 - 0.1 * squares
    return moved / 0.008 - 1e-3 * squares + 1


def falls_in_version_2(task: str, q: np.ndarray, v: np.ndarray) -> bool:
    if task == "half_cheetah":
        return False
    if "humanoid" in task:
        return bool(q[2] < 1.0 or q[2] > 2.0)
    state = np.concatenate([q, v])
    if "ant" in task:
        return not (np.isfinite(state).all() and 0.2 <= state[2] <= 1.0)
    if task == "walker2d":
        return not (0.8 < q[1] < 2.0 and -1.0 < q[2] < 1.0)
    return not (np.isfinite(state).all() and (abs(state[2:]) < 100).all() and q[1] > 0.7 and abs(q[2]) < 0.2)


def seen_in_version_2(task: str, data: Any) -> np.ndarray:
    if task in ("walker2d", "hopper"):
        return np.concatenate([data.qpos[1:], np.clip(data.qvel, -10, 10)])
    arrays = [data.qpos[1 if task == "half_cheetah" else 2 :], data.qvel]
    if task == "ant":
        arrays.append(np.clip(data.cfrc_ext, -1, 1))
    if task == "humanoid":
        arrays += [data.cinert, data.cvel, data.qfrc_actuator, data.cfrc_ext]
    return np.concatenate([array.ravel() for array in arrays])


@pytest.mark.parametrize("task", V2)
def test_random_episodes_are_those_of_version_2(task: str) -> None:
    env = make(task)
    bound = 0.4 if "humanoid" in task else 1.0
    draw = np.random.default_rng(0)
    ends, forces = 0, 0.0
    for seed in range(15):
        first, _ = env.reset(seed=seed)
        data = env.simulator.data
        np.testing.assert_array_equal(first, seen_in_version_2(task, data).astype(np.float32))
        for _ in range(100):
            before, action = x_of(task, env), draw.uniform(-1, 1, env.action_space.shape)
            observation, reward, terminated, truncated, info = env.step(action)
            expected = reward_of_version_2(task, x_of(task, env) - before, bound * action, data.cfrc_ext)
            assert reward == pytest.approx(expected, abs=1e-9)
            assert (terminated, truncated, info) == (falls_in_version_2(task, data.qpos, data.qvel), False, {})
            np.testing.assert_array_equal(observation, seen_in_version_2(task, data).astype(np.float32))
            forces = max(forces, np.square(data.cfrc_ext).sum())
            if terminated:
                ends += 1
                break
    # The rarer parts of the formulas were met: last steps, and contacts.
    assert ends == 0 if task == "half_cheetah" else ends >= (1 if "ant" in task else 15)
    assert forces > 1e5


def land(env: Locomotion, monkeypatch: pytest.MonkeyPatch, at: Callable[[Any], None]) -> None:
    """The next step will end where `at` puts the simulator's data, whatever is done."""
    monkeypatch.setattr(env.simulator, "do_simulation", lambda _action, _frames: at(env.simulator.data))


@pytest.mark.parametrize("task", ["humanoid", "humanoid_truncated"])
def test_contacts_cost_ten_at_most(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    env = make(task)
    for force, cost in ((4000.0, 8.0), (5000.0, 10.0)):
        env.reset(seed=0)

        def at(data: Any, force: float = force) -> None:
            data.cfrc_ext[5, 2] = force

        land(env, monkeypatch, at)
        assert env.step(np.zeros(17))[1] == pytest.approx(5.0 - cost, abs=1e-9)


@pytest.mark.parametrize(("task", "first"), [("walker2d", 8), ("hopper", 5)])
def test_velocities_are_seen_up_to_ten(task: str, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    env = make(task)
    env.reset(seed=0)

    def at(data: Any) -> None:
        data.qvel[:3] = (-25.0, 10.5, 9.5)

    land(env, monkeypatch, at)
    assert env.step(np.zeros(env.action_space.shape))[0][first : first + 3].tolist() == [-10.0, 10.0, 9.5]


THRESHOLDS = (  # task, coordinate, limit, direction outwards, whether it is a fall to be exactly there
    ("walker2d", ("qpos", 1), 0.8, -1, True),
    ("walker2d", ("qpos", 1), 2.0, 1, True),
    ("walker2d", ("qpos", 2), -1.0, -1, True),
    ("walker2d", ("qpos", 2), 1.0, 1, True),
    ("hopper", ("qpos", 1), 0.7, -1, True),
    ("hopper", ("qpos", 2), -0.2, -1, True),
    ("hopper", ("qpos", 2), 0.2, 1, True),
    ("hopper", ("qpos", 5), -100.0, -1, True),
    ("hopper", ("qvel", 0), 100.0, 1, True),
    ("ant", ("qpos", 2), 0.2, -1, False),
    ("ant_truncated", ("qpos", 2), 1.0, 1, False),
    ("humanoid", ("qpos", 2), 1.0, -1, None),  # where versions 2 and 4 differ
    ("humanoid_truncated", ("qpos", 2), 2.0, 1, None),
)


@pytest.mark.parametrize(("task", "coordinate", "limit", "outwards", "at_limit"), THRESHOLDS)
def test_a_fall_is_where_version_2_has_it(
    task: str,
    coordinate: tuple[str, int],
    limit: float,
    outwards: int,
    at_limit: bool | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env = make(task)
    inside, outside = np.nextafter(limit, -outwards * np.inf), np.nextafter(limit, outwards * np.inf)
    for value, falls in ((inside, False), (outside, True), (limit, at_limit)):
        env.reset(seed=0)

        def at(data: Any, value: float = value) -> None:
            array, index = coordinate
            getattr(data, array)[index] = value

        land(env, monkeypatch, at)
        terminated = env.step(np.zeros(env.action_space.shape))[2]
        assert falls is None or terminated == falls


@pytest.mark.parametrize("task", ["hopper", "ant"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_state_that_is_not_finite_terminates(task: str, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    env = make(task)
    env.reset(seed=0)

    def at(data: Any) -> None:
        data.qvel[3] = value

    land(env, monkeypatch, at)
    assert env.step(np.zeros(env.action_space.shape))[2]


@pytest.mark.parametrize(
    ("task", "reach", "velocities"),
    [
        ("half_cheetah", 0.1, 0.1),
        ("walker2d", 5e-3, None),
        ("hopper", 5e-3, None),
        ("ant", 0.1, 0.1),
        ("humanoid", 1e-2, None),
    ],
)
def test_resets_are_distributed_as_in_version_2(task: str, reach: float, velocities: float | None) -> None:
    """Uniform around the model's own state; velocities of HalfCheetah and Ant are normal."""
    env = make(task)
    simulator = env.simulator
    starts = []
    for seed in range(200):
        env.reset(seed=seed)
        state = np.concatenate([simulator.data.qpos - simulator.init_qpos, simulator.data.qvel])
        starts.append(state)
    positions, speeds = np.split(np.array(starts), [simulator.model.nq], axis=1)
    uniform = [positions, speeds] if velocities is None else [positions]
    for values in uniform:
        assert 0.99 * reach < np.abs(values).max() <= reach
        # 4 standard errors of a uniform variable's mean and mean square, whose kurtosis is 9/5
        assert abs(values.mean()) < 4 * reach / np.sqrt(3 * values.size)
        assert abs(3 * np.mean(values**2) / reach**2 - 1) < 4 * np.sqrt(0.8 / values.size)
    if velocities is not None:
        assert abs(speeds.mean()) < 4 * velocities / np.sqrt(speeds.size)
        assert abs(np.mean(speeds**2) / velocities**2 - 1) < 4 * np.sqrt(2 / speeds.size)


@pytest.mark.parametrize(
    ("task", "shortest", "longest"), [("walker2d", 90, 220), ("hopper", 110, 160), ("humanoid", 35, 45)]
)
def test_who_does_nothing_falls_after_a_while(task: str, shortest: int, longest: int) -> None:
    """And is paid for every step of it, the last one included, and for the way of its fall."""
    env = make(task)
    alive, second = (5.0, 0.25 / 0.003) if task == "humanoid" else (1.0, 1 / 0.008)
    for seed in range(3):
        env.reset(seed=seed)
        start, total, impact, steps, terminated = x_of(task, env), 0.0, 0.0, 0, False
        while not terminated:
            _, reward, terminated, _, _ = env.step(np.zeros(env.action_space.shape))
            total, steps = total + reward, steps + 1
            if task == "humanoid":
                impact += min(5e-7 * float(np.square(env.simulator.data.cfrc_ext).sum()), 10.0)
        assert shortest <= steps <= longest
        assert total == pytest.approx(alive * steps + second * (x_of(task, env) - start) - impact, abs=1e-8)


def test_an_ant_that_does_nothing_stands_until_the_end() -> None:
    env = make("ant")
    env.reset(seed=0)
    rewards = [env.step(np.zeros(8))[1] for _ in range(STEPS)]
    assert sum(rewards) == pytest.approx(1000, abs=20)


RANDOM = {  # mean and standard deviation of 200 other episodes' returns
    "walker2d": (2.6, 5.2),
    "hopper": (17.3, 14.1),
    "ant": (-62.3, 105.2),
    "humanoid": (116.4, 28.7),
}


@pytest.mark.parametrize("task", RANDOM)
def test_random_actions_return_what_they_are_known_to(task: str) -> None:
    mean, deviation = RANDOM[task]
    env, draw = make(task), np.random.default_rng(5)
    returns = []
    for seed in range(20):
        env.reset(seed=seed)
        total, ended = 0.0, False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(draw.uniform(-1, 1, env.action_space.shape))
            total, ended = total + reward, terminated or truncated
        returns.append(total)
    assert abs(np.mean(returns) - mean) < 4 * deviation * np.sqrt(1 / 20 + 1 / 200)


@pytest.mark.parametrize("task", FALLING)
def test_a_fall_in_the_last_step_is_no_truncation(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    env = make(task)
    env.reset(seed=0)
    env.step_number = STEPS - 1

    def at(data: Any) -> None:
        data.qpos[1:3] = 0.0

    land(env, monkeypatch, at)
    assert env.step(np.zeros(env.action_space.shape))[2:4] == (True, False)


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
