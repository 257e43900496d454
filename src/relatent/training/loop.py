"""Alternate acting and learning until a run's frames are spent."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import torch

from relatent.training.checkpoint import Checkpoint
from relatent.training.clock import PhaseClock
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
    probes: tuple[str, ...] = ()


def train(
    plan: Plan,
    env: gymnasium.Env,
    eval_env: gymnasium.Env,
    agent: Any,
    replay: Replay,
    record: Record,
    checkpoint: Checkpoint,
    updates: torch.Generator,
    clock: PhaseClock,
) -> int:
    """Train from the newest checkpoint, or from nothing, until all frames are spent; says how often it was continued.

    Nothing is drawn from global randomness and an episode's seeds depend on its number only, so that a continued run
    repeats an uninterrupted one exactly.
    """
    position = checkpoint.load()
    frames, episode = (position["frames"], position["episode"]) if position else (0, 0)
    resumes = position["resumes"] + 1 if position else 0
    clock.add(position["seconds"] if position else {})
    print(f"{record.run}: from frame {frames} of {plan.frames}", flush=True)
    if not position:
        judge(plan, eval_env, agent, replay, record, clock, frames)
    while frames < plan.frames:
        clock.enter("environment")
        observation, _ = env.reset(seed=derive(plan.seed, Stream.TRAINING_EPISODE, episode))
        actions = generator(plan.seed, Stream.TRAINING_ACTIONS, episode)
        belief, total, ended = None, 0.0, False
        while not ended and frames < plan.frames:
            clock.enter("act")
            if frames < plan.random_frames:
                action = (2 * torch.rand(env.action_space.shape, generator=actions) - 1).numpy()  # type: ignore[arg-type]
            else:
                action, belief = agent.act(observation, belief, explore=True, generator=actions)
                record.action(frames, action)
            clock.enter("environment")
            next_observation, reward, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
            clock.enter("replay")
            replay.add(observation, action, float(reward), next_observation, terminated, ended)
            observation, total = next_observation, total + float(reward)
            before, frames = frames, frames + plan.action_repeat
            for _ in range(agent.updates_due(before, frames)):
                clock.enter("update")
                metrics = agent.update(replay, updates)
                clock.enter("logging")
                record.metrics(frames, metrics)
            clock.enter("logging")
            record.progress(frames, plan.frames)
            if frames // plan.eval_every != before // plan.eval_every:
                judge(plan, eval_env, agent, replay, record, clock, frames)
        if ended:
            record.episode("train", frames, episode, total, info.get("success"))
        episode += 1
        clock.enter("checkpoint")
        if frames < plan.frames and checkpoint.due():
            spent = {"seconds": dict(clock.seconds), "resumes": resumes}
            checkpoint.save({"frames": frames, "episode": episode, **spent})
    clock.enter("logging")
    return resumes


def judge(
    plan: Plan,
    env: gymnasium.Env,
    agent: Any,
    replay: Replay,
    record: Record,
    clock: PhaseClock,
    frames: int,
) -> None:
    """Play evaluation episodes without exploration and take the probes, disturbing nothing of training."""
    clock.enter("evaluation")
    for episode in range(plan.eval_episodes):
        observation, _ = env.reset(seed=derive(plan.seed, Stream.EVALUATION_EPISODE, frames, episode))
        actions = generator(plan.seed, Stream.EVALUATION_ACTIONS, frames, episode)
        belief, total, ended = None, 0.0, False
        info: dict[str, Any] = {}
        while not ended:
            action, belief = agent.act(observation, belief, explore=False, generator=actions)
            record.action(frames, action)
            observation, reward, terminated, truncated, info = env.step(action)
            total, ended = total + float(reward), terminated or truncated
        record.episode("eval", frames, episode, total, info.get("success"))
    for number, name in enumerate(plan.probes):
        if len(replay):
            stream = generator(plan.seed, Stream.PROBE, frames, number, device=replay.device)
            record.probe(name, frames, agent.probe(name, replay, stream))
