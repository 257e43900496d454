"""What an RPG agent is made of, how it acts and when it learns; that without z it is model-based SAC."""

import math
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from relatent.agents.rpg import RPG, Hyper
from relatent.nets.noise import gumbel, normal
from relatent.specs.errors import RelatentError
from relatent.training.replay import Replay
from tests.agents.tiny import waves
from tests.agents.tiny_rpg import ACTION, AGENTS, BATCH, CODE, HORIZON, OBSERVATION, SIZES, build, noise
from tests.agents.tiny_rpg import segments as tiny_segments
from tests.agents.tiny_rpg import starts as tiny_starts
from tests.nets.test_learner import assert_identical

OBSERVED = waves((OBSERVATION,), 0.4).float().numpy()
PUBLISHED = {"width": 256, "state": 100, "latent_size": 12, "novelty_width": 512}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_a_world_of_the_published_size_has_exactly_these_parameters() -> None:
    """Of the maze: 28 numbers observed, two actions. A perceptron has 256 (inputs + 257) + 257 + 257 (outputs - 1)."""
    agent = RPG(28, 2, Hyper(**{**SIZES, **CODE, **PUBLISHED}))
    world = agent.world
    found = {name: count(getattr(world, name)) for name in ("encode", "embed", "begin", "recurrence", "decode")}
    assert found == {"encode": 98_916, "embed": 132_352, "begin": 157_440, "recurrence": 394_752, "decode": 157_284}
    assert (count(world.predict_reward), [count(critic) for critic in world.critics]) == (157_441, [94_977] * 2)
    assert count(world) == count(agent.target_world) == 1_288_139
    assert count(agent.policy) == 256 * 113 + 256 * 257 + 257 * 4
    assert count(agent.latent) == 256 * 103 + 256 * 257 + 257 * 12
    assert count(agent.novelty.predictor) == count(agent.novelty.target) == 512 * 29 + 2 * 512 * 513


def test_a_critic_of_actions_reads_them_too() -> None:
    agent = RPG(28, 2, Hyper(**{**SIZES, **CODE, **PUBLISHED, "critic": "action_value"}))
    assert count(agent.world) == 1_288_139 + 2 * 2 * 256


def test_without_z_it_is_the_same_agent_with_beta_zero_and_a_z_that_nobody_reads() -> None:
    """Losses and what they hand on, to the bit in float32."""
    for switches in ("code", "paper"):
        torch.manual_seed(0)
        with_z = build(switches, latent_size=1, beta=0.0)
        without: Any = build(f"{switches}_none")
        with torch.no_grad():
            for net in (with_z.policy.net, *with_z.world.critics, *with_z.target_world.critics):
                net[0].weight[:, with_z.hyper.state].zero_()  # z follows the state
        own = {key: value for key, value in with_z.state_dict().items() if key in without.state_dict()}
        without.load_state_dict({**own, "_extra_state": without.get_extra_state()})
        data = tiny_segments(with_z)._replace(kept=3 * waves((BATCH, 1), 9.0))
        data = type(data)(*(field.float() for field in data))
        begin = tiny_starts(with_z)._replace(latent=3 * waves((BATCH, 1), 8.0))
        begin = type(begin)(*(field.float() for field in begin))
        constant = data._replace(kept=torch.ones(BATCH, 1)), begin._replace(latent=torch.ones(BATCH, 1))
        draws = noise(with_z, HORIZON).float(), noise(with_z).float()
        one, parts = with_z.world_loss(data, draws[0])
        other, others = without.world_loss(constant[0], draws[0])
        assert torch.equal(one, other)
        assert all(torch.equal(parts[key], others[key]) for key in parts)
        mine, yours = with_z.policy_loss(begin, draws[1]), without.policy_loss(constant[1], draws[1])
        assert torch.equal(mine[0], yours[0])
        assert torch.equal(mine[1], yours[1])
        assert all(torch.equal(a, b) for a, b in zip(mine[2], yours[2], strict=True))


