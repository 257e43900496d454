"""RPG's one-step problem with two peaks, Figure 4."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from relatent.nets.distributions import Gaussian
from relatent.objectives.two_peaks import normal_quantiles, reward
from relatent.studies.multimodal_bandit import (
    GaussianPolicy,
    Hyper,
    LatentPolicy,
    Noise,
    Weights,
    evaluate,
    gaussian_loss,
    latent_loss,
    run,
)

from .fake_record import FakeRecord

HYPER: dict[str, Any] = {
    "policy": "latent",
    "follow": "paper",
    "latents": 5,
    "width": 64,
    "batch": 256,
    "steps": 30,
    "lr": 3e-4,
    "init_log_std": 1.0,
    "reward_weight": 0.1,
    "information_weight": 0.8,
    "latent_entropy_weight": 0.2,
    "action_entropy_weight": 0.2,
    "decay": 0.9995,
    "eval_every": 10,
}
REWARD_ALONE = Weights(1.0, 0.0, 0.0, 0.0)


def trained(seed: int = 0, **hyper: Any) -> FakeRecord:
    record = FakeRecord()
    env = {"suite": "two_peaks", "task": "two_peaks"}
    run({"study": "multimodal_bandit", "revision": 1, "hyper": {**HYPER, **hyper}, "env": env, "seed": seed}, record)
    return record


def latent_policy(seed: int = 0, **hyper: Any) -> LatentPolicy:
    return LatentPolicy(Hyper(**{**HYPER, **hyper}), torch.Generator().manual_seed(seed))


def every_noise(latents: int, actions: int) -> Noise:
    """So many equally likely latent numbers, crossed with so many equally likely actions."""
    latent = (torch.arange(latents) + 0.5) / latents
    action = normal_quantiles(actions)
    return Noise(latent.repeat_interleave(actions).double(), action.repeat(latents))


def noise_of(seed: int, batch: int = 256) -> Noise:
    generator = torch.Generator().manual_seed(seed)
    return Noise(torch.rand(batch, generator=generator), torch.randn(batch, generator=generator))


# Gradients


@pytest.mark.parametrize(("follow", "expected"), [("paper", 0.004025), ("code", 0.0424)])
def test_reinforce_of_the_broad_gaussian_points_right(follow: str, expected: float) -> None:
    """The score function gives ten times less than the tutorial's estimate of another expectation."""
    policy = GaussianPolicy(Hyper(**HYPER)).double()
    noise = every_noise(1, 400_000)
    gaussian_loss(policy, REWARD_ALONE, noise, follow).backward()
    assert policy.mean.grad is not None
    assert float(-policy.mean.grad) == pytest.approx(expected, abs=5e-5)


def test_the_entropys_gradient_is_one_of_the_density() -> None:
    """Of a tanh-Gaussian: d/dlog σ of H = 1 + E[dlog(1 - tanh² u)/dlog σ] = 1 - E[2 tanh(u) σ ε]."""
    policy = GaussianPolicy(Hyper(**{**HYPER, "init_log_std": -0.5})).double()
    noise = every_noise(1, 200_000)
    gaussian_loss(policy, Weights(0.0, 0.0, 0.0, 1.0), noise, "paper").backward()
    std = math.exp(-0.5)
    expected = 1 - (2 * (std * noise.action).tanh() * std * noise.action).mean()
    assert policy.log_std.grad is not None
    assert float(-policy.log_std.grad) == pytest.approx(float(expected), abs=1e-3)


def test_the_logits_follow_reward_and_entropy() -> None:
    """The score-function gradient, against that of the expectation itself."""
    policy, weights = latent_policy().double(), Weights(0.7, 0.0, 0.3, 0.0)
    latent_loss(policy, weights, every_noise(4000, 50)).backward()
    source = policy.components()
    rewards = reward((source.mean[:, None] + source.log_std.exp()[:, None] * normal_quantiles(50)).tanh()).mean(-1)
    logits = policy.logits.detach().requires_grad_()
    log_usage = F.log_softmax(logits, dim=-1)
    objective = log_usage.exp() @ (weights.reward * rewards.detach() - weights.latent_entropy * log_usage)
    (expected,) = torch.autograd.grad(objective, logits)
    assert policy.logits.grad is not None
    torch.testing.assert_close(-policy.logits.grad, expected, atol=2e-4, rtol=0)


