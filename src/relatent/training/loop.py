"""Alternate acting and learning until a run's frames are spent."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch

from relatent.nets.batch import Played
from relatent.specs.errors import RelatentError
from relatent.training.checkpoint import Checkpoint
from relatent.training.clock import PhaseClock
from relatent.training.episodes import EpisodeReplay
from relatent.training.pictures import due, view
from relatent.training.record import Record
from relatent.training.replay import Replay
from relatent.training.seeds import Stream, derive, generator


@dataclass(frozen=True)
class Plan:
    """A spec's `training` section with its seed. All counts are environment frames, except episodes."""

    seed: int
    frames: int
    random_frames: int
    eval_every: int
    eval_episodes: int
    action_repeat: int
    parallel_envs: int = 1
    probes: tuple[str, ...] = ()


OF_ENVIRONMENT = ("coverage", "positions", "pictures")
"""Probes of where an agent has been; all others are the agent's own."""
OF_EPISODES = ("bias", "open_loop")
"""Of these, those that an agent takes of the episodes that an evaluation plays; the others, of replay."""
OF_COMPARISONS = ("planner",)
"""Of these, those for which an agent plays the last evaluation's episodes again, acting otherwise."""
Act = Callable[[np.ndarray, Any, torch.Generator], tuple[np.ndarray, Any]]
"""An action, and the next belief, of observation and belief."""


class Episode:
    """An episode as it goes on. Nothing is drawn from global randomness and its seeds depend on its number only, so
    that a continued run repeats an uninterrupted one exactly."""

    def __init__(self, env: gymnasium.Env, reset_seed: int, actions: torch.Generator) -> None:
        self.env, self.actions = env, actions
        self.observation, _ = env.reset(seed=reset_seed)
        self.belief: Any = None
        self.total, self.ended = 0.0, False
        self.info: dict[str, Any] = {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool]:
        """Take an action; returns the next observation, the reward, and whether a terminal state was reached."""
        self.observation, reward, terminated, truncated, self.info = self.env.step(action)
        self.total, self.ended = self.total + float(reward), terminated or truncated
        return self.observation, float(reward), terminated


def train(
    plan: Plan,
    envs: list[gymnasium.Env],
    eval_env: gymnasium.Env,
    agent: Any,
    replay: Replay | EpisodeReplay,
    record: Record,
    checkpoint: Checkpoint,
    updates: torch.Generator,
    clock: PhaseClock,
) -> int:
    """Train from the newest checkpoint, or from nothing, until all frames are spent; says how often it was continued.

    Several environments take their steps in turn, and updates come after all of them; their episodes end together.
    """
    position = checkpoint.load()
    record.take_up_metrics()
    frames, episode = (position["frames"], position["episode"]) if position else (0, 0)
    resumes = position["resumes"] + 1 if position else 0
    clock.add(position["seconds"] if position else {})
    print(f"{record.run}: from frame {frames} of {plan.frames}", flush=True)
    if not position:
        judge(plan, eval_env, agent, replay, record, clock, frames)
    while frames < plan.frames:
        clock.enter("environment")
        episodes = [
            Episode(
                env,
                derive(plan.seed, Stream.TRAINING_EPISODE, number),
                generator(plan.seed, Stream.TRAINING_ACTIONS, number),
            )
            for number, env in enumerate(envs, episode)
        ]
        while not episodes[0].ended and frames < plan.frames:
            before = frames
            for lane, one in enumerate(episodes):
                clock.enter("act")
                observation = one.observation
                if frames < plan.random_frames:
                    action = (2 * torch.rand(one.env.action_space.shape, generator=one.actions) - 1).numpy()  # type: ignore[arg-type]
                else:
                    action, one.belief = agent.act(observation, one.belief, explore=True, generator=one.actions)
                    record.action(frames, action)
                kept = agent.keep(one.belief)
                clock.enter("environment")
                next_observation, reward, terminated = one.step(action)
                record.visit(one.info)
                clock.enter("replay")
                replay.add(observation, action, reward, next_observation, terminated, one.ended, kept, lane)
                frames += plan.action_repeat
            if len({one.ended for one in episodes}) > 1:
                raise RelatentError(
                    f"{record.run}: parallel_envs: episodes must end together, after equally many steps"
                )
            for _ in range(agent.updates_due(before, frames)):
                clock.enter("update")
                record.metrics(frames, agent.update(replay, updates))  # reading metrics waits for a GPU's work
            clock.enter("logging")
            record.progress(frames, plan.frames)
            if frames // plan.eval_every != before // plan.eval_every:
                judge(plan, eval_env, agent, replay, record, clock, frames)
        for number, one in enumerate(episodes, episode):
            if one.ended:
                record.episode("train", frames, number, one.total, one.info.get("success"))
        episode += len(envs)
        clock.enter("checkpoint")
        checkpoint.keep_up()
        if frames < plan.frames and checkpoint.due():
            spent = {"seconds": dict(clock.seconds), "resumes": resumes}
            checkpoint.save({"frames": frames, "episode": episode, **spent})
    clock.enter("logging")
    return resumes


