"""ALM's Theorem 3.1 and what its Appendix A adds, on random processes whose every law is known (Sec 3, App A.1-A.6).

Nothing is sampled but the processes: the bounds come from the law of (s, z, a) carried forward, and what concerns whole
trajectories from a sum over all of them. States, latents and actions are few; transitions, encoder and policy are drawn
from Dirichlet laws of one concentration a process, between 1/3 and 3; rewards are log-normal, below and above 1; the
model lies anywhere between the mean encoder of the next state and a drawn law. Each process comes with every discount.

What `run` records; gaps are J - L^K, in nats, both weights of relatent.objectives.latent_bound
    process, discount       (n,) n = processes x discounts
    gap_X                   (n, horizon + 1) of L^0 .. L^horizon; X: printed, exact
    mixture_X               (n, lambdas) of the λ-weighted mean of L^1 .. L^horizon
    step_drawn, step_model, step_law, step_optimum
                            (n,) of L^1 with the exact weight: as drawn; with the best m(z'|z, a); with any law of
                            trajectories, q*(τ|H); with the best discount γ*(H) too
    above_return_X          (1,) how many L^K lie above J
    rises_X                 (1,) how many L^{K+1} lie above L^K
    printed_tighter         (1,) how many L^K with the printed weight lie above that with the exact one
    mixtures_above_return   (1,) how many mixtures lie above J, both weights
    proof_difference_X      (1,) largest |L^K - step (e) of the proof|, K <= 2, the latter enumerated
    optimum_difference      (1,) largest |bound - J| with γ*(H) and q*(τ|H), K <= 2
    best_model_gap          (1,) smallest step_model
    optimism                (1,) smallest log (E_q*[Ψ] / E_p[Ψ]), over H <= 2
    memory_of_latents       (1,) smallest I(x_2; x_0 | z_1, a_1) under q*(τ|H = 2)
    memory_of_states        (1,) largest I(x_2; x_0 | s_1, a_1) there
    practice_above_return   (1,) in how many of n the objective without logarithms, with K = 1 and the model that
                            maximises it, lies above the return
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from relatent.objectives.latent_bound import (
    EXACT,
    PRINTED,
    Array,
    Chains,
    Process,
    best_lengths,
    best_model,
    chains,
    enumerated_bound,
    expectations,
    lambda_weights,
    lower_bounds,
    next_states,
    practical_objectives,
    remembered,
    tilted,
    truncated_geometric,
)

WEIGHTS = {"printed": PRINTED, "exact": EXACT}
ENUMERATED = (1, 2)
"""Horizons K whose trajectories are summed over."""


@dataclass(frozen=True)
class Hyper:
    processes: int
    """Random processes."""
    states: int
    """Their states."""
    latents: int
    """Their latents."""
    actions: int
    """Their actions."""
    horizon: int
    """Bounds L^0 to L^horizon."""
    discounts: tuple[float, ...]
    """Discounts that every process has in turn."""
    lambdas: tuple[float, ...]
    """Weights λ of the mixtures."""


def random_process(generator: np.random.Generator, hyper: Hyper) -> Process:
    """With the first discount."""
    states, latents, actions = hyper.states, hyper.latents, hyper.actions
    concentration = 3 ** generator.uniform(-1, 1)

    def law(size: int, *given: int) -> Array:
        return generator.dirichlet(np.full(size, concentration), given)

    process = Process(
        start=law(states),
        transition=law(states, states, actions),
        reward=generator.lognormal(size=(states, actions)),
        encoder=law(latents, states),
        model=law(latents, latents, actions),
        policy=law(actions, latents),
        discount=hyper.discounts[0],
    )
    share = generator.uniform()
    return process._replace(model=share * process.model + (1 - share) * next_states(process) @ process.encoder)


def run(spec: dict[str, Any], record: Any) -> None:
    """Compute and record what the module's text lists."""
    hyper = Hyper(**spec["hyper"])
    generator = np.random.default_rng(spec["seed"])
    rows: dict[str, list[Any]] = defaultdict(list)
    for number in range(hyper.processes):
        drawn = random_process(generator, hyper)
        for discount in hyper.discounts:
            process = drawn._replace(discount=discount)
            found = {"process": number, "discount": discount, **gaps(process, hyper), **enumerated(process)}
            for name, value in found.items():
                rows[name].append(value)
        record.progress(number + 1, hyper.processes)
    table = {name: np.array(values) for name, values in rows.items()}
    kept = ("process", "discount", "gap_printed", "gap_exact", "mixture_printed", "mixture_exact")
    steps = ("step_drawn", "step_model", "step_law", "step_optimum")
    record.arrays(
        **{name: table[name] for name in (*kept, *steps)},
        **{f"above_return_{name}": np.array([(table[f"gap_{name}"] < 0).sum()]) for name in WEIGHTS},
        **{f"rises_{name}": np.array([(np.diff(table[f"gap_{name}"]) < 0).sum()]) for name in WEIGHTS},
        **{f"proof_difference_{name}": table[f"proof_difference_{name}"].max(keepdims=True) for name in WEIGHTS},
        printed_tighter=np.array([(table["gap_printed"] < table["gap_exact"]).sum()]),
        mixtures_above_return=np.array([sum((table[f"mixture_{name}"] < 0).sum() for name in WEIGHTS)]),
        optimum_difference=table["optimum_difference"].max(keepdims=True),
        best_model_gap=table["step_model"].min(keepdims=True),
        optimism=table["optimism"].min(keepdims=True),
        memory_of_latents=table["memory_of_latents"].min(keepdims=True),
        memory_of_states=table["memory_of_states"].max(keepdims=True),
        practice_above_return=table["practice_above_return"].sum(keepdims=True),
    )


