"""RPG's losses derived a second time, plainly (plain_rpg.py), and their values fixed."""

import math
from typing import Any

import pytest
import torch

from tests.agents import plain_rpg, tiny_rpg
from tests.agents.tiny import number
from tests.agents.tiny_rpg import AGENTS, CASES, HORIZON, PAPER, loss, noise, precise, segments, starts


@pytest.mark.parametrize(("name", "part"), CASES)
def test_losses_are_what_plain_loops_say(name: str, part: str) -> None:
    agent = precise(name)
    assert number(loss(agent, part)) == pytest.approx(number(plain_rpg.loss(agent, part, tiny_rpg)), rel=1e-10)


@pytest.mark.parametrize("switch", ["critic", "length_decay", "target_entropy_bonus", "target_encoder", "actor_critic"])
@pytest.mark.parametrize("part", ["world", "policy"])
def test_each_switch_does_its_own(switch: str, part: str) -> None:
    """The paper's choice in one place, the official code's in all others. Two of them reach one loss only."""
    agent = precise("code", **{switch: PAPER[switch]})
    value = number(loss(agent, part))
    assert value == pytest.approx(number(plain_rpg.loss(agent, part, tiny_rpg)), rel=1e-10)
    reached = {"target_entropy_bonus": "world", "target_encoder": "world", "actor_critic": "policy"}.get(switch, part)
    assert (abs(value - GOLDEN["code", part]) > 1e-6 * abs(value)) == (reached == part)


@pytest.mark.parametrize("novelty", [True, False])
def test_the_parts_of_the_worlds_loss(novelty: bool) -> None:
    """States count ten thousand times as much as values, so that their sum hides what happens to those."""
    agent = precise("code" if novelty else "code_without_novelty")
    weights: dict[str, Any] = {"state_weight": 0.0, "reward_weight": 0.0, "value_weight": 0.0}
    _, parts = agent.world_loss(segments(agent), noise(agent, HORIZON))
    for name in ("state", "reward", "value"):
        alone = precise("code", **{**weights, f"{name}_weight": 1.0}, novelty=agent.hyper.novelty)
        expected = number(plain_rpg.loss(alone, "world", tiny_rpg))
        assert expected > 1e-3
        assert number(parts[f"{name}_loss"]) == pytest.approx(expected, rel=1e-10)
        assert number(loss(alone, "world")) == pytest.approx(expected, rel=1e-10)


def test_the_novelty_bonus_is_the_plain_error_at_first() -> None:
    agent = precise("code")
    errors = [number(error) for error in plain_rpg.novelty_errors(agent, tiny_rpg.seen())]
    agent.novelty.batches.fill_(100)
    assert agent.novelty.bonus(tiny_rpg.seen()).tolist() == pytest.approx(errors, rel=1e-12)
    agent.novelty.batches.fill_(101)
    normal = [(error - 0.9) / 0.5 for error in errors]  # tiny_rpg's mean, and the root of its variance
    assert agent.novelty.bonus(tiny_rpg.seen()).tolist() == pytest.approx(normal, rel=1e-12)


def test_either_critic_is_the_smaller_one_somewhere() -> None:
    """In the examples above, so that taking the smaller one differs from taking either."""
    agent = precise("paper_categorical")
    values = [
        plain_rpg.rollout_values(
            agent,
            agent.world,
            plain_rpg.dense(agent.world.encode, starts(agent).observation[b]),
            starts(agent).latent[b],
            noise(agent)[:, b],
            True,
        )[0]
        for b in range(tiny_rpg.BATCH)
    ]
    assert len({number(first - second) < 0 for first, second in values}) == 2
    agent = precise("code")
    data, draws = segments(agent), noise(agent, HORIZON)
    differences = []
    for b in range(tiny_rpg.BATCH):
        encoded = plain_rpg.dense(agent.target_world.encode, data.observation[b, 1])
        of_target = agent.target_world, encoded, data.kept[b], draws[:, b, 0]
        first, second = plain_rpg.rollout_values(agent, *of_target, False)[0]
        differences.append(number(first - second))
    assert min(differences) < 0 < max(differences)


@pytest.mark.parametrize("name", AGENTS)
def test_what_the_policys_loss_hands_on(name: str) -> None:
    """Entropy of the imagined steps, and their states and actions, from which α and p(z|s, a) learn."""
    agent = precise(name)
    data, draws = starts(agent), noise(agent)
    with torch.no_grad():
        _, entropy, (states, actions) = agent.policy_loss(data, draws)
        assert number(entropy) == pytest.approx(number(plain_rpg.policy_loss(agent, data, draws)[1]), rel=1e-10)
        assert states.shape[:2] == actions.shape[:2] == (HORIZON, tiny_rpg.BATCH)
        for b in range(tiny_rpg.BATCH):
            first = plain_rpg.dense(agent.world.encode, data.observation[b])
            torch.testing.assert_close(states[0, b], first, rtol=1e-10, atol=1e-12)
            _, _, expected = plain_rpg.rollout_values(agent, agent.world, first, data.latent[b], draws[:, b], True)
            torch.testing.assert_close(actions[:, b], expected[:HORIZON], rtol=1e-10, atol=1e-12)


def test_rewards_without_novelty_are_those_of_the_environment_five_times() -> None:
    """With a reward head that says zero, the loss is the mean of (5 r)² over a batch's steps; three are masked."""
    agent = precise("code_without_novelty")
    with torch.no_grad():
        for parameter in agent.world.predict_reward[-1].parameters():
            parameter.zero_()
    data = segments(agent)
    data = data._replace(
        reward=torch.tensor([[1.0, 0.0, 2.0], [1.0, 7.0, 7.0], [0.5, 1.0, 7.0], [0.0, 0.0, 0.5]]).double()
    )
    _, parts = agent.world_loss(data, noise(agent, HORIZON))
    assert number(parts["reward_loss"]) == 25 * (1 + 4 + 1 + 0.25 + 1 + 0.25) / 3 / 4


