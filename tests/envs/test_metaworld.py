"""Meta-World with sparse rewards: what is seen, when a task is solved, where things are, and that experts solve it."""

import numpy as np
import pytest
from metaworld.policies import SawyerBasketballV3Policy, SawyerStickPullV3Policy

from relatent.envs.metaworld import TASKS, MetaWorld, make
from relatent.specs.errors import RelatentError

ACTIONS = np.random.default_rng(0).uniform(-1, 1, (20, 4))


@pytest.mark.parametrize(("octaves", "size"), [(0, 39), (6, 130)])
@pytest.mark.parametrize("task", TASKS)
def test_sizes(task: str, octaves: int, size: int) -> None:
    env = make(task, octaves)
    observation, _ = env.reset(seed=0)
    assert (env.observation_space.shape, env.action_space.shape) == ((size,), (4,))
    assert (observation.shape, observation.dtype) == ((size,), np.float32)
    assert (env.action_space.low == -1).all()
    assert (env.action_space.high == 1).all()


def symlog(length: float) -> float:
    """Of a length over 0.4 m."""
    return float(np.copysign(np.log(1 + abs(length) / 0.4), length))


def objects(task: str, env: MetaWorld) -> np.ndarray:
    """The seven numbers that are encoded, from the simulator's bodies and sites."""
    data = env.simulator.data
    fingertips = (data.site("rightEndEffector").xpos + data.site("leftEndEffector").xpos) / 2
    claws = np.linalg.norm(data.body("rightclaw").xpos - data.body("leftclaw").xpos)
    if task == "basketball":
        ball = data.body("bsktball").xpos
        lengths = [*(fingertips - ball), *ball]
    else:
        stick, handle = data.body("stick").xpos, data.site("insertion").xpos
        lengths = [*(stick - handle), *(stick - fingertips)]
    return np.array([*map(symlog, lengths), min(claws / 0.1, 1)])


@pytest.mark.parametrize("task", TASKS)
def test_an_observation_is_meta_worlds_and_the_encoded_objects(task: str) -> None:
    raw, encoded = make(task, 0), make(task, 6)
    plain, seen = raw.reset(seed=3)[0], encoded.reset(seed=3)[0]
    for action in ACTIONS:
        np.testing.assert_allclose(seen[:39], 0.05 * plain, rtol=1e-6)
        values = objects(task, encoded)
        waves = [wave(2.0**octave * values) for octave in range(6) for wave in (np.sin, np.cos)]
        np.testing.assert_allclose(seen[39:], np.concatenate([values, *waves]), rtol=1e-5, atol=1e-5)
        plain, seen = raw.step(action)[0], encoded.step(action)[0]


