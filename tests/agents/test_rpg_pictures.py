"""RPG that sees pictures is RPG that sees what its convolutions say of them."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relatent.agents import make_agent
from relatent.agents.rpg import RPG, Hyper, Noise
from relatent.nets.batch import Starts, WorldBatch
from relatent.specs.errors import RelatentError
from relatent.training.stack import Stack
from tests.agents.checks import assert_gradients_agree, assert_moves_all_its_own_parameters_only
from tests.agents.tiny import parameters_of
from tests.agents.tiny_rpg import ACTION, AGENTS, BATCH, HORIZON, SIZES, latents, noise, segments
from tests.nets.tiny_world import images
from tests.training.test_stack import assert_same

SIDE, CHANNELS = 16, 3
KINDS = ["code", "paper", "code_categorical", "code_none", "code_without_novelty"]


def of_kind(name: str, observation: Any, channels: int) -> RPG:
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(0)
        agent = RPG(observation, ACTION, Hyper(**{**SIZES, **AGENTS[name], "picture_channels": channels}))
    finally:
        torch.set_default_dtype(torch.float32)
    if agent.hyper.novelty:
        for key, value in (("batches", 300.0), ("mean", 0.9), ("variance", 0.25)):
            getattr(agent.novelty, key).fill_(value)
    return agent


def seeing(name: str) -> RPG:
    return of_kind(name, (3, SIDE, SIDE), CHANNELS)


def told(name: str, like: RPG) -> tuple[RPG, nn.Module]:
    """An agent of vectors with the perceptrons of one that sees, and that one's convolutions, which `like` is made to
    have everywhere."""
    convolutions = like.world.encode[0]  # type: ignore[index]
    places = [like.target_world.encode] + ([like.novelty.predictor, like.novelty.target] if like.hyper.novelty else [])
    for place in places:
        place[0].load_state_dict(convolutions.state_dict())  # type: ignore[index]
    agent = of_kind(name, CHANNELS, 0)
    behind = {".encode.1.": ".encode.", ".predictor.1.": ".predictor.", ".target.1.": ".target."}
    state = {}
    for key, value in like.state_dict().items():
        for longer, shorter in behind.items():
            key = key.replace(longer, shorter)
        if ".0.layers." not in key and key != "_extra_state":
            state[key] = value
    missing = agent.load_state_dict(state, strict=False)
    assert missing.unexpected_keys == []
    assert missing.missing_keys == ["_extra_state"]
    return agent, convolutions


def batch(agent: RPG) -> WorldBatch:
    """As `given` of vectors, with pictures."""
    pictures = segments(agent)._replace(observation=images((BATCH, HORIZON + 1), SIDE, 0.5))
    starts = [Starts(images((BATCH,), SIDE, phase), latents(agent, phase)) for phase in (1.5, 4.5)]
    return WorldBatch(images((BATCH,), SIDE, 2.5), pictures, *starts)


def as_vectors(given: WorldBatch, convolutions: nn.Module) -> WorldBatch:
    with torch.no_grad():
        seen = convolutions(given.seen)
        parts = [part._replace(observation=convolutions(part.observation)) for part in given[1:]]
    return WorldBatch(seen, *parts)


def losses(agent: RPG, given: WorldBatch) -> dict[str, Tensor]:
    found = {
        "world": agent.world_loss(given.segments, noise(agent, HORIZON))[0],
        "policy": agent.policy_loss(given.starts, noise(agent))[0],
    }
    if agent.hyper.novelty:
        found["novelty"] = agent.novelty_loss(given.seen)[0]
    if agent.hyper.latent == "categorical":
        found["latent_policy"] = agent.latent_values_loss(given.beginnings, noise(agent))
    return found


@pytest.mark.parametrize("name", KINDS)
def test_losses_are_those_of_what_the_convolutions_say(name: str) -> None:
    agent = seeing(name)
    vectors, convolutions = told(name, agent)
    given = batch(agent)
    mine, yours = losses(agent, given), losses(vectors, as_vectors(given, convolutions))
    assert mine.keys() == yours.keys()
    for part in mine:
        torch.testing.assert_close(mine[part], yours[part], rtol=1e-12, atol=1e-12, msg=part)


@pytest.mark.parametrize("name", KINDS)
def test_gradients_reach_the_convolutions_of_the_world_and_of_the_novelty_network(name: str) -> None:
    agent = seeing(name)
    given = batch(agent)
    convolutions = list(agent.world.encode[0].parameters())  # type: ignore[index]
    if agent.hyper.target_encoder:
        assert_gradients_agree(lambda: losses(agent, given)["world"], convolutions)
    if agent.hyper.novelty:
        own = list(agent.novelty.predictor[0].parameters())  # type: ignore[index]
        assert_gradients_agree(lambda: losses(agent, given)["novelty"], own)


@pytest.mark.parametrize("name", KINDS)
def test_each_loss_moves_its_own(name: str) -> None:
    """The policy's gradient ends before the encoder."""
    for part in losses(seeing(name), batch(seeing(name))):
        agent = seeing(name)
        given = batch(agent)
        assert_moves_all_its_own_parameters_only(agent, part, lambda: losses(agent, given)[part])  # noqa: B023
    shared = {id(p) for p in parameters_of(agent, "policy")} & {id(p) for p in agent.world.encode.parameters()}
    assert not shared


