"""Several runs of one agent in one process: each goes its own way, and they meet at every update.

Every run is a greenlet with its own loop, environments, record, replay, random streams and checkpoint, as if it were
alone; only its agent is a `Member`, which hands each request to the meeting and goes on with the answer. Once every run
has asked, updates that are at the same phase of their period are computed as one (see stack.py), all else one by one.
A run that ends, well or by an error, leaves the meeting; the others go on.

What cannot overlap: a run's action waits for its update and its update for its step, by the algorithms' own order. What
does: environments live in processes of their own, so that all runs' steps are computed at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from greenlet import getcurrent, greenlet
from torch import Tensor

from relatent.nets.learner import Learner
from relatent.specs.errors import RelatentError
from relatent.training.acceleration import Acceleration, accelerate
from relatent.training.stack import Stack


@dataclass(frozen=True)
class Choice:
    """Asks for an action."""

    observation: Tensor
    belief: Any
    noise: Any


@dataclass(frozen=True)
class Update:
    """Asks for an update, from a batch and noise that the run drew itself."""

    batch: Any
    noise: Any


@dataclass(frozen=True)
class Pause:
    """Asks for nothing but that the others go on meanwhile."""


def ask(request: Choice | Update | Pause) -> Any:
    """Called within a run: the meeting's answer."""
    parent = getcurrent().parent
    assert parent is not None
    return parent.switch(request)


class Member:
    """A run's agent as its loop sees it."""

    def __init__(self, agent: Learner) -> None:
        self.agent = agent
        self.updates_due, self.keep = agent.updates_due, agent.keep
        self.probe, self.watch, self.compare = agent.probe, agent.watch, agent.compare
        self.device = next(agent.parameters()).device

    def act(
        self, observation: np.ndarray, belief: Any, explore: bool, generator: torch.Generator
    ) -> tuple[np.ndarray, Any]:
        """As the agent's own. On a GPU, where a launch costs more than the work, all runs act at once."""
        if self.device.type == "cpu":
            return self.agent.act(observation, belief, explore, generator)
        seen, noise = self.agent.draw_choice(observation, explore, generator)
        action, belief = ask(Choice(seen, belief, noise))
        return action.cpu().numpy(), belief

    def update(self, replay: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """As the agent's own: a batch, then noise, then one update."""
        return ask(Update(*self.agent.draw_update(replay, generator)))


class Meeting:
    """Runs that are stepped from request to request."""

    def __init__(self, agents: Sequence[Learner], how: Acceleration) -> None:
        self.agents, self.how = list(agents), how
        self._stack: Stack | None = None
        self._stacked: list[Learner] = []

    def hold(self, runs: Sequence[Callable[[Member], None]]) -> list[RelatentError | None]:
        """Let every run train its agent to the end; returns the error of each that failed."""
        errors: list[RelatentError | None] = [None] * len(runs)

        def body(number: int) -> None:
            try:
                runs[number](Member(self.agents[number]))
            except RelatentError as error:
                errors[number] = error

        going = {number: greenlet(body) for number in range(len(runs))}
        answers: dict[int, Any] = {number: number for number in going}  # the first is its argument
        while going:
            requests: dict[int, Any] = {}
            for number, run in list(going.items()):
                request = run.switch(answers[number])
                if run.dead:
                    del going[number]
                else:
                    requests[number] = request
            answers = self.serve(requests)
        return errors

    def serve(self, requests: dict[int, Choice | Update | Pause]) -> dict[int, Any]:
        """The answers to what the runs asked, one for each."""
        kinds = {self.kind(number, request) for number, request in requests.items()}
        # The last one that is left goes on as a stack of one, where stacks are compiled or captured.
        worthwhile = len(requests) > 1 or self.how.compiled or self.how.graph
        together = len(kinds) == 1 and kinds != {Pause} and worthwhile
        choices = [request for request in requests.values() if isinstance(request, Choice)]
        if together and choices:
            stack = self.stack(list(requests))
            chosen = stack.choose(
                *([getattr(one, name) for one in choices] for name in ("observation", "belief", "noise"))
            )
            return dict(zip(requests, chosen, strict=True))
        if together:
            updates = [request for request in requests.values() if isinstance(request, Update)]
            stack = self.stack(list(requests))
            metrics = stack.learn([one.batch for one in updates], [one.noise for one in updates])
            return dict(zip(requests, metrics, strict=True))
        return {number: self.alone(self.agents[number], request) for number, request in requests.items()}

    def kind(self, number: int, request: Choice | Update | Pause) -> Any:
        """Requests of one kind can be served as one."""
        agent = self.agents[number]
        if isinstance(request, Update):
            return (Update, agent.phase())
        # An episode's first choice makes a belief, where the agent has any.
        return (Choice, request.belief is None) if isinstance(request, Choice) else Pause

    def alone(self, agent: Learner, request: Choice | Update | Pause) -> Any:
        if isinstance(request, Choice):
            with torch.no_grad():
                return agent.choose(request.observation, request.belief, request.noise)
        return agent.learn(request.batch, request.noise) if isinstance(request, Update) else None

    def stack(self, numbers: list[int]) -> Stack:
        """Of these runs' agents; made anew when a run has left."""
        agents = [self.agents[number] for number in numbers]
        if self._stack is None or self._stacked != agents:
            self._stack, self._stacked = Stack(agents), agents
            accelerate(self._stack.facade, self.how)
        return self._stack
