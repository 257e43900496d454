"""Actions and log-densities as functions of noise, by integrals, entropies, frequencies and torch.distributions."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from relatent.nets.tanh_policy import COMPONENTS, SoftMixture, TanhGaussian, TanhMixture
from tests.agents.tiny import waves

INPUTS = 3
POLICIES: dict[str, Any] = {"gaussian": TanhGaussian, "mixture": TanhMixture, "soft_mixture": SoftMixture}
POLICY = pytest.mark.parametrize("kind", POLICIES)


def policy(kind: str, actions: int = 1, std: float = 0.4, phase: float = 0.0) -> Any:
    """In float64, with `waves` as parameters."""
    made = POLICIES[kind](INPUTS, actions, 5, std).double()
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            parameter.copy_(0.4 * waves(tuple(parameter.shape), phase + number))
    return made


def flat(kind: str, std: float, outputs: Tensor | None = None) -> Any:
    """One action; its network's outputs are the same everywhere, zero if not given."""
    made = policy(kind, std=std)
    with torch.no_grad():
        made.net[-1].weight.zero_()
        made.net[-1].bias.copy_(torch.zeros_like(made.net[-1].bias) if outputs is None else outputs)
    return made


def somewhere(count: int) -> Tensor:
    """The same inputs for all."""
    return waves((INPUTS,), 0.2).expand(count, INPUTS)


def over_component(chosen: int, grid: Tensor) -> Tensor:
    """Noise of a mixture of one action: this component is drawn, at these places; others lie elsewhere."""
    noise = waves((len(grid), 2 * COMPONENTS), 0.9)
    noise[:, chosen] = grid
    noise[:, COMPONENTS + chosen] = 1e3
    return noise


def integral(action: Tensor, log_prob: Tensor) -> float:
    """Of a density that is known along one action."""
    order = action.squeeze(-1).argsort()
    return float(torch.trapezoid(log_prob.exp()[order], action.squeeze(-1)[order]).detach())


GRID = torch.linspace(-9, 9, 40_001, dtype=torch.float64)


@pytest.mark.parametrize("std", [0.1, 0.4, 1.0])
def test_the_gaussians_density_integrates_to_one(std: float) -> None:
    for phase in (0.0, 1.0, 2.0):
        found = policy("gaussian", std=std, phase=phase)(somewhere(len(GRID)), GRID[:, None])
        assert integral(*found) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("actions", [1, 3])
@pytest.mark.parametrize("std", [0.4, 1.0])
def test_the_gaussian_is_torchs(actions: int, std: float) -> None:
    """tanh of a normal whose deviation is std exp(l)."""
    agent = policy("gaussian", actions, std)
    inputs, noise = waves((7, INPUTS), 0.3), waves((7, actions), 0.4)
    mean, log_std = agent.net(inputs).chunk(2, -1)
    base = Normal(mean, std * log_std.exp())
    expected = TransformedDistribution(Independent(base, 1), [TanhTransform(cache_size=1)])
    drawn = expected.transforms[0](base.loc + base.scale * noise)
    action, log_prob = agent(inputs, noise)
    torch.testing.assert_close(action, drawn, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(log_prob, expected.log_prob(drawn), rtol=1e-10, atol=1e-12)


ENTROPIES = {0.08973: -1.0, 0.1: -0.8936, 0.4: 0.3534, 0.5: 0.5, 0.8: 0.6781, 0.87: 0.6836, 1.0: 0.6698, 3.0: -1.0957}


@pytest.mark.parametrize(("std", "entropy"), ENTROPIES.items())
def test_entropies_at_mean_zero(std: float, entropy: float) -> None:
    """E[-log π] by quadrature. -1 an action is α's target; log 2, of the uniform distribution, is reached by none."""
    weight = Normal(0.0, 1.0).log_prob(GRID).exp()
    _, log_prob = flat("gaussian", std)(somewhere(len(GRID)), GRID[:, None])
    found = float(torch.trapezoid(-weight * log_prob.detach(), GRID))
    assert found == pytest.approx(entropy, abs=1e-4)
    assert found < math.log(2)


@POLICY
def test_densities_are_finite_at_the_ends_of_deviations(kind: str) -> None:
    """l is bounded to [-20, 2]; beyond, its gradient is that of what is not bounded."""
    for bias, bounded in ((50.0, 2.0), (-90.0, -20.0)):
        agent, at_bound = policy(kind), policy(kind)
        count = 1 if kind == "gaussian" else COMPONENTS
        with torch.no_grad():
            for one, value in ((agent, bias), (at_bound, bounded)):
                one.net[-1].weight[count : 2 * count] = 0
                one.net[-1].bias[count : 2 * count] = value
        noise = waves((4, agent.noise_size), 0.4)
        found, expected = agent(somewhere(4), noise), at_bound(somewhere(4), noise)
        gradients = []
        for one, results in ((agent, found), (at_bound, expected)):
            (gradient,) = torch.autograd.grad(results[1].sum() + results[0].sum(), [one.net[-1].bias])
            gradients.append(gradient)
        for mine, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
            assert mine.isfinite().all()
        torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)
        assert (gradients[0][count : 2 * count] != 0).any()


