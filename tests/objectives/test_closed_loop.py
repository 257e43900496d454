"""The settled loop against one big Lyapunov equation, and means of log densities against points of its moments."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_lyapunov
from torch import Tensor

from relatent.objectives import closed_loop
from relatent.objectives.closed_loop import Belief, Moments, Policy, World, settled
from relatent.objectives.linear_agents import AXES, MEANS, Agents, agents, drawn, padding
from relatent.objectives.linear_gaussian import Gaussian, LinearGaussian

LATENTS, DISTRACTORS = 2, 3


def world(distractors: int = DISTRACTORS) -> World:
    decays, variances = [0.95, 0.8, 0.9][:distractors], [0.9, 0.7, 0.99][:distractors]
    return World(
        decay=0.9,
        control=1.0,
        process=0.3,
        action_cost=0.1,
        reward_scale=1.0,
        sensor=torch.tensor([[0.2, *(1 - one for one in variances)]], dtype=torch.float64),
        distractor_decay=torch.tensor([decays], dtype=torch.float64),
        distractor_variance=torch.tensor([variances], dtype=torch.float64),
    )


def agent(seed: int = 0) -> Agents:
    there = padding([(LATENTS, 1 + DISTRACTORS)])
    start = drawn(np.random.default_rng(seed), there)
    with torch.no_grad():  # where training starts nothing says much of anything
        start["model"]["emission"] *= 10
        start["inference"]["gain"] *= 3
        start["encoder"]["gain"] *= 3
    return agents(start, there)


def whole(of: World, belief: Belief, policy: Policy) -> np.ndarray:
    """E of (z_{t-1}, a_{t-1}, x_t, z_t, s_t, d_t) with itself, by one Lyapunov equation over (s, d, z)."""
    f, g, k, root = (part[0].detach().numpy() for part in belief)
    gain, deviation = policy.gain[0].detach().numpy(), policy.deviation.item()
    d, n = of.distractor_decay.shape[1], len(f)
    decays, variances = of.distractor_decay[0].numpy(), of.distractor_variance[0].numpy()
    move = np.diag([of.decay, *decays])
    push = np.zeros((1 + d, 1))
    push[0] = of.control
    noise = np.diag([of.process, *(variances * (1 - decays**2)), deviation**2, *of.sensor[0].numpy(), *np.ones(n)])
    # Rows of what is wanted, in terms of (s, d, z)_{t-1} and of the noises w, η, v, ε.
    past = np.block([[np.zeros((n, 1 + d)), np.eye(n)], [np.zeros((1, 1 + d)), gain]])
    past_noise = np.zeros((n + 1, len(noise)))
    past_noise[n, 1 + d] = 1
    states = np.hstack([move, push @ gain])
    states_noise = np.zeros((1 + d, len(noise)))
    states_noise[:, : 1 + d] = np.eye(1 + d)
    states_noise[:, 1 + d : 2 + d] = push
    seen_noise = states_noise.copy()
    seen_noise[:, 2 + d : 3 + 2 * d] = np.eye(1 + d)
    latent = np.hstack([np.zeros((n, 1 + d)), f + g @ gain]) + k @ states
    latent_noise = g @ past_noise[n:] + k @ seen_noise
    latent_noise[:, 3 + 2 * d :] = root
    loop, loop_noise = np.vstack([states, latent]), np.vstack([states_noise, latent_noise])
    settled_law = solve_discrete_lyapunov(loop, loop_noise @ noise @ loop_noise.T)
    rows = np.vstack([past, states, latent, states])
    rows_noise = np.vstack([past_noise, seen_noise, latent_noise, states_noise])
    return rows @ settled_law @ rows.T + rows_noise @ noise @ rows_noise.T


def test_moments_solve_the_lyapunov_equation() -> None:
    one, k, x = agent(), LATENTS, 1 + DISTRACTORS
    found, law = settled(world(), one.inference, one.policy), torch.tensor(whole(world(), one.inference, one.policy))
    past, seen = slice(0, k + 1), slice(k + 1, k + 1 + x)
    latent, states = slice(k + 1 + x, 2 * k + 1 + x), slice(2 * k + 1 + x, None)
    wanted = Moments(
        state=law[states, states][0, :1],
        task=law[latent, states][:, 0][None],
        distractors=law[latent, states][:, 1:][None],
        past=law[past, past][None],
        past_observation=law[past, seen][None],
        observation=law[seen, seen][None],
        latent=law[latent, latent][None],
        latent_past=law[latent, past][None],
        latent_observation=law[latent, seen][None],
    )
    for name, value in found._asdict().items():
        torch.testing.assert_close(value, getattr(wanted, name), rtol=1e-9, atol=1e-11, msg=name)
    assert float(found.distractors.abs().max()) > 0.1


def points(law: np.ndarray) -> Tensor:
    """Points of equal weight whose mean is zero and whose second moments are `law`: means of squares are exact."""
    values, vectors = np.linalg.eigh(law)
    columns = (vectors * np.sqrt(np.maximum(values, 0))).T * math.sqrt(len(law))
    return torch.tensor(np.concatenate([columns, -columns]))


def test_means_of_log_densities() -> None:
    one = agent(1)
    moments = settled(world(), one.inference, one.policy)
    cloud = points(whole(world(), one.inference, one.policy))
    before, action, seen, after, state, _ = cloud.split([LATENTS, 1, 1 + DISTRACTORS, LATENTS, 1, DISTRACTORS], -1)
    model = LinearGaussian(*(part[0] for part in one.model))

    def belief(of: Belief) -> Tensor:
        f, g, k, root = (part[0] for part in of)
        return Gaussian(before @ f.mT + action @ g.mT + seen @ k.mT, root @ root.mT).log_prob(after).mean()

    def policy(of: Policy) -> Tensor:
        return Gaussian(before @ of.gain[0].mT, of.deviation[0] ** 2).log_prob(action).mean()

    wanted = {
        "reward": -(state.square() + 0.1 * action.square()).mean(),
        "action": policy(one.policy),
        "action_prior": policy(one.prior),
        "latent": belief(one.inference),
        "latent_dynamics": model.dynamics(before, action).log_prob(after).mean(),
        "latent_encoder": belief(one.encoder),
        "observation": model.emitted(after).log_prob(seen).mean(),
        "observation_marginal": model.predicted(model.dynamics(before, action)).log_prob(seen).mean(),
    }
    assert set(wanted) == set(MEANS)
    for name, mean in MEANS.items():
        assert float(mean(world(), one, moments)) == pytest.approx(float(wanted[name]), rel=1e-8), name


def test_eq_8_is_minus_the_divergence_of_the_belief_from_bayes() -> None:
    """T3 + T4 + T5 = -E KL(q || p_a(z|x)): the same as Eq 6 with the encoder that Bayes' rule gives."""
    one = agent(0)
    moments = settled(world(), one.inference, one.policy)
    mean = {name: float(of(world(), one, moments)) for name, of in MEANS.items()}
    gain = mean["observation"] - mean["observation_marginal"]
    found = mean["latent_dynamics"] - mean["latent"] + gain
    cloud = points(whole(world(), one.inference, one.policy))
    before, action, seen, _ = cloud.split([LATENTS, 1, 1 + DISTRACTORS, LATENTS + 1 + DISTRACTORS], -1)
    model = LinearGaussian(*(part[0] for part in one.model))
    right = model.corrected(model.dynamics(before, action), seen)
    f, g, k, root = (part[0] for part in one.inference)
    q = Gaussian(before @ f.mT + action @ g.mT + seen @ k.mT, (root @ root.mT).expand(len(cloud), -1, -1))
    divergence = float(q.divergence(Gaussian(right.mean, right.covariance.expand(len(cloud), -1, -1))).mean())
    assert found == pytest.approx(-divergence, rel=1e-9)
    kalman = model.gain(model.dynamics(before, action))
    keep = torch.eye(LATENTS, dtype=torch.float64) - kalman @ model.emission
    encoder = Belief(
        (keep @ model.transition)[None],
        (keep @ model.control)[None],
        kalman[None],
        torch.linalg.cholesky(right.covariance)[None],
    )
    discriminative = closed_loop.encoder_log_density(encoder, moments) - mean["latent"]
    assert float(discriminative) == pytest.approx(found, rel=1e-9)