def gaps(process: Process, hyper: Hyper) -> dict[str, Any]:
    """Of the bounds, their mixtures, and L^1 with the best model; and whether the practical objective is no bound."""
    log_return, log_values = process.log_return(), np.log(process.action_values())
    means = expectations(process, hyper.horizon)
    found: dict[str, Any] = {}
    for name, shift in WEIGHTS.items():
        bounds = lower_bounds(process, means, shift)
        found[f"gap_{name}"] = log_return - bounds
        weights = [lambda_weights(hyper.horizon, one) for one in hyper.lambdas]
        found[f"mixture_{name}"] = log_return - np.array(weights) @ bounds[1:]
    model = process._replace(model=best_model(process, log_values))
    found["step_drawn"] = found["gap_exact"][1]
    found["step_model"] = log_return - lower_bounds(model, expectations(model, 1), EXACT)[1]
    scale = 1 - process.discount
    eager = process._replace(model=best_model(process, process.discount * np.exp(log_values) / scale))
    objective = practical_objectives(eager, expectations(eager, 1))[1]
    return found | {"practice_above_return": objective > np.exp(log_return) / scale}


def enumerated(process: Process) -> dict[str, Any]:
    """What is summed over all trajectories of each horizon."""
    log_return, means = process.log_return(), expectations(process, max(ENUMERATED))
    bounds = {name: lower_bounds(process, means, shift) for name, shift in WEIGHTS.items()}
    proofs: dict[str, list[float]] = {name: [] for name in WEIGHTS}
    steps, optima, optimism = [], [], []
    every: list[Chains] = []
    for horizon in ENUMERATED:
        every, prior = chains(process, horizon), truncated_geometric(process.discount, horizon)
        laws = [tilted(one) for one in every]
        proof = enumerated_bound(prior, prior, every, [one.modelled for one in every])
        for name in WEIGHTS:
            proofs[name].append(abs(proof - bounds[name][horizon]))
        steps.append(log_return - enumerated_bound(prior, prior, every, laws))
        optima.append(log_return - enumerated_bound(prior, best_lengths(prior, every), every, laws))
        means_of_payoff = [
            [(law * one.payoff).sum() for law in (best, one.true)] for best, one in zip(laws, every, strict=True)
        ]
        optimism += [np.log(best / true) for best, true in means_of_payoff]
    state, latent, action = np.indices(process.first().shape).reshape(3, -1)
    actions, longest = action.max() + 1, tilted(every[2])
    return {
        "step_law": steps[0],
        "step_optimum": optima[0],
        **{f"proof_difference_{name}": max(differences) for name, differences in proofs.items()},
        "optimum_difference": np.abs(optima).max(),
        "optimism": min(optimism),
        "memory_of_latents": remembered(longest, latent * actions + action),
        "memory_of_states": abs(remembered(longest, state * actions + action)),
    }