def plain_latent_loss(policy: LatentPolicy, weights: Weights, noise: Noise) -> Tensor:
    """The same written with torch.distributions and a pass of p_φ for each of its two uses."""
    prior = torch.distributions.Categorical(logits=policy.logits)
    latent = (noise.latent[:, None] >= prior.probs.detach().cumsum(0)).sum(-1).clamp(max=len(prior.probs) - 1)
    mean, log_std = (one[latent] for one in policy.components())
    normal = torch.distributions.Normal(mean, log_std.exp())
    policy_of = torch.distributions.TransformedDistribution(normal, torch.distributions.TanhTransform(cache_size=1))
    pre_tanh = mean + log_std.exp() * noise.action
    action = policy_of.transforms[0](pre_tanh)
    gained, log_latent = weights.reward * reward(action), prior.log_prob(latent)
    returned = gained - weights.latent_entropy * log_latent

    def guess(action: Tensor) -> Tensor:
        return torch.distributions.Categorical(logits=policy.encoder(action[:, None])).log_prob(latent)

    pathwise = gained + weights.information * guess(action) - weights.action_entropy * policy_of.log_prob(action)
    score = log_latent * (returned - returned.mean()).detach()
    return -(score.mean() + pathwise.mean() + guess(action.detach()).mean())


def test_latent_loss_is_the_plain_one_and_so_are_its_gradients() -> None:
    weights, noise = Weights(0.1, 0.8, 0.2, 0.3), noise_of(3)
    noise = Noise(noise.latent.double(), noise.action.double())
    found, expected = latent_policy(seed=1).double(), latent_policy(seed=1).double()
    ours, plain = latent_loss(found, weights, noise), plain_latent_loss(expected, weights, noise)
    torch.testing.assert_close(ours, plain)
    for one, other in zip(
        torch.autograd.grad(ours, list(found.parameters())),
        torch.autograd.grad(plain, list(expected.parameters())),
        strict=True,
    ):
        assert float(one.abs().max()) > 0
        torch.testing.assert_close(one, other)


def test_without_its_weight_the_information_moves_no_action() -> None:
    policy = latent_policy()
    latent_loss(policy, Weights(0.0, 0.0, 0.0, 0.0), noise_of(0)).backward()
    for parameter in policy.decoder.parameters():
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) == 0
    assert any(float(one.grad.abs().max()) > 0 for one in policy.encoder.parameters() if one.grad is not None)


# The judge


class Placed(LatentPolicy):
    """Components where a test wants them."""

    def __init__(self, mean: list[float], log_std: float, logits: list[float]) -> None:
        super().__init__(Hyper(**{**HYPER, "latents": len(mean)}), torch.Generator().manual_seed(0))
        self.placed = Gaussian(torch.tensor(mean).atanh(), torch.full((len(mean),), log_std))
        self.logits = torch.nn.Parameter(torch.tensor(logits))

    def components(self) -> Gaussian:
        return self.placed


def test_evaluation_of_a_policy_on_both_peaks() -> None:
    found = evaluate(Placed([0.8, -0.6], -8.0, [0.0, 0.0]))
    assert float(found["mean_reward"]) == pytest.approx((1.1 + 0.5 - 0.125 * 0.15**2) / 2, abs=1e-3)
    assert found["mass_per_peak"].tolist() == pytest.approx([0.5, 0.5])
    assert float(found["mass_of_rarer_peak"]) == pytest.approx(0.5)
    assert found["component_mean"].tolist() == pytest.approx([-0.6, 0.8])
    assert float(found["information"]) == pytest.approx(math.log(2))
    assert float(found["histogram"].sum()) == pytest.approx(1)
    assert int((found["histogram"] > 0.01).sum()) <= 4


