"""The order of events: who acts when, when updates are owed, what an evaluation may not disturb."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from relatent.training import loop
from relatent.training.checkpoint import Checkpoint
from relatent.training.clock import PhaseClock
from relatent.training.record import Record
from relatent.training.replay import Replay
from relatent.training.seeds import Stream, derive, generator


class Counter(gymnasium.Env):
    """Seven steps an episode; observes its seed's last digits and the step; pays 1 a step."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, length: int = 7, terminates: bool = False) -> None:
        self.length, self.terminates, self.seeds = length, terminates, list[int]()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:  # noqa: ARG002
        assert seed is not None
        self.seeds.append(seed)
        self.steps = 0
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert action.shape == (1,)
        assert -1 <= action[0] <= 1
        self.steps += 1
        ended = self.steps == self.length
        return self._observe(), 1.0, ended and self.terminates, ended and not self.terminates, {"success": ended}

    def _observe(self) -> np.ndarray:
        return np.array([self.seeds[-1] % 1000, self.steps], np.float32)


class Listener:
    """An agent whose belief counts the steps of its episode, and that notes what it is asked."""

    def __init__(self) -> None:
        self.acted: list[tuple[int, bool]] = []
        self.updates = 0

    def act(self, observation: np.ndarray, belief: Any, explore: bool, generator: torch.Generator) -> Any:
        belief = (belief or 0) + 1
        if explore:
            assert belief <= observation[1] + 1  # as many acts as steps since it began acting in this episode
        else:
            assert belief == observation[1] + 1
        self.acted.append((int(observation[1]), explore))
        return torch.rand(1, generator=generator).numpy(), belief

    def keep(self, belief: Any) -> None:
        """Nothing."""

    def updates_due(self, before: int, after: int) -> int:
        return int(after > 10) * (after - before)

    def update(self, replay: Replay, generator: torch.Generator) -> dict[str, torch.Tensor]:
        self.updates += 1
        return {"reward": replay.sample(2, generator).reward.mean()}


def run(tmp_path: Path, plan: loop.Plan, env: Counter | None = None) -> tuple[Record, Listener, Counter, Replay]:
    env, agent, replay, record = env or Counter(), Listener(), Replay(100, 2, 1), Record(tmp_path)
    checkpoint = Checkpoint(tmp_path / "checkpoint", {"record": record}, replay, 1e9)
    loop.train(plan, [env], Counter(), agent, replay, record, checkpoint, generator(0, Stream.UPDATES), PhaseClock())
    return record, agent, env, replay


PLAN = loop.Plan(seed=1, frames=30, random_frames=5, eval_every=15, eval_episodes=2, action_repeat=1)


def test_returns_are_raw_episodes_of_training_and_evaluation(tmp_path: Path) -> None:
    record, _, _, _ = run(tmp_path, PLAN)
    assert [row for row in record.rows if row[0] == "train"] == [["train", 7 * n + 7, n, "7.0", 1] for n in range(4)]
    assert [row[:3] for row in record.rows if row[0] == "eval"] == [["eval", f, e] for f in (0, 15, 30) for e in (0, 1)]


def test_every_evaluation_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, PLAN)
    told = capsys.readouterr().out.splitlines()[1:]
    assert told == [f"{tmp_path}: frame {f} of 30, 2 evaluation episodes: mean return 7" for f in (0, 15, 30)]


def test_updates_follow_the_agents_own_schedule(tmp_path: Path) -> None:
    assert run(tmp_path, PLAN)[1].updates == 20


def test_the_first_frames_are_random_and_then_the_agent_explores(tmp_path: Path) -> None:
    _, agent, _, _ = run(tmp_path, PLAN)
    assert sum(explore for _, explore in agent.acted) == 25


def test_action_repeat_counts_environment_frames(tmp_path: Path) -> None:
    plan = loop.Plan(seed=1, frames=60, random_frames=0, eval_every=30, eval_episodes=1, action_repeat=2)
    record, _, _, replay = run(tmp_path, plan)
    assert len(replay) == 30
    assert [row[1] for row in record.rows if row[0] == "train"] == [14, 28, 42, 56]


def test_an_episode_has_its_own_seed_that_depends_on_its_number_only(tmp_path: Path) -> None:
    env = run(tmp_path, PLAN)[2]
    assert env.seeds == [derive(1, Stream.TRAINING_EPISODE, episode) for episode in range(5)]
    assert len(set(env.seeds)) == 5


@pytest.mark.parametrize(("terminates", "expected"), [(True, 4), (False, 0)])
def test_a_time_limit_is_not_a_terminal_state(tmp_path: Path, terminates: bool, expected: int) -> None:
    replay = run(tmp_path, PLAN, Counter(terminates=terminates))[3]
    assert replay.table[: replay.rows, -2].sum() == expected


def test_streams_differ() -> None:
    seeds = {derive(seed, stream, position) for seed in (0, 1) for stream in Stream for position in range(3)}
    assert len(seeds) == 2 * len(Stream) * 3


class Watcher(Listener):
    """An agent that looks at the episodes of evaluations."""

    def __init__(self) -> None:
        super().__init__()
        self.watched: list[tuple[str, list[Any]]] = []

    def watch(self, name: str, episodes: list[Any], generator: torch.Generator) -> dict[str, Any]:
        assert generator.initial_seed()
        self.watched.append((name, episodes))
        return {"mean": float(len(self.watched)), "last": np.array([10.0 * len(self.watched)])}

    def probe(self, name: str, replay: Replay, generator: torch.Generator) -> dict[str, float]:  # noqa: ARG002
        return {"size": float(len(replay))}


def test_probes_of_episodes_are_given_those_of_the_evaluation(tmp_path: Path) -> None:
    """Whole and in order, with the actions as they were chosen; numbers make series, of arrays the newest is kept."""
    agent, replay, record = Watcher(), Replay(100, 2, 1), Record(tmp_path)
    plan = loop.Plan(1, 30, 5, eval_every=15, eval_episodes=2, action_repeat=1, probes=("collapse", "bias"))
    checkpoint, env = Checkpoint(tmp_path / "checkpoint", {"record": record}, replay, 1e9), Counter()
    loop.train(plan, [Counter()], env, agent, replay, record, checkpoint, generator(0, Stream.UPDATES), PhaseClock())
    assert [name for name, _ in agent.watched] == ["bias", "bias"]  # not before the first step
    for number, (_, episodes) in enumerate(agent.watched, 1):
        assert len(episodes) == 2
        for episode, played in enumerate(episodes):
            seed = derive(1, Stream.EVALUATION_EPISODE, 15 * number, episode) % 1000
            assert played.observations.tolist() == [[seed, step] for step in range(7)]
            stream = generator(1, Stream.EVALUATION_ACTIONS, 15 * number, episode)
            assert played.actions.tolist() == [torch.rand(1, generator=stream).tolist() for _ in range(7)]
            assert played.rewards.tolist() == [1.0] * 7
    assert (record.series["bias_mean"], record.series["bias_mean_frames"]) == ([1.0, 2.0], [15, 30])
    assert (record.series["collapse_size"], record.series["collapse_size_frames"]) == ([15.0, 30.0], [15, 30])
    assert "bias_last" not in record.series
    assert record.fixed["bias_last"].tolist() == [20.0]
    continued = Record(tmp_path)
    continued.load_state_dict(record.state_dict())
    assert continued.fixed["bias_last"].tolist() == [20.0]
    assert continued.fixed["bias_last"].dtype == np.float64
