"""ALM: how it acts, what an update is given, and what an update does."""

from typing import Any

import numpy as np
import pytest
import torch

from relatent.agents.alm import ALM
from relatent.specs.errors import RelatentError
from relatent.training.replay import Replay
from tests.agents.tiny import number, waves
from tests.agents.tiny_alm import ACTION, BATCH, OBSERVATION, VARIANTS, build, given, linears, loss, precise

OBSERVED = waves((OBSERVATION,), 0.4).float().numpy()


def memory(episodes: tuple[int, ...] = (7, 2, 9, 5)) -> Replay:
    """Episodes of these lengths; the first number seen says which step of all it is."""
    made, count = Replay(60, OBSERVATION, ACTION), 0
    for length in episodes:
        for step in range(length):
            here, following = waves((OBSERVATION,), count).numpy(), waves((OBSERVATION,), count + 1).numpy()
            here[0], following[0] = count, count + 1
            made.add(here, waves((ACTION,), count).numpy(), float(count), following, False, step == length - 1)
            count += 1
    return made


# Acting


def actor() -> ALM:
    """Whose encoder is not the target any more, and whose bound is 0.4."""
    agent = build(action_limit=0.4)
    for parameter in agent.target_encoder.parameters():
        parameter.data.add_(0.3)
    return agent


def test_exploring_stays_within_the_environments_bound_and_is_not_clipped_otherwise() -> None:
    """In units of that bound, 0.4: the policy's mean and noise are divided by it, once. z is the encoder's."""
    agent, acted = actor(), []
    for seed in range(200):
        action, belief = agent.act(OBSERVED, None, True, torch.Generator().manual_seed(seed))
        draws = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            seen = agent.encoder(torch.from_numpy(OBSERVED))
            latent = seen.mean + seen.std * torch.randn(agent.latent_size, generator=draws)
            free = torch.tanh(agent.actor.net(latent)) + torch.randn(ACTION, generator=draws)  # of a deviation of 1
        assert action == pytest.approx((free.clamp(-0.4 + 1e-6, 0.4 - 1e-6) / 0.4).numpy(), abs=1e-6)
        assert belief is None
        acted.append(action)
    assert action.dtype == np.float32
    assert np.abs(acted).max() <= 1
    assert (np.abs(acted) > 0.999).any()
    assert (np.abs(acted) < 0.5).any()


def test_evaluations_take_the_mean_of_a_sampled_z_beyond_the_bound_if_need_be() -> None:
    agent, largest = actor(), 0.0
    with torch.no_grad():
        linears(agent.actor)[-1][0].mul_(20)
    for seed in range(20):
        action, _ = agent.act(OBSERVED, None, False, torch.Generator().manual_seed(seed))
        with torch.no_grad():
            seen = agent.encoder(torch.from_numpy(OBSERVED))
            latent = seen.sample(torch.randn(agent.latent_size, generator=torch.Generator().manual_seed(seed)))
            assert action == pytest.approx((torch.tanh(agent.actor.net(latent)) / 0.4).numpy(), abs=1e-6)
        largest = max(largest, float(np.abs(action).max()))
    assert 1 < largest <= 2.5


def test_acting_draws_from_its_generator_only() -> None:
    agent = build()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    actions = [agent.act(OBSERVED, None, True, torch.Generator().manual_seed(seed))[0] for seed in (0, 1, 0)]
    assert torch.equal(torch.rand(1), expected)
    assert np.array_equal(actions[0], actions[2])
    assert not np.array_equal(actions[0], actions[1])


# What an update is given


@pytest.mark.parametrize(
    ("updates", "std"), [(1, 0.999991), (25_000, 0.775), (50_000, 0.55), (100_000, 0.1), (300_000, 0.1)]
)
def test_the_deviation_falls_with_updates(updates: int, std: float) -> None:
    agent = build(std_steps=100_000)
    assert number(agent.actor.std) == 1
    agent.updates = updates - 1
    agent.draw_update(memory(), torch.Generator().manual_seed(0))
    assert agent.updates == updates
    assert number(agent.actor.std) == pytest.approx(std, abs=1e-6)


def test_actions_of_replay_become_the_environments_own_and_nothing_else_changes() -> None:
    agent, replay = build(action_limit=0.4, batch=50), memory()
    batch, draws = agent.draw_update(replay, torch.Generator().manual_seed(0))
    for row, first in enumerate(batch.segments.observation[:, 0, 0].long().tolist()):
        assert batch.segments.observation[row, :, 0].tolist() == [first, first + 1, first + 2, first + 3]
        for step in range(3):
            expected = 0.4 * waves((ACTION,), first + step).float()
            torch.testing.assert_close(batch.segments.action[row, step], expected, rtol=1e-6, atol=1e-8)
    for row, place in enumerate(batch.transitions.observation[:, 0].long().tolist()):
        torch.testing.assert_close(batch.transitions.action[row], 0.4 * waves((ACTION,), place).float())
        assert batch.transitions.reward[row] == place
        assert batch.transitions.next_observation[row, 0] == place + 1
    shapes = {name: tuple(value.shape) for name, value in draws._asdict().items()}
    latent, action, paths = (50, 4), (50, ACTION), ("path", "imagined_path")
    assert shapes.pop("actions") == (4, *action)
    assert {shapes.pop(name) for name in paths} == {(3, *latent)}
    assert {shapes.pop(name) for name in ("last_action", "next_action")} == {action}
    assert set(shapes.values()) == {latent}


