"""Adroit with sparse rewards: thresholds, rewards, what is seen, where things are, and scripts that solve it."""

import subprocess
import sys

import mujoco
import numpy as np
import pytest
from gymnasium_robotics.envs.adroit_hand import AdroitHandDoorEnv, AdroitHandHammerEnv

from relatent.envs.adroit import TASKS, Adroit, door_opened, make, nail_driven
from relatent.specs.errors import RelatentError

SIMULATORS = {"door": AdroitHandDoorEnv, "hammer": AdroitHandHammerEnv}
ACTIONS = {"door": 28, "hammer": 26}
HORIZONS = {"door": 100, "hammer": 125}


@pytest.mark.parametrize(
    ("task", "octaves", "size"), [("door", 0, 39), ("door", 6, 121), ("hammer", 0, 46), ("hammer", 6, 172)]
)
def test_sizes(task: str, octaves: int, size: int) -> None:
    env = make(task, octaves)
    observation, _ = env.reset(seed=0)
    assert (env.observation_space.shape, env.action_space.shape) == ((size,), (ACTIONS[task],))
    assert (observation.shape, observation.dtype) == ((size,), np.float32)
    assert (env.action_space.low == -1).all()
    assert (env.action_space.high == 1).all()


def expected_observation(task: str, env: Adroit) -> np.ndarray:
    """The published layout, from the simulator's state and the names of its sites."""
    model, data = env.simulator.model, env.simulator.data

    def place(name: str) -> np.ndarray:
        return data.site_xpos[mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, name)]

    palm = place("S_grasp")
    if task == "door":
        plain = np.concatenate([data.qpos[1:28], palm])
        objects = np.concatenate([data.qpos[28:29], place("S_handle"), palm - place("S_handle")])
    else:
        objects = np.concatenate([palm, place("tool"), place("S_target")])
        hammer = data.xpos[mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "Object")]
        own = env.simulator._get_obs()
        np.testing.assert_array_equal(own[:27], data.qpos[:27])
        np.testing.assert_array_equal(own[27:33], np.clip(data.qvel[-6:], -1, 1))
        np.testing.assert_array_equal(own[33:39], np.concatenate([palm, hammer]))
        np.testing.assert_array_equal(own[42:45], place("S_target"))
        plain = np.concatenate([objects, own])
    waves = [wave(2.0**octave * objects) for octave in range(6) for wave in (np.sin, np.cos)]
    return np.concatenate([0.05 * plain, objects, *waves])


@pytest.mark.parametrize("task", TASKS)
def test_an_observation_is_the_scaled_state_and_the_encoded_objects(task: str) -> None:
    env = make(task, 6)
    observation, _ = env.reset(seed=2)
    draw = np.random.default_rng(0)
    for _ in range(20):
        np.testing.assert_allclose(observation, expected_observation(task, env), rtol=1e-6, atol=1e-6)
        observation = env.step(draw.uniform(-1, 1, ACTIONS[task]))[0]


@pytest.mark.parametrize("task", TASKS)
def test_without_octaves_the_simulators_own_observation_arrives_as_it_is(task: str) -> None:
    env, simulator = make(task, 0), SIMULATORS[task](reward_type="sparse")
    observation, _ = env.reset(seed=2)
    expected, _ = simulator.reset(seed=2)
    draw = np.random.default_rng(0)
    for _ in range(10):
        np.testing.assert_array_equal(observation, expected.astype(np.float32))
        action = draw.uniform(-1.5, 1.5, ACTIONS[task])
        observation = env.step(action)[0]
        simulator.step(action)
        expected = simulator.step(action)[0]


