"""The study of the marginal term: which parameters each objective trains, and what is recorded."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relatent.objectives import closed_loop
from relatent.objectives.linear_agents import EVERY, MEANS
from relatent.specs.errors import RelatentError
from relatent.studies import task_relevance
from relatent.studies.task_relevance import OBJECTIVES, Hyper, Training, run

from .fake_record import FakeRecord

HYPER: dict[str, Any] = {
    "objective": "generative",
    "estimator": "exact",
    "samples": 1,
    "transitions": 8,
    "reward_scale": 1.0,
    "latents": (1, 2),
    "distractors": (0, 1, 3),
    "steps": 6,
    "learning_rate": 0.05,
    "checkpoints": 3,
}
ONE = {"latents": (2,), "distractors": (2,)}


def ran(seed: int = 0, **changes: Any) -> dict[str, np.ndarray]:
    record = FakeRecord()
    run({"hyper": HYPER | changes, "seed": seed}, record)
    return record.kept


def gradients(objective: str, key: str, **changes: Any) -> set[str]:
    """Groups of parameters that a term trains, at the start."""
    training = Training(Hyper(**HYPER | {"objective": objective} | changes), 0)
    term = training.objective.terms(training.densities(training.noise()))[key]
    if not term.requires_grad:
        return set()
    found = torch.autograd.grad(term.sum(), training.flat(), allow_unused=True)
    groups = [group for group, names in training.parameters.items() for _ in names]
    return {group for group, one in zip(groups, found, strict=True) if one is not None and one.abs().max() > 0}


@pytest.mark.parametrize(
    ("objective", "reached"),
    [
        (
            "generative",
            {
                "T1": {"inference", "policy"},
                "T2": {"inference", "policy", "prior"},
                "T3": {"model", "inference", "policy"},
                "T4": {"model", "inference", "policy"},
                "T5": {"model", "inference", "policy"},
            },
        ),
        (
            "discriminative",
            {
                "T1": {"inference", "policy"},
                "T2": {"inference", "policy", "prior"},
                "T3": {"encoder", "inference", "policy"},
            },
        ),
        (
            "separate",
            {"T1": {"policy"}, "T2": {"policy", "prior"}, "T3": {"model", "inference"}, "T4": {"model", "inference"}},
        ),
        ("detached", {"T1": {"inference", "policy"}, "T5": set()}),
        ("annealed", {"T5": {"model", "inference", "policy"}}),
    ],
)
def test_what_each_term_trains(objective: str, reached: dict[str, set[str]]) -> None:
    """What acts changes the law of everything, so that every term of all groups reaches the policy."""
    assert {key: gradients(objective, key) for key in reached} == reached
    keys = {use.term.key for use in OBJECTIVES[objective].uses}
    assert keys >= set(reached)
    assert ("T5" in keys) == (objective in ("generative", "detached", "annealed"))


def test_a_detached_marginal_trains_nothing() -> None:
    """Official code's marginal: the same agents as without the term, to the last bit."""
    with_term, without = ran(objective="detached"), ran(objective="conventional")
    for name in ("return_while", "surprise_while", "held_while"):
        assert (with_term[name] == without[name]).all()
    assert (with_term["objective_while"] != without["objective_while"]).any()
    assert with_term["marginal_gradient"] == 0.0
    assert ran(objective="annealed")["marginal_gradient"] > 0


def test_the_annealed_weight_is_official_codes() -> None:
    """1.01 a step from 0.01, and 1 from step 463 on."""
    weight = next(use.weight for use in OBJECTIVES["annealed"].uses if use.term.key == "T5")
    assert [weight.at(step) for step in (0, 1, 462, 463, 900)] == pytest.approx([0.01, 0.0101, 0.01 * 1.01**462, 1, 1])
    assert weight.at(462) < 1


