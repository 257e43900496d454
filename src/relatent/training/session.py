"""All that a run of an agent needs, made from its spec."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import torch

from relatent.agents import AGENTS, make_agent
from relatent.envs import make
from relatent.nets.learner import Learner
from relatent.nets.observation import observation_of
from relatent.specs.canonical import canonical, digest
from relatent.specs.errors import RelatentError
from relatent.training import finished, loop
from relatent.training.acceleration import Acceleration, place
from relatent.training.checkpoint import FOLDER, Checkpoint, GeneratorState
from relatent.training.clock import PhaseClock
from relatent.training.episodes import EpisodeReplay
from relatent.training.provenance import run_manifest
from relatent.training.record import NotANumber, Record
from relatent.training.replay import Replay
from relatent.training.seeds import Stream, derive, generator

MakeEnv = Callable[[dict[str, Any]], gymnasium.Env]


@dataclass
class Session:
    """One run, ready to train."""

    spec: dict[str, Any]
    run: Path
    plan: loop.Plan
    envs: list[gymnasium.Env]
    eval_env: gymnasium.Env
    agent: Learner
    replay: Replay | EpisodeReplay
    updates: torch.Generator
    record: Record
    checkpoint: Checkpoint
    clock: PhaseClock
    how: Acceleration

    def train(self, agent: Any, keep: bool, batched_with: list[Path]) -> None:
        """Train to the end and write the run's files. `agent` is this session's own, or what stands in for it.

        `keep` is for a job that has other runs to finish. Raises NotANumber, with the last good checkpoint.
        """
        try:
            resumes = loop.train(
                self.plan,
                self.envs,
                self.eval_env,
                agent,
                self.replay,
                self.record,
                self.checkpoint,
                self.updates,
                self.clock,
            )
        except NotANumber as error:
            last = self.checkpoint.newest()
            where = f"frame {last['position']['frames']}" if last else "none"
            raise NotANumber(f"{error}; last good checkpoint: {where}") from None
        manifest = run_manifest(
            self.spec, self.run, self.clock.seconds, resumes=resumes, frames=self.plan.frames, device=self.how.device
        )
        together = [run.as_posix() for run in batched_with]
        self.record.finish({**manifest, "acceleration": self.how.described(), "batched_with": together})
        if keep:
            finished.keep(self.run)
        self.checkpoint.remove()


def prepare(
    spec: dict[str, Any], run: Path, checkpoint_seconds: float, how: Acceleration, make_env: MakeEnv = make
) -> Session:
    """Build a run's parts. Raises RelatentError where its agent is not written yet."""
    if spec["agent"] not in AGENTS:
        raise RelatentError(f"{run}: agent {spec['agent']!r} is planned but not written yet, so it cannot be trained")
    clock, record, seed = PhaseClock(), Record(run), spec["seed"]
    plan = loop.Plan(
        seed=seed,
        action_repeat=spec["env"].get("action_repeat", 1),
        probes=tuple(spec.get("probes", ())),
        **spec["training"],
    )
    *envs, eval_env = (make_env(spec["env"]) for _ in range(plan.parallel_envs + 1))
    space, action_size = eval_env.observation_space, eval_env.action_space.shape[0]  # type: ignore[index]
    torch.manual_seed(derive(seed, Stream.INITIALISATION))  # for the layers' own initialisers only
    agent: Learner = make_agent(spec["agent"], spec["hyper"], space.shape, action_size)  # type: ignore[arg-type]
    if plan.random_frames and agent.kept_size and agent.keep(None) is None:
        raise RelatentError(f"{run}: random_frames must be 0, as agent {spec['agent']!r} chooses z with every action")
    place(agent, how.device)
    capacity = min(agent.hyper.replay, plan.frames // plan.action_repeat)
    replay = make_replay(agent, capacity, space, action_size, how.device, plan.parallel_envs)
    updates = generator(seed, Stream.UPDATES, device=how.device)
    parts = {"agent": Placed(agent, how.device), "record": record, "updates": GeneratorState(updates)}
    checkpoint = Checkpoint(run / FOLDER, parts, replay, checkpoint_seconds, digest(canonical(spec)))
    return Session(spec, run, plan, envs, eval_env, agent, replay, updates, record, checkpoint, clock, how)


def make_replay(
    agent: Learner, capacity: int, space: gymnasium.Space, action_size: int, device: str, lanes: int = 1
) -> Replay | EpisodeReplay:
    """What an agent learns from, of `capacity` steps whose observations are of this space."""
    assert space.shape is not None
    if agent.learns_from == "episodes":
        assert space.dtype is not None
        return EpisodeReplay(capacity, space.shape, space.dtype, action_size, device, lanes)
    return Replay(capacity, observation_of(space.shape), action_size, device, agent.kept_size, lanes)


class Placed:
    """An agent as a checkpoint saves it: loading brings the optimisers' old settings, which are then set anew."""

    def __init__(self, agent: Learner, device: str) -> None:
        self.agent, self.device = agent, device

    def state_dict(self) -> dict[str, Any]:
        return self.agent.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.agent.load_state_dict(state)
        place(self.agent, self.device)
