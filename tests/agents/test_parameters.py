"""Sizes of the networks, against an audit of what the paper says of them (App C): SMAC's policy and SAC's are
comparable, Flow2 and Flow4 have about two and four times as many parameters, the mixtures about as many."""

from typing import Any

import pytest
from torch import nn

from tests.agents.tiny import build

# task: observation and action sizes; SAC's actor and twin critic at width 400; SMAC's q(s|x) with π(a|s), and its twin
# critic, at width 256 with 16 latent dimensions.
AUDIT = {
    "finger_spin": (9, 2, 166_004, 331_202, 147_748, 138_242),
    "hopper_hop": (15, 4, 170_008, 337_602, 150_312, 142_338),
    "walker_run": (24, 6, 175_212, 346_402, 153_644, 147_970),
    "quadruped_walk": (78, 12, 201_624, 394_402, 170_552, 178_690),
    "quadruped_escape": (101, 12, 210_824, 412_802, 176_440, 190_466),
    "humanoid_run": (67, 21, 204_442, 392_802, 172_362, 177_666),
}
TASKS = pytest.mark.parametrize("task", AUDIT)


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def sized(name: str, task: str, **hyper: Any) -> Any:
    return build(name, *AUDIT[task][:2], **hyper)


@TASKS
def test_sac_has_exactly_the_audited_parameters(task: str) -> None:
    agent = sized("sac", task, width=400)
    assert (count(agent.actor), count(agent.critic)) == AUDIT[task][2:4]
    assert count(agent.target_critic) == AUDIT[task][3]


@TASKS
def test_smac_has_exactly_the_audited_parameters(task: str) -> None:
    agent = sized("smac_mlmc", task, width=256, critic_width=256, latent=16)
    assert (count(agent.inference, agent.policy), count(agent.critic)) == AUDIT[task][4:]
    wider = sized("smac_mlmc", task, width=256, critic_width=400, latent=16)
    assert count(wider.critic) == AUDIT[task][3]


@TASKS
def test_td3_is_as_large_as_sac_but_for_the_head_of_deviations(task: str) -> None:
    agent = sized("td3", task, width=400)
    assert count(agent.actor) == AUDIT[task][2] - 401 * AUDIT[task][1]
    assert count(agent.critic) == AUDIT[task][3]


@TASKS
@pytest.mark.parametrize(("blocks", "low", "high"), [(2, 2.00, 2.08), (4, 4.01, 4.16)])
def test_flows_have_two_and_four_times_the_policys_parameters(task: str, blocks: int, low: float, high: float) -> None:
    ratio = count(sized("flow_sac", task, width=400, blocks=blocks).actor) / AUDIT[task][2]
    assert low <= round(ratio, 2) <= high


@pytest.mark.parametrize(
    ("task", "experts", "ratio"),
    [
        ("finger_spin", 5, 1.04),
        ("finger_spin", 10, 1.09),
        ("humanoid_run", 5, 1.33),
        ("humanoid_run", 10, 1.74),
    ],
)
def test_mixtures_have_about_as_many_parameters_as_sac(task: str, experts: int, ratio: float) -> None:
    assert round(count(sized("pmoe", task, width=400, experts=experts).actor) / AUDIT[task][2], 2) == ratio


@pytest.mark.parametrize(
    ("name", "optimised"), [("sac", 3), ("td3", 2), ("smac_nested", 3), ("flow_sac", 3), ("pmoe", 3)]
)
def test_optimisers_hold_every_trained_parameter_once(name: str, optimised: int) -> None:
    agent = build(name)
    held = [id(p) for optimiser in agent.optimisers.values() for p in optimiser.param_groups[0]["params"]]
    assert len(agent.optimisers) == optimised
    assert len(held) == len(set(held))
    assert set(held) == {id(p) for key, p in agent.named_parameters() if not key.startswith("target_")}