@pytest.mark.parametrize("task", TASKS)
def test_without_octaves_meta_worlds_numbers_arrive_as_they_are(task: str) -> None:
    env = make(task, 0)
    env.reset(seed=3)
    for action in ACTIONS:
        observation = env.step(action)[0]
        data = env.simulator.data
        things = ["bsktball"] if task == "basketball" else ["stick"]
        expected = np.concatenate([data.body(name).xpos for name in ["hand", *things]])
        np.testing.assert_allclose(observation[[0, 1, 2, 4, 5, 6]], expected, rtol=1e-6)
        np.testing.assert_allclose(observation[36:], data.site("goal").xpos, rtol=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_a_decision_is_two_simulator_steps_and_an_episode_a_hundred_decisions_after_one_zero_action(task: str) -> None:
    env = make(task, 6)
    for seed in range(2):
        env.reset(seed=seed)
        assert env.simulator.curr_path_length == 1
        ends = [env.step(np.zeros(4))[2:4] for _ in range(100)]
        assert env.simulator.curr_path_length == 201
        assert ends == [(False, False)] * 99 + [(False, True)]


# Where things are at an episode's start, x then y: basketball's ball and basket, stick_pull's stick and goal.
RANGES = {
    "basketball": ([-0.1, 0.6, -0.1, 0.85], [0.1, 0.7, 0.1, 0.9], [0, 0, 0, 0.083]),
    "stick_pull": ([-0.1, 0.55, 0.35, 0.45], [0.0, 0.65, 0.45, 0.55], [0, 0, 0, 0]),
}


@pytest.mark.parametrize("task", TASKS)
def test_objects_and_goal_are_elsewhere_in_every_episode_all_over_their_ranges(task: str) -> None:
    low, high, goal_to_basket = map(np.array, RANGES[task])
    env = make(task, 0)
    starts = np.array([env.reset(seed=seed)[0] for seed in range(40)])[:, [4, 5, 36, 37]] + goal_to_basket
    assert len(np.unique(starts, axis=0)) == 40
    assert (starts >= low - 1e-3).all()  # the first steps move an object by less than a millimetre
    assert (starts <= high + 1e-3).all()
    assert (starts.min(0) < low + 0.2 * (high - low)).all()
    assert (starts.max(0) > high - 0.2 * (high - low)).all()


def episode(env: MetaWorld, seed: int) -> list[bytes]:
    seen = [env.reset(seed=seed)[0].tobytes()]
    return seen + [env.step(action)[0].tobytes() for action in ACTIONS]


@pytest.mark.parametrize("task", TASKS)
def test_a_seed_decides_the_whole_episode_whatever_came_before_and_nothing_else_is_drawn(task: str) -> None:
    np.random.seed(11)
    expected = np.random.random()
    np.random.seed(11)
    fresh, used = make(task, 6), make(task, 6)
    first = episode(fresh, 7)
    assert episode(used, 8) != first
    assert episode(used, 7) == first
    assert np.random.random() == expected


@pytest.mark.parametrize(
    ("offset", "solved"),
    [
        ((0.0799, 0, 0), 1),
        ((0.0801, 0, 0), 0),
        ((0, -0.0799, 0), 1),
        ((0, -0.0801, 0), 0),
        ((0, 0, 0.0399), 1),
        ((0, 0, 0.0401), 0),
        ((0, 0, -0.0401), 0),
    ],
)
def test_basketball_is_solved_within_8_cm_of_a_point_above_the_hoop_heights_counted_twice(
    offset: tuple[float, float, float], solved: int
) -> None:
    env = make("basketball", 0)
    raw = env.reset(seed=0)[0].astype(np.float64)
    above_hoop = np.array([*env.simulator.data.site("goal").xpos[:2], 0.3])
    raw[4:7] = above_hoop + offset
    assert env.simulator.evaluate_state(raw, np.zeros(4))[1]["success"] == solved


@pytest.mark.parametrize(
    ("handle", "end", "solved"),  # handle from the goal, the stick's end from the handle
    [
        ((0.119, 0, 0), (0, 0, 0), 1),
        ((0.121, 0, 0), (0, 0, 0), 0),
        ((0, 0, 0), (-0.001, 0, 0), 0),
        ((0, 0, 0), (0.1, 0.039, -0.059), 1),
        ((0, 0, 0), (0.1, 0.041, 0), 0),
        ((0, 0, 0), (0.1, 0, -0.061), 0),
    ],
)
def test_stick_pull_is_solved_within_12_cm_of_the_goal_with_the_stick_in_the_handle(
    handle: tuple[float, float, float], end: tuple[float, float, float], solved: int
) -> None:
    env = make("stick_pull", 0)
    raw = env.reset(seed=0)[0].astype(np.float64)
    raw[11:14] = env.simulator._target_pos + np.array(handle)
    env.simulator.data.site("stick_end").xpos[:] = raw[11:14] + np.array(end)
    assert env.simulator.evaluate_state(raw, np.zeros(4))[1]["success"] == solved


@pytest.mark.filterwarnings("ignore:Constant")
def test_the_reward_is_the_flag_after_the_second_simulator_step(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make("basketball", 0)
    actions, flags = [], []
    step = env.simulator.step

    def recorded(action: np.ndarray) -> tuple:
        result = step(action)
        actions.append(action)
        flags.append(result[4]["success"])
        return result

    monkeypatch.setattr(env.simulator, "step", recorded)
    expert = SawyerBasketballV3Policy()
    observation, _ = env.reset(seed=0)
    rewards = []
    for _ in range(100):
        observation, reward, _, _, info = env.step(expert.get_action(observation.astype(np.float64)))
        rewards.append(reward)
        assert info == {"success": reward}
    assert len(flags) == 201
    assert (actions[0] == 0).all()
    assert all((first == second).all() for first, second in zip(actions[1::2], actions[2::2], strict=True))
    assert rewards == flags[2::2]
    assert set(rewards) == {0.0, 1.0}


# Which of these episodes Meta-World's own experts solve within 100 decisions: at their last one, and at any.
EXPERTS = {
    "basketball": (SawyerBasketballV3Policy, {0: (1, 1), 1: (1, 1), 2: (1, 1), 3: (1, 1), 16: (0, 0)}),
    "stick_pull": (SawyerStickPullV3Policy, {16: (1, 1), 2: (0, 1), 11: (0, 1), 3: (0, 0), 5: (0, 0)}),
}


@pytest.mark.filterwarnings("ignore:Constant")
@pytest.mark.parametrize("task", TASKS)
def test_meta_worlds_experts_solve_it(task: str) -> None:
    policy, expected = EXPERTS[task]
    env, expert, outcomes = make(task, 0), policy(), {}
    for seed in expected:
        observation, _ = env.reset(seed=seed)
        solved = []
        for _ in range(100):
            observation, reward, _, truncated, info = env.step(expert.get_action(observation.astype(np.float64)))
            solved.append(reward)
        assert truncated
        outcomes[seed] = (info["success"], max(solved))
    assert outcomes == expected


@pytest.mark.parametrize("task", TASKS)
def test_doing_nothing_solves_nothing(task: str) -> None:
    env = make(task, 0)
    env.reset(seed=0)
    assert sum(env.step(np.zeros(4))[1] for _ in range(100)) == 0


def test_an_unknown_task_is_one_line() -> None:
    with pytest.raises(RelatentError, match="no Meta-World task 'reach'"):
        make("reach", 6)
