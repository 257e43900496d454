"""Gradients of ALM's losses: what they go through and what they do not, and whom they move."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from tests.agents import plain_alm
from tests.agents.checks import assert_moves_all_its_own_parameters_only
from tests.agents.plain_alm import Held
from tests.agents.tiny import number, parameters_of
from tests.agents.tiny_alm import BATCH, CASES, GAMMA, VARIANTS, build, given, linears, loss, precise

EVERY = frozenset(value for key, value in vars(plain_alm).items() if key.isupper() and isinstance(value, str))
# Losses whose gradient is that of no other case.
OWN = [
    *[case for case in CASES if case[0] in ("official", "identity", "entropy", "critic_too")],
    *[("one_step", "world"), ("one_step", "actor"), ("same_pairing", "heads"), ("linear_classifier", "heads")],
    *[("linear_classifier", "actor"), ("without_classifier", "actor"), ("without_kl", "world")],
    *[("reward_only", "world"), ("kl_only", "world"), ("discounted", "world"), ("first_start", "actor")],
    *[("elu", "heads"), ("elu", "critic"), ("elu", "actor"), ("identity_fixed", "world"), ("model_free", "critic")],
    *[("model_free", "actor"), ("td3_actor", "actor"), ("reconstruction", "world"), ("critic_only", "world")],
    *[("critic_only", "encoder"), ("log_of_representation", "world"), ("log_everywhere", "actor")],
    *[("scaled_log", "world"), ("scaled_log", "actor"), ("entropy_td3", "actor"), ("entropy_log", "actor")],
]


def derivatives(name: str, part: str, kinds: frozenset[str]) -> tuple[float, float]:
    """The loss's derivative along one direction of what its optimiser moves, and the central difference of its second
    derivation with these kinds of numbers held."""
    agent = precise(name)
    (data, draws), parameters = given(agent), parameters_of(agent, part)
    generator, start, step = torch.Generator().manual_seed(0), [p.detach().clone() for p in parameters], 1e-6
    direction = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in parameters]
    gradients = torch.autograd.grad(loss(agent, part, data, draws), parameters)
    exact = sum(number((g * d).sum()) for g, d in zip(gradients, direction, strict=True))
    held, values = Held(), []
    with torch.no_grad():
        plain_alm.loss(agent, part, data, draws, held)
        for sign in (1, -1):
            for parameter, origin, change in zip(parameters, start, direction, strict=True):
                parameter.copy_(origin + sign * step * change)
            values.append(number(plain_alm.loss(agent, part, data, draws, held.again(kinds))))
    return exact, (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize(("name", "part"), OWN)
def test_gradients_are_finite_differences_with_all_held_that_has_none(name: str, part: str) -> None:
    exact, numerical = derivatives(name, part, EVERY)
    assert exact == pytest.approx(numerical, rel=1e-6, abs=1e-8)
    assert exact != 0


@pytest.mark.parametrize(
    ("name", "part", "kind"),
    [
        ("official", "actor", plain_alm.OF_POLICY),
        ("official", "actor", plain_alm.OF_CLASSIFIER),
        ("official", "actor", plain_alm.OF_VALUE),
        ("official", "actor", plain_alm.BOUND),
        ("without_kl", "world", plain_alm.ACTION_OF_MODEL),
        ("reconstruction", "world", plain_alm.LATENT),
        ("reconstruction", "world", plain_alm.TARGET),
        ("critic_too", "encoder", plain_alm.PREDICTION),
        ("entropy", "actor", plain_alm.ENTROPY_OF_VALUE),
        ("entropy", "actor", plain_alm.OF_VALUE),
        ("td3_actor", "actor", plain_alm.BOUND),
    ],
)
def test_each_of_them_would_change_the_gradient(name: str, part: str, kind: str) -> None:
    """So that the test before this one fails where it is not held."""
    exact, numerical = derivatives(name, part, EVERY - {kind})
    assert abs(exact - numerical) > 0.01 * abs(exact)


@pytest.mark.parametrize(("name", "part"), OWN)
def test_a_loss_moves_its_own_parameters_only(name: str, part: str) -> None:
    agent = precise(name)
    data, draws = given(agent)
    assert_moves_all_its_own_parameters_only(agent, part, lambda: loss(agent, part, data, draws))


REACHED = {
    ("official", "world"): {"encoder", "model", "reward", "critic"},
    ("official", "heads"): {"reward", "classifier"},
    ("official", "critic"): {"critic"},
    ("official", "actor"): {"actor", "model", "reward", "classifier", "critic"},
    ("td3_actor", "actor"): {"actor", "critic"},
    ("reconstruction", "world"): {"encoder", "model", "decoder"},
    ("reconstruction", "heads"): {"encoder", "reward", "classifier"},
    ("reconstruction", "actor"): {"actor", "model", "reward", "classifier", "critic"},
    ("critic_too", "encoder"): {"encoder", "reward", "classifier", "critic"},
    ("critic_only", "actor"): {"actor", "model", "reward", "classifier", "critic"},
    ("entropy", "critic"): {"critic"},
    ("entropy", "actor"): {"actor", "model", "reward", "classifier", "critic"},
    ("entropy", "alpha"): {"log_alpha"},
}


@pytest.mark.parametrize(("name", "part"), REACHED)
def test_who_is_reached_by_a_gradient(name: str, part: str) -> None:
    """All that a loss could move if an optimiser let it; targets never are."""
    agent = precise(name)
    data, draws = given(agent)
    loss(agent, part, data, draws).backward()
    assert {key.split(".")[0] for key, p in agent.named_parameters() if p.grad is not None} == REACHED[name, part]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_trained_parameter_has_one_optimiser(name: str) -> None:
    agent = build(name)
    held = [id(parameter) for part in agent.optimisers for parameter in parameters_of(agent, part)]
    unused = ("target_", *(() if agent.hyper.entropy else ("log_alpha",)))
    unused += ("model.", "reward.", "classifier.") if name == "model_free" else ()
    expected = [id(p) for key, p in agent.named_parameters() if not key.startswith(unused)]
    if name == "critic_too":  # two losses move the encoder, each by an optimiser of its own
        expected += [id(parameter) for parameter in agent.encoder.parameters()]
    assert sorted(held) == sorted(expected)
    assert not any(p.requires_grad for key, p in agent.named_parameters() if key.startswith("target_"))
    assert set(agent.clip_norms) == set(agent.optimisers) - {"alpha"}


def actors_gradient(*blind: str) -> tuple[list[Tensor], list[Tensor]]:
    """Of a loss whose rollout is one step without a classifier, with modules that are blind to actions; and that of the
    policy's share of -γ V(z'), in which the critic's derivative and the value's action are given."""
    agent = precise(horizon=1, classifier_weight=0.0)
    for module in blind:  # actions follow z in what its first layer reads
        linears(getattr(agent, module))[0][0].data[:, agent.latent_size :] = 0
    data, draws = given(agent)
    actual = torch.autograd.grad(loss(agent, "actor", data, draws), list(agent.actor.parameters()))
    start = agent.target_encoder(data.transitions.observation).sample(draws.imagined).detach()
    action, _ = agent.actor(start, draws.actions[0])
    latent = agent.model(start, action).sample(draws.imagined_path[0])
    last_action, _ = agent.actor(latent.detach(), draws.actions[1])
    free = latent.detach().requires_grad_()
    (slope,) = torch.autograd.grad(agent.critic.smaller(free, last_action.detach()).sum(), free)
    through = -GAMMA * (slope * latent).sum() / BATCH
    return list(actual), list(torch.autograd.grad(through, list(agent.actor.parameters())))


def test_where_a_reward_does_not_depend_on_the_action_the_gradient_comes_through_the_model() -> None:
    for mine, yours in zip(*actors_gradient("reward"), strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-10, atol=1e-12)
        assert mine.any()


def test_where_the_model_does_not_either_there_is_none() -> None:
    """Though the value depends on its own action."""
    actual, _ = actors_gradient("reward", "model")
    assert not any(gradient.any() for gradient in actual)


@pytest.mark.parametrize("part", ["world", "heads", "encoder", "critic", "actor", "alpha"])
def test_gradients_are_clipped_but_for_the_temperatures(part: str) -> None:
    """Adam's first moment is a tenth of its first gradient."""
    agent = precise("critic_too", clip_norm=1e-3, entropy=True)
    data, draws = given(agent)
    gradients = torch.autograd.grad(loss(agent, part, data, draws), parameters_of(agent, part))
    norm = number(torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt())
    assert norm > 2e-3
    agent.minimise(part, lambda: loss(agent, part, data, draws))
    moments = [state["exp_avg"] for state in agent.optimisers[part].state.values()]
    taken = 10 * number(torch.stack([moment.square().sum() for moment in moments]).sum().sqrt())
    assert taken == pytest.approx(norm if part == "alpha" else 1e-3, rel=2e-3)


@pytest.mark.parametrize("tau", [1.0, 0.25])
def test_both_targets_follow_after_every_update(tau: float) -> None:
    agent = precise("official", tau=tau)
    for update in range(3):
        before = deepcopy(agent)
        agent.learn(*given(agent, float(update)))
        for target, source in (("target_encoder", "encoder"), ("target_critic", "critic")):
            old, new, now = (getattr(a, m) for a, m in ((before, target), (agent, target), (agent, source)))
            for one, two, three in zip(old.parameters(), new.parameters(), now.parameters(), strict=True):
                torch.testing.assert_close(two, one + tau * (three - one), rtol=1e-12, atol=1e-15)
                assert not torch.equal(one, two)


def test_targets_of_an_agent_that_does_not_learn_stay() -> None:
    agent = build(lr=0.0).double()
    before = {key: value.clone() for key, value in agent.state_dict().items() if isinstance(value, Tensor)}
    agent.learn(*given(agent))
    assert all(torch.equal(agent.state_dict()[key], value) for key, value in before.items())
