"""The table of methods says what the agents do: which parameters each term of their losses trains."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relatent.agents import AGENTS
from relatent.objectives.methods import ALM, MAXENT, METHODS, RPG, SMAC, Method, markdown, table
from tests.agents import tiny, tiny_alm, tiny_rpg

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


def soft_loss(agent: Any, part: str) -> Tensor:
    return tiny.loss(agent, part, tiny.batch(), tiny.noise_for(agent))


def alm_loss(agent: Any, part: str) -> Tensor:
    return tiny_alm.loss(agent, part, *tiny_alm.given(agent))


# (method, term) -> losses in which it is, each the optimiser's name, what computes the loss, and the variants.
PARTS: dict[tuple[str, str], list[tuple[str, Callable[[Any, str], Tensor], list[Variant]]]] = {
    ("MaxEnt RL", "T1"): [("actor", soft_loss, soft("sac", half=2.0, one=-1.0))],
    ("MaxEnt RL", "T2"): [("actor", soft_loss, soft("sac", half=-1.0, one=1.0))],
    ("SMAC", "T1"): [("actor", soft_loss, soft("smac_nested", half=2.0, one=-1.0))],
    ("SMAC", "T7"): [("actor", soft_loss, soft("smac_nested", half=-1.0, one=1.0))],
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
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss(agent, part), parameters), strict=True):
            name = names[id(parameter)]
            total[name] = total.get(name, torch.zeros_like(gradient)) + weight * gradient
    return {name.split(".")[0] for name, gradient in total.items() if gradient.abs().max() > 1e-9}


WRITTEN = [(method, use) for method in (MAXENT, SMAC, ALM, RPG) for use in method.objective.uses]


@pytest.mark.parametrize(("method", "use"), WRITTEN, ids=[f"{m.objective.name}-{u.term.key}" for m, u in WRITTEN])
def test_a_term_reaches_what_the_table_says(method: Method, use: Any) -> None:
    found = [reached(*one) for one in PARTS[method.objective.name, use.term.key]]
    assert set().union(*found) == use.reaches


def test_every_method_with_an_agent_is_examined() -> None:
    assert set(PARTS) == {(method.objective.name, use.term.key) for method, use in WRITTEN}
    assert all(method.agent in AGENTS for method, _ in WRITTEN)


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
