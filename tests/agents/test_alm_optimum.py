"""What encoder and model come to when everything else is fixed: an optimistic model, and without KL none at all."""

import math

import pytest
import torch
from torch import Tensor, nn

from relatent.agents.alm import ALM
from relatent.nets.aligned_latent import Latent, bounded_std
from relatent.nets.batch import Segments
from relatent.training.replay import Replay
from tests.agents.tiny import number, waves
from tests.agents.tiny_alm import ACTION, OBSERVATION, build, given, linears

SLOPE = torch.tensor([0.8, -0.6])


class LinearValue(nn.Module):
    """Q(z, a) = g z."""

    def __init__(self, slope: Tensor) -> None:
        super().__init__()
        self.slope = slope

    def smaller(self, latent: Tensor, _action: Tensor) -> Tensor:
        return (self.slope * latent).sum(-1)


def valued(slope: Tensor, **changes: object) -> ALM:
    """One step, no rewards, and a value that is linear in a z of two numbers."""
    agent = build("one_step", latent_size=2, **changes)
    agent.critic = LinearValue(slope)  # type: ignore[assignment]
    for parameter in agent.reward.parameters():
        parameter.data.zero_()
    return agent


def constant(net: nn.Module, mean: float, std: float) -> None:
    """Let every output be N(mean, std²) for z's first number, and N(0.2, 0.3²) for its second."""
    low, high = torch.tensor([-20.0, 20.0], dtype=torch.float64)
    raws = []
    for wanted in (std, 0.3):
        below, above = low.clone(), high.clone()
        for _ in range(80):
            middle = (below + above) / 2
            below, above = (middle, above) if bounded_std(middle) < wanted else (below, middle)
        raws.append(number(below))
    weight, bias = linears(net)[-1]
    weight.data.zero_()
    means = [30 * math.atanh(wanted / 30) for wanted in (mean, 0.2)]
    bias.data.copy_(torch.tensor([*means, *raws], dtype=torch.float64))


@pytest.mark.parametrize(
    ("mean", "std", "optimal"), [(1.0, 0.5, True), (0.5, 0.5, False), (0.9, 0.5, False), (1.0, 0.52, False)]
)
def test_the_best_model_is_the_encoder_shifted_towards_higher_values(mean: float, std: float, optimal: bool) -> None:
    """With Q = 2 z and an encoder N(0.5, 0.5²) it is N(0.5 + 0.5² 2, 0.5²), KL 0.5² 2² / 2: there the gradient is zero
    and elsewhere it is not. Two examples differ in the sign of their draws, whose mean is zero thus."""
    agent = valued(torch.tensor([2.0, 0.0], dtype=torch.float64)).double()
    constant(agent.target_encoder, 0.5, 0.5)
    constant(agent.model, mean, std)
    data, draws = given(agent)
    pair = Segments(*(field[:1].expand(2, *field.shape[1:]) for field in data.segments))
    noise = 1.5 * waves((1, 1, 2), 0.4)
    draws = draws._replace(
        start=draws.start[:1].expand(2, 2), path=torch.cat([noise, -noise], 1), last_action=draws.last_action[:2]
    )
    loss, parts = agent.aligned_loss(pair, draws)
    gradients = torch.autograd.grad(loss, list(agent.model.parameters()))
    size = max(number(gradient.abs().max()) for gradient in gradients)
    assert (size < 1e-12) == optimal
    assert optimal or size > 0.01
    if optimal:
        assert number(parts["divergence"]) == pytest.approx(0.5, rel=1e-12)
        assert number(loss) == pytest.approx(0.5 - 2 * 1.0, rel=1e-12)


def sequences() -> Segments:
    """Of a system that adds actions to what is seen."""
    draws = torch.Generator().manual_seed(0)
    observation, action = torch.randn(64, OBSERVATION, generator=draws), 2 * torch.rand(64, ACTION, generator=draws) - 1
    following = observation.clone()
    following[:, :ACTION] += action
    nothing = torch.zeros(64, 1)
    return Segments(
        torch.stack([observation, following], 1), action[:, None], torch.zeros(64, 0), nothing, nothing, 1 - nothing
    )


def trained(kl: bool) -> tuple[Latent, Latent]:
    """What the model predicts, and what the target encoder, which is kept, has there."""
    torch.manual_seed(0)
    agent, data, draws = valued(SLOPE, kl=kl, lr=2e-2, width=16, model_width=16), sequences(), torch.Generator()
    for update in range(250):
        agent.minimise("world", agent.aligned_loss, data, agent.draw_noise(64, draws.manual_seed(update)))
    with torch.no_grad():
        latent = agent.encoder(data.observation[:, 0]).mean
        return agent.model(latent, data.action[:, 0]), agent.target_encoder(data.observation[:, 1])


def test_with_kl_a_model_learns_the_encoder_shifted_by_variance_times_slope() -> None:
    predicted, target = trained(kl=True)
    shift = (predicted.mean - target.mean).mean(0)
    torch.testing.assert_close(shift, (target.std.square() * SLOPE).mean(0), rtol=0.1, atol=0)
    torch.testing.assert_close(predicted.std.mean(0), target.std.mean(0), rtol=0.1, atol=0)
    assert (predicted.mean.var(0) > 0.5 * target.mean.var(0)).all()


def test_without_kl_z_goes_where_values_are_highest_whatever_was_seen() -> None:
    """To the bound of its mean, 30."""
    predicted, target = trained(kl=False)
    torch.testing.assert_close(predicted.mean, (30 * SLOPE.sign()).expand(64, 2), rtol=0, atol=0.01)
    assert (predicted.mean.var(0) < 1e-4 * target.mean.var(0)).all()


def memory() -> Replay:
    """Of the same system, slowed down."""
    replay, draws = Replay(400, OBSERVATION, ACTION), torch.Generator().manual_seed(0)
    for _ in range(10):
        here = torch.randn(OBSERVATION, generator=draws) / 2
        for step in range(40):
            action = 2 * torch.rand(ACTION, generator=draws) - 1
            following = 0.9 * here
            following[:ACTION] += action / 2
            replay.add(here.numpy(), action.numpy(), float(here[0]), following.numpy(), False, step == 39)
            here = following
    return replay


def test_a_whole_agent_without_kl_predicts_what_is_not_there() -> None:
    """After 60 updates of all its networks, by its own probe; Figure 7 shows what comes of it."""
    found = {}
    for kl in (True, False):
        torch.manual_seed(0)
        agent, replay = build(kl=kl, width=32, model_width=32, batch=32, lr=3e-3, tau=0.05), memory()
        for update in range(60):
            agent.update(replay, torch.Generator().manual_seed(update))
        found[kl] = agent.probe("collapse", replay, torch.Generator().manual_seed(1))["divergence"]
    assert found[True] < 3
    assert found[False] > 100
