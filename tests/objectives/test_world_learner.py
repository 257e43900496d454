"""What agents with a recurrent world model share: sizes, what they believe and do, when and from what they learn."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from relatent.objectives.world_learner import ActionNoise, world_metrics
from tests.agents.checks import assert_gradients_agree, assert_moves_all_its_own_parameters_only
from tests.agents.tiny import number, parameters_of
from tests.agents.tiny_latent_sac import (
    EXPLORATION,
    action_noise,
    build,
    follow,
    given,
    memory,
    noise,
    official,
    picture,
    policy,
    precise,
)
from tests.nets.tiny_world import ACTION, BATCH, DETER, LENGTH, STOCH
from tests.objectives.test_sequence_elbo import plain_terms

STEPS = 4


def test_sizes_of_the_official_networks() -> None:
    """Layer by layer, as zdhNarsil/Stochastic-Marginal-Actor-Critic@31d1f56 defines them; six actions."""
    world = official().world
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in world.named_children()}
    channels = [3, 32, 64, 128, 256]
    encoder = sum(4 * 4 * before * after + after for before, after in pairwise(channels))
    painted = [(1024, 128, 5), (128, 64, 5), (64, 32, 6), (32, 3, 6)]
    decoder = 230 * 1024 + 1024 + sum(k * k * before * after + after for before, after, k in painted)
    cell = 3 * (200 * 200 + 200 * 200 + 200 + 200)
    heads = 200 * 200 + 200 + (200 + 1024) * 200 + 200 + 2 * (200 * 60 + 60)
    assert sizes == {
        "rssm": (30 + 6) * 200 + 200 + cell + heads,
        "encode": encoder,
        "decode": decoder,
        "reward": 230 * 300 + 300 + 300 * 300 + 300 + 300 + 1,
    }
    assert sum(sizes.values()) == 5_203_520
    assert (world.rssm.feature_size, world.encode.embed_size) == (230, 1024)
    assert world.encode(picture(0.0).expand(2, 3, 16, 16).repeat(1, 1, 4, 4)).shape == (2, 1024)


# Acting


def episode(explore: bool) -> tuple[list[torch.Tensor], list[ActionNoise], list]:
    """Pictures, draws, and what was chosen and believed, along an episode."""
    agent, belief, chosen = precise(), None, []
    pictures, draws = [picture(step) for step in range(STEPS)], [action_noise(2.0 + step) for step in range(STEPS)]
    if not explore:
        zero = torch.zeros(ACTION, dtype=torch.float64)
        draws = [one._replace(action=zero, exploration=zero) for one in draws]
    with torch.no_grad():
        for seen, one in zip(pictures, draws, strict=True):
            action, belief = agent.choose(seen, belief, one)
            chosen.append((action, belief))
    return pictures, draws, chosen


@pytest.mark.parametrize("explore", [True, False])
def test_it_believes_what_it_infers_of_what_it_saw_and_did(explore: bool) -> None:
    """The states are those that filtering the sequence of pictures and actions gives, as in learning; the actions are
    the policy's there, with noise upon tanh."""
    pictures, draws, chosen = episode(explore)
    actions = np.array([action.numpy() for action, _ in chosen])
    led_here, first = np.concatenate([np.zeros((1, ACTION)), actions[:-1]]), np.array([1.0, 0, 0, 0])
    agent, samples = precise(), np.array([one.state.numpy() for one in draws])
    features = follow(agent, torch.stack(pictures), led_here, first, samples)
    outside = 0
    for step, (action, belief) in enumerate(chosen):
        assert belief.state.features.tolist() == pytest.approx(features[step].tolist(), rel=1e-10)
        mean, std = policy(agent, features[step])
        noisy = np.tanh(mean + std * draws[step].action.numpy()) + EXPLORATION * draws[step].exploration.numpy()
        outside += int((np.abs(noisy) > 1).sum())
        assert action.tolist() == pytest.approx(np.clip(noisy, -1, 1).tolist(), rel=1e-10)
        assert torch.equal(belief.action, action)
        if not explore:
            assert action.tolist() == pytest.approx(np.tanh(mean).tolist(), rel=1e-10)
    assert bool(outside) == explore


