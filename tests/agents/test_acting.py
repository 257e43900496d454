"""What an agent does in an environment, and what it says of itself there."""

import numpy as np
import pytest
import torch

from relatent.nets.distributions import tanh_log_det
from relatent.objectives.marginal_entropy import nested
from relatent.training.replay import Replay
from tests.agents.tiny import ACTION, AGENTS, OBSERVATION, build, waves

AGENT = pytest.mark.parametrize("name", AGENTS)
OBSERVED = waves((OBSERVATION,), 0.4).float().numpy()


@AGENT
@pytest.mark.parametrize("explore", [True, False])
def test_actions_are_a_function_of_observation_and_generator(name: str, explore: bool) -> None:
    agent, belief = build(name), object()
    before = OBSERVED.copy()
    results = [agent.act(OBSERVED, belief, explore, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert np.array_equal(results[0][0], results[1][0])
    assert np.array_equal(OBSERVED, before)
    for action, returned in results:
        assert returned is belief
        assert action.shape == (ACTION,)
        assert action.dtype == np.float32
        assert np.abs(action).max() <= 1


@AGENT
def test_acting_draws_from_its_generator_only_and_learns_nothing(name: str) -> None:
    agent = build(name)
    start = {key: value.clone() for key, value in agent.named_parameters()}
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    actions = [agent.act(OBSERVED, None, True, torch.Generator().manual_seed(seed))[0] for seed in range(2)]
    assert torch.equal(torch.rand(1), expected)
    assert not np.array_equal(*actions)
    assert all(torch.equal(value, start[key]) and value.grad is None for key, value in agent.named_parameters())


@pytest.mark.parametrize("name", ["sac", "td3", "flow_sac", "pmoe"])
def test_evaluated_actions_are_not_drawn(name: str) -> None:
    agent = build(name)
    actions = [agent.act(OBSERVED, None, False, torch.Generator().manual_seed(seed))[0] for seed in range(2)]
    assert np.array_equal(*actions)


def test_smacs_evaluated_action_is_tanh_of_the_mean_for_a_drawn_latent() -> None:
    agent = build("smac_nested")
    action, _ = agent.act(OBSERVED, None, False, torch.Generator().manual_seed(3))
    latent_noise = torch.randn(agent.hyper.latent, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        latent = agent.inference(torch.from_numpy(OBSERVED)).sample(latent_noise)
        assert np.array_equal(action, torch.tanh(agent.policy(latent).mean).numpy())


@AGENT
@pytest.mark.parametrize(
    ("before", "after", "due"), [(0, 1, 0), (9, 10, 0), (10, 11, 1), (11, 12, 1), (9, 11, 1), (10, 14, 1)]
)
def test_one_update_is_due_per_agent_step_once_there_is_enough(name: str, before: int, after: int, due: int) -> None:
    """Whatever the number of frames that a step's action is repeated for."""
    assert build(name, update_after=10).updates_due(before, after) == due


def memory(states: int = 30) -> Replay:
    made = Replay(states, OBSERVATION, ACTION)
    for step in range(states):
        x = waves((OBSERVATION,), step).numpy()
        made.add(x, waves((ACTION,), step).numpy(), 0.0, x, False, True)
    return made


def test_the_probes_bounds_meet_at_the_entropy_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """With q(s|x) a point, the marginal is the conditional density: estimate and bounds are one Gaussian's entropy."""
    monkeypatch.setattr("relatent.agents.smac.PROBE_ACTIONS", 2_000)
    monkeypatch.setattr("relatent.agents.smac.PROBE_PARTICLES", 20)
    monkeypatch.setattr("relatent.agents.smac.PROBE_CHUNK", 10)
    agent = build("smac_nested")
    with torch.no_grad():
        for head, bias in ((agent.inference, -30.0), (agent.policy, -3.0)):
            head.log_std.weight.zero_()
            head.log_std.bias.fill_(bias)
        agent.policy.mean.weight.zero_()  # u ~ N(0, exp(-3)²)
    values = agent.probe("marginal_entropy", memory(), torch.Generator().manual_seed(0))
    assert values["lower"] == pytest.approx(values["upper"], rel=1e-5)
    assert values["estimate"] == pytest.approx(values["upper"], rel=1e-5)
    # H(tanh(u)) = H(u) + E log tanh'(u) ~ H(u) - E u²; the sample of 16,000 actions has a standard error below 0.01.
    entropy = ACTION * (0.5 * np.log(2 * np.pi * np.e) - 3 - np.exp(-6))
    assert values["upper"] == pytest.approx(entropy, abs=0.04)


def test_the_probes_bounds_enclose_the_entropy_and_estimators_lie_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow conditionals and a wide latent: nested < lower <= H <= upper < elbo, each by far more than its error."""
    monkeypatch.setattr("relatent.agents.smac.PROBE_PARTICLES", 40_000)
    found = {}
    for entropy in ("nested", "elbo"):
        torch.manual_seed(0)
        agent = build("smac_nested", entropy=entropy, width=16)
        with torch.no_grad():
            agent.policy.log_std.bias.fill_(-3.0)
        found[entropy] = agent.probe("marginal_entropy", memory(), torch.Generator().manual_seed(0))
    for values in found.values():
        assert values["lower"] <= values["upper"] <= values["lower"] + 0.05
    assert found["nested"]["estimate"] < found["nested"]["lower"] - 0.1
    assert found["elbo"]["estimate"] > found["elbo"]["upper"] + 1


def test_the_probe_takes_its_actions_from_the_agents_own_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers from sampled actions, computed here with all latents at once."""
    monkeypatch.setattr("relatent.agents.smac.PROBE_PARTICLES", 30)
    monkeypatch.setattr("relatent.agents.smac.PROBE_CHUNK", 10)
    agent, replay, generator = build("smac_nested"), memory(), torch.Generator().manual_seed(5)
    values = agent.probe("marginal_entropy", replay, torch.Generator().manual_seed(5))
    lower, upper = [], []
    with torch.no_grad():
        for state in replay.sample(8, generator).observation:
            sample = agent.sample_action(state.expand(16, -1), agent.draw_noise(16, generator).current)
            noise = torch.cat([torch.randn((10, agent.hyper.latent), generator=generator) for _ in range(3)])
            policy = agent.policy(agent.inference(state).sample(noise))
            log_det = tanh_log_det(sample.pre_tanh)
            for action in range(16):
                others = policy.log_prob(sample.pre_tanh[action]) - log_det[action]
                upper.append(-float(others.exp().mean().log()))
                lower.append(-float(nested(torch.cat([sample.conditional[action, :1], others]))))
    assert values["upper"] == pytest.approx(np.mean(upper), rel=1e-4)
    assert values["lower"] == pytest.approx(np.mean(lower), rel=1e-4)
