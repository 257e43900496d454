"""RPG's losses: their derivatives, who receives them, and what lies beyond an episode's end."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from relatent.nets.learner import move_towards
from tests.agents.checks import assert_gradients_agree
from tests.agents.tiny import number, parameters_of
from tests.agents.tiny_rpg import CASES, HORIZON, build, given, imagined, loss, noise, precise, segments, starts

LOSSES = pytest.mark.parametrize(("name", "part"), CASES)


def state_of(agent: Any) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in (*agent.named_parameters(), *agent.named_buffers())}


@LOSSES
def test_gradients_agree_with_finite_differences(name: str, part: str) -> None:
    """Along three directions. Of a policy this says that its loss passes through the world and through p(z|s, a)."""
    agent = precise(name)
    parameters = parameters_of(agent, part)
    if part == "world" and not agent.hyper.target_encoder:
        # The encoder is in the target too, where no gradient counts it: see the test after this one.
        fixed = {id(parameter) for parameter in agent.world.encode.parameters()}
        parameters = [parameter for parameter in parameters if id(parameter) not in fixed]
    assert_gradients_agree(lambda: loss(agent, part), parameters)


def test_the_worlds_own_encoding_is_a_target_without_a_gradient() -> None:
    """Where the target world is a copy, both kinds of target are the same numbers; so are the gradients."""
    gradients = []
    for target_encoder in (False, True):
        agent = precise("paper", target_encoder=target_encoder)
        move_towards(agent.target_world, agent.world, 1.0)
        value = loss(agent, "world")
        gradients.append((value, *torch.autograd.grad(value, list(agent.world.parameters()))))
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@LOSSES
def test_minimising_one_loss_moves_its_own_parameters_only(name: str, part: str) -> None:
    agent = precise(name)
    before, mine = state_of(agent), {id(parameter) for parameter in parameters_of(agent, part)}
    agent.minimise(part, lambda: loss(agent, part))
    moved = {key for key, value in state_of(agent).items() if not torch.equal(value, before[key])}
    assert moved
    assert {id(dict(agent.named_parameters())[key]) for key in moved} <= mine


def test_every_parameter_but_the_targets_has_one_optimiser() -> None:
    for name in ("code", "paper", "code_categorical", "paper_learnt", "code_none", "code_without_novelty"):
        agent = precise(name)
        held = [id(parameter) for part in agent.optimisers for parameter in parameters_of(agent, part)]
        assert len(held) == len(set(held))
        targets = ("target_world.", "novelty.target.")
        assert set(held) == {id(p) for key, p in agent.named_parameters() if not key.startswith(targets)}
        assert not any(p.requires_grad for key, p in agent.named_parameters() if key.startswith(targets))


@pytest.mark.parametrize("part", ["world", "policy", "latent_policy", "posterior", "novelty"])
@pytest.mark.parametrize(
    "name", ["code", "paper", "code_categorical", "paper_categorical", "code_learnt", "paper_learnt"]
)
def test_who_is_reached_by_a_gradient(name: str, part: str) -> None:
    """All that a loss's gradient could move, if an optimiser let it: targets carry none, an actor's state is the
    encoder's without one, and what the policy imagined is given."""
    agent = precise(name)
    if part not in agent.optimisers:
        return
    for parameter in agent.parameters():
        parameter.requires_grad_()
    agent.zero_grad()
    loss(agent, part).backward()
    reached = {key.split(".")[0] for key, p in agent.named_parameters() if p.grad is not None}
    through = {"world": {"world"}, "policy": {"policy", "world", "latent"}, "latent_policy": {"latent_policy"}}
    if agent.hyper.latent == "learnt_gaussian":
        through["latent_policy"] |= through["policy"]
    assert reached == {**through, "posterior": {"latent"}, "novelty": {"novelty"}}[part]
    without = {key for key, p in agent.named_parameters() if p.grad is None}
    if part in ("policy", "latent_policy"):
        assert {key for key in without if key.startswith("world.encode")}
    if part == "novelty":
        assert {key for key in without if key.startswith("novelty.target")}
    if part == "world":
        assert not {key for key in without if key.startswith("world.")}


def test_p_learns_from_states_and_actions_that_are_given() -> None:
    agent = precise("code")
    states, actions = (tensor.requires_grad_() for tensor in imagined(agent))
    latent = starts(agent).latent.requires_grad_()
    outputs = agent.minimise("posterior", agent.posterior_loss, latent, states, actions)
    assert not outputs.requires_grad
    rollout = agent.minimise("policy", agent.policy_loss, starts(agent), noise(agent))[2]
    assert not any(tensor.requires_grad for tensor in rollout)