@pytest.mark.parametrize(("entropy", "direction"), [(-2.5, -1), (-1.5, 1)])  # the target is -2
@pytest.mark.parametrize("name", ["code", "paper"])
def test_the_temperature_falls_exactly_while_entropy_exceeds_minus_the_action_size(
    name: str, entropy: float, direction: int
) -> None:
    agent = precise(name)
    value = agent.alpha_loss(torch.tensor(entropy, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(value, agent.log_alpha)
    assert number(gradient) == pytest.approx(direction * 0.5 * math.exp(tiny_rpg.LOG_ALPHA), rel=1e-12)
    assert number(agent.alpha()) == pytest.approx(0.2 * math.exp(tiny_rpg.LOG_ALPHA), rel=1e-12)


# Of the parameters, data and draws of tests.agents.tiny_rpg: no library's random numbers are in them.
GOLDEN = {
    ("code", "novelty"): 0.08449268202961462,
    ("code", "world"): 3047.612654948396,
    ("code", "policy"): 19.283673436782653,
    ("code", "alpha"): 0.404957642272801,
    ("code", "posterior"): 12.417119204529156,
    ("paper", "novelty"): 0.08449268202961462,
    ("paper", "world"): 110265.42073963511,
    ("paper", "policy"): 38.16269565595766,
    ("paper", "alpha"): 0.404957642272801,
    ("paper", "posterior"): 13.539976958239697,
    ("code_categorical", "novelty"): 0.1107665961704132,
    ("code_categorical", "world"): 2769.384243286202,
    ("code_categorical", "policy"): 3.827628269404106,
    ("code_categorical", "alpha"): 0.404957642272801,
    ("code_categorical", "posterior"): 1.3347805645114594,
    ("code_categorical", "latent_policy"): 4.26792053074915,
    ("paper_categorical", "novelty"): 0.1107665961704132,
    ("paper_categorical", "world"): 109865.21852136981,
    ("paper_categorical", "policy"): 5.169961035792088,
    ("paper_categorical", "alpha"): 0.404957642272801,
    ("paper_categorical", "posterior"): 1.3347805645114594,
    ("paper_categorical", "latent_policy"): 0.8901882859670426,
    ("code_learnt", "novelty"): 0.1107665961704132,
    ("code_learnt", "world"): 3047.5914459701535,
    ("code_learnt", "policy"): 19.283673436782653,
    ("code_learnt", "alpha"): 0.404957642272801,
    ("code_learnt", "posterior"): 12.417119204529158,
    ("code_learnt", "latent_policy"): 26.43882237316128,
    ("paper_learnt", "novelty"): 0.1107665961704132,
    ("paper_learnt", "world"): 110265.3388604883,
    ("paper_learnt", "policy"): 38.16269565595766,
    ("paper_learnt", "alpha"): 0.404957642272801,
    ("paper_learnt", "posterior"): 13.539976958239697,
    ("paper_learnt", "latent_policy"): 50.47595554768892,
    ("code_none", "novelty"): 0.05698724024256367,
    ("code_none", "world"): 3523.6433684346143,
    ("code_none", "policy"): 2.1873711125573956,
    ("code_none", "alpha"): 0.404957642272801,
    ("paper_none", "novelty"): 0.05698724024256367,
    ("paper_none", "world"): 88878.24840694749,
    ("paper_none", "policy"): 1.7993538230981363,
    ("paper_none", "alpha"): 0.404957642272801,
    ("code_mixture", "novelty"): 0.05698724024256367,
    ("code_mixture", "world"): 3523.6457639998594,
    ("code_mixture", "policy"): 1.7340412181539238,
    ("code_mixture", "alpha"): 0.404957642272801,
    ("code_soft_mixture", "novelty"): 0.05698724024256367,
    ("code_soft_mixture", "world"): 3523.6428204282442,
    ("code_soft_mixture", "policy"): 2.0897133028040393,
    ("code_soft_mixture", "alpha"): 0.404957642272801,
    ("paper_mixture", "novelty"): 0.08449268202961462,
    ("paper_mixture", "world"): 110282.20814479102,
    ("paper_mixture", "policy"): 34.90534985585255,
    ("paper_mixture", "alpha"): 0.404957642272801,
    ("paper_mixture", "posterior"): 13.539976958239697,
    ("paper_soft_mixture", "novelty"): 0.08449268202961462,
    ("paper_soft_mixture", "world"): 110286.56452615937,
    ("paper_soft_mixture", "policy"): 33.39351612552133,
    ("paper_soft_mixture", "alpha"): 0.404957642272801,
    ("paper_soft_mixture", "posterior"): 13.539976958239697,
    ("code_without_novelty", "world"): 3047.0579364758196,
    ("code_without_novelty", "policy"): 19.283673436782653,
    ("code_without_novelty", "alpha"): 0.404957642272801,
    ("code_without_novelty", "posterior"): 12.417119204529156,
    ("code_ramp", "world"): 2976.402198759177,
    ("code_ramp", "policy"): 19.283673436782653,
    ("code_ramp", "alpha"): 0.404957642272801,
    ("code_ramp", "posterior"): 12.417119204529156,
}


@pytest.mark.parametrize(("name", "part"), CASES)
def test_losses_keep_their_values(name: str, part: str) -> None:
    assert number(loss(precise(name), part)) == pytest.approx(GOLDEN[name, part], rel=1e-9)
