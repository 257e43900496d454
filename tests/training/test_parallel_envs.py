"""Several environments side by side: the order of events, when transitions count, their seeds and ends, and records."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relatent.specs.errors import RelatentError
from relatent.training import loop
from relatent.training.checkpoint import Checkpoint
from relatent.training.clock import PhaseClock
from relatent.training.record import Record
from relatent.training.replay import Replay
from relatent.training.seeds import Stream, derive, generator
from tests.training.test_loop import Counter

LENGTH = 7


class Lane(Counter):
    """Says when it is reset and stepped; refuses a step after its episode's end, as simulators are free to do."""

    def __init__(self, number: int, events: list[Any], length: int = LENGTH, refuses: bool = True) -> None:
        super().__init__(length)
        self.number, self.events, self.refuses = number, events, refuses

    def reset(self, **settings: Any) -> tuple[np.ndarray, dict]:
        self.events.append(("reset", self.number))
        return super().reset(**settings)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        if self.refuses:
            assert self.steps < self.length, "stepped after its end"
        self.events.append(("step", self.number))
        observation, reward, _, _, _ = super().step(action)
        ended = self.steps >= self.length  # and so it stays, as that of a time limit does
        info = {"success": self.steps / 10 + self.number / 100}
        return observation, reward + self.number, False, ended, info


class Agent:
    """Notes what it is asked; its belief is a number that the episode's generator gave."""

    def __init__(self, events: list[Any], every: int) -> None:
        self.events, self.every = events, every
        self.drawn: list[tuple[float, float]] = []
        self.held: list[int] = []

    def act(self, _: np.ndarray, belief: Any, explore: bool, generator: torch.Generator) -> Any:
        if explore:
            self.events.append("act")
        belief = torch.rand(1, generator=generator) if belief is None else belief
        action = torch.rand(1, generator=generator).numpy()
        self.drawn.append((float(belief), float(action[0])))
        return action, belief

    def keep(self, belief: torch.Tensor) -> np.ndarray:
        return belief.numpy()

    def updates_due(self, before: int, after: int) -> int:
        return after // self.every - before // self.every

    def update(self, replay: Replay, _: torch.Generator) -> dict[str, torch.Tensor]:
        self.events.append("update")
        self.held.append(len(replay))
        return {}


def run(
    folder: Path, frames: int, lanes: int, repeat: int = 1, lengths: dict[int, int] | None = None, **settings: Any
) -> tuple[Record, Agent, list[Lane], Replay, list[Any]]:
    events: list[Any] = []
    plan = loop.Plan(
        seed=1,
        frames=frames,
        random_frames=0,
        eval_every=frames,
        eval_episodes=1,
        action_repeat=repeat,
        parallel_envs=lanes,
    )
    envs = [Lane(n, events, (lengths or {}).get(n, LENGTH), **settings) for n in range(lanes)]
    agent, replay, record = Agent(events, 2 * repeat), Replay(500, 2, 1, kept_size=1, lanes=lanes), Record(folder)
    checkpoint = Checkpoint(folder / "checkpoint", {"record": record}, replay, 1e9)
    stream = generator(0, Stream.UPDATES)
    loop.train(plan, list(envs), Counter(), agent, replay, record, checkpoint, stream, PhaseClock())
    return record, agent, envs, replay, events


@pytest.mark.parametrize("repeat", [1, 2])
def test_lanes_take_their_steps_in_turn_and_updates_come_after_all(tmp_path: Path, repeat: int) -> None:
    """All are reset, then step for step: an action and a step of each, then what is owed, here one update for two
    steps."""
    *_, events = run(tmp_path, 4 * LENGTH * 3 * repeat, 4, repeat)
    one_step = [event for lane in range(4) for event in ("act", ("step", lane))] + ["update"] * 2
    one_round = [("reset", lane) for lane in range(4)] + one_step * LENGTH
    assert events == one_round * 3


def test_transitions_count_when_all_episodes_of_a_round_have_ended(tmp_path: Path) -> None:
    """Whole episodes, lane after lane; until then an update has those of the rounds before."""
    _, agent, envs, replay, _ = run(tmp_path, 3 * LENGTH * 2, 3)
    in_a_round = 3 * LENGTH // 2
    assert agent.held[: in_a_round - 1] == [0] * (in_a_round - 1)
    assert set(agent.held) == {0, 3 * LENGTH, 6 * LENGTH}
    assert sorted(agent.held) == agent.held
    rows = replay.table[: replay.rows]
    assert rows[:, 1].tolist() == list(range(LENGTH + 1)) * 6  # the step, with what was seen last
    seeds = [env.seeds[number] % 1000 for number in range(2) for env in envs]
    assert rows[:, 0].tolist() == [float(seed) for seed in seeds for _ in range(LENGTH + 1)]
    starts = rows[rows[:, -1] == 0]
    assert starts[:, -3].tolist() == [1.0 + lane for _ in range(2) for lane in range(3) for _ in range(LENGTH)]
    # An agent chose in turn; its action and what it keeps stand beside the observation that it chose at.
    chosen = np.array(agent.drawn, np.float32)[1 + LENGTH - 1 :]  # an evaluation of seven steps came first
    in_lanes = chosen[: 2 * 3 * LENGTH].reshape(2, LENGTH, 3, 2).transpose(0, 2, 1, 3).reshape(-1, 2)
    assert np.array_equal(starts[:, 2:4], in_lanes[:, ::-1])