@pytest.mark.parametrize("objective", ["generative", "discriminative"])
def test_the_objective_is_at_most_the_reward(objective: str) -> None:
    """L <= E r + T2 <= E r of the best policy, with any parameters."""
    for seed in range(5):
        training = Training(Hyper(**HYPER | {"objective": objective}), seed)
        terms = training.objective.terms(training.densities(training.noise()))
        assert (terms["T1"] < training.best).all()
        assert (sum(terms.values()) < terms["T1"]).all()  # type: ignore[operator]


def test_one_step_of_adam() -> None:
    """The first step moves every parameter with a gradient by the learning rate, along it."""
    moved = ran(steps=1, checkpoints=1)
    training = Training(Hyper(**HYPER | {"steps": 1}), 0)
    training.marginal_gradient()
    training.objective.value(training.densities(training.noise())).sum().backward()
    with torch.no_grad():
        for value in training.flat():
            if value.grad is not None:
                value += 0.05 * value.grad / (value.grad.abs() + 1e-8)
    after = training.seen(training.noise())
    for name in ("return", "task", "held", "surprise", "gain"):
        np.testing.assert_allclose(moved[f"{name}_while"][-1], after[name], rtol=1e-9)


def test_a_whole_study() -> None:
    kept = ran()
    shapes = {name: found.shape for name, found in kept.items()}
    for name in ("return", "task", "held", "surprise", "gain"):
        assert shapes[f"{name}_k1"] == shapes[f"{name}_k2"] == (3,)
        assert shapes[f"{name}_small_many"] == shapes[f"{name}_large_few"] == (1,)
        assert shapes[f"{name}_while"] == (4, 6)
        table = kept[f"{name}_while"][-1].reshape(2, 3)
        assert (table[0] == kept[f"{name}_k1"]).all()
        assert (table[1] == kept[f"{name}_k2"]).all()
        assert (kept[f"{name}_small_many"], kept[f"{name}_large_few"]) == (table[0, 2], table[1, 1])
    rewards = kept["return_while"][-1].reshape(2, 3)
    assert kept["interaction"] == pytest.approx(rewards[1, 2] - rewards[0, 2] - rewards[1, 0] + rewards[0, 0])
    assert kept["learned_large_few"] == pytest.approx(kept["surprise_while"][0, 4] - kept["surprise_while"][-1, 4])
    assert kept["step"].tolist() == [0, 2, 4, 6]
    assert kept["training_while"].tolist() == [1, 1, 1, 1]
    assert (kept["diverged"], kept["overestimate_while"].max()) == (0, 0)
    assert kept["highest"] >= kept["objective_while"].max()
    assert (kept["return_while"] <= 1).all()
    assert (kept["surprise_while"] > 0).all()
    assert all(np.isfinite(found).all() and found.ndim in (1, 2) for found in kept.values())


def test_the_seed_decides_everything() -> None:
    first, again, other = (ran(seed, **ONE, estimator="dynamics") for seed in (1, 1, 2))
    assert all((first[name] == again[name]).all() for name in first)
    assert (first["return_while"] != other["return_while"]).all()


def test_training_reaches_the_best_policy_where_nothing_distracts() -> None:
    for objective in ("generative", "discriminative", "conventional"):
        kept = ran(objective=objective, latents=(1,), distractors=(0,), steps=150, learning_rate=0.1)
        assert 0.97 < kept["return_small_many"] <= 1
    assert kept["surprise_small_many"] < 0.05  # and the conventional agent predicts


def test_no_loop_starts_unstable() -> None:
    """E s² is 0.3 / 0.19 without any control, and of its size with what a policy starts with."""
    for seed in range(20):
        training = Training(Hyper(**HYPER | {"latents": (1, 8), "distractors": (0, 64)}), seed)
        with torch.no_grad():
            assert training.acting()[1].state.max() < 5