def test_gradients_go_through_the_world() -> None:
    """Of reward plus Eq 8, by central differences in every parameter that acts."""
    there = padding([(LATENTS, 1 + DISTRACTORS)])
    parameters = drawn(np.random.default_rng(3), there)

    def objective() -> Tensor:
        one = agents(parameters, there)
        moments = settled(world(), one.inference, one.policy)
        mean = {name: of(world(), one, moments).sum() for name, of in MEANS.items()}
        information = mean["observation"] - mean["observation_marginal"]
        latent = mean["latent_dynamics"] - mean["latent"]
        return mean["reward"] + mean["action_prior"] - mean["action"] + latent + information

    objective().backward()
    for group, name in (("model", "noise"), ("model", "emission"), ("inference", "gain"), ("policy", "gain")):
        value, gradient = parameters[group][name], parameters[group][name].grad
        assert gradient is not None
        flat, step = value.detach().view(-1), 1e-5
        for i in range(len(flat)):
            kept, ends = float(flat[i]), []
            for sign in (1, -1):
                flat[i] = kept + sign * step
                ends.append(float(objective()))
            flat[i] = kept
            assert float(gradient.view(-1)[i]) == pytest.approx((ends[0] - ends[1]) / 2 / step, rel=1e-5, abs=1e-7)