@POLICY
@pytest.mark.parametrize("shape", [(), (7,), (4, 7)])
def test_shapes_and_draws(kind: str, shape: tuple[int, ...]) -> None:
    agent = policy(kind, actions=2)
    noise = agent.draw_noise(shape, torch.Generator().manual_seed(0)).double()
    assert noise.shape == (*shape, agent.noise_size)
    assert agent.noise_size == (2 if kind == "gaussian" else 36)
    action, log_prob = agent(waves((*shape, INPUTS), 0.2), noise)
    assert (action.shape, log_prob.shape) == ((*shape, 2), shape)
    assert action.abs().max() < 1
    assert torch.equal(noise.float(), agent.draw_noise(shape, torch.Generator().manual_seed(0)))


# The exact mixture


def mixture(agent: Any, inputs: Tensor) -> MixtureSameFamily:
    """Before tanh, of one action."""
    mean, log_std, logits = agent.net(inputs).detach().split([COMPONENTS] * 3, -1)
    components = Independent(Normal(mean[..., None], 0.4 * log_std.exp()[..., None]), 1)
    return MixtureSameFamily(Categorical(logits=logits), components)


def test_the_mixtures_density_integrates_to_one() -> None:
    """Whichever component was drawn, so wide a grid of its noise covers all of (-1, 1)."""
    agent, grid = policy("mixture"), torch.linspace(-40, 40, 100_001, dtype=torch.float64)
    for chosen in (0, 5, 11):
        action, log_prob = agent(somewhere(len(grid)), over_component(chosen, grid))
        inside = (action.abs() < 1 - 1e-12).squeeze(-1)
        assert integral(action[inside], log_prob[inside]) == pytest.approx(1, abs=1e-4)


def test_the_mixtures_density_is_torchs_at_the_chosen_components_draw() -> None:
    agent, inputs = policy("mixture"), waves((9, INPUTS), 0.3)
    noise = waves((9, 2 * COMPONENTS), 0.6)
    action, log_prob = agent(inputs, noise)
    base = mixture(agent, inputs)
    pre_tanh = torch.atanh(action.detach())
    expected = base.log_prob(pre_tanh) - torch.log1p(-action.detach().square()).squeeze(-1)
    torch.testing.assert_close(log_prob.detach(), expected, rtol=1e-6, atol=1e-6)
    logits = agent.net(inputs)[:, 2 * COMPONENTS :]
    chosen = (logits + noise[:, COMPONENTS:]).argmax(-1)
    assert len(set(chosen.tolist())) > 2
    components = base.component_distribution.base_dist
    for row, k in enumerate(chosen.tolist()):
        drawn = components.loc[row, k, 0] + components.scale[row, k, 0] * noise[row, k]
        assert float(action[row].detach()) == pytest.approx(math.tanh(float(drawn)), rel=1e-6)
        # It lies within log 12 above the largest weighted component's.
        each = base.mixture_distribution.logits[row] + components.log_prob(drawn)[row, :, 0]
        above = float(log_prob[row].detach() + (1 - drawn.tanh().square()).log()) - float(each.max())
        assert -1e-6 < above < math.log(12)


