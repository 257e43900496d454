"""The probe `pictures`: of which states, when, and that a run with it is otherwise the run without it."""

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from relatent.envs import make
from relatent.specs.errors import RelatentError
from relatent.training import loop
from relatent.training import train as training
from relatent.training.checkpoint import Checkpoint
from relatent.training.clock import PhaseClock
from relatent.training.pictures import SIDE, due, view
from relatent.training.record import Record
from relatent.training.remote_env import RemoteEnv
from relatent.training.replay import Replay
from relatent.training.seeds import Stream, derive, generator
from tests.agents.tiny_rpg import AGENTS, SIZES
from tests.training.specs import stop_and_continue
from tests.training.test_loop import Counter, Listener

LANES, LENGTH = 3, 60
ROUND = LANES * LENGTH  # interactions of an episode in each environment

PLAN = loop.Plan(1, 60, 5, eval_every=6, eval_episodes=2, action_repeat=1, probes=("pictures",))


class Canvas(Counter):
    """Draws the step and two bytes of its seed, always into the same array, as cameras may."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn, self.renders = np.zeros((4, 4, 3), np.uint8), 0

    def render(self) -> np.ndarray:
        self.renders += 1
        self.drawn[:] = self.content(self.steps, self.seeds[-1])
        return self.drawn

    @staticmethod
    def content(steps: int, seed: int) -> list[int]:
        return [steps, seed % 256, seed // 256 % 256]


class Blank(Counter):
    """An environment that draws what it is given."""

    def __init__(self, drawn: Any) -> None:
        super().__init__()
        self.drawn = drawn

    def render(self) -> Any:
        return self.drawn


def run(folder: Path, plan: loop.Plan, eval_env: Counter, env: Counter | None = None) -> tuple[Record, Listener]:
    agent, replay, record = Listener(), Replay(100, 2, 1), Record(folder)
    checkpoint = Checkpoint(folder / "checkpoint", {"record": record}, replay, 1e9)
    updates, clock = generator(0, Stream.UPDATES), PhaseClock()
    loop.train(plan, [env or Canvas()], eval_env, agent, replay, record, checkpoint, updates, clock)
    return record, agent


@pytest.mark.parametrize(
    ("evaluations", "taken"),
    [
        (1, [1]),
        (2, [1, 2]),
        (4, [1, 2, 3, 4]),
        (5, [1, 2, 3, 4, 5]),
        (6, [2, 3, 4, 5, 6]),
        (7, [2, 3, 5, 6, 7]),
        (20, [4, 8, 12, 16, 20]),
        (100, [20, 40, 60, 80, 100]),
    ],
)
def test_a_state_is_taken_after_each_fifth(evaluations: int, taken: list[int]) -> None:
    """Of evenly spaced evaluations the first after each fifth, or all where they are fewer."""
    found: list[int] = []
    for number in range(evaluations + 1):
        if due(number * 1_000, evaluations * 1_000, len(found)):
            found.append(number)
    assert found == taken


def test_pictures_are_of_the_first_state_and_of_last_ones(tmp_path: Path) -> None:
    env, training_env = Canvas(), Canvas()
    record, _ = run(tmp_path, PLAN, env, training_env)
    moments = [0, 12, 24, 36, 48, 60]
    seeds = [derive(1, Stream.EVALUATION_EPISODE, frames, 0) for frames in moments]
    assert [frames for frames, _ in record.pictures] == moments
    for number, ((_, picture), seed) in enumerate(zip(record.pictures, seeds, strict=True)):
        assert picture.shape == (4, 4, 3)
        assert (picture == Canvas.content(7 if number else 0, seed)).all()
    assert (env.renders, training_env.renders) == (6, 0)


def test_a_run_without_the_probe_draws_nothing_and_is_the_same(tmp_path: Path) -> None:
    env = Canvas()
    bare, agent = run(tmp_path / "bare", dataclasses.replace(PLAN, probes=()), env)
    with_probe, other = run(tmp_path / "probe", PLAN, Canvas())
    assert (env.renders, bare.pictures) == (0, [])
    assert (bare.rows, agent.acted) == (with_probe.rows, other.acted)
    bare.finish({})
    assert not np.load(tmp_path / "bare/probes.npz").files


def test_pictures_reach_the_file_and_survive_a_checkpoint(tmp_path: Path) -> None:
    record, _ = run(tmp_path / "one", PLAN, Canvas())
    continued = Record(tmp_path / "two")
    checkpoint = Checkpoint(tmp_path / "kept", {"record": record}, Replay(100, 2, 1), 0.0)
    checkpoint.save({"frames": 60})
    assert Checkpoint(tmp_path / "kept", {"record": continued}, Replay(100, 2, 1), 0.0).load() == {"frames": 60}
    for one in (record, continued):
        one.finish({})
    stored = np.load(tmp_path / "two/probes.npz")
    assert stored["pictures_frames"].tolist() == [0, 12, 24, 36, 48, 60]
    assert (stored["pictures"].dtype, stored["pictures"].shape) == (np.uint8, (6, 4, 4, 3))
    assert (tmp_path / "two/probes.npz").read_bytes() == (tmp_path / "one/probes.npz").read_bytes()


def test_a_checkpoint_from_before_this_probe_is_read(tmp_path: Path) -> None:
    state = Record(tmp_path).state_dict()
    del state["pictures"]
    record = Record(tmp_path)
    record.load_state_dict(state)
    assert record.pictures == []


def test_where_nothing_can_be_drawn_no_step_is_trained(tmp_path: Path) -> None:
    class Dark(Canvas):
        def render(self) -> np.ndarray:
            raise RelatentError("a picture needs an OpenGL context")

    env = Canvas()
    with pytest.raises(RelatentError, match="needs an OpenGL context"):
        run(tmp_path, PLAN, Dark(), env)
    assert env.seeds == []


def test_large_pictures_are_thinned_out() -> None:
    env = make({"suite": "maze", "task": "gap_maze", "octaves": 6})
    env.reset(seed=0)
    whole = np.asarray(env.render())
    assert whole.shape == (200, 200, 3)
    assert np.array_equal(view(env), whole[::2, ::2])
    sides = {side: len(view(Blank(np.zeros((side, side, 3), np.uint8)))) for side in (SIDE, SIDE + 1, 3 * SIDE)}
    assert sides == {128: 128, 129: 65, 384: 128}


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        (Counter(), "needs an environment that can be rendered"),
        (Blank(None), r"square pictures of uint8 .*, got object \(\)"),
        (Blank(np.zeros((8, 8, 3))), r"got float64 \(8, 8, 3\)"),
        (Blank(np.zeros((8, 9, 3), np.uint8)), r"got uint8 \(8, 9, 3\)"),
        (Blank(np.zeros((8, 8), np.uint8)), r"got uint8 \(8, 8\)"),
    ],
)
def test_what_is_no_picture_is_one_line(env: gymnasium.Env, expected: str) -> None:
    with pytest.raises(RelatentError, match=expected) as raised:
        view(env)
    assert "\n" not in str(raised.value)


TASKS = {"block_push": "two_blocks", "cabinet": "cabinet_sparse", "metaworld": "stick_pull"}


@pytest.mark.parametrize("suite", TASKS)
def test_the_tasks_of_figure_10_draw_and_go_on_as_if_they_had_not(suite: str) -> None:
    spec = {"suite": suite, "task": TASKS[suite], "octaves": 6}
    watched, alone = make(spec), make(spec)
    actions = np.random.default_rng(0).uniform(-1, 1, (20, watched.action_space.shape[0]))  # type: ignore[index]
    assert np.array_equal(watched.reset(seed=5)[0], alone.reset(seed=5)[0])
    first = view(watched)
    for action in actions:
        assert np.array_equal(watched.step(action)[0], alone.step(action)[0])
        view(watched)
    last = view(watched)
    assert first.std() > 10
    assert 0.001 < (first != last).any(-1).mean() < 0.5  # the camera stands still, the agent does not
    assert np.array_equal(last, view(watched))


def test_an_environment_elsewhere_draws_the_same() -> None:
    spec = {"suite": "block_push", "task": "two_blocks", "octaves": 6}
    here, there = make(spec), RemoteEnv(spec, lambda: None)
    for env in (here, there):
        env.reset(seed=0)
        env.step(np.array([1.0, 0.3]))
    assert np.array_equal(view(here), view(there))
    there.close()


def test_stopped_twice_it_has_the_same_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first evaluation of training, and between two that are drawn."""
    small = {"width": 8, "batch": 16, "update_after": ROUND, "replay": 10_000, "novelty_memory": 10_000, "lr": 1e-3}
    spec = {
        "agent": "rpg",
        "revision": 1,
        "hyper": {**SIZES, **AGENTS["code"], **small},
        "env": {"suite": "block_push", "task": "two_blocks", "octaves": 6},
        "training": {
            "frames": 4 * ROUND,
            "random_frames": 0,
            "eval_every": 2 * ROUND,
            "eval_episodes": 2,
            "parallel_envs": LANES,
        },
        "probes": ["pictures"],
        "seed": 0,
    }
    stop_and_continue(spec, tmp_path, (ROUND + 54, 3 * ROUND + 6), monkeypatch)
    for name in ("returns.csv", "probes.npz"):
        assert (tmp_path / "pieces" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    stored = np.load(tmp_path / "whole/probes.npz")
    assert stored["pictures_frames"].tolist() == [0, 2 * ROUND, 4 * ROUND]
    assert len({picture.tobytes() for picture in stored["pictures"]}) == 3
    training.train({**spec, "probes": []}, tmp_path / "bare")
    assert (tmp_path / "bare/returns.csv").read_bytes() == (tmp_path / "whole/returns.csv").read_bytes()