def test_actions_are_held_within_bounds_and_kept_so() -> None:
    agent, draws = precise(exploration_noise=50.0), action_noise()
    action, belief = agent.choose(picture(0.0), None, draws)
    assert action.tolist() == torch.sign(draws.exploration).tolist()
    assert torch.equal(belief.action, action)


def test_judged_it_still_samples_what_it_believes() -> None:
    agent, seen = build(), picture(0.0).numpy()
    explored, judged = (agent.draw_action_noise(explore, torch.Generator().manual_seed(0)) for explore in (True, False))
    assert torch.equal(judged.state, explored.state)
    assert judged.state.all()
    assert not judged.action.any()
    assert not judged.exploration.any()
    assert explored.action.all()
    assert not torch.equal(explored.action, explored.exploration)
    actions = [agent.act(seen, None, False, torch.Generator().manual_seed(seed))[0].tolist() for seed in (0, 0, 1)]
    assert actions[0] == actions[1] != actions[2]


# Learning


def updates(frames: int, step: int, **changes: int) -> list[tuple[int, int]]:
    """After how many frames, and how many."""
    agent = build(**changes)
    due = ((now + step, agent.updates_due(now, now + step)) for now in range(0, frames, step))
    return [(now, count) for now, count in due if count]


def test_the_official_schedule_has_99_100_updates() -> None:
    """In a million frames with actions repeated twice, after the ten episodes that are random."""
    found = updates(1_000_000, 2, update_after=10_000, update_every=1_000, updates=100)
    assert found == [(frames, 100) for frames in range(10_000, 1_000_001, 1_000)]
    assert sum(count for _, count in found) == 99_100


@pytest.mark.parametrize(
    ("step", "after", "expected"),
    [
        (1, 40, [(40, 2), (60, 2), (80, 2)]),
        (7, 40, [(42, 2), (63, 2), (84, 2)]),
        (30, 40, [(60, 4), (90, 2)]),
        (1, 41, [(60, 2), (80, 2)]),
        (1, 59, [(60, 2), (80, 2)]),
        (50, 40, [(50, 2), (100, 6)]),
    ],
)
def test_no_time_of_updating_is_missed(step: int, after: int, expected: list[tuple[int, int]]) -> None:
    assert updates(90, step, update_after=after, update_every=20, updates=2) == expected


def test_it_learns_from_sequences_and_counts_its_updates() -> None:
    agent, replay = build(batch=11), memory()
    (batch, draws), again = (agent.draw_update(replay, torch.Generator().manual_seed(0)) for _ in range(2))
    assert agent.updates == 2
    assert batch.observation.shape == (11, LENGTH, 3, 16, 16)
    assert (batch.action.shape, batch.reward.shape) == ((11, LENGTH, ACTION), (11, LENGTH))
    assert draws.filter.shape == (11, LENGTH, STOCH)
    assert all(torch.equal(one, other) for one, other in zip((*batch, *draws), (*again[0], *again[1]), strict=True))
    assert agent.draw_filter_noise(3, torch.Generator(), 2, 4).shape == (2, 4, 3, LENGTH, STOCH)


@pytest.mark.parametrize("free", [0.0, 3.0, 1e3])
def test_the_worlds_loss_is_the_bound_with_free_nats(free: float) -> None:
    agent, batch, draws = precise(free_nats=free), given(), noise().filter
    seen, rewarded, diverged = plain_terms("images", agent.world, batch, draws)
    found = agent.world_loss(batch, draws)
    expected = max(diverged.mean(), free) - seen.mean() - rewarded.mean()
    assert 3 < diverged.mean() < 1e3
    assert number(found.loss) == pytest.approx(expected, rel=1e-11)
    shown = {key: number(value) for key, value in world_metrics(found).items()}
    means = {"image_log_prob": seen.mean(), "reward_log_prob": rewarded.mean(), "divergence": diverged.mean()}
    assert shown == pytest.approx({"model_loss": expected, **means}, rel=1e-11)
    assert found.states.features.shape == (BATCH, LENGTH, STOCH + DETER)


def test_the_worlds_gradient_is_its_finite_difference_and_moves_the_world() -> None:
    agent, batch, draws = precise(), given(), noise().filter
    assert_gradients_agree(lambda: agent.world_loss(batch, draws).loss, parameters_of(agent, "world"))
    assert_moves_all_its_own_parameters_only(agent, "world", lambda: agent.world_loss(batch, draws))
