"""Latent-SAC agents small enough to check by hand, in float64, data for them, and their networks in numpy. Sizes are as
in tests.nets.tiny_world, whose numpy code is used, except that every layer around h_t has as many units as h_t."""

import io
import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from relatent.agents.latent_sac import Hyper, LatentSAC
from relatent.nets.sequences import Sequences
from relatent.objectives.latent_actor_critic import Noise
from relatent.objectives.world_learner import ActionNoise, WorldLearner
from relatent.training.episodes import EpisodeReplay
from relatent.training.stack import Stack
from tests.agents.checks import assert_learn_as_one
from tests.agents.tiny import parameters_of, waves
from tests.nets import tiny_world
from tests.nets.test_learner import assert_identical
from tests.nets.tiny_world import ACTION, BATCH, DEPTH, DETER, LENGTH, SIDE, STOCH, Array, dense, encode_image

OBSERVATION = (3, SIDE, SIDE)
GAMMA, RAW_STD, EXPLORATION = 0.9, 0.3, 0.2
WORLD: dict[str, Any] = {
    "deter": DETER,
    "stoch": STOCH,
    "depth": DEPTH,
    "width": 5,
    "batch": BATCH,
    "length": LENGTH,
    "model_lr": 6e-4,
    "clip_norm": 100.0,
    "free_nats": 3.0,
    "gamma": GAMMA,
    "raw_std": RAW_STD,
    "exploration_noise": EXPLORATION,
    "update_after": 40,
    "update_every": 20,
    "updates": 2,
    "replay": 999,
}
ALPHA = 0.5
HYPER = WORLD | {"actor_lr": 3e-4, "critic_lr": 3e-4, "alpha_lr": 3e-4, "tau": 0.1, "init_alpha": ALPHA}
PAPER = {"deter": 200, "stoch": 30, "depth": 32, "width": 300, "length": 50}


def build(**changes: Any) -> LatentSAC:
    """A float32 agent as the trainer builds it."""
    return LatentSAC(OBSERVATION, ACTION, Hyper(**{**HYPER, **changes}))


def official() -> LatentSAC:
    """Of the official code's sizes, for pictures of side 64 and six actions."""
    return LatentSAC((3, 64, 64), 6, Hyper(**{**HYPER, **PAPER}))


def wavy(agent: Any, phase: float) -> Any:
    """In float64, with parameters that are `waves`, so that no layer is zero; filters are small enough for no later
    layer to be saturated, or to have a unit within a finite difference's reach of zero."""
    agent.double()
    with torch.no_grad():
        for number, (name, parameter) in enumerate(agent.named_parameters()):
            if name == "log_alpha":
                parameter.fill_(math.log(ALPHA))
            else:
                parameter.copy_((0.3 if "encode" in name else 0.8) * waves(tuple(parameter.shape), phase + number))
    return agent


def precise(phase: float = 0.0, **changes: Any) -> LatentSAC:
    return wavy(build(**changes), phase)


def given(phase: float = 0.5) -> Sequences:
    """Three sequences: from an episode's beginning, from within, and from a beginning to a terminal state."""
    seen, _ = tiny_world.batch("images", phase)
    first, terminated = (torch.zeros(BATCH, LENGTH, dtype=torch.float64) for _ in range(2))
    first[0, 0] = first[2, 0] = terminated[2, -1] = 1
    return seen._replace(first=first, terminated=terminated)


def waving(shapes: dict[str, tuple[int, ...]], phase: float) -> list[Tensor]:
    return [1.5 * waves(shape, phase + 1.3 * number) for number, shape in enumerate(shapes.values())]


def noise(phase: float = 0.7) -> Noise:
    shapes = {
        "filter": (BATCH, LENGTH, STOCH),
        "next_action": (BATCH, LENGTH - 1, ACTION),
        "action": (BATCH, LENGTH, ACTION),
    }
    return Noise(*waving(shapes, phase))


def states(phase: float = 0.2) -> Tensor:
    """Features, (BATCH, LENGTH, size)."""
    return waves((BATCH, LENGTH, STOCH + DETER), phase)


def action_noise(phase: float = 0.2) -> ActionNoise:
    return ActionNoise(*waving({"state": (STOCH,), "action": (ACTION,), "exploration": (ACTION,)}, phase))


def picture(phase: float) -> Tensor:
    return tiny_world.images((2,), SIDE, phase)[0]


