"""Every agent finds the values of environments in which they are known, through the real training loop.

The temperature is 1e-8 and fixed: with |log π| < 100 the entropy moves no target by more than 1e-6.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from relatent.envs.probes import PROBES
from relatent.training.record import Record
from tests.agents.checks import train_on_probe
from tests.agents.tiny import AGENTS, build

GAMMA, TAU = 0.6, 0.2
START, UPDATES = 32, 150  # frames before the first update; after k updates a target has (1 - TAU (1 - GAMMA))^k to go
ACTIONS = torch.linspace(-0.9, 0.9, 7).unsqueeze(-1)

# Values a defect would give lie at least γ - γ² = 0.24 away (a discount too many in delayed_reward; 1 or 1 + γ for
# 1/(1 - γ) and the reverse are further apart): a critic must be nearer to the truth than to any of them.
NEAR = 0.1
# The best return is 1. An actor that is blind to x loses 0.25 on average at least, one that is right at one x and
# misses by 0.5 at the other loses 0.25 at that one: 0.06 or more on average if it is met in 4 of 16 episodes.
NEAR_RETURN = 0.05


def trained(name: str, task: str, folder: Path, random_frames: int, updates: int) -> tuple[Any, Record]:
    torch.manual_seed(1)
    changes: dict[str, Any] = {"width": 32, "batch": 32, "actor_lr": 5e-3, "critic_lr": 1e-2, "update_after": START}
    if name != "td3":
        changes |= {"init_alpha": 1e-8, "alpha_lr": 0.0}
    if name.startswith("smac"):
        changes |= {"critic_width": 32}
    agent = build(name, observation_size=1, action_size=1, gamma=GAMMA, tau=TAU, **changes)
    frames = START + updates
    record = train_on_probe(agent, task, folder, frames, random_frames)
    assert record.updates == updates
    return agent, record


@pytest.mark.parametrize("task", [task for task in PROBES if task != "action_reward"])
@pytest.mark.parametrize("name", AGENTS)
def test_critics_find_the_value(name: str, task: str, tmp_path: Path) -> None:
    """Actions are random throughout, so that both critics know the value of every action."""
    agent, _ = trained(name, task, tmp_path, random_frames=START + UPDATES, updates=UPDATES)
    rules = PROBES[task]
    for x in {*rules.starts, *(-x for x in rules.starts if rules.steps > 1)}:
        with torch.no_grad():
            values = torch.stack(agent.critic(torch.full_like(ACTIONS, x), ACTIONS))
        assert float((values - rules.value(x, 0.0, GAMMA)).abs().max()) < NEAR


@pytest.mark.parametrize("name", AGENTS)
def test_actors_find_the_best_action(name: str, tmp_path: Path) -> None:
    """Judged by the mean of the evaluation episodes that the loop records, since SMAC draws its latent there too; the
    agent explores from frame 64 on."""
    _, record = trained(name, "action_reward", tmp_path, random_frames=64, updates=300)
    last = [float(reward) for phase, frames, _, reward, _ in record.rows if (phase, frames) == ("eval", START + 300)]
    assert len(last) == 16
    assert sum(last) / 16 > 1 - NEAR_RETURN
