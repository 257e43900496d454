import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from relatent.envs import make
from relatent.envs.probes import PROBES
from relatent.specs.errors import RelatentError

GAMMA = 0.7


def transitions(task: str, action: float, seed: int) -> list[tuple[float, float, float, bool, bool]]:
    """(x, reward, next x, terminated, truncated) of one episode of one action."""
    env = make({"suite": "probe", "task": task})
    x, _ = env.reset(seed=seed)
    steps, ended = [], False
    while not ended:
        following, reward, terminated, truncated, _ = env.step(np.array([action], np.float32))
        steps.append((float(x[0]), float(reward), float(following[0]), terminated, truncated))
        x, ended = following, terminated or truncated
    return steps


@pytest.mark.parametrize("task", PROBES)
@pytest.mark.filterwarnings("ignore::UserWarning")  # gymnasium's advice on spaces without a maximum and on render modes
def test_probes_are_gymnasium_environments(task: str) -> None:
    check_env(make({"suite": "probe", "task": task, "action_repeat": 1}), skip_render_check=True)


@pytest.mark.parametrize("task", PROBES)
@pytest.mark.parametrize("action", [-0.75, 0.5])
def test_documented_values_solve_the_bellman_equation(task: str, action: float) -> None:
    value = PROBES[task].value
    for x, reward, following, terminated, _ in [step for seed in range(4) for step in transitions(task, action, seed)]:
        next_value = 0.0 if terminated else value(following, action, GAMMA)
        assert value(x, action, GAMMA) == pytest.approx(reward + GAMMA * next_value, rel=1e-12)


@pytest.mark.parametrize(("task", "length"), [("constant_reward", 1), ("delayed_reward", 2), ("truncated", 2)])
def test_episodes_end_once_in_the_documented_way(task: str, length: int) -> None:
    steps = transitions(task, 0.0, seed=0)
    assert len(steps) == length
    assert [terminated for *_, terminated, _ in steps] == [False] * (length - 1) + [task != "truncated"]
    assert [truncated for *_, truncated in steps] == [False] * (length - 1) + [task == "truncated"]


def test_a_termination_differs_from_a_time_limit_in_nothing_else() -> None:
    assert [step[:3] for step in transitions("terminated", 0.3, 0)] == [
        step[:3] for step in transitions("truncated", 0.3, 0)
    ]


def test_the_best_action_of_action_reward_is_half_the_observation() -> None:
    actions = np.linspace(-1, 1, 2001)
    for x in (-1.0, 1.0):
        rewards = [PROBES["action_reward"].reward(x, action) for action in actions]
        assert actions[int(np.argmax(rewards))] == pytest.approx(x / 2, abs=1e-9)
        assert max(rewards) == 1.0


@pytest.mark.parametrize("task", ["observation_reward", "action_reward"])
def test_both_observations_occur_and_the_seed_decides_which(task: str) -> None:
    firsts = [transitions(task, 0.0, seed)[0][0] for seed in range(20)]
    assert set(firsts) == {-1.0, 1.0}
    assert firsts == [transitions(task, 0.0, seed)[0][0] for seed in range(20)]


def test_repeated_actions_sum_their_rewards_and_stop_at_the_episodes_end() -> None:
    env: gymnasium.Env = make({"suite": "probe", "task": "terminated", "action_repeat": 4})
    env.reset(seed=0)
    _, reward, terminated, truncated, _ = env.step(np.zeros(1, np.float32))
    assert (reward, terminated, truncated) == (2.0, True, False)


def test_an_unknown_probe_is_one_clear_line() -> None:
    with pytest.raises(RelatentError, match="no probe 'constant', expected one of constant_reward, "):
        make({"suite": "probe", "task": "constant"})