# Acting


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("explore", [True, False])
def test_z_is_drawn_once_an_episode_and_kept(name: str, explore: bool) -> None:
    """Then every action is the policy's for this z, evaluated as it explores; nothing else is drawn from."""
    agent, generator = build(name), torch.Generator().manual_seed(3)
    twin = torch.Generator().manual_seed(3)
    torch.manual_seed(0)
    before, belief = torch.get_rng_state(), None
    for step in range(3):
        action, latent = agent.act(OBSERVED + step, belief, explore, generator)
        if step:
            assert latent is belief
        for_action, for_latent = agent.draw_action_noise(explore, twin)
        with torch.no_grad():
            state = agent.world.encode(torch.from_numpy(OBSERVED + step))
            expected, _ = agent.policy(torch.cat([state, latent]), for_action)
        if step == 0 and agent.hyper.latent == "gaussian":
            assert torch.equal(latent, for_latent)
        assert np.array_equal(action, expected.numpy())
        assert action.dtype == np.float32
        assert np.abs(action).max() <= 1
        kept = agent.keep(latent)
        assert kept.shape == (agent.kept_size,)
        assert np.array_equal(kept, latent.numpy())
        belief = latent
    assert torch.equal(torch.get_rng_state(), before)


def first_latents(agent: RPG, draws: int) -> torch.Tensor:
    """z of so many episodes that begin at one observation, drawn at once."""
    generator = torch.Generator().manual_seed(0)
    kind = gumbel if agent.hyper.latent == "categorical" else normal
    drawn = agent.policy.draw_noise((draws,), generator), kind((draws, agent.kept_size), generator)
    with torch.no_grad():
        return agent.choose(torch.from_numpy(OBSERVED).expand(draws, -1), None, drawn)[1]


def test_z_comes_from_its_prior() -> None:
    """A standard normal one: mean and variance of n numbers, whose errors are 1/√n and √(2/n)."""
    found = first_latents(build("code"), 10_000)
    assert found.shape == (10_000, 3)
    assert abs(float(found.mean())) < 4.5 / found.numel() ** 0.5
    assert abs(float(found.var()) - 1) < 4.5 * (2 / found.numel()) ** 0.5
    assert first_latents(build("code_none"), 9).tolist() == [[1.0]] * 9


def test_a_learnt_gaussian_z_comes_from_its_mean_and_deviation() -> None:
    """N(0, I) before anything was learnt, to the bit; then what the last layer says."""
    torch.manual_seed(0)
    agent = build("paper_learnt")
    assert torch.equal(first_latents(agent, 100), first_latents(build("paper"), 100))
    mean, std = torch.tensor([0.3, -2.0, 1.0]), torch.tensor([0.5, 1.0, 3.0])
    with torch.no_grad():
        agent.latent_policy.net[-1].bias.copy_(torch.cat([mean, std.log()]))
    found = first_latents(agent, 10_000)
    assert ((found.mean(0) - mean).abs() < 4.5 * std / 100).all()
    assert ((found.var(0) / std**2 - 1).abs() < 4.5 * 0.02**0.5 / 10).all()


def test_a_decay_that_does_not_begin_before_it_ends_is_refused() -> None:
    with pytest.raises(RelatentError, match=r"^latent_entropy_decay: \[3.0, 2.0\], expected \[\] or \[first, last\]"):
        build("paper_learnt", latent_entropy_decay=(3.0, 2.0))