def test_padding_changes_nothing() -> None:
    """An agent of 1 latent among 2 sensors alone, and beside a wider one."""
    narrow, wide = [(1, 2)], [(1, 2), (LATENTS, 1 + DISTRACTORS)]
    start = drawn(np.random.default_rng(4), padding(wide))
    cut = {"z": slice(1), "x": slice(2), "a": slice(1)}
    alone = {
        group: {name: value[(slice(1), *(cut[axis] for axis in AXES[group][name]))] for name, value in names.items()}
        for group, names in start.items()
    }
    both = world()._replace(
        sensor=world().sensor * torch.tensor([[1.0, 1, 0, 0], [1, 1, 1, 1]], dtype=torch.float64),
        distractor_decay=world().distractor_decay.expand(2, -1),
        distractor_variance=world().distractor_variance * torch.tensor([[1.0, 0, 0], [1, 1, 1]], dtype=torch.float64),
    )
    one, two = agents(alone, padding(narrow)), agents(start, padding(wide))
    small, large = settled(world(1), one.inference, one.policy), settled(both, two.inference, two.policy)
    for name, mean in MEANS.items():
        difference = float(mean(both, two, large)[0]) - float(mean(world(1), one, small)[0])
        # A padded latent is N(0, 1) in p_a and in q, whose entropy is not zero.
        padded = name in ("latent", "latent_dynamics", "latent_encoder")
        assert difference == pytest.approx(-0.5 * padded * math.log(2 * math.pi * math.e), abs=1e-10), name
    for of in (closed_loop.explained_task, lambda moments: closed_loop.explained_distractors(both, moments)):
        assert torch.isfinite(of(large)).all()
    held = closed_loop.explained_distractors(both, large)[0]
    assert float(held) == pytest.approx(float(closed_loop.explained_distractors(world(1), small)), rel=1e-9)
    assert float(closed_loop.least_surprise(both)[0]) == pytest.approx(float(closed_loop.least_surprise(world(1))))


def test_kalmans_and_riccatis_equations() -> None:
    """Both are quadratic equations of one unknown here: p² - (q - v (1 - m²)) p - q v = 0, and likewise with ρ / b²."""

    def root(process: float, noise: float) -> float:
        middle = process - noise * (1 - 0.9**2)
        return (middle + math.sqrt(middle**2 + 4 * process * noise)) / 2

    before, value = root(0.3, 0.2), root(1.0, 0.1)
    assert closed_loop.best_belief(world()) == pytest.approx((before / (before + 0.2), before * 0.2 / (before + 0.2)))
    assert closed_loop.best_policy(world()) == pytest.approx((-0.9 * value / (0.1 + value), value))
    idle, best = closed_loop.reward_limits(world())
    assert idle == pytest.approx(-0.3 / 0.19)
    assert idle < best < 0