def test_an_episodes_seeds_are_those_of_its_number(tmp_path: Path) -> None:
    """Numbers go through the lanes of a round, then on to the next."""
    _, _, envs, replay, _ = run(tmp_path, 3 * LENGTH * 4, 3)
    for lane, env in enumerate(envs):
        assert env.seeds == [derive(1, Stream.TRAINING_EPISODE, number) for number in range(lane, 12, 3)]
    starts = replay.table[: replay.rows][replay.table[: replay.rows, -1] == 0]
    for number in range(12):
        stream = generator(1, Stream.TRAINING_ACTIONS, number)
        draws = [float(torch.rand(1, generator=stream)) for _ in range(LENGTH + 1)]
        rows = starts[number * LENGTH : (number + 1) * LENGTH]
        assert rows[:, 3].tolist() == draws[:1] * LENGTH  # what was kept
        assert rows[:, 2].tolist() == draws[1:]


def test_returns_of_all_lanes_with_what_they_solved(tmp_path: Path) -> None:
    record, *_ = run(tmp_path, 3 * LENGTH * 2, 3)
    train = [row for row in record.rows if row[0] == "train"]
    expected = [
        ["train", 21 * (number // 3 + 1), number, repr(7.0 * (1 + number % 3)), repr(0.7 + number % 3 / 100)]
        for number in range(6)
    ]
    assert train == expected


@pytest.mark.parametrize("refuses", [True, False])
@pytest.mark.parametrize("lengths", [{0: 5}, {1: 5}, {2: 3}, {0: 9}])
def test_episodes_that_do_not_end_together_are_one_clear_error(
    tmp_path: Path, lengths: dict[int, int], refuses: bool
) -> None:
    """Whichever ends first, and before any is stepped after its end."""
    with pytest.raises(RelatentError, match="parallel_envs: episodes must end together") as error:
        run(tmp_path, 3 * LENGTH * 4, 3, lengths=lengths, refuses=refuses)
    assert "\n" not in str(error.value)


def test_frames_that_run_out_within_a_round_end_it(tmp_path: Path) -> None:
    record, _, _, replay, events = run(tmp_path, 3 * LENGTH + 6, 3)
    assert len(replay) == 3 * LENGTH
    assert events.count("act") == 3 * LENGTH + 6
    assert [row[2] for row in record.rows if row[0] == "train"] == [0, 1, 2]


def test_one_environment_needs_no_round(tmp_path: Path) -> None:
    """A step counts at once, also before its episode ends."""
    _, agent, _, replay, events = run(tmp_path, 10, 1)
    assert agent.held == [2, 4, 6, 8, 10]
    assert len(replay) == 10
    step = ["act", ("step", 0)]
    two = [*step, *step, "update"]
    assert events == [("reset", 0), *two * 3, *step, ("reset", 0), *step, "update", *two]


# What a record holds of where an agent has been


def test_visits_count_training_steps_in_cells(tmp_path: Path) -> None:
    """-1 is no cell; the share is of all cells, and none before the first step."""
    record = Record(tmp_path)
    record.coverage(0)
    for cell in (3, -1, 3, 0, 3):
        record.visit({"cell": cell, "cells": 5})
    record.visit({"success": 1.0})
    record.coverage(50)
    assert record.visits == [1, 0, 0, 3, 0]
    assert record.series == {"coverage_share": [0.0, 0.4], "coverage_share_frames": [0, 50]}


@pytest.mark.parametrize(
    ("success", "written"), [(None, ""), (0.5, "0.5"), (0.0, 0), (1.0, 1), (True, 1), (np.float32(0.25), "0.25")]
)
def test_success_is_a_share(tmp_path: Path, success: Any, written: Any) -> None:
    record = Record(tmp_path)
    record.episode("train", 5, 0, 1.0, success)
    assert record.rows == [["train", 5, 0, "1.0", written]]


def test_where_it_has_been_survives_and_is_written(tmp_path: Path) -> None:
    record, restored = Record(tmp_path / "one"), Record(tmp_path / "two")
    for cell in (1, 1, 2):
        record.visit({"cell": cell, "cells": 3})
    record.position(10, {"position": np.array([0.5, -1.5])})
    record.position(20, {"position": np.array([2.0, 3.0], np.float32)})
    record.coverage(20)
    state = tmp_path / "state.pt"
    torch.save(record.state_dict(), state)
    restored.load_state_dict(torch.load(state, weights_only=True))
    for one in (record, restored):
        one.run.mkdir()
        one.visit({"cell": 0, "cells": 3})
        one.position(30, {"position": np.array([1.0, 1.0])})
        one.coverage(30)
        one.finish({})
        found = np.load(one.run / "probes.npz")
        assert found["visits"].tolist() == [1, 2, 1]
        assert found["positions"].tolist() == [[0.5, -1.5], [2.0, 3.0], [1.0, 1.0]]
        assert found["positions_frames"].tolist() == [10, 20, 30]
        assert found["coverage_share"].tolist() == pytest.approx([2 / 3, 1.0])
    files = [(one.run / "probes.npz").read_bytes() for one in (record, restored)]
    assert files[0] == files[1]
    assert json.loads((tmp_path / "one/manifest.json").read_text())["files_sha256"].keys() == {
        "probes.npz",
        "returns.csv",
    }