@pytest.mark.parametrize("estimator", ["dynamics", "posterior", "own"])
def test_estimates_miss_the_exact_marginal_by_what_they_miss(estimator: str) -> None:
    """Over many transitions: the mean by dynamics with one sample is -1/2 tr R^-1 C Q C' beside the emission's."""
    changes = ONE | {"estimator": estimator, "transitions": 40_000}
    training = Training(Hyper(**HYPER | changes), 0)
    with torch.no_grad():
        training.parameters["model"]["emission"] *= 5
        training.parameters["model"]["noise"] -= 1
        agent, moments = training.acting()
        found = float(training.overestimate(agent, moments, training.noise()))
        mean = {name: float(of(training.world, agent, moments)) for name, of in MEANS.items()}
        marginal = mean["observation_marginal"]
        means = torch.cat([agent.model.transition, agent.model.control], -1)
        certain = moments._replace(
            latent=means @ moments.past @ means.mT, latent_observation=means @ moments.past_observation
        )
        by_mean = float(closed_loop.emission_log_density(training.world, agent.model, certain))
        spread = agent.model.emission @ agent.model.process @ agent.model.emission.mT
        scatter = float((closed_loop.diagonal(spread) / closed_loop.diagonal(agent.model.noise)).sum())
    wanted = {
        "dynamics": marginal - (by_mean - scatter / 2),
        "posterior": marginal - (mean["latent_dynamics"] - mean["latent"] + mean["observation"]),
        "own": marginal - mean["observation"],
    }[estimator]
    assert found == pytest.approx(wanted, rel=0.03)
    assert abs(wanted) > 0.3


def test_an_estimate_that_is_too_low_raises_the_objective_by_as_much() -> None:
    by_estimate, exact = (
        Training(Hyper(**HYPER | ONE | {"estimator": estimator}), 0) for estimator in ("dynamics", "exact")
    )
    noise = by_estimate.noise()
    found, wanted = (one.objective.value(one.densities(noise)) for one in (by_estimate, exact))
    missed = by_estimate.overestimate(*by_estimate.acting(), noise)
    assert (found - wanted).item() == pytest.approx(missed.item(), rel=1e-10)
    assert abs(missed.item()) > 1e-3


def test_one_sample_by_dynamics_diverges_and_the_beliefs_own_does_not() -> None:
    changes = ONE | {"steps": 100, "checkpoints": 10, "transitions": 32, "learning_rate": 0.1}
    free, kept = ran(estimator="dynamics", **changes), ran(estimator="posterior", samples=4, **changes)
    assert (free["diverged"], free["training_while"][-1]) == (1, 0)
    stopped = int(free["training_while"].sum())
    assert (free["return_while"][stopped:] == free["return_while"][stopped - 1]).all()
    assert free["highest"] > 100
    assert (kept["diverged"], kept["training_while"].min()) == (0, 1)
    assert kept["highest"] < 0


def test_training_stops_where_the_objective_passes_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_relevance, "LIMIT", -1.0)
    kept = ran(**ONE, steps=60, checkpoints=30)
    assert (kept["diverged"], kept["training_while"][0], kept["training_while"][-1]) == (1, 1, 0)
    assert kept["objective_while"].max() <= -1 < kept["highest"]


def test_a_sampled_estimate_is_of_one_agent() -> None:
    with pytest.raises(RelatentError, match="takes one number of latents and one of distractors"):
        ran(estimator="own")


def test_groups_are_known() -> None:
    assert {group for objective in OBJECTIVES.values() for use in objective.uses for group in use.reaches} == EVERY


DIGEST = """
from hashlib import sha256
from tests.studies.test_task_relevance import ran
kept = ran(steps=30, latents=(1, 3), distractors=(0, 5))
print(sha256(b"".join(kept[name].tobytes() for name in sorted(kept))).hexdigest())
"""


def test_a_run_is_the_same_to_the_last_bit_in_every_process() -> None:
    """Whatever order a process gives to sets of names."""
    found = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(4)
    }
    assert len(found) == 1