@pytest.mark.parametrize("temperature", [0.02, 0.5, 1e4])
def test_a_categorical_z_comes_from_the_softmax_of_its_values(temperature: float) -> None:
    """Nearly uniform for a high temperature, nearly always the best one for a low one."""
    torch.manual_seed(0)
    agent = build("code_categorical", latent_alpha=temperature)
    with torch.no_grad():
        agent.latent_policy.values[-1].bias.copy_(torch.tensor([0.3, -0.2, 0.6]))
        values = agent.latent_policy.values(agent.world.encode(torch.from_numpy(OBSERVED)))
    found = first_latents(agent, 20_000)
    assert set(found.flatten().tolist()) == {0.0, 1.0}
    assert (found.sum(-1) == 1).all()
    expected = (values.double() / temperature).softmax(-1)
    error = (expected * (1 - expected) / len(found)).sqrt()
    assert ((found.double().mean(0) - expected).abs() <= 4.5 * error + 1e-6).all()
    entropy = float(-(expected * expected.log()).sum())
    assert (entropy > math.log(3) - 1e-6) == (temperature == 1e4)
    assert (entropy < 1e-3) == (temperature == 0.02)


# When it learns


def replay(steps: int, agent: RPG) -> Replay:
    made = Replay(99, OBSERVATION, ACTION, kept_size=agent.kept_size)
    for step in range(steps):
        x, following = (waves((OBSERVATION,), number).numpy() for number in (step, step + 1))
        action, kept = waves((ACTION,), step + 0.5).numpy(), waves((agent.kept_size,), step // 7 + 0.2).numpy()
        if agent.hyper.latent == "categorical":
            kept = np.eye(agent.kept_size)[kept.argmax()]
        made.add(x, action, float(x[0]), following, False, step % 7 == 6, kept)
    return made


@pytest.mark.parametrize(
    ("novelty", "before", "after", "due"),
    [
        (0.1, 0, 5, 0),
        (0.1, 15, 20, 0),  # a batch of 20 must be exceeded
        (0.1, 20, 25, 1),
        (0.1, 21, 24, 0),
        (0.1, 24, 25, 1),
        (0.1, 100, 110, 2),
        (0.1, 103, 115, 3),
        (0.0, 20, 25, 0),  # without novelty, nothing is learnt until the world is
        (0.0, 35, 40, 0),
        (0.0, 40, 45, 1),
    ],
)
def test_one_update_is_due_for_every_five_steps(novelty: float, before: int, after: int, due: int) -> None:
    agent = build("code", novelty=novelty, batch=20, update_after=40)
    assert agent.updates_due(before, after) == due


@pytest.mark.parametrize("name", ["code", "code_categorical", "code_learnt", "code_none", "paper"])
def test_the_novelty_network_learns_first_and_alone(name: str) -> None:
    """Until replay holds more than `update_after` steps; such updates are not counted."""
    agent, generator = build(name, update_after=14), torch.Generator().manual_seed(0)
    start = {key: value.clone() for key, value in agent.named_parameters()}
    for steps in (7, 14):
        memory = replay(steps, agent)
        batch, draws = agent.draw_update(memory, generator)
        assert batch.seen.shape == (BATCH, OBSERVATION)
        assert (*batch[1:], *draws) == ((),) * 7
        assert agent.learn(batch, draws) == {}
        assert agent.updates == 0
        assert agent.phase()[0] is False
    moved = {key for key, value in agent.named_parameters() if not torch.equal(value, start[key])}
    assert moved
    assert all(key.startswith("novelty.predictor") for key in moved)
    assert float(agent.novelty.batches) == 2
    agent.draw_update(replay(15, agent), generator)
    assert agent.updates == 1
    assert agent.phase()[0] is True


@pytest.mark.parametrize("name", AGENTS)
def test_an_update_is_drawn_as_large_as_it_must_be(name: str) -> None:
    """Rollouts from every next observation of a segment; states for the policy whenever one is due, of other draws."""
    agent, generator = build(name), torch.Generator().manual_seed(0)
    memory, size = replay(30, agent), agent.policy.noise_size
    steps = HORIZON + 1 if agent.hyper.critic == "action_value" else HORIZON
    for update in range(1, 8):
        batch, draws = agent.draw_update(memory, generator)
        assert agent.updates == update
        assert isinstance(batch.seen, torch.Tensor) == bool(agent.hyper.novelty)
        assert batch.segments.observation.shape == (BATCH, HORIZON + 1, OBSERVATION)
        assert batch.segments.kept.shape == (BATCH, agent.kept_size)
        assert draws.target.shape == (steps, BATCH, HORIZON, size)
        policy_due = update % 2 == 1
        latent_due = ("categorical" in name and update % 3 == 1) or ("learnt" in name and policy_due)
        for due, drawn, draw in (
            (policy_due, batch.starts, draws.actor),
            (latent_due, batch.beginnings, draws.beginnings),
        ):
            assert (len(drawn) > 0) == (len(draw) > 0) == due
            if due:
                assert drawn.observation.shape == (BATCH, OBSERVATION)
                assert drawn.latent.shape == (BATCH, agent.kept_size)
                assert draw.shape == (steps, BATCH, size)
                assert not torch.equal(drawn.observation, batch.segments.observation[:, 0])
        assert (len(draws.latent) > 0) == ("learnt" in name and policy_due)
        if len(draws.latent):
            assert draws.latent.shape == (BATCH, agent.kept_size)
            assert not torch.equal(draws.latent, draws.beginnings[0, :, : agent.kept_size])
        assert agent.phase() == (True, policy_due, latent_due)
        metrics = agent.learn(batch, draws)
        assert all(math.isfinite(float(value)) for value in metrics.values())


@pytest.mark.parametrize("name", ["code", "paper_categorical", "paper_learnt"])
def test_a_saved_agent_goes_on_bit_for_bit(name: str) -> None:
    """With what the novelty bonus is normalised by, and how many updates a ramp has seen."""
    torch.manual_seed(0)
    agent = build(name)
    memory = replay(40, agent)
    for number in range(5):
        agent.update(memory, torch.Generator().manual_seed(number))
    restored = build(name)
    restored.load_state_dict(deepcopy(agent.state_dict()))
    for number in range(5, 10):
        for one in (agent, restored):
            one.update(memory, torch.Generator().manual_seed(number))
    assert agent.updates == restored.updates == int(agent.progress) == 10
    assert_identical(agent, restored)


# What a figure measures


def test_the_probe_measures_the_cross_entropy_on_imagined_steps() -> None:
    """With a mean of zero it is d (E z² / 2 σ² + log σ √2π), and its bound of the information (d/2) log(1 / E z²)."""
    agent = build("code", batch=64)
    with torch.no_grad():
        for parameter in agent.latent.mean[-1].parameters():
            parameter.zero_()
    memory = replay(40, agent)
    values = agent.probe("latent", memory, torch.Generator().manual_seed(5))
    kept = memory.sample_segments(64, 1, torch.Generator().manual_seed(5)).kept
    squared = float(kept.square().sum(-1).mean())
    assert values["cross_entropy"] == pytest.approx(math.pi * squared, rel=1e-5)
    assert values["information"] == pytest.approx(1.5 * math.log(3 / squared), rel=1e-4)


def test_the_probe_of_a_learnt_gaussian_counts_its_own_entropy() -> None:
    """z is drawn again with the deviations σ; with a mean of zero for p, the bound is what a Gaussian of the same size
    says, and the sum of log σ."""
    agent, std = build("code_learnt", batch=64), torch.tensor([0.2, 0.5, 0.1])
    with torch.no_grad():
        for parameter in agent.latent.mean[-1].parameters():
            parameter.zero_()
        agent.latent_policy.net[-1].bias[3:] = std.log()
    values = agent.probe("latent", replay(40, agent), torch.Generator().manual_seed(5))
    squared = values["cross_entropy"] / math.pi
    error = math.sqrt(2 * float((std**4).sum()) / 64)  # of the mean of 64 such |z|²
    assert abs(squared - float((std**2).sum())) < 4.5 * error
    expected = 1.5 * math.log(3 / squared) + float(std.log().sum())
    assert values["information"] == pytest.approx(expected, rel=1e-4)
    assert values["information"] < 0  # one error for all dimensions: z is not known that well, and p knows nothing
