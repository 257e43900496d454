"""What Marino & Yue (2019) derive, put in numbers where every density is known (Eq 6 to 10).

Three random agents: linear-Gaussian with one latent (A = .9, B = C = 1, Q = .3, R = .2), linear-Gaussian with
`dimension` latents, and tabular. Each acts by a posterior of its own, unrelated to its model, in an environment of its
kind that is not its model either. Gaussian agents are sampled, tabular ones enumerated.

What `run` records; in nats, the largest over all three where nothing else is said
    equation_difference     (1,) largest |Eq 6 - Eq 8| of one trajectory
    marginal_difference     (1,) largest |conventional - Eq 8 - Σ log p_a(x_t|z_<t)|, the latter computed another way
    information_difference  (1,) largest |E_q[T3 + T4 + T5] + KL(q(z_t) || p_a(z_t|z_<t, x_t))|, E_q exact
    most_information        (1,) largest E_q[T3 + T4 + T5]
    samples                 (n,) 10, 100, ..
    sampled_scalar, sampled_vector
                            (n,) mean of T3 + T4 + T5 over so many samples, plus the mean closed-form KL
    sampled_in_errors       (1,) largest of the last two in standard errors
    spread                  (m,) values of R in information_by_noise (Q = .3), of Q in information_by_process (R = .2)
    information_by_noise, information_by_process, sampled_by_noise, sampled_by_process
                            (m,) I(x_t ; z_t | z_{t-1}) in closed form, and sampled: the mean of T4 + T5 under p_a
    information_in_errors   (1,) largest difference of the two in standard errors
    chance                  (k,) share of the environment's laws that is random
    gap                     (k,) log p(O) - max_q L, mean over tabular environments
    gap_of_certain, gap_of_uncertain
                            (1,) largest |gap| with no chance, and smallest gap with some, over environments
    above_bound            (1,) largest L - log p(O), over environments and over q: any and the best
    optimum_difference      (1,) largest |max_q L by recursion - Eq 6 summed over all trajectories under that q|
    coin_evidence, coin_bound
                            (1,) of a reward that is 0 or -2 with even chances
    replaced_above          (1,) share of the environments where L lies above log p(O) once T5 has, for the marginal,
                            the mean of log p_a(x|z) over the prediction
    ratio                   (j,) Q/R of a scalar agent in its own world without reward, so that log p(O) = 0
    excess_exact, excess_mean_of_logs, excess_iwae_8, excess_iwae_64
                            (j,) L - log p(O) there with the exact marginal, the mean of log p_a(x|z^k) over 64 samples
                            of the prediction, and the logarithm of the mean of 8 or 64 p_a(x|z^k)
    largest_excess_X        (1,) of each of them
    gradient_difference     (1,) largest difference of a gradient of T1 .. T5 from finite differences
    gradient_leak           (1,) largest gradient that arrives at a group of parameters not declared
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relatent.objectives.active_em import backward, bandit, blank, forward, risk_neutral, risk_seeking
from relatent.objectives.linear_gaussian import mutual_information
from relatent.objectives.log_mean_exp import log_mean_exp
from relatent.objectives.objective_identities import Identities, linear_identities, tabular_identities
from relatent.objectives.sampled_agents import (
    Draw,
    Samples,
    exact_agent,
    interact,
    linear_densities,
    model_of,
    random_model,
    scalar_model,
)
from relatent.objectives.tabular_inference import (
    Environment,
    Parameters,
    all_paths,
    chance,
    model_densities,
    normalised,
    percept_laws,
    random_environment,
    random_parameters,
    unrolled,
)
from relatent.objectives.terms import discriminative, generative

NONE: frozenset[str] = frozenset()
Array = NDArray[np.float64]
PARTICLES, FEWER_PARTICLES = 64, 8


@dataclass(frozen=True)
class Hyper:
    samples: int
    """Trajectories of a Gaussian agent; a power of ten."""
    horizon: int
    """Their steps."""
    dimension: int
    """Latents and observations of the larger Gaussian agent; it has half as many actions."""
    spreads: tuple[float, ...]
    """Variances R and Q for which the mutual information is computed."""
    ratios: tuple[float, ...]
    """Q/R where the marginal is replaced by a bound."""
    environments: int
    """Tabular environments, each with every share of chance."""
    chances: tuple[float, ...]
    """Those shares, of which the first is 0."""
    states: int
    """Of tabular environments."""
    percepts: int
    """There."""
    actions: int
    """There."""
    latents: int
    """Of tabular agents."""
    tabular_horizon: int
    """Percepts in a tabular trajectory."""


def run(spec: dict[str, Any], record: Any) -> None:
    """Compute and record what the module's text lists."""
    hyper = Hyper(**spec["hyper"])
    torch_generator = torch.Generator().manual_seed(spec["seed"])

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=torch_generator, dtype=torch.float64)

    def linear(size: int) -> tuple[Identities, Tensor]:
        actions = max(1, size // 2)
        model, world = (random_model(draw, size, actions) for _ in range(2))
        return linear_identities(scalar_model() if size == 1 else model, world, draw, hyper.samples, hyper.horizon)

    generator = np.random.default_rng([spec["seed"], hyper.environments])
    parameters = random_parameters(generator, hyper.latents, hyper.percepts, hyper.actions)
    environment = random_environment(generator, hyper.states, hyper.percepts, hyper.actions, noise=1.0)
    (scalar, from_scalar), (vector, from_vector) = linear(1), linear(hyper.dimension)
    kinds = [scalar, vector, tabular_identities(parameters, environment, hyper.tabular_horizon)]
    record.progress(1, 3)
    samples = 10 ** np.arange(1, round(np.log10(hyper.samples)) + 1)
    found = {
        name: np.array([max(values)]) for name, values in zip(Identities._fields, zip(*kinds, strict=True), strict=True)
    }
    found |= {
        "samples": samples,
        "sampled_scalar": running_mean(from_scalar)[samples - 1],
        "sampled_vector": running_mean(from_vector)[samples - 1],
        "sampled_in_errors": np.array([max(in_errors(one) for one in (from_scalar, from_vector))]),
    }
    found |= informed(draw, hyper) | replaced(draw, hyper)
    record.progress(2, 3)
    record.arrays(**found, **gaps(spec["seed"], hyper))
    record.progress(3, 3)


def running_mean(values: Tensor) -> Array:
    """(n,)."""
    return (values.cumsum(0) / torch.arange(1, len(values) + 1)).numpy()


def in_errors(values: Tensor) -> float:
    """|mean| in its standard errors."""
    return float(values.mean().abs() / (values.std() / len(values) ** 0.5))


# Mutual information, and what may not stand in the marginal's place


def one_step(process: float, noise: float, draw: Draw, count: int) -> tuple[Parameters, Samples]:
    """A scalar agent with exact inference, and what it meets in its own world."""
    agent = exact_agent(process, noise)
    return agent, interact(agent, agent, draw, count, horizon=1)


def informed(draw: Draw, hyper: Hyper) -> dict[str, Array]:
    """I(x_t ; z_t | z_{t-1}), twice."""
    one, found, errors = torch.ones((1, 1), dtype=torch.float64), {"spread": np.array(hyper.spreads)}, []
    for name, pairs in {
        "noise": [(0.3, spread) for spread in hyper.spreads],
        "process": [(spread, 0.2) for spread in hyper.spreads],
    }.items():
        closed = np.array([float(mutual_information(one, process * one, noise * one)) for process, noise in pairs])
        terms = [generative(NONE).terms(linear_densities(*one_step(*pair, draw, hyper.samples))) for pair in pairs]
        gains = [(term["T4"] + term["T5"])[:, 0] for term in terms]
        errors += [in_errors(gain - exact) for gain, exact in zip(gains, closed, strict=True)]
        found |= {
            f"information_by_{name}": closed,
            f"sampled_by_{name}": np.array([float(one.mean()) for one in gains]),
        }
    return found | {"information_in_errors": np.array([max(errors)])}


def replaced(draw: Draw, hyper: Hyper) -> dict[str, Array]:
    """L where nothing is rewarded and q is exact, so that L = log p(O) = 0, with bounds in place of log p_a(x|z_<)."""
    rows = []
    for ratio in hyper.ratios:
        agent, samples = one_step(0.3, 0.3 / ratio, draw, hyper.samples // 10)
        given = dict(linear_densities(agent, samples)(NONE))
        given |= {"reward": torch.zeros_like(given["reward"]), "action": given["action_prior"]}
        model = model_of(agent)
        prediction = model.dynamics(samples.earlier, samples.acted)
        guesses = prediction.sample(draw(PARTICLES, *samples.latent.shape))
        likely = model.emitted(guesses).log_prob(samples.observation)  # (particles, n, 1)
        marginals = (
            given["observation_marginal"],
            likely.mean(0),
            log_mean_exp(likely[:FEWER_PARTICLES], 0),
            log_mean_exp(likely, 0),
        )
        rows.append([float(objective_with(given, marginal).mean()) for marginal in marginals])
    names = ("exact", "mean_of_logs", f"iwae_{FEWER_PARTICLES}", f"iwae_{PARTICLES}")
    excesses = {f"excess_{name}": column for name, column in zip(names, np.array(rows).T, strict=True)}
    largest = {f"largest_{name}": column.max(keepdims=True) for name, column in excesses.items()}
    return {"ratio": np.array(hyper.ratios), **excesses, **largest}


def objective_with(given: dict[str, Tensor], marginal: Tensor) -> Tensor:
    """Eq 8 with another number as log p_a(x_t|z_<t), (n,)."""
    return generative(NONE).value(lambda _: given | {"observation_marginal": marginal})


# The bound in environments with and without chance


def gaps(seed: int, hyper: Hyper) -> dict[str, Array]:
    """Of tabular environments, and of the coin."""
    found = []
    for number in range(hyper.environments):
        generator = np.random.default_rng([seed, number])
        parameters = random_parameters(generator, hyper.latents, hyper.percepts, hyper.actions)
        drawing = int(generator.integers(2**32))
        for noise in hyper.chances:
            environment = random_environment(
                np.random.default_rng(drawing), hyper.states, hyper.percepts, hyper.actions, noise
            )
            found.append(bounded(environment, parameters, hyper.tabular_horizon))
    table = {
        name: np.array([one[name] for one in found]).reshape(hyper.environments, -1) for name in found[0]
    }  # (environment, share of chance)
    toss = bandit(torch.tensor([[0.5, 0.5]]).double(), torch.tensor([0.0, -2.0]).double())
    coin = [
        float(backward(percept_laws(toss, 2), toss.reward, blank(3, 1), average)[0])
        for average in (risk_seeking, risk_neutral)
    ]
    gap = table["gap"]
    scalars = {
        "gap_of_certain": np.abs(gap[:, 0]).max(),
        "gap_of_uncertain": gap[:, 1:].min(),
        "above_bound": -min(gap.min(), table["gap_of_any"].min()),
        "optimum_difference": table["optimum_difference"].max(),
        "replaced_above": (table["replaced_excess"] > 0).mean(),
        "coin_evidence": coin[0],
        "coin_bound": coin[1],
    }
    return {"chance": np.array(hyper.chances), "gap": gap.mean(0)} | {
        name: np.array([value]) for name, value in scalars.items()
    }


def bounded(environment: Environment, parameters: Parameters, horizon: int) -> dict[str, float]:
    """log p(O) - L, q the best or any; |max L - Eq 6 enumerated under the best q|; and the excess over log p(O) of Eq 8
    there with the mean of log p_a(o|z) over the prediction for the marginal."""
    model, another = normalised(parameters)
    agent, laws, reward = model.inverted(), percept_laws(environment, horizon), environment.reward
    evidence, _ = backward(laws, reward, agent, risk_seeking)
    bound, best = backward(laws, reward, agent, risk_neutral)
    arbitrary = forward(laws, reward, agent, unrolled(another, horizon)).bound()

    paths = all_paths(agent, horizon)
    given, often = model_densities(paths, reward, model, best), chance(laws, best, paths)
    summed = often @ discriminative(NONE).value(lambda _: given)
    first, later = model.start.exp() @ model.emission, model.dynamics.exp() @ model.emission
    lower = torch.cat([first[paths.percept[:, :1]], later[paths.latent[:, :-1], paths.action, paths.percept[:, 1:]]], 1)
    return {
        "gap": float(evidence - bound),
        "gap_of_any": float(evidence) - arbitrary,
        "optimum_difference": float((bound - summed).abs()),
        "replaced_excess": float(often @ objective_with(given, lower) - evidence),
    }