def judge(
    plan: Plan,
    env: gymnasium.Env,
    agent: Any,
    replay: Replay | EpisodeReplay,
    record: Record,
    clock: PhaseClock,
    frames: int,
) -> None:
    """Play evaluation episodes without exploration and take the probes, disturbing nothing of training."""
    clock.enter("evaluation")
    watched, played, total = set(plan.probes) & set(OF_EPISODES), [], 0.0
    for number in range(plan.eval_episodes):
        one = evaluated(plan, env, frames, number)
        pictured = "pictures" in plan.probes and number == 0
        if pictured and not record.pictures:
            record.picture(frames, view(env))
        steps: list[tuple[np.ndarray, np.ndarray, float]] = []
        while not one.ended:
            seen = one.observation
            action, one.belief = agent.act(seen, one.belief, explore=False, generator=one.actions)
            record.action(frames, action)
            _, reward, _ = one.step(action)
            if watched:
                steps.append((np.array(seen), action, reward))
            if "positions" in plan.probes:
                record.position(frames, one.info)
        if pictured and due(frames, plan.frames, len(record.pictures) - 1):
            record.picture(frames, view(env))
        record.episode("eval", frames, number, one.total, one.info.get("success"))
        total += one.total
        if watched:
            played.append(Played(*(np.array(column) for column in zip(*steps, strict=True))))
    of = f"frame {frames:,} of {plan.frames:,}, {plan.eval_episodes} evaluation episodes"
    print(f"{record.run}: {of}: mean return {total / plan.eval_episodes:.4g}", flush=True)
    if "coverage" in plan.probes:
        record.coverage(frames)
    for number, name in enumerate(plan.probes):
        if len(replay) and name not in OF_ENVIRONMENT:
            stream = generator(plan.seed, Stream.PROBE, frames, number, device=replay.device)
            if name not in OF_COMPARISONS:
                found = agent.watch(name, played, stream) if name in OF_EPISODES else agent.probe(name, replay, stream)
                record.probe(name, frames, found)
            elif frames >= plan.frames:
                record.probe(name, frames, agent.compare(name, partial(mean_return, plan, env, frames)))


def mean_return(plan: Plan, env: gymnasium.Env, frames: int, act: Act) -> float:
    """Of the episodes that an evaluation at these frames plays, with the same draws for actions, acted in by `act`."""
    total = 0.0
    for number in range(plan.eval_episodes):
        one = evaluated(plan, env, frames, number)
        while not one.ended:
            action, one.belief = act(one.observation, one.belief, one.actions)
            one.step(action)
        total += one.total
    return total / plan.eval_episodes


def evaluated(plan: Plan, env: gymnasium.Env, frames: int, number: int) -> Episode:
    """An episode of the evaluation at these frames, at its start."""
    return Episode(
        env,
        derive(plan.seed, Stream.EVALUATION_EPISODE, frames, number),
        generator(plan.seed, Stream.EVALUATION_ACTIONS, frames, number),
    )