def test_the_mixtures_actions_are_as_frequent_as_its_density_says() -> None:
    agent, count = policy("mixture"), 40_000
    noise = agent.draw_noise((count,), torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        action, _ = agent(somewhere(count), noise)
        components = mixture(agent, somewhere(1))
    edges = torch.linspace(-1, 1, 11, dtype=torch.float64)
    inner = torch.atanh(edges[1:-1])[:, None]
    family = components.component_distribution.base_dist
    below = (family.cdf(inner[:, None]).squeeze(-1) * components.mixture_distribution.probs).sum(-1)
    share = torch.cat([below.new_zeros(1), below, below.new_ones(1)]).diff()
    found = torch.histc(action.squeeze(-1), 10, -1, 1) / count
    assert ((found - share).abs() < 4.5 * (share * (1 - share) / count).sqrt()).all()


def test_no_gradient_of_the_mixtures_action_reaches_the_logits() -> None:
    """It does by the density."""
    agent = policy("mixture")
    action, log_prob = agent(somewhere(6), waves((6, 2 * COMPONENTS), 0.6))
    for output, reaches in ((action, False), (log_prob, True)):
        (gradient,) = torch.autograd.grad(output.sum(), [agent.net[-1].bias], retain_graph=True)
        assert bool((gradient[2 * COMPONENTS :] != 0).any()) == reaches
        assert (gradient[:COMPONENTS] != 0).any()


# The official code's mixture


def test_the_soft_mixture_is_the_sum_that_the_official_code_computes() -> None:
    """Weights of a Gumbel softmax; each component's log-density at its own draw, and its logit, not normalised."""
    agent, inputs = policy("soft_mixture"), waves((9, INPUTS), 0.3)
    noise = waves((9, 2 * COMPONENTS), 0.6)
    action, log_prob = agent(inputs, noise)
    mean, log_std, logits = agent.net(inputs).detach().split([COMPONENTS] * 3, -1)
    for row in range(9):
        weights = (logits[row] + noise[row, COMPONENTS:]).exp()
        summed, summed_log_prob = 0.0, 0.0
        for k in range(COMPONENTS):
            weight = float(weights[k] / weights.sum())
            component = Normal(mean[row, k], 0.4 * log_std[row, k].exp())
            drawn = component.loc + component.scale * noise[row, k]
            summed += weight * float(drawn.tanh())
            own = component.log_prob(drawn) - (1 - drawn.tanh().square()).log()
            summed_log_prob += weight * float(own + logits[row, k])
        assert float(action[row].detach()) == pytest.approx(summed, rel=1e-6)
        assert float(log_prob[row].detach()) == pytest.approx(summed_log_prob, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("logit", [0.0, 1.0, -2.0])
def test_the_soft_mixture_is_no_density(logit: float) -> None:
    """Twelve components that are one: its integral is exp(logit), where a logit that all share should mean nothing."""
    outputs = torch.zeros(3 * COMPONENTS, dtype=torch.float64)
    outputs[2 * COMPONENTS :] = logit
    noise = torch.cat([GRID[:, None].expand(-1, COMPONENTS), waves((len(GRID), COMPONENTS), 0.3)], -1)
    for kind, expected in (("soft_mixture", math.exp(logit)), ("mixture", 1.0)):
        found = integral(*flat(kind, 0.4, outputs)(somewhere(len(GRID)), noise))
        assert found == pytest.approx(expected, rel=1e-5)