def best_agent(of: World) -> tuple[Belief, Policy]:
    """One latent that is the filter's mean, and the gain that Riccati's equation gives; next to no noise."""
    gain, _ = closed_loop.best_belief(of)
    act, _ = closed_loop.best_policy(of)
    tiny = torch.full((1, 1, 1), 1e-12, dtype=torch.float64)
    seen = torch.zeros((1, 1, of.sensor.shape[1]), dtype=torch.float64)
    seen[..., 0] = gain
    belief = Belief(tiny.new_full((1, 1, 1), (1 - gain) * of.decay), tiny.new_full((1, 1, 1), 1 - gain), seen, tiny)
    return belief, Policy(tiny.new_full((1, 1, 1), act), tiny)


def test_nothing_linear_beats_the_best_policy() -> None:
    belief, policy = best_agent(world())
    best = closed_loop.reward_limits(world())[1]
    assert float(closed_loop.reward(world(), settled(world(), belief, policy))) == pytest.approx(best, rel=1e-9)
    for change in (0.97, 1.03):
        for worse in (
            (belief._replace(gain=belief.gain * change), policy),
            (belief._replace(recurrence=belief.recurrence * change), policy),
            (belief._replace(action=belief.action * change), policy),
            (belief, policy._replace(gain=policy.gain * change)),
        ):
            assert float(closed_loop.reward(world(), settled(world(), *worse))) < best - 1e-6


def test_the_worlds_own_filter_is_surprised_least() -> None:
    """A model in innovations form, whose latent is the filter's mean, predicts as well as can be."""
    alone = world(0)
    belief, policy = best_agent(alone)
    gain, left = closed_loop.best_belief(alone)
    innovation = alone.decay**2 * left + alone.process + 0.2
    process, noise = gain**2 * innovation, (1 - gain**2) * innovation
    parts = (alone.decay, alone.control, 1.0, process, noise)
    model = LinearGaussian(*(torch.full((1, 1, 1), value, dtype=torch.float64) for value in parts))
    moments = settled(alone, belief, policy)
    least = float(closed_loop.least_surprise(alone))
    assert -float(closed_loop.marginal_log_density(alone, model, moments)) == pytest.approx(least, rel=1e-9)
    with_others = float(closed_loop.least_surprise(world()))
    assert with_others - least == pytest.approx(sum(map(scalar_entropy, (0.95, 0.8, 0.9), (0.9, 0.7, 0.99))), rel=1e-6)


def scalar_entropy(decay: float, variance: float) -> float:
    """Of a distractor's innovation, its filter iterated until it stands still."""
    noise, before = 1 - variance, variance
    for _ in range(2_000):
        before = decay**2 * before * noise / (before + noise) + variance * (1 - decay**2)
    return 0.5 * math.log(2 * math.pi * math.e * (before + noise))


def test_what_a_belief_holds() -> None:
    """One latent that is a distractor seen exactly holds one; the filter's R² of the controlled dimension is known."""
    alone = world(1)._replace(sensor=torch.tensor([[0.2, 1e-12]], dtype=torch.float64))
    small = torch.full((1, 1, 1), 1e-9, dtype=torch.float64)
    zero = torch.zeros((1, 1, 1), dtype=torch.float64)
    copy = Belief(zero, zero, torch.tensor([[[0.0, 1.0]]], dtype=torch.float64), small)
    moments = settled(alone, copy, Policy(zero, small))
    assert float(closed_loop.explained_distractors(alone, moments)) == pytest.approx(1, abs=1e-6)
    assert float(closed_loop.explained_task(moments)) == pytest.approx(0, abs=1e-9)
    belief, policy = best_agent(world())
    held = settled(world(), belief, policy)
    left = closed_loop.best_belief(world())[1]
    assert float(closed_loop.explained_task(held)) == pytest.approx(1 - left / float(held.state), rel=1e-9)
