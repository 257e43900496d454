from typing import Any

import pytest
import torch

from relatent.agents import make_agent
from relatent.commands.cost import count, synthetic_replay, update_flops
from relatent.specs.canonical import canonical
from relatent.training.replay import Replay

SAC: dict[str, Any] = {
    "width": 48, "layers": 2, "batch": 24, "actor_lr": 3e-4, "critic_lr": 3e-4, "alpha_lr": 3e-4, "gamma": 0.99,
    "tau": 0.005, "init_alpha": 1.0, "update_after": 0, "replay": 1000,
}  # fmt: skip


def sac_by_hand(width: int, batch: int, observation: int, action: int) -> int:
    """Every matrix product of one update of SAC with two hidden layers, two operations for each multiply-add."""
    actor = [observation * width, width * width, width * 2 * action]  # the two heads lie side by side
    critic = [(observation + action) * width, width * width, width]
    # A network that learns: forward, gradient of weights, gradient of inputs but of the first layer's.
    learn_actor, learn_critic = 3 * sum(actor) - actor[0], 3 * sum(critic) - critic[0]
    # A network that only carries a gradient to its inputs: forward, gradient of inputs.
    carry_critic = 2 * sum(critic)
    critic_step = sum(actor) + 2 * sum(critic) + 2 * learn_critic  # next action, two targets, two critics
    actor_step = learn_actor + 2 * carry_critic
    return 2 * batch * (critic_step + actor_step)


@pytest.mark.parametrize("sizes", [(5, 1), (17, 6), (67, 21)])
@pytest.mark.parametrize(("width", "batch"), [(48, 24), (400, 256)])
def test_sac_is_counted_as_by_hand(width: int, batch: int, sizes: tuple[int, int]) -> None:
    hyper = canonical(SAC | {"width": width, "batch": batch})
    assert update_flops("sac", hyper, sizes[:1], sizes[1]) == sac_by_hand(width, batch, *sizes)


def test_a_small_batch_says_what_a_large_one_costs() -> None:
    learner = make_agent("sac", SAC, (5,), 2)
    replay, stream = synthetic_replay(learner, (5,), 2, 100), torch.Generator().manual_seed(0)
    assert count(learner, replay, stream) == update_flops("sac", canonical(SAC), (5,), 2)


def test_synthetic_replay_can_be_sampled_in_full() -> None:
    replay = synthetic_replay(make_agent("sac", SAC, (3,), 2), (3,), 2, 2500)
    assert isinstance(replay, Replay)
    batch = replay.sample(64, torch.Generator().manual_seed(0))
    assert batch.observation.shape == (64, 3)
    assert batch.observation.std() > 0.5