def test_sequences_lie_within_one_episode() -> None:
    """Of 7, 2, 9 and 5 steps: all beginnings that three steps fit behind, and no other."""
    agent = build(batch=400)
    batch, _ = agent.draw_update(memory(), torch.Generator().manual_seed(0))
    firsts = {int(first) for first in batch.segments.observation[:, 0, 0]}
    assert firsts == {*range(5), *range(9, 16), *range(18, 21)}
    assert len({int(one) for one in batch.transitions.observation[:, 0]}) == 23


# What it does

ORDER = {
    "official": ["world", "heads", "critic", "actor"],
    "model_free": ["critic", "actor"],
    "td3_actor": ["world", "heads", "critic", "actor"],
    "reconstruction": ["world", "heads", "critic", "actor"],
    "critic_only": ["world", "heads", "critic", "encoder", "actor"],
    "entropy": ["world", "heads", "critic", "actor", "alpha"],
}


@pytest.mark.parametrize("name", ORDER)
def test_an_update_takes_each_step_from_where_the_others_have_led(name: str) -> None:
    """Then targets follow; those of a fixed encoder stay."""
    agent, expected = precise(name), precise(name)
    data, draws = given(agent)
    metrics = agent.learn(data, draws)
    log_prob = torch.zeros(BATCH)
    for part in ORDER[name]:
        if part == "actor":
            log_prob = expected.actor_loss(data.transitions, draws)[1].detach()
        one = expected.alpha_loss if part == "alpha" else None
        value = (
            expected.minimise(part, one, log_prob)
            if one
            else expected.minimise(part, loss, expected, part, data, draws)
        )
        if part != "alpha":
            assert number(metrics[f"{part}_loss"]) == pytest.approx(number(value), rel=1e-12)
    for target, source in ((expected.target_encoder, expected.encoder), (expected.target_critic, expected.critic)):
        for old, new in zip(target.parameters(), source.parameters(), strict=True):
            old.data += 0.1 * (new.data - old.data)
    for (key, mine), yours in zip(agent.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-12, atol=1e-14, msg=key)
    if name == "entropy":
        assert number(metrics["entropy"]) == pytest.approx(-number(log_prob.mean()), rel=1e-12)
        assert number(metrics["alpha"]) == pytest.approx(number(agent.log_alpha.exp()), rel=1e-12)
        assert number(agent.log_alpha.exp()) != 0.2


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_learns_from_replay(name: str) -> None:
    agent, replay = build(name), memory()
    before = {key: value.clone() for key, value in agent.named_parameters()}
    for update in range(2):
        metrics = agent.update(replay, torch.Generator().manual_seed(update))
        assert all(value.shape == () and value.isfinite() and not value.requires_grad for value in metrics.values())
    moved = {key.split(".")[0] for key, value in agent.named_parameters() if not torch.equal(value, before[key])}
    expected = {"critic", "target_critic", "actor"}
    if name != "model_free":
        expected |= {"model", "reward", "classifier"}
    if name not in ("model_free", "identity_fixed"):
        expected |= {"encoder", "target_encoder"}
    expected |= {"decoder"} if name == "reconstruction" else set()
    expected |= {"log_alpha"} if agent.hyper.entropy else set()
    assert moved == expected


@pytest.mark.parametrize(("entropy", "raised"), [(-2.5, True), (-1.5, False)])
def test_the_temperature_rises_while_entropy_lies_below_minus_the_number_of_actions(
    entropy: float, raised: bool
) -> None:
    agent = precise("entropy")
    before = number(agent.log_alpha)
    agent.minimise("alpha", agent.alpha_loss, torch.full((BATCH,), -entropy, dtype=torch.float64))
    assert (number(agent.log_alpha) > before) == raised


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encoder": "none", "actor": "imagined"}, "encoder: none .* expected actor: td3, got 'imagined'"),
        (
            {"encoder": "none", "actor": "td3", "representation": "critic_too"},
            "critic_too trains an encoder, 'none'",
        ),
        ({"encoder": "identity_fixed", "representation": "critic_only"}, "critic_only trains an encoder"),
        ({"kl": False, "representation_value": "none"}, "kl: false .* nothing to learn from"),
    ],
)
def test_what_leaves_nothing_to_learn_from_is_refused_in_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RelatentError, match=said) as caught:
        build(**changes)
    assert "\n" not in str(caught.value)
