"""mbbl's tasks: their rewards from the states in which actions are chosen, their ends, and a published return."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from relatent.envs.mbbl import RULES, make
from relatent.envs.mujoco import Locomotion
from relatent.specs.errors import RelatentError
from relatent.specs.suites import SUITE_TASKS

SIZES = {  # observation and action sizes
    "mbbl_cheetah": (17, 6),
    "mbbl_walker2d": (17, 6),
    "mbbl_walker2d_et": (17, 6),
    "mbbl_hopper": (11, 3),
    "mbbl_hopper_et": (11, 3),
    "mbbl_ant": (27, 8),
    "mbbl_ant_et": (27, 8),
    "mbbl_humanoid_et": (376, 17),
    "mbbl_slim_humanoid": (45, 17),
    "mbbl_slim_humanoid_et": (45, 17),
}
ENDING = ("mbbl_walker2d_et", "mbbl_hopper_et", "mbbl_ant_et", "mbbl_humanoid_et", "mbbl_slim_humanoid_et")


class State(NamedTuple):
    """A copy of what the rules depend on."""

    q: np.ndarray
    v: np.ndarray
    contacts: np.ndarray


def state_of(env: Locomotion) -> State:
    data = env.simulator.data
    return State(data.qpos.copy(), data.qvel.copy(), data.cfrc_ext.copy())


def is_down(task: str, q: np.ndarray) -> bool:
    """mbbl's conditions, by the observation's first numbers."""
    if "walker2d" in task:
        return bool(q[1] >= 2.0 or q[1] <= 0.8 or abs(q[2]) >= 1.0)
    if "hopper" in task:
        return bool(q[1] <= 0.7 or abs(q[2]) >= 0.2)
    if "ant" in task:
        return bool(q[2] > 1.0 or q[2] < 0.2)
    return bool(q[2] > 2.0 or q[2] < 1.0)


def expected_reward(task: str, start: State, action: np.ndarray) -> float:
    """`action` is the robot's own."""
    control = 0.1 * float(np.sum(action**2))
    up = 1.0 - is_down(task, start.q)
    if task == "mbbl_cheetah":
        return float(start.v[0]) - control
    if "humanoid" in task:
        impact = min(5e-7 * float(np.sum(start.contacts**2)), 10.0) if task == "mbbl_humanoid_et" else 0.0
        return 0.25 / 0.015 * float(start.v[0]) - control + 5.0 * up - impact
    height, best = (start.q[2], 0.57) if "ant" in task else (start.q[1], 1.3)
    return float(start.v[0]) - 3 * (height - best) ** 2 - control + (up if task.endswith("_et") else 1.0)


def expected_observation(task: str, env: Locomotion) -> np.ndarray:
    data = env.simulator.data
    unseen = 2 if "ant" in task or "humanoid" in task else 1
    arrays = [data.qpos[unseen:], data.qvel]
    if task == "mbbl_humanoid_et":
        arrays += [data.cinert, data.cvel, data.qfrc_actuator, data.cfrc_ext]
    return np.concatenate([array.ravel() for array in arrays]).astype(np.float32)


def test_the_suite_has_these_tasks() -> None:
    assert SUITE_TASKS["mbbl"] == tuple(SIZES) == tuple(RULES)


@pytest.mark.parametrize("task", SIZES)
def test_random_episodes_are_mbbls(task: str) -> None:
    env = make(task)
    bound = 0.4 if "humanoid" in task else 1.0
    assert (env.observation_space.shape, env.action_space.shape) == ((SIZES[task][0],), (SIZES[task][1],))
    draw = np.random.default_rng(0)
    ends, falls, impacts = 0, 0, 0.0
    for seed in range(12):
        first, _ = env.reset(seed=seed)
        np.testing.assert_array_equal(first, expected_observation(task, env))
        for _ in range(120):
            start, action = state_of(env), draw.uniform(-1, 1, env.action_space.shape)
            observation, reward, terminated, truncated, info = env.step(action)
            assert reward == pytest.approx(expected_reward(task, start, bound * action), abs=1e-9)
            assert observation.dtype == np.float32
            np.testing.assert_array_equal(observation, expected_observation(task, env))
            down = is_down(task, env.simulator.data.qpos)
            assert (terminated, truncated, info) == (task in ENDING and down, False, {})
            falls, impacts = falls + down, max(impacts, float(np.sum(start.contacts**2)))
            if terminated:
                ends += 1
                break
    # What is rare was met: terminal steps, steps from fallen states where nothing ends, impacts that cost.
    assert ends == 0 if task not in ENDING else ends >= 1
    assert task == "mbbl_cheetah" or falls > (100 if task not in ENDING and "ant" not in task else 0)
    assert task != "mbbl_humanoid_et" or impacts > 2e5


def place(env: Locomotion, height_at: int, height: float, angle: float | None = None) -> None:
    """A standing start of which the height, and in the plane the angle behind it, are replaced."""
    env.reset(seed=0)
    env.simulator.data.qpos[height_at] = height
    if angle is not None:
        env.simulator.data.qpos[height_at + 1] = angle


