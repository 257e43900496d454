"""BlockPush against the official scene in its own simulator, closed forms of its motion, and what a script can do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from relatent.envs import block_push
from relatent.envs.block_push import BlockPush, Pixels, make
from relatent.envs.positional import encode
from relatent.specs.errors import RelatentError

# Lists of [action, positions after it], the positions of block 0, block 1 and the agent, from the scene of
# haosulab/RPG@a7dc920 (walls with their default friction) built in SAPIEN 2.2.2 on a CPU: the actions of the script
# below, pressing along all four walls, and random actions.
SAPIEN = json.loads((Path(__file__).parent / "block_push_sapien.json").read_text())

# Where the agent goes, in turn, to push block 1 up, block 0 a little to the left, and block 0 up.
WAY = [(0.0, 0.95), (-0.7, 0.0), (-0.95, 0.0), (-0.75, -0.55), (-1.35, -0.55), (-1.35, 1.0)]


def started(octaves: int = 6) -> BlockPush:
    env = make("two_blocks", octaves=octaves)
    env.reset(seed=0)
    return env


def follow(env: BlockPush, way: list[tuple[float, float]]) -> list[tuple]:
    """Steps that lead the agent along a way, each place within 0.03."""
    steps = []
    for place in way:
        while np.abs(offset := place - env.data.qpos[-2:]).max() > 0.03:
            steps.append(env.step(np.clip(offset / 0.32, -1, 1)))
            assert not steps[-1][3], f"not at {place} in time"
    return steps


def test_scene() -> None:
    env = started()
    places = np.array([[-1.2, 0.0], [0.0, 0.0], [0.0, -1.4]])
    np.testing.assert_array_equal(env.data.qpos.reshape(-1, 2), places)
    np.testing.assert_array_equal(env.data.xpos[1:, :2], places)
    np.testing.assert_allclose(env.model.body_mass[1:], 64.0)  # 1000 kg/m³ of a cube of 0.4 m
    boxes = env.model.geom_size[env.model.geom_bodyid > 0]
    np.testing.assert_array_equal(boxes, np.full((3, 3), 0.2))
    assert env.model.nq == env.model.nv == 6
    assert block_push.GOALS == ((-1.4, 1.4), (0.0, 1.4))


@pytest.mark.parametrize(
    ("action", "change"), [((1, 0), (0.32, 0)), ((-0.5, 0.25), (-0.16, 0.08)), ((-9, 3), (-0.32, 0.32))]
)
def test_the_agent_moves_freely_by_a_third_a_step(action: tuple, change: tuple) -> None:
    env = started()
    before = env.data.qpos.copy()
    env.step(np.array(action))
    np.testing.assert_allclose(env.data.qpos - before, [0, 0, 0, 0, *change], atol=1e-12)


def test_a_block_drags_itself_to_a_stop() -> None:
    env = started()
    env.data.qvel[:2] = (1.0, -0.5)
    mujoco.mj_step(env.model, env.data)
    # 5000 N s/m on 64 kg, implicit over 0.01 s: it keeps 56%.
    np.testing.assert_allclose(env.data.qvel[:2], np.array([1.0, -0.5]) / (1 + 5000 * 0.01 / 64), rtol=1e-9)


def test_pushing_halves_the_agents_speed() -> None:
    """In steady motion v = (4 + v)/(2 + 0.78): the agent's 4 m/s and the block's v, shared, less the block's drag."""
    env = started()
    heights = []
    for _ in range(11):
        env.step(np.array([0.0, 1.0]))
        heights.append(env.data.qpos[[3, 5]].copy())
    changes = np.diff(heights[7:], axis=0)
    np.testing.assert_allclose(changes, 0.08 * 4 / (1 + 5000 * 0.01 / 64), rtol=2e-3)
    np.testing.assert_allclose(changes, 0.1795, atol=5e-4)  # in SAPIEN
    np.testing.assert_allclose(np.diff(heights[7:], axis=1), -0.4, atol=3e-3)  # touching
    assert env.data.qpos[[2, 4]].tolist() == pytest.approx([0, 0], abs=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_walls_keep_the_agent_within_1_8(axis: int, side: float) -> None:
    env = started()
    env.data.qpos[:4] = (-1.0, 0.0, 1.0, 0.0) if axis else (0.0, -1.0, 0.0, 1.0)  # blocks aside
    env.data.qpos[4:] = 0.0
    action = np.zeros(2)
    action[axis] = side
    places = [env.step(action)[-1]["position"][axis] * side for _ in range(12)]
    assert max(places) < 1.84  # a substep's motion is 0.04
    np.testing.assert_allclose(places[-5:], 1.8, atol=0.005)
    np.testing.assert_allclose(np.diff(places[-5:]), 0.0, atol=2e-4)  # it stays


def test_a_block_stops_at_a_wall_and_the_agent_at_the_block() -> None:
    env = started()
    for _ in range(25):
        env.step(np.array([0.0, 1.0]))
    np.testing.assert_allclose(env.data.qpos[[3, 5]], [1.8, 1.4], atol=0.01)


@pytest.mark.parametrize(("along", "slides"), [(0.9, 0.9 - 0.5 * 0.8), (0.3, 0.0), (-0.7, -0.7 + 0.5 * 0.8)])
def test_walls_rub_with_half_of_what_presses(along: float, slides: float) -> None:
    """Coulomb friction of a half takes half the speed against the wall off that along it."""
    env = started()
    env.data.qpos[4:] = (0.0, -1.8)
    env.data.qpos[:4] = (-1.0, 1.0, 1.0, 1.0)
    for _ in range(2):
        env.step(np.array([0.0, -0.8]))
    before = env.data.qpos[4]
    for _ in range(3):
        env.step(np.array([along, -0.8]))
    assert (env.data.qpos[4] - before) / 3 == pytest.approx(0.32 * slides, abs=0.02 * 0.32)


@pytest.mark.parametrize("name", SAPIEN)
def test_motion_is_that_of_the_official_simulator(name: str) -> None:
    """Up to what the agent moves in a substep, as contacts here begin when boxes overlap."""
    env = started()
    for action, expected in SAPIEN[name]:
        env.step(np.array(action))
        np.testing.assert_allclose(env.data.qpos, expected, rtol=0, atol=0.04)


@pytest.mark.parametrize(
    ("blocks", "success"),
    [
        ([(-1.4, 1.4), (0.0, 1.4)], 1.0),
        ([(-1.4, 1.201), (0.14, 1.54)], 1.0),
        ([(-1.4, 1.199), (0.14, 1.54)], 0.5),
        ([(-1.4, 1.201), (0.142, 1.542)], 0.5),
        ([(0.0, 1.4), (-1.4, 1.4)], 0.0),
        ([(-1.2, 0.0), (0.0, 0.0)], 0.0),
    ],
)
def test_success_is_the_fraction_of_blocks_nearer_than_a_fifth_and_the_reward_is_for_all(
    blocks: list, success: float
) -> None:
    env = started()
    env.data.qpos[:4] = np.ravel(blocks)
    _, reward, terminated, _, info = env.step(np.zeros(2))
    assert (info["success"], info["all_blocks"], reward) == (success, success == 1, float(success == 1))
    assert not terminated
    np.testing.assert_array_equal(info["position"], [0.0, -1.4])


@pytest.mark.parametrize("octaves", [6, 5, 0])
def test_observation(octaves: int) -> None:
    env = started(octaves)
    for _ in range(7):
        observation, *_ = env.step(np.array([0.05, 1.0]))
    places, velocities = env.data.qpos.reshape(3, 2), env.data.qvel.reshape(3, 2)
    assert places[1, 1] > 0.5  # block 1 is pushed
    assert velocities[1, 1] > 2
    raw = [*places[0], *places[1], *velocities[0], *velocities[1]]
    raw += [-1.4 - places[0, 0], 1.4 - places[0, 1], 0.0 - places[1, 0], 1.4 - places[1, 1], *places[2], *velocities[2]]
    encoded = [number for place in places for number in encode(place / 2, octaves)]
    expected = raw if octaves == 0 else [*encoded, *(0.1 * np.array(raw))]
    assert len(expected) == {6: 94, 5: 82, 0: 16}[octaves]
    assert env.observation_space.shape == observation.shape
    assert observation.dtype == np.float32
    np.testing.assert_allclose(observation, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("task", ["two_blocks", "one_block_pixels"])
def test_an_episode_is_sixty_steps(task: str) -> None:
    env = make(task)
    for _ in range(2):
        env.reset(seed=0)
        steps = [env.step(np.array([0.1, -0.1])) for _ in range(60)]
        assert [step[2:4] for step in steps] == [(False, False)] * 59 + [(False, True)]
        assert [step[1] for step in steps] == [0.0] * 60


def test_a_script_pushes_both_blocks_home() -> None:
    env = started()
    steps = follow(env, WAY)
    assert len(steps) == len(SAPIEN["solution"])
    assert [step[4]["success"] for step in steps] == sorted(step[4]["success"] for step in steps)
    assert {step[4]["success"] for step in steps} == {0.0, 0.5, 1.0}
    assert [step[1] for step in steps] == [float(step[4]["success"] == 1.0) for step in steps]
    # The same actions bring them home in the official simulator.
    final = np.array(SAPIEN["solution"][-1][1][:4]).reshape(2, 2)
    assert (np.linalg.norm(final - block_push.GOALS, axis=1) < 0.2).all()


def test_a_script_pushes_the_block_of_the_pictures_home() -> None:
    env = make("one_block_pixels")
    env.reset(seed=0)
    steps = follow(env, WAY[1:])
    assert (steps[-1][1], steps[-1][4]["success"], steps[-1][4]["all_blocks"]) == (1.0, 1.0, True)
    assert steps[0][1] == 0.0


@pytest.mark.parametrize("task", ["two_blocks", "one_block_pixels"])
def test_actions_decide_an_episode_whatever_came_before(task: str) -> None:
    def episode(env: BlockPush, seed: int) -> list[bytes]:
        actions = np.random.default_rng(5)
        seen = [env.reset(seed=seed)[0].tobytes()]
        return seen + [env.step(actions.uniform(-1, 1, 2))[0].tobytes() for _ in range(40)]

    fresh, used = make(task), make(task)
    follow(used, WAY[-1:])
    assert episode(fresh, 1) == episode(used, 2)
    assert len(set(episode(fresh, 1))) > 40


def pixel(picture: np.ndarray, x: float, y: float) -> list[int]:
    """The colour at a place, of a picture (64, 64, 3)."""
    return picture[int((2.2 - y) / 4.4 * 64), int((x + 2.2) / 4.4 * 64)].tolist()


RED, BLUE, GREEN, BLUE_GOAL, GREEN_GOAL, WALL, FLOOR = (
    [191, 64, 64],
    [64, 64, 191],
    [64, 191, 64],
    [76, 76, 230],
    [76, 230, 76],
    [76, 178, 76],
    [51, 51, 51],
)


def test_colours_are_where_things_are() -> None:
    env = started()
    seen = {place: pixel(env.render(), *place) for place in [(0, -1.4), (-1.2, 0), (0, 0), (-1.4, 1.4), (0, 1.4)]}
    assert list(seen.values()) == [RED, BLUE, GREEN, BLUE_GOAL, GREEN_GOAL]
    for place in [(-2.1, 0), (2.1, 1), (0.5, 2.1), (-1, -2.1)]:
        assert pixel(env.render(), *place) == WALL
    assert [pixel(env.render(), *place) for place in [(1.4, 1.4), (0, 0.7), (-0.6, 0)]] == [FLOOR] * 3
    # A block hides its goal. Sides of a box are within a pixel, 0.07, of where they should be.
    env.data.qpos[:] = (-1.4, 1.4, 0.5, 0.5, 1.5, -1.5)
    mujoco.mj_forward(env.model, env.data)
    assert pixel(env.render(), -1.4, 1.4) == BLUE
    for along in (-0.13, 0.13):
        for place in [(0.5 + along, 0.5), (0.5, 0.5 + along)]:
            assert pixel(env.render(), *place) == GREEN
        for place in [(0.5 + 2.1 * along, 0.5), (0.5, 0.5 + 2.1 * along)]:
            assert pixel(env.render(), *place) == FLOOR


def test_a_picture_is_of_the_present() -> None:
    """Its red weighs as much on either side of the agent, to a fifth of a pixel, also after a step."""
    env = make("one_block_pixels")
    env.reset(seed=0)
    for action in [(1.0, 1.0), (-0.3, 0.6), (0.21, -0.37)]:
        observation, *_, info = env.step(np.array(action))
        red = observation[3].astype(float) - 51
        red[observation[5] > 64] = 0  # walls, goals and the block are greener or bluer than the agent
        centres = (np.arange(64) + 0.5) / 64 * 4.4 - 2.2
        agent = np.where((red > 0) & (observation[4] < 70), red, 0)
        seen = [(agent.sum(axis=0) * centres).sum() / agent.sum(), -(agent.sum(axis=1) * centres).sum() / agent.sum()]
        np.testing.assert_allclose(seen, info["position"], atol=0.2 * 4.4 / 64)


def test_an_agent_sees_this_picture_and_the_one_before() -> None:
    env = make("one_block_pixels")
    assert isinstance(env, Pixels)
    first, _ = env.reset(seed=0)
    assert env.observation_space.shape == first.shape == (6, 64, 64)
    assert first.dtype == env.observation_space.dtype == np.uint8
    np.testing.assert_array_equal(first[:3], first[3:])
    np.testing.assert_array_equal(first[3:].transpose(1, 2, 0), env.render())
    assert pixel(first[3:].transpose(1, 2, 0), 0, -1.4) == RED
    assert pixel(first[3:].transpose(1, 2, 0), 0, 0) == FLOOR  # there is no block 1
    before = first
    for _ in range(3):
        observation, *_ = env.step(np.array([0.5, 0.5]))
        np.testing.assert_array_equal(observation[:3], before[3:])
        assert (observation[3:] != observation[:3]).any()
        np.testing.assert_array_equal(observation[3:].transpose(1, 2, 0), env.render())
        before = observation
    again, _ = env.reset(seed=0)
    np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("task", ["two_blocks", "one_block_pixels"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # gymnasium's advice on spaces without a maximum and on render modes
def test_they_are_gymnasium_environments(task: str) -> None:
    check_env(make(task), skip_render_check=True)


def test_mistakes_are_one_line() -> None:
    with pytest.raises(RelatentError, match="no pushing task 'three_blocks', expected two_blocks or one_block_pixels"):
        make("three_blocks")
    with pytest.raises(RelatentError, match="pictures, which have no octaves, found octaves 6"):
        make("one_block_pixels", octaves=6)


def test_without_opengl_only_pictures_are_refused_and_in_one_line() -> None:
    code = """
from relatent.envs.block_push import make
make("two_blocks").reset(seed=0)
try:
    make("one_block_pixels").reset(seed=0)
except Exception as error:
    print(type(error).__name__, error)
"""
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment["MUJOCO_GL"] = "glfw"  # which needs a display
    completed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.startswith("RelatentError a picture needs an OpenGL context")
    assert completed.stdout.count("\n") == 1