def test_the_codes_network_has_its_sizes() -> None:
    """Four convolutions of 128 channels and a perceptron of 512, 256, 256 and 100."""
    values = {**SIZES, **AGENTS["code"], "width": 256, "state": 100, "novelty_width": 512, "picture_channels": 128}
    agent = make_agent("rpg", values, (6, 64, 64), 2)
    convolutions = [6 * 128 * 49 + 128, 128 * 128 * 25 + 128, 128 * 128 * 9 + 128, 128 * 128 * 9 + 128]
    perceptron = [512 * 256 + 256, 256 * 256 + 256, 256 * 100 + 100]
    assert sum(p.numel() for p in agent.world.encode[0].parameters()) == sum(convolutions) == 742_656
    assert sum(p.numel() for p in agent.world.encode.parameters()) == sum(convolutions) + sum(perceptron)
    novelty = [512 * 512 + 512] * 3
    assert sum(p.numel() for p in agent.novelty.predictor.parameters()) == sum(convolutions) + sum(novelty)
    for convolution in (layer for layer in agent.world.encode[0].modules() if isinstance(layer, nn.Conv2d)):
        rows = convolution.weight.flatten(1)
        torch.testing.assert_close(rows @ rows.T, 2 * torch.eye(len(rows)), rtol=0, atol=1e-4)  # orthogonal, for ReLU
        assert not convolution.bias.any()
    assert agent.world.encode(images((2,), 64, 0.1).repeat(1, 2, 1, 1)).shape == (2, 100)


def test_an_update_from_pictures_is_one_from_what_they_say() -> None:
    """Draws of `draw_update` aside: after the first update only the convolutions' own step is different."""
    agent = seeing("code_without_novelty")
    vectors, convolutions = told("code_without_novelty", agent)
    given = batch(agent)
    other = as_vectors(given, convolutions)
    draws = Noise(noise(agent, HORIZON), noise(agent, phase=0.9), noise(agent, phase=1.1))
    for one, data in ((agent, given), (vectors, other)):
        one.clip_norms.clear()  # the norm is that of all parameters, the convolutions among them
        one.updates = 1
        one.learn(data._replace(seen=()), draws)
    mine, yours = dict(agent.named_parameters()), dict(vectors.named_parameters())
    same = [key for key in yours if key.startswith("world.") and "encode" not in key]
    assert len(same) > 20
    for key in same:
        torch.testing.assert_close(mine[key], yours[key], rtol=1e-10, atol=1e-12, msg=key)


def test_two_seeds_that_see_learn_as_one() -> None:
    alone = [seeing("code") for _ in range(2)]
    with torch.no_grad():
        for parameter in alone[1].parameters():
            parameter.mul_(1.1)
    stack = Stack(deepcopy(alone))
    draws = Noise(noise(alone[0], HORIZON), noise(alone[0], phase=0.9), noise(alone[0], phase=1.1))
    for agent in (*alone, *stack.agents):
        agent.updates = 1
    given = [batch(agent) for agent in alone]
    for agent, data in zip(alone, given, strict=True):
        agent.learn(data, draws)
    stack.learn(given, [draws] * 2)
    assert_same(stack.agents, alone, 1e-9)
    with pytest.raises(AssertionError):
        assert_same(stack.agents[:1], alone[1:], 1e-3)


def test_who_cannot_see_says_so() -> None:
    for name in ("sac", "td3", "tdmpc", "alm"):
        with pytest.raises(RelatentError) as refusal:
            make_agent(name, {}, (6, 64, 64), 2)
        assert str(refusal.value) == (f"agent {name!r} sees vectors only, and its task gives pictures, (6, 64, 64)")
    with pytest.raises(RelatentError, match="expected picture_channels of at least 1, got 0"):
        make_agent("rpg", {**SIZES, **AGENTS["code"]}, (6, 64, 64), 2)
