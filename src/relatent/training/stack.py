"""Agents that differ in their seed only, updated as one: parameters with a leading axis of seeds, losses under vmap.

The agents stay whole. Their parameters become views of the stacked ones, so that acting alone, saving, and each agent's
own Adam go on as before, and what a checkpoint holds does not depend on how the run was trained. `learn` runs once, on
a facade: an agent of the same class whose parameters are the stacked ones and whose `differentiate` does so with the
sum of all seeds' losses. A seed's parameters enter its own loss only, so that the sum's gradient is every seed's own.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_map

from relatent.nets.learner import Learner, clip_by_norm, detached, scalar, step


class StackedLearner(Learner):
    """What a facade does otherwise than the agent whose class it extends."""

    agents: list[Learner]
    state: dict[str, Tensor]
    """All stacked tensors, by their names within a Call."""
    stacked_methods: dict[str, Callable[..., Any]]

    def differentiate(self, name: str, loss: Callable[..., Any], *inputs: Any) -> tuple[tuple[Tensor, ...], Any]:
        """Every agent's own gradient; gradients and outputs have a leading axis of seeds."""
        outputs = self.evaluate(self.over_seeds(loss.__name__), self.state, *inputs)
        parameters = self.optimisers[name].param_groups[0]["params"]
        gradients = torch.autograd.grad(scalar(outputs).sum(), parameters)
        if name in self.clip_norms:
            gradients = vmap(lambda *each: clip_by_norm(each, self.clip_norms[name]))(*gradients)
        return gradients, detached(outputs)

    def descend(self, name: str, gradients: tuple[Tensor, ...]) -> None:
        """One step of every agent's optimiser."""
        for number, agent in enumerate(self.agents):
            step(agent.optimisers[name], [gradient[number] for gradient in gradients])

    def begin(self, observation: Tensor, noise: Any) -> Any:
        """What is chosen without a belief: an action, and the belief where there is one from now on."""
        action, belief = self.choose(observation, None, noise)
        return (action,) if belief is None else (action, belief)

    def over_seeds(self, method: str) -> Callable[..., Any]:
        """A method of the agent as a function of stacked state and stacked inputs; the same one each time."""
        if method not in self.stacked_methods:
            call = Call(self, method)

            def one_seed(state: dict[str, Tensor], *inputs: Any) -> Any:
                return functional_call(call, state, inputs)

            self.stacked_methods[method] = vmap(one_seed)
        return self.stacked_methods[method]


class Call(nn.Module):
    """A method of a module as a module, which is what `functional_call` takes."""

    def __init__(self, agent: nn.Module, method: str) -> None:
        super().__init__()
        self.agent, self.method = agent, method

    def forward(self, *inputs: Any) -> Any:
        return getattr(self.agent, self.method)(*inputs)


class Stack:
    """Agents of one class and equal sizes, in the order given."""

    def __init__(self, agents: Sequence[Learner]) -> None:
        self.agents = list(agents)
        first = self.agents[0]
        self.facade = deepcopy(first)
        self.facade.__class__ = type(f"Stacked{type(first).__name__}", (StackedLearner, type(first)), {})
        assert isinstance(self.facade, StackedLearner)
        self.facade.agents, self.facade.stacked_methods = self.agents, {}
        self.facade.state = {}
        theirs = [tensors_of(agent) for agent in self.agents]
        replaced: dict[int, Tensor] = {}
        for name, tensor in tensors_of(self.facade).items():
            owner, _, leaf = name.rpartition(".")
            stacked = shared([tensors[name] for tensors in theirs])
            replaced[id(tensor)] = self.facade.state[f"agent.{name}"] = stacked
            module = self.facade.get_submodule(owner)
            (module._parameters if leaf in module._parameters else module._buffers)[leaf] = stacked  # type: ignore[assignment]
        for optimiser in self.facade.optimisers.values():
            group = optimiser.param_groups[0]
            group["params"] = [replaced[id(parameter)] for parameter in group["params"]]

    def learn(self, batches: Sequence[Any], noises: Sequence[Any]) -> list[dict[str, Tensor]]:
        """One update of every agent, from its own batch and noise; returns each agent's metrics.

        All must be at the same phase.
        """
        self.facade.updates = self.agents[0].updates
        metrics = self.facade.learn(stacked(batches), stacked(noises))
        return [{name: value[number] for name, value in metrics.items()} for number in range(len(self.agents))]

    @torch.no_grad()
    def choose(
        self, observations: Sequence[Tensor], beliefs: Sequence[Any], noises: Sequence[Any]
    ) -> list[tuple[Tensor, Any]]:
        """Every agent's action and belief; none of them has a belief yet, or all have."""
        assert isinstance(self.facade, StackedLearner)
        begins = beliefs[0] is None
        known = (torch.stack(list(observations)), *(() if begins else (stacked(beliefs),)), stacked(noises))
        chosen = self.facade.over_seeds("begin" if begins else "choose")(self.facade.state, *known)
        of_each = [tree_map(lambda leaf, number=number: leaf[number], chosen) for number in range(len(self.agents))]
        return [(action, *belief) if belief else (action, None) for action, *belief in of_each]


def tensors_of(agent: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return dict(agent.named_parameters()) | dict(agent.named_buffers())


def shared(tensors: Sequence[Tensor]) -> Tensor:
    """All agents' tensors of one name in one, of which theirs become views."""
    storage = torch.stack([tensor.detach() for tensor in tensors])
    for tensor, view in zip(tensors, storage, strict=True):
        tensor.data = view
    first = tensors[0]
    return nn.Parameter(storage, first.requires_grad) if isinstance(first, nn.Parameter) else storage


def stacked(trees: Sequence[Any]) -> Any:
    """Trees of tensors as one tree of tensors with a leading axis."""
    return tree_map(lambda *leaves: torch.stack(leaves), *trees)
