"""Floating point operations of one gradient update, counted by PyTorch on the agent itself.

Nothing has to be said about a new agent. Matrix products count, two operations for each multiply-add, forward and
backward; they are proportional to the batch, so two transitions are enough to count with.
"""

import json
from functools import cache

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from relatent.agents import agent_class, hyper_class
from relatent.nets.learner import Learner
from relatent.training.replay import Replay

COUNTED_BATCH = 2
TRANSITIONS, LEARNT_AFTER = 20, 10
UPDATES = 4  # of which a delayed policy learns at some only: the mean counts


@cache
def update_flops(agent: str, hyper: str, observation_size: int, action_size: int) -> float:
    """Operations of one update of an agent with these hyperparameters (canonical text) on a task of these sizes, once
    all of it has begun. What drawing an update costs, as fits of MBPO's model, is not counted."""
    values = json.loads(hyper)
    share = COUNTED_BATCH / values["batch"]
    small = {"batch": COUNTED_BATCH, "update_after": LEARNT_AFTER, "warm_up": 0, "rollouts": COUNTED_BATCH}
    small["segments"] = max(1, round(share * values.get("segments", 0)))
    counted = {key: small.get(key, value) for key, value in values.items()}
    learner = agent_class(agent)(observation_size, action_size, hyper_class(agent)(**counted))
    replay = synthetic_replay(observation_size, action_size, TRANSITIONS, kept_size=learner.kept_size)
    stream = torch.Generator().manual_seed(0)
    return count(learner, replay, stream) / share


def count(learner: Learner, replay: Replay, generator: torch.Generator) -> float:
    """Operations of one `learn`, as the mean of a few."""
    counted = 0
    for _ in range(UPDATES):
        batch, noise = learner.draw_update(replay, generator)
        with FlopCounterMode(display=False) as counter:
            learner.learn(batch, noise)
        counted += counter.get_total_flops()
    return counted / UPDATES


def synthetic_replay(
    observation_size: int, action_size: int, transitions: int, device: str = "cpu", kept_size: int = 0
) -> Replay:
    """Replay of random numbers, in episodes of at most 1000 steps."""
    random, replay = np.random.default_rng(0), Replay(transitions, observation_size, action_size, device, kept_size)
    for step in range(transitions):
        observation, following = random.standard_normal((2, observation_size), np.float32)
        action = random.uniform(-1, 1, action_size).astype(np.float32)
        ended = step % 1000 == 999 or step == transitions - 1
        kept = random.standard_normal(kept_size, np.float32)
        replay.add(observation, action, random.uniform(), following, False, ended, kept)
    return replay
