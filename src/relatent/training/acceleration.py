"""How updates are computed: as written, compiled, or replayed from a CUDA graph. Chosen per process, never by an agent.

None of it changes what an update does; each rounds in its own way, so that a run repeats another one byte for byte only
on the same kind of device and with the same choice. The manifest says which it was.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from relatent.nets.learner import Learner

WARM_UPDATES = 3  # of each phase, done as written, before it is captured


@dataclass(frozen=True)
class Acceleration:
    device: Literal["cpu", "cuda"] = "cpu"
    compiled: bool = False
    """Losses through torch.compile: a minute or so at the first update, then less time in each."""
    graph: bool = False
    """Whole updates as CUDA graphs; on cuda only."""

    def described(self) -> dict[str, Any]:
        """For a manifest."""
        return asdict(self)


def place(agent: Learner, device: str) -> None:
    """Move an agent to a device, its optimisers' settings with it. Before the first update and after every load."""
    agent.to(device)
    for optimiser in agent.optimisers.values():
        for group in optimiser.param_groups:
            group["capturable"] = device == "cuda"


def accelerate(agent: Learner, how: Acceleration) -> None:
    """Let an agent, or the facade of a stack, compute its updates this way from now on."""
    if how.compiled:
        agent.evaluate = Compiled()
    if how.graph:
        agent.learn = Captured(agent)  # type: ignore[method-assign]


class Compiled:
    """Evaluates each loss through a compiled function of its own, made when it is first met."""

    def __init__(self) -> None:
        self.functions: dict[Callable[..., Any], Callable[..., Any]] = {}

    def __call__(self, loss: Callable[..., Any], *inputs: Any) -> Any:
        if loss not in self.functions:
            self.functions[loss] = torch.compile(loss, dynamic=False)
        return self.functions[loss](*inputs)


class Captured:
    """An agent's `learn` as CUDA graphs, one for each phase of its period.

    A graph repeats its kernels on the same memory, so inputs are copied to where they were when it was captured, and
    the metrics that it returns hold until the next update. The first updates of a phase are done as written, which also
    makes the optimisers' state; then the phase is captured, which computes nothing, and from there on replayed.
    """

    def __init__(self, agent: Learner) -> None:
        self.agent, self.learn = agent, agent.learn
        self.begun: Counter[Hashable] = Counter()
        self.graphs: dict[Hashable, tuple[torch.cuda.CUDAGraph, dict[str, Tensor]]] = {}
        self.inputs: dict[Hashable, tuple[Any, Any]] = {}

    def __call__(self, batch: Any, noise: Any) -> dict[str, Tensor]:
        if not tree_leaves((batch, noise)):  # nothing is learnt yet
            return self.learn(batch, noise)
        phase = self.agent.phase()
        self.begun[phase] += 1
        if self.begun[phase] <= WARM_UPDATES:
            return self.beside(batch, noise)
        if phase not in self.inputs:
            self.inputs[phase] = tree_map(torch.clone, (batch, noise))
        torch._foreach_copy_(tree_leaves(self.inputs[phase]), tree_leaves((batch, noise)))
        if phase not in self.graphs:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                metrics = self.learn(*self.inputs[phase])
            self.graphs[phase] = (graph, metrics)
        graph, metrics = self.graphs[phase]
        graph.replay()
        return metrics

    def beside(self, batch: Any, noise: Any) -> dict[str, Tensor]:
        """One update as written, on a stream of its own as capturing asks of what comes before it."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            metrics = self.learn(batch, noise)
        torch.cuda.current_stream().wait_stream(stream)
        return metrics