LIMITS = (  # task, index of the height, heights and angles that are just up and just down
    ("mbbl_walker2d_et", 1, (np.nextafter(0.8, 1), 0.0), (0.8, 0.0)),
    ("mbbl_walker2d_et", 1, (np.nextafter(2.0, 1), 0.0), (2.0, 0.0)),
    ("mbbl_walker2d_et", 1, (1.25, np.nextafter(1.0, 0)), (1.25, 1.0)),
    ("mbbl_walker2d_et", 1, (1.25, -np.nextafter(1.0, 0)), (1.25, -1.0)),
    ("mbbl_hopper_et", 1, (np.nextafter(0.7, 1), 0.0), (0.7, 0.0)),
    ("mbbl_hopper_et", 1, (1.25, np.nextafter(0.2, 0)), (1.25, 0.2)),
    ("mbbl_hopper_et", 1, (1.25, -np.nextafter(0.2, 0)), (1.25, -0.2)),
    ("mbbl_ant_et", 2, (0.2, None), (np.nextafter(0.2, 0), None)),
    ("mbbl_ant_et", 2, (1.0, None), (np.nextafter(1.0, 2), None)),
    ("mbbl_humanoid_et", 2, (1.0, None), (np.nextafter(1.0, 0), None)),
    ("mbbl_slim_humanoid_et", 2, (2.0, None), (np.nextafter(2.0, 3), None)),
    ("mbbl_slim_humanoid", 2, (1.0, None), (np.nextafter(1.0, 0), None)),
)


@pytest.mark.parametrize(("task", "height_at", "up", "down"), LIMITS)
def test_falls_end_where_they_end_in_mbbl(
    task: str, height_at: int, up: Any, down: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step ends by the state that it leads to, and pays for being up in the state that it leaves."""
    env = make(task)
    bonus = 5.0 if "humanoid" in task else 1.0
    idle = np.zeros(env.action_space.shape)
    monkeypatch.setattr(env.simulator.simulator, "do_simulation", lambda _action, _frames: None)
    rewards = []
    for where, fallen in ((up, False), (down, True)):
        place(env, height_at, *where)
        _, reward, terminated, _, _ = env.step(idle)
        assert terminated == (fallen and task in ENDING)
        rewards.append(reward)
    assert rewards[0] - rewards[1] == pytest.approx(bonus, abs=1e-9)


@pytest.mark.parametrize("task", ["mbbl_walker2d", "mbbl_hopper", "mbbl_ant"])
def test_tasks_without_an_end_pay_for_being_up_wherever_one_is(task: str) -> None:
    env = make(task)
    best, height_at = (0.57, 2) if "ant" in task else (1.3, 1)
    for height in (best, best - 0.6):
        place(env, height_at, height)
        velocity = env.simulator.data.qvel[0]
        _, reward, terminated, _, _ = env.step(np.zeros(env.action_space.shape))
        assert reward == pytest.approx(velocity + 1 - 3 * (height - best) ** 2, abs=1e-9)
        assert not terminated


@pytest.mark.parametrize("task", [task for task in SIZES if task.startswith(("mbbl_walker2d", "mbbl_hopper"))])
def test_velocities_are_seen_and_paid_for_beyond_ten(task: str) -> None:
    env = make(task)
    env.reset(seed=0)
    env.simulator.data.qvel[0] = 25.0
    _, reward, _, _, _ = env.step(np.zeros(env.action_space.shape))
    assert reward > 25
    observation = env.step(np.zeros(env.action_space.shape))[0]
    velocity = env.simulator.data.qvel[0]
    assert velocity > 10
    assert observation[8 if "walker2d" in task else 5] == np.float32(velocity)


@pytest.mark.parametrize("task", SIZES)
def test_the_time_limit_truncates_after_a_thousand_steps(task: str) -> None:
    env = make(task)
    env.reset(seed=0)
    robot = env.simulator.simulator
    position, velocity = robot.data.qpos.copy(), robot.data.qvel.copy()
    ends = []
    for _ in range(1000):
        robot.set_state(position, velocity)  # before it falls
        ends.append(env.step(np.zeros(env.action_space.shape))[2:4])
    assert ends == [(False, False)] * 999 + [(False, True)]


def episode(env: Locomotion, seed: int, steps: int = 15) -> list[Any]:
    draw = np.random.default_rng(seed)
    found: list[Any] = [env.reset(seed=seed)[0].tobytes()]
    for _ in range(steps):
        observation, *rest = env.step(draw.uniform(-1, 1, env.action_space.shape))
        found.append((observation.tobytes(), *rest))
    return found


@pytest.mark.parametrize("task", SIZES)
def test_a_seed_decides_the_whole_episode_whatever_came_before(task: str) -> None:
    fresh, used = make(task), make(task)
    first = episode(fresh, 7)
    assert episode(used, 8) != first
    assert episode(used, 7) == first


@pytest.mark.parametrize("task", ["mbbl_walker2d", "mbbl_hopper", "mbbl_ant", "mbbl_slim_humanoid"])
def test_with_and_without_an_end_are_the_same_until_it(task: str) -> None:
    endless, ending = make(task), make(f"{task}_et")
    draw = np.random.default_rng(1)
    for seed in range(5):
        endless.reset(seed=seed)
        ending.reset(seed=seed)
        for _ in range(50):
            action = draw.uniform(-1, 1, endless.action_space.shape)
            seen, reward, never, _, _ = endless.step(action)
            same, too, terminated, _, _ = ending.step(action)
            assert (reward, never) == (too, False)
            np.testing.assert_array_equal(seen, same)
            if terminated:
                break


def test_random_actions_return_what_is_published() -> None:
    """Wang et al. (2019) print -2457 for random actions in Walker2D; ours are held against it by their own error."""
    env, draw = make("mbbl_walker2d"), np.random.default_rng(0)
    returns = []
    for seed in range(10):
        env.reset(seed=seed)
        returns.append(sum(env.step(draw.uniform(-1, 1, 6))[1] for _ in range(1000)))
    error = np.std(returns, ddof=1) / np.sqrt(len(returns))
    assert abs(np.mean(returns) + 2457) < 2 * error
    assert 80 < error < 160


def test_an_unknown_task_is_one_line() -> None:
    with pytest.raises(RelatentError, match="there is no mbbl task 'walker2d', expected one of mbbl_cheetah, "):
        make("walker2d")