def test_components_are_told_in_the_order_of_their_means() -> None:
    usage = evaluate(Placed([0.8, -0.6, 0.1], -8.0, [0.0, 2.0, 1.0]))["usage"]
    assert usage.tolist() == pytest.approx(torch.softmax(torch.tensor([2.0, 1.0, 0.0]), 0).tolist())


def test_identical_components_hold_no_information() -> None:
    found = evaluate(Placed([0.2, 0.2, 0.2], -1.0, [0.0, 1.0, 2.0]))
    assert float(found["information"]) == pytest.approx(0, abs=1e-12)
    assert float(found["information_bound"]) <= 1e-12


def test_broad_gaussian_before_training() -> None:
    found = evaluate(GaussianPolicy(Hyper(**HYPER)))
    assert float(found["mean_reward"]) == pytest.approx(0.11939, abs=3e-4)
    assert float(found["information"]) == float(found["information_bound"]) == 0


# Training


def test_records_what_the_figure_needs() -> None:
    record = trained()
    assert [row[:3] for row in record.rows] == [("eval", 0, 0), ("eval", 10, 1), ("eval", 20, 2), ("eval", 30, 3)]
    shapes = {name: values.shape for name, values in record.kept.items() if not name.endswith("_frames")}
    assert shapes == {
        "histogram": (4, 50),
        "mass_per_peak": (4, 2),
        "mass_of_rarer_peak": (4,),
        "usage": (4, 5),
        "component_mean": (4, 5),
        "information": (4,),
        "information_bound": (4,),
    }
    assert all(record.kept[f"{name}_frames"].tolist() == [0, 10, 20, 30] for name in shapes)
    assert record.reported[-1] == (30, 30)


def test_same_seed_same_run_whatever_else_draws_random_numbers() -> None:
    torch.manual_seed(1)
    first = trained(seed=3)
    torch.manual_seed(2)
    again, other = trained(seed=3), trained(seed=4)
    assert first.rows == again.rows
    for name, values in first.kept.items():
        np.testing.assert_array_equal(values, again.kept[name])
    assert first.rows != other.rows


def test_evaluating_more_often_changes_nothing() -> None:
    assert trained(eval_every=30).rows[-1][3] == trained(eval_every=7).rows[-1][3]


@pytest.mark.parametrize("follow", ["paper", "code"])
def test_the_gaussian_moves_right(follow: str) -> None:
    """At constant weights without entropy, so that a few hundred updates tell."""
    settings = {"policy": "gaussian", "lr": 5e-3, "decay": 1.0, "action_entropy_weight": 0.0, "eval_every": 1000}
    mass = trained(steps=1000, follow=follow, **settings).kept["mass_per_peak"]
    assert mass[-1, 1] > 0.9 > mass[0, 1]


def test_the_information_term_separates_the_components() -> None:
    record = trained(steps=600, lr=3e-3, reward_weight=0.0, eval_every=100)
    information, bound = record.kept["information"], record.kept["information_bound"]
    assert (bound <= information + 1e-6).all()  # whatever p_φ is
    assert bound[-1] > 0.9 > bound[0]
    without = trained(steps=600, lr=3e-3, reward_weight=0.0, information_weight=0.0, eval_every=600).kept["information"]
    assert without[-1] < 0.1


def test_weights_decay_but_the_rewards() -> None:
    """After so fast a decay nothing but the reward is left, and the Gaussian narrows."""
    settings = {"policy": "gaussian", "lr": 1e-2, "steps": 800, "eval_every": 800}
    lasting = trained(decay=1.0, **settings).rows[-1][3]
    vanishing = trained(decay=0.5, **settings).rows[-1][3]
    assert vanishing > 0.4 > lasting