def memory(episodes: int = 6, steps: int = 7) -> EpisodeReplay:
    """Episodes whose rewards and actions say which step of all they are; pictures are of one colour, the episode's."""
    replay = EpisodeReplay(999, OBSERVATION, np.uint8, ACTION)
    for count in range(episodes * steps):
        here, last = np.full(OBSERVATION, count // steps, np.uint8), count % steps == steps - 1
        replay.add(here, np.full(ACTION, count / 100, np.float32), float(count), here, False, last)
    return replay


# The networks, from their weights alone


def policy(agent: WorldLearner, features: Array) -> tuple[Array, Array]:
    """Mean and deviation before tanh."""
    raw = dense(agent.actor, features)
    mean, std = raw[:ACTION], raw[ACTION:]
    return 5 * np.tanh(mean / 5), np.log(1 + np.exp(std + RAW_STD)) + 1e-4


def values(critic: nn.Module, features: Array, action: Array) -> list[float]:
    """Both, of one state and action."""
    return [float(dense(net, np.concatenate([features, action]))[0]) for net in critic.children()]


def follow(agent: WorldLearner, pictures: Tensor, actions: Array, first: Array, draws: Array) -> Array:
    """Features of s_t along one sequence, (T, size)."""
    embedded = np.stack([encode_image(agent.world.encode, one) for one in pictures.numpy()])
    found = tiny_world.filter_one(agent.world.rssm, embedded, actions, first, draws)
    return np.concatenate([found.stoch, found.deter], axis=1)


# What holds of every agent with such a world model


def assert_the_world_is_moved_by_its_own_loss_only(agent: Any, noise: Any) -> None:
    """After an update it is, bit for bit, what it is after its own loss's step."""
    alone = deepcopy(agent)
    agent.learn(given(), noise)
    alone.minimise("world", alone.world_loss, given(), noise.filter)
    for mine, expected in zip(agent.world.parameters(), alone.world.parameters(), strict=True):
        assert torch.equal(mine, expected)


def assert_each_parameter_has_one_optimiser(agent: Any) -> None:
    """But for those of targets, which have none."""
    held = [id(one) for name in agent.optimisers for one in parameters_of(agent, name)]
    assert len(held) == len(set(held))
    assert set(held) == {id(one) for name, one in agent.named_parameters() if not name.startswith("target_")}


def assert_learn_and_act_as_one(alone: list[Any], noise: Callable[[float], Any]) -> None:
    """Two seeds: twenty updates; then two decisions, without a belief and with one."""
    stack = Stack(deepcopy(alone))
    assert_learn_as_one(alone, stack, lambda u, s: (given(0.5 + u + 10 * s), noise(0.7 + u + 10 * s)), 1e-7, 1e-9)
    beliefs: list[Any] = [None, None]
    for now in range(2):
        pictures, draws = [picture(now + 0.1), picture(now + 0.9)], [action_noise(now), action_noise(now + 3.0)]
        with torch.no_grad():
            expected = [agent.choose(*one) for agent, *one in zip(alone, pictures, beliefs, draws, strict=True)]
        chosen = stack.choose(pictures, beliefs, draws)
        for left, right in zip(expected, chosen, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-7, atol=1e-9)
        beliefs = [belief for _, belief in expected]
    assert not torch.equal(chosen[0][0], chosen[1][0])


def assert_a_saved_agent_goes_on(build: Callable[[], Any]) -> None:
    """Bit for bit, after three updates."""
    replay, buffer = memory(), io.BytesIO()

    def updated(agent: Any, numbers: range) -> Any:
        for index in numbers:
            agent.update(replay, torch.Generator().manual_seed(index))
        return agent

    first = build()
    whole = updated(deepcopy(first), range(5))
    torch.save(updated(first, range(3)).state_dict(), buffer)
    buffer.seek(0)
    second = build()
    second.load_state_dict(torch.load(buffer, weights_only=True))
    assert_identical(first, second)
    assert_identical(whole, updated(second, range(3, 5)))
    assert second.updates == 5


def assert_draws_are_its_own(draw: Callable[[torch.Generator], Any], shapes: Any) -> None:
    """The same again from the same generator, all others from another, and no number twice."""
    first, again, other = (draw(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert [part.shape for part in first] == [part.shape for part in shapes]
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not any(torch.equal(one, two) for one, two in zip(first, other, strict=True))
    everything = torch.cat([part.flatten() for part in first])
    assert len(everything.unique()) == len(everything)