@pytest.mark.parametrize("name", ["code", "paper", "code_without_novelty"])
def test_nothing_beyond_an_episodes_end_counts(name: str) -> None:
    """In tiny_rpg's segments one ends after its first step and one after its second: other numbers there, of another
    episode, change neither the loss nor any gradient by a bit."""
    agent, data = precise(name), segments(precise(name))
    results = []
    for other in (0.0, 3.0):
        observation, action, reward, terminated = (
            field.clone() for field in (data.observation, data.action, data.reward, data.terminated)
        )
        for b, steps in ((1, 1), (2, 2)):
            observation[b, steps + 1 :] += other
            action[b, steps:] *= 1 - other / 4
            reward[b, steps:] -= other
            terminated[b, steps:] = other / 3
        changed = data._replace(observation=observation, action=action, reward=reward, terminated=terminated)
        value, parts = agent.world_loss(changed, noise(agent, HORIZON))
        results.append([value, *torch.autograd.grad(value, list(agent.world.parameters()), retain_graph=True)])
        results[-1] += [parts[key] for key in ("state_loss", "reward_loss", "value_loss")]
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


@pytest.mark.parametrize("name", ["code", "paper"])
def test_the_derivative_by_what_lies_beyond_an_end_is_zero(name: str) -> None:
    agent, data = precise(name), segments(precise(name))
    fields = [field.clone().requires_grad_() for field in (data.action, data.observation)]
    value, _ = agent.world_loss(data._replace(action=fields[0], observation=fields[1]), noise(agent, HORIZON))
    by_action, by_observation = torch.autograd.grad(value, fields)
    assert ((by_action != 0).any(-1) == (data.mask == 1)).all()
    assert ((by_observation != 0).any(-1).sum(1) == 1).all()  # of the first observation only, others are targets
    assert (by_observation[:, 0] != 0).any(-1).all()


def test_a_terminal_state_is_worth_nothing() -> None:
    """So that no draw of a rollout from there matters; from the end of a time limit it does."""
    agent, data = precise("code"), segments(precise("code"))
    origin = noise(agent, HORIZON)
    for (b, t), matters in {(2, 1): False, (3, 2): False, (1, 0): True, (1, 1): False, (0, 2): True}.items():
        other = origin.clone()
        other[:, b, t] += 1
        same = torch.equal(agent.world_loss(data, origin)[0], agent.world_loss(data, other)[0])
        assert same != matters, (b, t)


@pytest.mark.parametrize("tau", [1.0, 0.25])
def test_the_target_world_follows_after_every_second_update(tau: float) -> None:
    """With tau = 1 it becomes the world itself, bit for bit."""
    agent = precise("code", tau=tau)
    for update in range(1, 5):
        agent.updates = update
        before = deepcopy(agent.target_world)
        agent.learn(*given(agent))
        triples = zip(before.parameters(), agent.target_world.parameters(), agent.world.parameters(), strict=True)
        for old, new, world in triples:
            if update % 2 == 1:
                assert torch.equal(new, old)
            elif tau == 1:
                assert torch.equal(new, world)
            else:
                torch.testing.assert_close(new, old + tau * (world - old), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["code", "code_categorical", "code_learnt", "code_none"])
@pytest.mark.parametrize("update", [1, 2, 3, 4])
def test_what_an_update_moves(name: str, update: int) -> None:
    """The policy, alpha and p(z|s, a) at the first and every second one, targets at the others, π(z|s) at the first and
    every third of this agent where z is a category, else with the policy; novelty and world always."""
    agent = build(name).double()
    agent.updates = update
    before = state_of(agent)
    metrics = agent.learn(*given(agent))
    moved = {key.split(".")[0] for key, value in state_of(agent).items() if not torch.equal(value, before[key])}
    expected = {"world", "novelty", "progress"}
    if update % 2 == 1:
        expected |= {"policy", "log_alpha"} | ({"latent"} if name != "code_none" else set())
    else:
        expected |= {"target_world"}
    if (update % 3 == 1 and name == "code_categorical") or (update % 2 == 1 and name == "code_learnt"):
        expected |= {"latent_policy"}
    assert moved == expected
    assert {"novelty_loss", "state_loss", "reward_loss", "value_loss", "value"} <= metrics.keys()
    assert ("policy_loss" in metrics) == ("entropy" in metrics) == ("alpha" in metrics) == (update % 2 == 1)
    assert all(value.shape == () and not value.requires_grad for value in metrics.values())


@pytest.mark.parametrize("part", ["world", "policy", "alpha", "posterior", "novelty"])
def test_gradients_are_clipped_where_the_paper_clips(part: str) -> None:
    """Adam's first step is as long as its rate whatever the gradient; its first moment is a tenth of the gradient."""
    agent = precise("code", clip_norm=1e-3)
    gradients = torch.autograd.grad(loss(agent, part), parameters_of(agent, part))
    norm = number(torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt())
    assert norm > 2e-3
    agent.minimise(part, lambda: loss(agent, part))
    moments = [state["exp_avg"] for state in agent.optimisers[part].state.values()]
    taken = 10 * number(torch.stack([moment.square().sum() for moment in moments]).sum().sqrt())
    assert taken == pytest.approx(1e-3 if part in ("world", "policy") else norm, rel=2e-3)
