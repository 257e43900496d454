"""The table of methods says what the agents do: which parameters each term of their losses trains."""

import math
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relatent.agents import AGENTS
from relatent.objectives.methods import GENERAL, METHODS, Method, markdown, table
from tests.agents import tiny, tiny_alm, tiny_rpg, tiny_slac, tiny_smac_world, tiny_variational_em

ROOT = Path(__file__).parents[2]
Variant = tuple[float, Callable[[], Any]]
"""A weight, and what makes an agent: a term is a weighted sum of the losses of agents that differ in its coefficient
and in nothing else."""


def doubled(agent: Any, head: nn.Module) -> Any:
    """The agent with twice the reward that its network predicts."""
    last = [layer for layer in head.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.mul_(2)
        last.bias.mul_(2)
    return agent


def soft(name: str, **weights: float) -> list[Variant]:
    """Agents whose loss is alpha log π - Q, by the weight of each alpha."""
    at = {"half": 0.5, "one": 1.0}
    return [
        (weight, lambda alpha=at[key]: tiny.precise(name, init_alpha=alpha))  # type: ignore[misc]
        for key, weight in weights.items()
    ]


def alm(**weights: float) -> list[Variant]:
    found: list[Variant] = []
    for name, weight in weights.items():
        if name == "twice":
            found.append((weight, lambda: doubled(alone := tiny_alm.precise(), alone.reward)))
        else:
            found.append((weight, lambda name=name: tiny_alm.precise(name)))  # type: ignore[misc]
    return found


def rpg(*variants: tuple[float, dict[str, float]]) -> list[Variant]:
    return [(weight, lambda changes=changes: tiny_rpg.precise("code", **changes)) for weight, changes in variants]  # type: ignore[misc]


def rpg_reward() -> list[Variant]:
    return [
        (1.0, lambda: doubled(alone := tiny_rpg.precise("code"), alone.world.predict_reward)),
        (-1.0, lambda: tiny_rpg.precise("code")),
    ]


def slac(*variants: tuple[float, float]) -> list[Variant]:
    """By weight and alpha."""
    return [(weight, lambda alpha=alpha: tiny_slac.precise(init_alpha=alpha)) for weight, alpha in variants]  # type: ignore[misc]


def smac_world(*variants: tuple[float, dict[str, float]]) -> list[Variant]:
    def make(changes: dict[str, float]) -> Any:
        agent = tiny_smac_world.precise(**changes)
        with torch.no_grad():
            agent.log_alpha.fill_(math.log(agent.hyper.init_alpha))
        return agent

    return [(weight, lambda changes=changes: make(changes)) for weight, changes in variants]  # type: ignore[misc]


def variational_em(*variants: tuple[float, dict[str, float]]) -> list[Variant]:
    """With T5's weight and gradient."""

    def make(changes: dict[str, float]) -> Any:
        agent = tiny_variational_em.precise("marginal", **changes)
        agent.updates = 10**4
        return agent

    return [(weight, lambda changes=changes: make(changes)) for weight, changes in variants]  # type: ignore[misc]


def soft_loss(agent: Any, part: str) -> Tensor:
    return tiny.loss(agent, part, tiny.batch(), tiny.noise_for(agent))


def alm_loss(agent: Any, part: str) -> Tensor:
    return tiny_alm.loss(agent, part, *tiny_alm.given(agent))


def slac_actor_loss(agent: Any, part: str) -> Tensor:
    transitions = agent.model_loss(tiny_slac.given(), tiny_slac.noise())[2]
    return tiny.loss(agent, part, transitions, tiny_slac.noise())


def slac_model_loss(*metrics: str) -> Callable[[Any, str], Tensor]:
    """The sum of some terms of it."""

    def loss(agent: Any, _: str) -> Tensor:
        found = agent.model_loss(tiny_slac.given(), tiny_slac.noise())[1]
        return torch.stack([found[f"model_{name}"] for name in metrics]).sum()

    return loss


def smac_world_loss(agent: Any, part: str) -> Tensor:
    batch, noise = tiny_smac_world.sequences(), tiny_smac_world.noise(agent)
    if part == "world":
        return agent.world_loss(batch, noise.filter).loss
    features = tiny_smac_world.features()
    everywhere = tiny_smac_world.believed(features, batch)._replace(observation=features)
    return agent.actor_loss(everywhere, noise)[0]


def variational_em_loss(agent: Any, part: str) -> Tensor:
    found, _, latent = agent.bound_loss(tiny_variational_em.given(), tiny_variational_em.noise())
    return found if part == "world" else agent.consolidation_loss(tiny_variational_em.given(), latent.detach())


def term_of_the_bound(key: str) -> Callable[[Any, str], Tensor]:
    """One term of variational EM's bound alone."""
    return lambda agent, _: agent.bound_loss(tiny_variational_em.given(), tiny_variational_em.noise())[1][key]


def both_losses(
    *variants: tuple[float, dict[str, float]],
) -> list[tuple[str, Callable[[Any, str], Tensor], list[Variant]]]:
    """Of variational EM."""
    return [(part, variational_em_loss, variational_em(*variants)) for part in ("world", "prior")]


# (method, term) -> losses in which it is, each the optimiser's name, what computes the loss, and the variants.
PARTS: dict[tuple[str, str], list[tuple[str, Callable[[Any, str], Tensor], list[Variant]]]] = {
    ("MaxEnt RL", "T1"): [("actor", soft_loss, soft("sac", half=2.0, one=-1.0))],
    ("MaxEnt RL", "T2"): [("actor", soft_loss, soft("sac", half=-1.0, one=1.0))],
    ("SMAC", "T1"): [("actor", soft_loss, soft("smac_nested", half=2.0, one=-1.0))],
    ("SMAC", "T7"): [("actor", soft_loss, soft("smac_nested", half=-1.0, one=1.0))],
    ("SLAC", "T1"): [("actor", slac_actor_loss, slac((2.0, 0.5), (-1.0, 1.0)))],
    ("SLAC", "T2"): [("actor", slac_actor_loss, slac((-1.0, 0.5), (1.0, 1.0)))],
    ("SLAC", "T3"): [("model", slac_model_loss("divergence"), slac((1.0, 0.5)))],
    ("SLAC", "T4"): [("model", slac_model_loss("observation", "reward"), slac((1.0, 0.5)))],
    ("SMAC with a world model", "T1"): [
        ("actor", smac_world_loss, smac_world((2.0, {"init_alpha": 0.5}), (-1.0, {"init_alpha": 1.0})))
    ],
    ("SMAC with a world model", "T7"): [
        ("actor", smac_world_loss, smac_world((-1.0, {"init_alpha": 0.5}), (1.0, {"init_alpha": 1.0})))
    ],
    # More free nats than there are leave the likelihood alone.
    ("SMAC with a world model", "T3"): [
        ("world", smac_world_loss, smac_world((1.0, {"free_nats": 0.0}), (-1.0, {"free_nats": 1e9})))
    ],
    ("SMAC with a world model", "T4"): [("world", smac_world_loss, smac_world((1.0, {"free_nats": 1e9})))],
    ("general", "T1"): both_losses((1.0, {"reward_scale": 2.0}), (-1.0, {"reward_scale": 1.0})),
    ("general", "T2"): [
        ("world", term_of_the_bound("T2"), variational_em((1.0, {}))),
        ("prior", variational_em_loss, variational_em((1.0, {}))),
    ],
    ("general", "T3"): [("world", term_of_the_bound("T3"), variational_em((1.0, {})))],
    ("general", "T4"): [("world", term_of_the_bound("T4"), variational_em((1.0, {})))],
    ("general", "T5"): [("world", term_of_the_bound("T5"), variational_em((1.0, {})))],
    ("general", "T6"): both_losses((1.0, {"information": 1.0}), (-1.0, {"information": 0.0})),
    ("ALM", "T1"): [
        ("world", alm_loss, alm(reward_only=1.0, kl_only=-1.0)),
        ("actor", alm_loss, alm(twice=1.0, official=-1.0)),
    ],
    ("ALM", "T3"): [
        ("world", alm_loss, alm(official=1.0, without_kl=-1.0)),
        ("actor", alm_loss, alm(official=1.0, without_classifier=-1.0)),
    ],
    ("ALM", "T6"): [
        ("world", alm_loss, alm(without_kl=1.0)),
        ("actor", alm_loss, alm(without_classifier=1.0)),
    ],
    ("RPG", "T1"): [("policy", tiny_rpg.loss, rpg_reward())],
    ("RPG", "T2"): [("policy", tiny_rpg.loss, rpg((1.0, {"init_alpha": 0.4}), (-1.0, {"init_alpha": 0.2})))],
    ("RPG", "T6"): [("policy", tiny_rpg.loss, rpg((1.0, {})))],
    ("RPG", "T8"): [
        ("policy", tiny_rpg.loss, rpg((1.0, {"beta": 1.4}), (-1.0, {"beta": 0.7}))),
        ("posterior", tiny_rpg.loss, rpg((1.0, {}))),
    ],
}


def reached(part: str, loss: Callable[[Any, str], Tensor], variants: list[Variant]) -> set[str]:
    """The agent's attributes whose parameters this optimiser would move for this term."""
    total: dict[str, Tensor] = {}
    for weight, make in variants:
        agent = make()
        names = {id(parameter): name for name, parameter in agent.named_parameters()}
        parameters = tiny.parameters_of(agent, part)
        gradients = torch.autograd.grad(loss(agent, part), parameters, allow_unused=True, materialize_grads=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            name = names[id(parameter)]
            total[name] = total.get(name, torch.zeros_like(gradient)) + weight * gradient
    return {name.split(".")[0] for name, gradient in total.items() if gradient.abs().max() > 1e-9}


USES = [(method, use) for method in METHODS for use in method.objective.uses]


@pytest.mark.parametrize(("method", "use"), USES, ids=[f"{m.objective.name}-{u.term.key}" for m, u in USES])
def test_a_term_reaches_what_the_table_says(method: Method, use: Any) -> None:
    found = [reached(*one) for one in PARTS[method.objective.name, use.term.key]]
    assert set().union(*found) == use.reaches


def test_every_method_has_an_agent_and_is_examined() -> None:
    assert set(PARTS) == {(method.objective.name, use.term.key) for method, use in USES}
    assert len({method.agent for method in METHODS}) == len(METHODS)
    assert all(method.agent in AGENTS for method in METHODS)


ATTRIBUTES = {"model": "world", "inference": "world", "prior": "habit"}
"""Of variational EM, by the groups that it declares."""


@pytest.mark.parametrize(
    ("marginal", "prior"), list(product(["none", "detached", "learned"], ["learned", "uniform", "none"]))
)
def test_the_general_row_is_what_variational_em_declares(marginal: str, prior: str) -> None:
    """But for what a setting leaves out, or detaches, and for T6, which plans climb and no bound has."""
    planned = tiny_variational_em.HORIZON if prior == "none" else 1
    agent = tiny_variational_em.build(marginal=marginal, prior=prior, planned=planned)
    row = {use.term.key: use for use in GENERAL.objective.uses}
    left_out = {"T6"} | ({"T2"} if prior == "none" else set()) | ({"T5"} if marginal == "none" else set())
    assert [use.term.key for use in agent.objective.uses] == [key for key in row if key not in left_out]
    for use in agent.objective.uses:
        expected = row[use.term.key]
        assert (use.term, use.weight) == (expected.term, expected.weight)
        detached = use.term.key == "T5" and marginal == "detached"
        assert {ATTRIBUTES[group] for group in use.reaches} == (set() if detached else expected.reaches)
    assert {name.split(".")[0] for name, _ in agent.named_parameters()} == set(ATTRIBUTES.values())


@pytest.mark.parametrize("change", [{"reward_scale": 2.0}, {"information": 10.0}, {"prior": "uniform"}])
def test_what_trains_no_parameter_of_variational_em_moves_its_plans(change: dict[str, Any]) -> None:
    """T1, T6's information, and T2."""
    agents = tiny_variational_em.precise(), tiny_variational_em.precise(**change)
    latent = tiny.waves((tiny_variational_em.LATENT,), 0.4)
    plans = [agent.plan(latent, tiny_variational_em.action_noise(agent), "zero").mean for agent in agents]
    assert (plans[0] - plans[1]).abs().max() > 1e-3


def test_a_weight_that_grows_is_printed() -> None:
    assert GENERAL.says("T5").endswith(", weight 0.01, times 1.01 an episode, at most 1 -> world")
    assert GENERAL.says("T1").endswith(" -> no parameters")


def test_no_term_is_both_there_and_absent() -> None:
    for method in METHODS:
        keys = [use.term.key for use in method.objective.uses]
        assert len(keys) == len(set(keys))
        assert not set(keys) & set(method.absent)


def test_the_table_has_a_cell_for_every_method_and_term() -> None:
    heading, *rows = table()
    assert len(heading) == 3 + 8
    assert {len(row) for row in rows} == {len(heading)}
    assert all(cell for row in rows for cell in row)


def test_the_documentation_has_the_table() -> None:
    assert markdown() in (ROOT / "docs/inference.md").read_text()