@pytest.mark.parametrize("task", TASKS)
def test_actions_are_stretched_to_the_actuators_ranges_and_clipped(task: str) -> None:
    env = make(task, 0)
    env.reset(seed=0)
    action = np.linspace(-2, 2, ACTIONS[task])
    env.step(action)
    low, high = env.simulator.model.actuator_ctrlrange.T
    unit = (np.clip(action, -1, 1) + 1) / 2
    np.testing.assert_allclose(env.simulator.data.ctrl, low + unit * (high - low), atol=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_a_decision_is_twenty_milliseconds_and_wrist_and_fingers_have_their_gains(task: str) -> None:
    env = make(task, 0)
    env.reset(seed=0)
    env.step(np.zeros(ACTIONS[task]))
    model = env.simulator.model
    assert env.simulator.data.time == pytest.approx(0.02)
    for number in range(model.nu):
        name = model.actuator(number).name
        gain = 500 if name.startswith("A_AR") else 10 if name.startswith("A_WR") else 1
        assert model.actuator_gainprm[number, 0] == gain


@pytest.mark.parametrize(
    ("hinge", "opened"), [(0.0, False), (np.nextafter(1.0, 0.0), False), (1.0, True), (1.2, True), (1.57, True)]
)
def test_a_door_is_open_at_one_radian(hinge: float, opened: bool) -> None:
    env = make("door", 0)
    env.reset(seed=0)
    env.simulator.data.joint("door_hinge").qpos[0] = hinge
    assert door_opened(env.simulator) is opened


@pytest.mark.parametrize(
    ("depth", "driven"),  # at 0.091 m the nail's head is at its goal
    [(0.0, False), (0.071 - 1e-6, False), (0.071 + 1e-6, True), (0.081, True), (0.09, True)],
)
def test_a_nail_is_in_within_two_centimetres_of_its_goal(depth: float, driven: bool) -> None:
    env = make("hammer", 0)
    env.reset(seed=0)
    simulator = env.simulator
    simulator.data.joint("nail_dir").qpos[0] = depth
    mujoco.mj_forward(simulator.model, simulator.data)
    distance = np.linalg.norm(simulator.data.site("S_target").xpos - simulator.data.site("nail_goal").xpos)
    assert distance == pytest.approx(0.091 - depth, abs=1e-4)
    assert nail_driven(simulator) is driven


@pytest.mark.parametrize(
    ("task", "joint", "start", "speed", "reward", "success"),
    [
        # The door, which friction slows down, opens by 0.014 rad in the first 10 ms and by 0.009 in the next.
        ("door", "door_hinge", 0.90, 2.0, 0.0, 0.0),
        ("door", "door_hinge", 0.982, 2.0, 0.5, 1.0),
        ("door", "door_hinge", 1.03, -2.0, 0.5, 0.0),
        ("door", "door_hinge", 1.10, 2.0, 1.0, 1.0),
        # The nail moves by 8 mm in the first 10 ms and by 4 mm in the next.
        ("hammer", "nail_dir", 0.040, 1.0, 0.0, 0.0),
        ("hammer", "nail_dir", 0.061, 1.0, 0.5, 1.0),
        ("hammer", "nail_dir", 0.081, -1.0, 0.5, 0.0),
        ("hammer", "nail_dir", 0.080, 0.0, 1.0, 1.0),
    ],
)
def test_the_reward_is_the_mean_of_two_flags_and_success_the_second(
    task: str, joint: str, start: float, speed: float, reward: float, success: float
) -> None:
    env = make(task, 6)
    env.reset(seed=0)
    data = env.simulator.data
    data.joint(joint).qpos[0], data.joint(joint).qvel[0] = start, speed
    mujoco.mj_forward(env.simulator.model, data)
    assert env.step(np.zeros(ACTIONS[task]))[1:] == (reward, False, False, {"success": success})


@pytest.mark.parametrize("task", TASKS)
def test_an_episode_is_cut_off_by_its_time_limit_solved_or_not(task: str) -> None:
    env = make(task, 6)
    for solved in (False, True):
        env.reset(seed=0)
        if solved:
            joint, value = ("door_hinge", 1.5) if task == "door" else ("nail_dir", 0.085)
            env.simulator.data.joint(joint).qpos[0] = value
        steps = [env.step(np.zeros(ACTIONS[task])) for _ in range(HORIZONS[task])]
        assert [step[2:4] for step in steps] == [(False, False)] * (HORIZONS[task] - 1) + [(False, True)]
        assert steps[-1][4] == {"success": float(solved)}
        assert sum(step[1] for step in steps) == (HORIZONS[task] if solved else 0)


def test_a_door_is_elsewhere_in_every_episode_all_over_its_range() -> None:
    env = make("door", 0)
    places = []
    for seed in range(60):
        env.reset(seed=seed)
        places.append(env.simulator.data.body("frame").xpos.copy())
    low, high = np.array([-0.3, 0.25, 0.252]), np.array([-0.2, 0.35, 0.35])
    assert_all_over(np.array(places), low, high)


def test_a_nail_is_at_another_height_in_every_episode_all_over_its_range() -> None:
    env = make("hammer", 0)
    places = []
    for seed in range(60):
        env.reset(seed=seed)
        places.append(env.simulator.data.body("nail_board").xpos.copy())
    np.testing.assert_allclose(np.array(places)[:, :2], [[0.05, 0.0]] * 60, atol=1e-12)
    assert_all_over(np.array(places)[:, 2:], np.array([0.1]), np.array([0.25]))


def assert_all_over(places: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """(n, d) places differ, are within the bounds and come within a tenth of the range of both."""
    assert len(np.unique(places, axis=0)) == len(places)
    assert (places >= low).all()
    assert (places <= high).all()
    assert (places.min(0) < low + 0.1 * (high - low)).all()
    assert (places.max(0) > high - 0.1 * (high - low)).all()


def episode(env: Adroit, seed: int) -> list[bytes]:
    draw = np.random.default_rng(seed)
    seen = [env.reset(seed=seed)[0].tobytes()]
    return seen + [env.step(draw.uniform(-1, 1, env.action_space.shape))[0].tobytes() for _ in range(20)]


@pytest.mark.parametrize("task", TASKS)
def test_a_seed_decides_the_whole_episode_whatever_came_before(task: str) -> None:
    fresh, used = make(task, 6), make(task, 6)
    first = episode(fresh, 7)
    assert episode(used, 8) != first
    assert episode(used, 7) == first


# Scripts found by a search with a dense reward of its own: joint angles (m for ARTz) at decisions, linear in between,
# from zero at the first. `flex` bends all fingers, `thumb` closes the thumb.
DOOR = {
    "decision": (0, 12.5, 25, 37.5, 50, 65, 80, 100),
    "ARTz": (0, 0.31, 0.47, 0.46, 0.70, 0.10, -0.86, -0.13),
    "ARRx": (0, -0.46, -0.22, 0.12, 0.22, 0.26, 0.20, 0.23),
    "ARRy": (0, -0.16, 0.03, 0.01, 0.34, 0.37, -0.15, -0.09),
    "ARRz": (0, 0.10, 0.10, -0.39, 0.28, 0.49, -0.20, -0.76),
    "WRJ1": (0, -0.13, -0.55, -0.14, -0.01, 0.24, 0.17, 0.03),
    "WRJ0": (0, -0.36, 0.01, 0.33, 0.11, 0.11, -0.30, 0.06),
    "flex": (0, 0.83, 0.35, 1.60, 0.78, 1.28, 0.64, 0.89),
    "thumb": (0, -0.01, -0.28, -0.01, -0.14, -0.26, 0.22, 0.04),
}
HAMMER = {
    "decision": (0, 15, 30, 45, 60, 75, 90, 107.5, 125),
    "ARRx": (0, 0.42, 0.43, 0.28, -0.10, -0.03, -0.14, -0.09, -0.12),
    "ARRy": (0, 0.00, -0.15, 0.11, 0.13, -0.61, 0.24, -0.47, -0.48),
    "WRJ1": (0, -0.11, 0.42, 0.00, 0.16, 0.41, -0.58, -0.75, -0.52),
    "WRJ0": (0, 0.12, 0.48, -0.04, 0.02, -0.18, -0.22, -0.24, -0.02),
    "flex": (0, -0.27, 0.78, 1.91, 1.37, 1.68, 1.74, 1.75, 1.59),
    "thumb": (0, 0.15, 0.58, 1.28, 0.98, 0.85, 1.31, 0.53, 1.21),
}
THUMB = {"THJ4": 0.9, "THJ3": 1.0, "THJ2": 0.0, "THJ1": -0.3, "THJ0": -0.8}


def scripted(task: str, env: Adroit, observation: np.ndarray) -> np.ndarray:
    """Actions (decisions, actuators) of the script, moved to where the first observation shows handle or nail."""
    script = {name: np.array(values, np.float64) for name, values in (DOOR if task == "door" else HAMMER).items()}
    if task == "door":
        x, y, z = observation[32:35] - (0.054, 0.127, 0.231)  # the handle's place in the search's first episode
        script["ARTz"][2:] += y
        script["ARRy"][2:] -= x / 0.75  # radians of an arm of 0.75 m
        script["ARRx"][2:] -= z / 0.75
    else:
        script["ARRx"][4:] -= (observation[44] - 0.196) / 0.6
    decisions = np.arange(HORIZONS[task])
    path = {name: np.interp(decisions, script["decision"], values) for name, values in script.items()}
    model = env.simulator.model
    controls = np.zeros((len(decisions), model.nu))
    for number in range(model.nu):
        joint = model.actuator(number).name.removeprefix("A_")
        if joint in path:
            controls[:, number] = path[joint] * (0.4 if joint.startswith("AR") else 1)  # 500 control = 200 angle
        elif joint in THUMB:
            controls[:, number] = THUMB[joint] * path["thumb"]
        elif joint[-1] in "012":
            controls[:, number] = path["flex"]
    low, high = model.actuator_ctrlrange.T
    return np.clip(2 * (controls - low) / (high - low) - 1, -1, 1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("task", TASKS)
def test_a_script_solves_it_by_actions_alone(task: str, seed: int) -> None:
    env = make(task, 0)
    observation, _ = env.reset(seed=seed)
    steps = [env.step(action) for action in scripted(task, env, observation)]
    rewards = [step[1] for step in steps]
    assert steps[-1][3:] == (True, {"success": 1.0})
    assert rewards[: HORIZONS[task] // 2] == [0] * (HORIZONS[task] // 2)
    assert rewards[-5:] == [1.0] * 5


@pytest.mark.parametrize("task", TASKS)
def test_random_actions_solve_nothing(task: str) -> None:
    env = make(task, 0)
    draw = np.random.default_rng(0)
    for seed in range(3):
        env.reset(seed=seed)
        assert sum(env.step(draw.uniform(-1, 1, ACTIONS[task]))[1] for _ in range(HORIZONS[task])) == 0


@pytest.mark.parametrize("suite", ["adroit", "metaworld", "mujoco"])
def test_importing_a_suite_prints_nothing(suite: str) -> None:
    completed = subprocess.run(
        [sys.executable, "-c", f"import relatent.envs.{suite}"], capture_output=True, text=True, check=True
    )
    assert (completed.stdout, completed.stderr) == ("", "")


def test_an_unknown_task_is_one_line() -> None:
    with pytest.raises(RelatentError, match="no Adroit task 'pen'"):
        make("pen", 6)
