"""How many gradient updates a run makes, and floating point operations of one, both counted on the agent itself.

Nothing has to be said about a new agent. Matrix products count, two operations for each multiply-add, forward and
backward; they are proportional to the batch, so two transitions are enough to count with.
"""

import json
from functools import cache
from typing import Any

import gymnasium
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from relatent.agents import make_agent
from relatent.nets.learner import Learner
from relatent.nets.observation import observation_of
from relatent.training.episodes import EpisodeReplay
from relatent.training.replay import Replay
from relatent.training.session import make_replay

COUNTED_BATCH = 2
COUNTED_TRANSITIONS = 100
TRANSITIONS = {"transitions": 20_000, "episodes": 2_000}
"""In the replay of what is timed, by what an agent learns from: too many for the innermost caches, as in a real run."""
UPDATES = 4  # of which a delayed policy learns at some only: the mean counts


def begun(hyper: dict[str, Any], first_updates: int = 0) -> dict[str, Any]:
    """Hyperparameters with which all of an agent learns from its first update on, or after so many of its model."""
    early = {"update_after": 10, "warm_up": 0, "first_updates": first_updates}
    return {key: early.get(key, value) for key, value in hyper.items()}


def updates_over(learner: Learner, frames: int, step: int) -> int:
    """Updates that are due in so many environment frames, of which an agent step of all environments takes `step`."""
    return sum(learner.updates_due(before, before + step) for before in range(0, frames, step))


@cache
def update_count(
    agent: str, hyper: str, frames: int, step: int, observation_shape: tuple[int, ...], action_size: int
) -> int:
    """The same of an agent with these hyperparameters (canonical text)."""
    return updates_over(make_agent(agent, json.loads(hyper), observation_shape, action_size), frames, step)


@cache
def update_flops(
    agent: str, hyper: str, observation_shape: tuple[int, ...], action_size: int, first_updates: int = 0
) -> float:
    """Operations of one update of an agent with these hyperparameters (canonical text) on a task of these sizes, once
    all of it has begun, or of one of its `first_updates`. What drawing an update costs, as fits of MBPO's model, is not
    counted."""
    values = json.loads(hyper)
    size = max(COUNTED_BATCH, round(values["batch"] / values.get("model_batch", values["batch"])))
    share = size / values["batch"]
    small = {"batch": size, "rollouts": COUNTED_BATCH}
    for part in ("segments", "model_batch"):
        small[part] = max(1, round(share * values.get(part, 0)))
    counted = {key: small.get(key, value) for key, value in begun(values, first_updates).items()}
    learner = make_agent(agent, counted, observation_shape, action_size)
    replay = synthetic_replay(learner, observation_shape, action_size, COUNTED_TRANSITIONS)
    stream = torch.Generator().manual_seed(0)
    return count(learner, replay, stream) / share


def count(learner: Learner, replay: Replay | EpisodeReplay, generator: torch.Generator) -> float:
    """Operations of one `learn`, as the mean of a few."""
    counted = 0
    for _ in range(UPDATES):
        batch, noise = learner.draw_update(replay, generator)
        with FlopCounterMode(display=False) as counter:
            learner.learn(batch, noise)
        counted += counter.get_total_flops()
    return counted / UPDATES


def synthetic_replay(
    learner: Learner, observation_shape: tuple[int, ...], action_size: int, transitions: int, device: str = "cpu"
) -> Replay | EpisodeReplay:
    """Replay of random numbers, or random pictures, in episodes of at most 1000 steps."""
    random = np.random.default_rng(0)
    space = space_of(observation_shape)
    replay = make_replay(learner, transitions, space, action_size, device)
    following = sample(space, random)
    kept = None
    if learner.kept_size:  # of one belief, as an episode's are: random numbers may be none
        belief = learner.act(following, None, explore=True, generator=torch.Generator().manual_seed(0))[1]
        kept = learner.keep(belief)
    for step in range(transitions):
        observation, following = following, sample(space, random)
        action = random.uniform(-1, 1, action_size).astype(np.float32)
        ended = step % 1000 == 999 or step == transitions - 1
        replay.add(observation, action, random.uniform(), following, False, ended, kept)
    return replay


def space_of(observation_shape: tuple[int, ...]) -> gymnasium.spaces.Box:
    """Of pictures, where there are three axes, or of vectors."""
    if not isinstance(observation_of(observation_shape), int):
        return gymnasium.spaces.Box(0, 255, observation_shape, np.uint8)
    return gymnasium.spaces.Box(-np.inf, np.inf, observation_shape, np.float32)


def sample(space: gymnasium.spaces.Box, random: np.random.Generator) -> np.ndarray:
    """Random bytes or standard normal numbers."""
    if space.dtype == np.uint8:
        return random.integers(0, 256, space.shape, np.uint8)
    return random.standard_normal(space.shape, np.float32)
