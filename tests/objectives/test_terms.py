"""Terms, objectives and linear-Gaussian densities, beside SciPy, plain sums and closed forms (Eq 6 to 10)."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from relatent.objectives.active_em import forward
from relatent.objectives.linear_gaussian import Gaussian, LinearGaussian, kalman, mutual_information
from relatent.objectives.marginal_entropy import nested
from relatent.objectives.sampled_agents import (
    Samples,
    exact_agent,
    inferred,
    interact,
    linear_densities,
    model_of,
    random_habits,
    random_model,
    scalar_model,
)
from relatent.objectives.tabular_inference import (
    Environment,
    Parameters,
    Paths,
    all_paths,
    chance,
    normalised,
    percept_laws,
    random_environment,
    random_parameters,
    tabular_densities,
    unrolled,
)
from relatent.objectives.term_gradients import STEP, gradient_errors, means
from relatent.objectives.terms import (
    AUXILIARY,
    IMAGINED,
    LATENT_DYNAMICS,
    LATENT_ENCODER,
    LIKELIHOOD,
    MARGINAL,
    MARGINAL_ACTION,
    OPTIMALITY,
    Densities,
    Objective,
    Use,
    Weight,
    conventional,
    discriminative,
    generative,
    sum_of,
)
from relatent.specs.errors import RelatentError

from .linear_gaussian import draw as draw_policy
from .linear_gaussian import log_probs

NONE: frozenset[str] = frozenset()
GROUPS = ["start", "dynamics", "emission", "prior", "first_inference", "inference", "policy"]
Draw = Callable[..., Tensor]


def numbers(values: list[Any]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def drawing(seed: int) -> Draw:
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)


def gaussian_agent(seed: int, size: int) -> tuple[Parameters, Samples]:
    """An agent in a world that is not its model, and 50 trajectories of 4 steps."""
    draw, actions = drawing(seed), max(1, size // 2)
    model, world = (random_model(draw, size, actions) for _ in range(2))
    agent = (scalar_model() if size == 1 else model) | random_habits(draw, size, actions)
    return agent, interact(agent, world, draw, 50, 4)


def tabular_process(seed: int) -> tuple[Parameters, Environment, Paths]:
    """Logits of an agent, an environment that is not its model, and every path of 3 steps."""
    generator = np.random.default_rng(seed)
    parameters = random_parameters(generator, 2, 2, 2)
    environment = random_environment(generator, 3, 2, 2, 1.0)
    return parameters, environment, all_paths(normalised(parameters)[1], 3)


def how_often(parameters: Parameters, environment: Environment, paths: Paths) -> Tensor:
    """Each path is taken, (n,)."""
    _, posterior = normalised(parameters)
    return chance(percept_laws(environment, 3), unrolled(posterior, 3), paths)


def tabular_agent(seed: int) -> tuple[Parameters, Callable[[Parameters], Densities], Tensor]:
    """Logits, their densities at every path, and how often each is taken."""
    parameters, environment, paths = tabular_process(seed)
    often = how_often(parameters, environment, paths)
    return parameters, lambda one: tabular_densities(one, paths, environment.reward), often


def densities_of(kind: str, seed: int) -> Densities:
    if kind == "tabular":
        parameters, of, _ = tabular_agent(seed)
        return of(parameters)
    return linear_densities(*gaussian_agent(seed, {"scalar": 1, "vector": 4}[kind]))


# The objective three times


@pytest.mark.parametrize("kind", ["scalar", "vector", "tabular"])
def test_eq_6_is_eq_8_at_every_sample(kind: str) -> None:
    for seed in range(5):
        densities = densities_of(kind, seed)
        direct, inverse = (one(NONE).value(densities) for one in (discriminative, generative))
        np.testing.assert_allclose(direct, inverse, atol=1e-10, rtol=0)
        assert direct.std() > 0.1


def test_the_conventional_objective_is_paid_for_predicting() -> None:
    """The excess over Eq 8 is the density of N(C (A z + B a), C Q C' + R), here SciPy's."""
    agent, samples = gaussian_agent(0, 4)
    densities, model = linear_densities(agent, samples), [one.numpy() for one in model_of(agent)]
    transition, control, emission, process, noise = model
    mean = (samples.earlier.numpy() @ transition.T + samples.acted.numpy() @ control.T) @ emission.T
    spread = emission @ process @ emission.T + noise
    expected = multivariate_normal(cov=spread).logpdf(samples.observation.numpy() - mean).sum(-1)
    excess = conventional(NONE).value(densities) - generative(NONE).value(densities)
    np.testing.assert_allclose(excess, expected, atol=1e-10)


def test_information_less_divergence_is_minus_the_divergence_from_the_filter() -> None:
    """Of one step, by quadrature over z."""
    agent, samples = gaussian_agent(1, 1)
    one = Samples(*(value[:1, 1:2] for value in samples))
    posterior = inferred(agent, one.earlier, one.acted, one.observation)
    mean, variance = posterior.mean.item(), posterior.covariance.item()
    nodes, weights = np.polynomial.hermite_e.hermegauss(10)
    latent = torch.from_numpy(mean + variance**0.5 * nodes)[:, None, None]
    every = Samples(latent, *(value.expand(10, 1, 1) for value in one[1:]))
    terms = generative(NONE).terms(linear_densities(agent, every))
    found = (terms["T3"] + terms["T4"] + terms["T5"])[:, 0].numpy() @ weights / weights.sum()

    model = model_of(agent)
    exact = model.corrected(model.dynamics(one.earlier, one.acted), one.observation)
    ratio = variance / exact.covariance.item()
    closed = 0.5 * (ratio - 1 - math.log(ratio) + (mean - exact.mean.item()) ** 2 / exact.covariance.item())
    assert found == pytest.approx(-closed, abs=1e-12)
    assert posterior.divergence(exact).item() == pytest.approx(closed)
    assert closed > 0.01


@pytest.mark.parametrize("ratio", [1.5, 30.0])
def test_a_lower_bound_for_the_marginal_breaks_the_bound(ratio: float) -> None:
    """Without reward log p(O) = 0, and L = 0 with the exact posterior. With E_z log p_a(x|z) for log p_a(x), it is
    ρ - log(1 + ρ) / 2 in the mean, ρ = Q / R, which has no limit."""
    agent = exact_agent(0.3, 0.3 / ratio)
    samples = interact(agent, agent, drawing(2), 20_000, 1)
    given = dict(linear_densities(agent, samples)(NONE))
    given |= {"reward": torch.zeros(20_000, 1).double(), "action": given["action_prior"]}
    np.testing.assert_allclose(generative(NONE).value(lambda _: given), 0, atol=1e-12)
    noise, process = 0.3 / ratio, 0.3
    off = samples.observation.squeeze(-1).square() + process
    lower = -0.5 * (math.log(2 * math.pi * noise) + off / noise)  # E_z log N(x; z, R) for z ~ N(0, Q)
    excess = generative(NONE).value(lambda _: given | {"observation_marginal": lower})
    expected = ratio - 0.5 * math.log(1 + ratio)
    assert float(excess.mean()) == pytest.approx(expected, abs=4 * float(excess.std()) / 20_000**0.5)
    assert float(excess.mean()) > 1


def test_planning_counts_reward_and_mutual_information() -> None:
    """T6 under p_a, in which nothing is left of Eq 8's T2 and T3, against entropies of percepts."""
    parameters, of, _ = tabular_agent(3)
    given = of(parameters)(NONE)
    model, _ = normalised(parameters)
    often = (given["latent_dynamics"] + given["observation"] + given["action_prior"]).sum(1).exp()
    assert float(often.sum()) == pytest.approx(1)
    imagined = given["reward"] + given["observation"] - given["observation_marginal"]
    planned = float(often @ Objective("plan", (Use(IMAGINED),)).value(lambda _: {"imagined": imagined}))

    start, dynamics, emission, action = (law.exp() for law in model)
    blur = -(emission * emission.log()).sum(1)  # H(o|z)

    def informed(ahead: Tensor) -> Tensor:
        """I(o ; z) for laws of z (.., Z)."""
        seen = ahead @ emission
        return -(seen * seen.log()).sum(-1) - ahead @ blur

    here, information = start, float(informed(start))
    for _ in range(2):
        acted = here[:, None] * action
        information += float((acted * informed(dynamics)).sum())
        here = torch.einsum("za,zau->u", acted, dynamics)
    assert planned == pytest.approx(float(often @ given["reward"].sum(1)) + information, abs=1e-12)
    assert information > 1e-3


# Terms and objectives


def test_terms_are_weighed_and_scheduled() -> None:
    objective = Objective("annealed", (Use(OPTIMALITY), Use(MARGINAL, weight=Weight(0.01, 1.5, 1.0))))
    given = {"reward": torch.tensor([[-1.0, -2.0]]), "observation_marginal": torch.tensor([[-3.0, 1.0]])}
    weights = [0.01, 0.015, 0.0225]
    for episode, weight in enumerate(weights):
        found = objective.terms(lambda _: given, episode)
        torch.testing.assert_close(found["T5"], torch.tensor([[3.0, -1.0]]) * weight)
        torch.testing.assert_close(objective.value(lambda _: given, episode), torch.tensor([-3 + 2 * weight]))
    assert objective.uses[1].weight.at(1000) == 1
    assert OPTIMALITY in objective
    assert MARGINAL in objective
    assert LIKELIHOOD not in objective


def test_which_terms_each_kind_has() -> None:
    groups = frozenset({"model"})
    kinds = {kind: [use.term for use in kind(groups).uses] for kind in (discriminative, generative, conventional)}
    assert LATENT_ENCODER in kinds[discriminative]
    assert {LIKELIHOOD, MARGINAL, LATENT_DYNAMICS}.isdisjoint(kinds[discriminative])
    assert [term.key for term in kinds[generative]] == ["T1", "T2", "T3", "T4", "T5"]
    assert kinds[conventional] == kinds[generative][:-1]
    assert all(use.reaches == groups for use in generative(groups).uses)


def test_a_density_that_lacks() -> None:
    with pytest.raises(RelatentError, match=r"^generative: T1 takes reward, which is not among the densities$"):
        generative(NONE).value(lambda _: {})


def test_an_actions_latents_summed_out() -> None:
    """T7, with two equally likely latents by hand, and as SMAC's nested estimate."""
    given = {
        "action_prior": numbers([[-1.0]]),
        "action_given_latents": numbers([[[0.2, 0.6, 0.1]]]).log(),
    }
    found = sum_of("mixture", (MARGINAL_ACTION,), NONE).value(lambda _: given)
    assert found.item() == pytest.approx(-1 - math.log(0.3), abs=1e-12)
    latent, noise = draw_policy(100, 5, 2, 0)
    each = log_probs(latent, noise, torch.ones(100).double(), torch.full((100,), 0.5).double())[:, None]
    term = MARGINAL_ACTION.value(torch.zeros(100, 1).double(), each)
    np.testing.assert_allclose(term, -nested(each), atol=1e-12)


def test_a_guess_of_the_latent() -> None:
    """T8: E log p(z|a) - log π(z) under z, a is the mutual information when the guess is exact, and less otherwise."""
    policy = numbers([[0.3, 0.1], [0.15, 0.45]])
    skill, guess = policy.sum(1, keepdim=True).log().expand(2, 2), (policy / policy.sum(0)).log()
    term = sum_of("guess", (AUXILIARY,), NONE)

    def mean(guessed: Tensor) -> float:
        return float((policy * term.terms(lambda _: {"latent_guess": guessed, "skill": skill})["T8"]).sum())

    independent = policy.sum(1, keepdim=True) * policy.sum(0)
    information = float((policy * (policy / independent).log()).sum())
    assert mean(guess) == pytest.approx(information, abs=1e-14)
    assert mean(torch.full((2, 2), 0.5).double().log()) < information - 0.01


# Gradients


KINDS = [discriminative, generative, conventional]
DECIDING = frozenset({"first_inference", "inference", "policy"})
"""The groups that decide how often a path is taken."""


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_at_fixed_paths_are_finite_differences_and_stay_in_their_group(
    kind: Callable[[frozenset[str]], Objective],
) -> None:
    """Of the same sum over paths, each weighed by how often it is taken now. Of the groups that decide how often, this
    is not yet the exact value's gradient, which the tests below take."""
    parameters, of, often = tabular_agent(4)
    errors = gradient_errors(kind, of, parameters, often)
    assert errors.difference < 1e-8
    assert errors.leak == 0


def exact_terms(kind: Callable[[frozenset[str]], Objective], parameters: Parameters, seed: int) -> Tensor:
    """Every term's mean over paths, (terms,), of which densities and weights are the parameters'."""
    _, environment, paths = tabular_process(seed)
    densities = tabular_densities(parameters, paths, environment.reward)
    return means(kind(frozenset(parameters)), densities, how_often(parameters, environment, paths))


def derivatives(value: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """Of value (terms,), (terms, *at.shape), by central differences."""
    columns = []
    for direction in torch.eye(at.numel(), dtype=at.dtype).view(-1, *at.shape) * STEP:
        columns.append((value(at + direction) - value(at - direction)) / (2 * STEP))
    return torch.stack(columns, -1).view(-1, *at.shape)


def jacobian(value: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """The same by autograd."""
    return torch.autograd.functional.jacobian(value, at)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("group", GROUPS)
def test_the_exact_values_gradient_is_its_finite_difference(
    kind: Callable[[frozenset[str]], Objective], group: str
) -> None:
    """Term by term, the paths' probabilities differentiated too; and it is the gradient at fixed paths plus the mean of
    the term times the gradient of log q(path), the score."""
    parameters, environment, paths = tabular_process(4)
    often, at = how_often(parameters, environment, paths), parameters[group]

    def fixed(value: Tensor) -> Tensor:
        densities = tabular_densities(parameters | {group: value}, paths, environment.reward)
        return means(kind(frozenset({group})), densities, often)

    def score(value: Tensor) -> Tensor:
        terms = kind(NONE).terms(tabular_densities(parameters, paths, environment.reward)).values()
        given = tabular_densities(parameters | {group: value}, paths, environment.reward)(frozenset({group}))
        log_chosen = (given["latent"] + given["action"]).sum(1)
        return torch.stack([(often * term.sum(1)) @ log_chosen for term in terms])

    exact = jacobian(lambda value: exact_terms(kind, parameters | {group: value}, 4), at)
    numeric = derivatives(lambda value: exact_terms(kind, parameters | {group: value}, 4), at)
    np.testing.assert_allclose(exact, numeric, atol=1e-8)
    at_fixed, by_score = jacobian(fixed, at), jacobian(score, at)
    np.testing.assert_allclose(at_fixed + by_score, exact, atol=1e-12)
    if group in DECIDING:
        assert (at_fixed.sum(0) - numeric.sum(0)).abs().max() > 0.2
    else:
        assert not by_score.any()


@pytest.mark.parametrize("kind", [discriminative, generative])
def test_the_exact_gradient_is_that_of_a_law_carried_forward(kind: Callable[[frozenset[str]], Objective]) -> None:
    """Finite differences of L as `forward` has it, which lists no paths."""
    parameters, environment, _ = tabular_process(4)

    def carried(given: Parameters) -> Tensor:
        model, posterior = normalised(given)
        laws = percept_laws(environment, 3)
        return numbers([forward(laws, environment.reward, model.inverted(), unrolled(posterior, 3)).bound()])

    for group, at in parameters.items():
        exact = jacobian(lambda value, group=group: exact_terms(kind, parameters | {group: value}, 4), at)  # type: ignore[misc]
        numeric = derivatives(lambda value, group=group: carried(parameters | {group: value}), at)  # type: ignore[misc]
        np.testing.assert_allclose(exact.sum(0, keepdim=True), numeric, atol=1e-8)
        assert numeric.abs().max() > 0.1


@pytest.mark.parametrize("size", [1, 3])
def test_gradients_of_gaussian_agents(size: int) -> None:
    """At fixed samples."""
    agent, samples = gaussian_agent(5, size)
    few = Samples(*(value[:5] for value in samples))
    weight = torch.full((5,), 0.2).double()
    for kind in (discriminative, generative):
        errors = gradient_errors(kind, lambda one: linear_densities(one, few), agent, weight)
        assert errors.difference < 1e-6
        assert errors.leak == 0


def test_gradients_of_imagined_mixed_and_guessed_terms() -> None:
    """T6, T7 and T8 of random densities."""
    generator = drawing(6)
    sums = {name: generator(4, 3, 5) for name in ("imagined", "action_given_latents", "latent_guess", "skill", "prior")}
    names = {"imagined": "imagined", "latent_guess": "latent_guess", "skill": "skill", "action_prior": "prior"}

    def densities(parameters: Parameters) -> Densities:
        def given(reaches: frozenset[str]) -> dict[str, Tensor]:
            kept = {name: value if name in reaches else value.detach() for name, value in parameters.items()}
            found = {name: (kept[group] * sums[group]).tanh().sum(-1) for name, group in names.items()}
            return found | {"action_given_latents": kept["action_given_latents"] * sums["action_given_latents"]}

        return given

    parameters = {name: generator(5) for name in sums}
    errors = gradient_errors(
        lambda groups: sum_of("rest", (IMAGINED, MARGINAL_ACTION, AUXILIARY), groups),
        densities,
        parameters,
        torch.full((4,), 0.25).double(),
    )
    assert errors.difference < 1e-8
    assert errors.leak == 0


@pytest.mark.parametrize("wrong", ["everything", "next to nothing"])
def test_a_gradient_that_goes_elsewhere_is_noticed(wrong: str) -> None:
    parameters, of, often = tabular_agent(7)
    kept = {"everything": frozenset(parameters), "next to nothing": frozenset({"start"})}[wrong]
    errors = gradient_errors(generative, lambda one: lambda _: of(one)(kept), parameters, often)
    if wrong == "everything":
        assert errors.leak > 1e-2
    else:
        assert errors.difference > 1e-2


# Linear-Gaussian densities


def positive(draw: Draw, size: int) -> Tensor:
    root = draw(size, size)
    return root @ root.mT + 0.2 * torch.eye(size).double()


def test_gaussians_are_pytorchs() -> None:
    draw = drawing(8)
    one, two = (Gaussian(draw(6, 3), positive(draw, 3)) for _ in range(2))
    others = [MultivariateNormal(law.mean, law.covariance) for law in (one, two)]
    value = draw(6, 3)
    torch.testing.assert_close(one.log_prob(value), others[0].log_prob(value))
    torch.testing.assert_close(one.divergence(two), kl_divergence(*others))
    noise = torch.eye(3).double()
    spread = one._replace(mean=torch.zeros(3).double()).sample(noise)  # rows are the root's columns
    torch.testing.assert_close(spread.mT @ spread, one.covariance)


def test_one_step_of_the_scalar_agent() -> None:
    """Gain .6, filtered variance .12, information .4581."""
    model = model_of(scalar_model())
    prior = model.dynamics(numbers([0.5]), numbers([-0.2]))
    assert prior.mean.item() == pytest.approx(0.25)
    assert model.gain(prior).item() == pytest.approx(0.6)
    after = model.corrected(prior, numbers([1.0]))
    assert after.mean.item() == pytest.approx(0.25 + 0.6 * 0.75)
    assert after.covariance.item() == pytest.approx(0.12)


def test_filtering_is_conditioning_the_joint_gaussian() -> None:
    draw, steps, size = drawing(9), 4, 2
    found = model_of(random_model(draw, size, 1))
    model = found._replace(emission=draw(3, size), noise=positive(draw, 3))
    start = Gaussian(draw(size), positive(draw, size))
    actions, observations = draw(steps - 1, 1), draw(steps, 3)
    beliefs, evidence = kalman(model, start, observations, actions)

    # Every z_t and x_t as a linear function of (z_1, process noises, observation noises).
    causes = steps * size + steps * 3
    columns = np.eye(causes)
    transition, control, emission = (one.numpy() for one in (model.transition, model.control, model.emission))
    latent, mean = columns[:size], start.mean.numpy()
    latents, means, seen = [latent], [mean], []
    for t in range(1, steps):
        latent = transition @ latent + columns[t * size : (t + 1) * size]
        mean = transition @ mean + control @ actions[t - 1].numpy()
        latents.append(latent)
        means.append(mean)
    for t in range(steps):
        seen.append(emission @ latents[t] + columns[steps * size + 3 * t : steps * size + 3 * (t + 1)])
    blocks = [start.covariance, *[model.process] * (steps - 1), *[model.noise] * steps]
    spread = torch.block_diag(*blocks).numpy()
    all_seen, all_means = np.concatenate(seen), np.concatenate([emission @ one for one in means])
    covariance = all_seen @ spread @ all_seen.T
    values = observations.numpy().ravel()
    assert float(evidence) == pytest.approx(multivariate_normal(all_means, covariance).logpdf(values), abs=1e-10)
    for t in range(steps):
        known = slice(3 * (t + 1))
        cross = latents[t] @ spread @ all_seen[known].T
        gain = np.linalg.solve(covariance[known, known], cross.T).T
        np.testing.assert_allclose(beliefs[t].mean, means[t] + gain @ (values[known] - all_means[known]), atol=1e-10)
        expected = latents[t] @ spread @ latents[t].T - gain @ cross.T
        np.testing.assert_allclose(beliefs[t].covariance, expected, atol=1e-10)


@pytest.mark.parametrize(
    ("process", "noise", "expected"),
    [(0.1, 0.2, 0.2027), (0.3, 0.2, 0.4581), (1.0, 0.2, 0.8959), (0.3, 0.05, 0.9730), (0.3, 1.0, 0.1312)],
)
def test_mutual_information_of_scalars(process: float, noise: float, expected: float) -> None:
    """½ log(1 + Q / R): less noise is better, and so is a less predictable state."""
    one = torch.ones(1, 1).double()
    assert float(mutual_information(one, process * one, noise * one)) == pytest.approx(expected, abs=5e-5)


def test_mutual_information_is_the_sum_of_entropies() -> None:
    draw = drawing(10)
    model = LinearGaussian(draw(3, 3), draw(3, 1), draw(2, 3), positive(draw, 3), positive(draw, 2))
    emission, process, noise = (one.numpy() for one in (model.emission, model.process, model.noise))
    joint = np.block([[process, process @ emission.T], [emission @ process, emission @ process @ emission.T + noise]])
    seen = multivariate_normal(cov=joint[3:, 3:]).entropy()
    expected = multivariate_normal(cov=process).entropy() + seen - multivariate_normal(cov=joint).entropy()
    assert float(mutual_information(model.emission, model.process, model.noise)) == pytest.approx(expected)
