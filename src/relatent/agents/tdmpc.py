"""TD-MPC (Hansen et al. 2022) with a novelty bonus: TDMPC(R), and without the bonus TDMPC, of RPG's Figures 6 and 7.

RPG's paper takes nicklashansen/tdmpc with its own hyperparameters, one update in five agent steps, and the bonus that
RPG has (App D); how it did so is not published. An action is planned in the latent world, from where the plan of the
step before ended. An update goes: novelty network, world and critics along segments that are drawn by their last error,
policy on the world's states, and at every second one the target world. The updates that the steps before the first one
allow are made up for at once, as in that code.

Ours, where that code says nothing or its tasks never ask: a terminal state has no value. What lies after an episode's
end is masked; that code leaves out segments which reach it and so never learns from an episode's last step. Actions are
clamped to [-1, 1] after exploration. The novelty network learns in every update, as RPG's.
"""

from collections.abc import Hashable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from relatent.nets.batch import Segments
from relatent.nets.learner import move_towards
from relatent.nets.noise import gumbel, normal, normal_if
from relatent.nets.priorities import Priorities
from relatent.nets.task_oriented_world import BoundedPolicy, TaskOrientedWorld
from relatent.objectives.novelty import NoveltyLearner
from relatent.objectives.planning import Plan, linear, one_step_later, search

ERROR_LIMIT = 1e4  # of each of a segment's summed errors


@dataclass(frozen=True)
class Hyper:
    width: int
    """Units of each of two hidden layers, in dynamics, reward, critics and policy."""
    encoder_width: int
    """Units of the encoder's hidden layer."""
    state: int
    """Numbers in a latent state."""
    batch: int
    """Segments in one update; as many observations for the novelty network."""
    horizon: int
    """Steps in a segment, and in a plan once it has its full length."""
    lr: float
    """Adam's learning rate, of everything but the novelty network."""
    clip_norm: float
    """Largest norm of the gradient of the world, and of the policy."""
    gamma: float
    """Discount of one agent step."""
    tau: float
    """How far the target world moves towards the world at each of its updates."""
    target_every: int
    """Updates for each one of the target world."""
    rho: float
    """Errors at a segment's steps count by powers of this."""
    state_weight: float
    """Of the predicted states' error, a mean over their dimensions."""
    reward_weight: float
    """Of the predicted rewards' squared error."""
    value_weight: float
    """Of the critics' squared error, a sum over both."""
    priority_alpha: float
    """Segments are drawn by this power of their last error; 0 draws them uniformly."""
    priority_beta: float
    """Power of the importance weights that make up for it."""
    iterations: int
    """Of the search for a plan."""
    samples: int
    """Plans drawn in each iteration."""
    policy_share: float
    """Plans of the policy that take part, as a share of those drawn."""
    elites: int
    """Best plans of an iteration."""
    temperature: float
    """Factor of values in the elites' weights."""
    momentum: float
    """What a plan's mean keeps of itself in an iteration."""
    first_std: float
    """Least deviation of a plan at first."""
    min_std: float
    """Least deviation of a plan at last; deviation of the policy's noise."""
    schedule_steps: int
    """Agent steps in which plans grow from one step to `horizon`, and least deviations fall."""
    update_after: int
    """Agent steps before the first update."""
    update_every: int
    """Agent steps, over all environments, for each update."""
    replay: int
    """Transitions kept; the oldest make room for new ones."""
    novelty: float
    """Weight of the novelty bonus in the reward; 0 is without."""
    novelty_lr: float
    """Adam's learning rate for the novelty network."""
    novelty_width: int
    """Units of the novelty network's layers and its outputs."""
    novelty_memory: int
    """Newest observations that the novelty network learns from."""


class ActionNoise(NamedTuple):
    """Draws of one action."""

    plans: Tensor  # (iterations, horizon, samples, action_size)
    at_end: Tensor  # (iterations, samples + guesses, action_size), of the policy's action after each plan
    guesses: Tensor  # (horizon, guesses, action_size), of the policy's plans
    elite: Tensor  # (elites,), Gumbel draws
    explore: Tensor  # (action_size,)


class Noise(NamedTuple):
    """Standard normal draws of one update."""

    next_action: Any = ()  # (B, horizon, action_size)
    action: Any = ()  # (B, horizon + 1, action_size)


class Batch(NamedTuple):
    """What one update is given; fields are () where there is nothing to learn from yet."""

    segments: Any = ()
    places: Any = ()
    """Of the segments' first steps in replay, (B,)."""
    weights: Any = ()
    """Of the segments' errors, (B,)."""
    seen: Any = ()
    """Observations for the novelty network, (B, observation_size)."""


class TDMPC(NoveltyLearner):
    """The agent. Its belief is the mean of the last plan, (horizon, action_size), zero beyond the plan's length."""

    depth: Tensor
    least_std: Tensor
    fading: Tensor

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        self.hyper, self.action_size, self.period = hyper, action_size, hyper.target_every
        self.guesses = int(hyper.policy_share * hyper.samples)
        self.world = TaskOrientedWorld(observation_size, action_size, hyper.state, hyper.encoder_width, hyper.width)
        self.target_world = deepcopy(self.world).requires_grad_(False)
        self.policy = BoundedPolicy(hyper.state, action_size, hyper.width, hyper.min_std)
        self.optimise("world", self.world.parameters(), hyper.lr, hyper.clip_norm)
        self.optimise("policy", self.policy.parameters(), hyper.lr, hyper.clip_norm)
        self.optimise_novelty(observation_size, hyper.novelty_lr)
        self.register_buffer("depth", torch.ones(()))  # steps of a plan
        self.register_buffer("least_std", torch.tensor(hyper.first_std))
        self.priorities = Priorities(hyper.replay, hyper.priority_alpha, hyper.priority_beta)
        fading = hyper.rho ** torch.arange(hyper.horizon + 1, dtype=torch.get_default_dtype())
        self.register_buffer("fading", fading, persistent=False)

    # Acting

    def choose(self, observation: Tensor, belief: Any, noise: ActionNoise) -> tuple[Tensor, Tensor]:
        """The first action of one of the best plans, drawn by their weights."""
        state = self.world.encode(observation)
        plan = self.plan(state, None if belief is None else one_step_later(belief), noise)
        chosen = (plan.log_weights + noise.elite).argmax(-1, keepdim=True)
        action = plan.elites[0, chosen].squeeze(0) + plan.std[0] * noise.explore
        within = torch.arange(self.hyper.horizon, device=state.device) < self.depth
        return action.clamp(-1, 1), plan.mean * within[:, None]

    def draw_action_noise(self, explore: bool, generator: torch.Generator) -> ActionNoise:
        hyper, size = self.hyper, self.action_size
        return ActionNoise(
            normal((hyper.iterations, hyper.horizon, hyper.samples, size), generator),
            normal((hyper.iterations, hyper.samples + self.guesses, size), generator),
            normal((hyper.horizon, self.guesses, size), generator),
            gumbel((hyper.elites,), generator),
            normal_if(explore, (size,), generator),
        )

    def plan(self, state: Tensor, mean: Tensor | None, noise: ActionNoise) -> Plan:
        """Search for the best actions from a state (state_size,), around `mean` or from nothing."""
        hyper = self.hyper
        return search(
            partial(self.value, state),
            torch.zeros_like(noise.plans[0, :, 0]) if mean is None else mean,
            self.follow_policy(state, noise.guesses),
            zip(noise.plans, noise.at_end, strict=True),
            self.least_std,
            hyper.elites,
            hyper.temperature,
            hyper.momentum,
        )

    def follow_policy(self, state: Tensor, noise: Tensor) -> Tensor:
        """The policy's plans from a state, one for each row of every step's noise; the noise's shape."""
        actions, states = [], state.expand(noise.shape[1], -1)
        for draws in noise:
            actions.append(self.policy(states, draws))
            states, _ = self.world.step(states, actions[-1])
        return torch.stack(actions)

    def value(self, state: Tensor, plans: Tensor, noise: Tensor) -> Tensor:
        """Of plans (horizon, N, action_size): the rewards of their first `depth` steps, then the policy's value."""
        total, states = torch.zeros_like(plans[0, :, 0]), state.expand(plans.shape[1], -1)
        discount = torch.ones_like(self.depth)
        for step, actions in enumerate(plans):
            following, reward = self.world.step(states, actions)
            within = step < self.depth
            total = total + within * discount * reward
            states = torch.where(within, following, states)
            discount = torch.where(within, self.hyper.gamma * discount, discount)
        return total + discount * self.policys_value(self.world, states, noise)

    def policys_value(self, world: TaskOrientedWorld, states: Tensor, noise: Tensor) -> Tensor:
        """The smaller of a world's critics at the policy's action, the states' shape without the last axis."""
        return world.values(states, self.policy(states, noise)).amin(0)

    # Drawing an update: all that depends on time and on errors of the past is set here, before `learn`.

    def updates_due(self, before: int, after: int) -> int:
        """Those that agent steps so far allow, the first of them at once."""
        every, begun = self.hyper.update_every, before >= self.hyper.update_after
        return after // every - begun * (before // every) if after >= self.hyper.update_after else 0

    def draw_update(self, replay: Any, generator: torch.Generator) -> tuple[Batch, Noise]:
        hyper = self.hyper
        if len(replay) < hyper.batch:  # the first episodes go on
            return Batch(), Noise()
        self.updates += 1
        steps = self.updates * hyper.update_every
        self.depth.fill_(int(linear(1, hyper.horizon, hyper.schedule_steps, steps)))
        self.least_std.fill_(linear(hyper.first_std, hyper.min_std, hyper.schedule_steps, steps))
        places, weights = self.priorities.draw(replay, hyper.batch, generator)
        segments = replay.segments(places, hyper.horizon)
        seen = self.draw_seen(replay, generator)
        return Batch(segments, places, weights, seen), self.draw_noise(hyper.batch, generator)

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Noise:
        shapes = ((batch_size, self.hyper.horizon + ahead, self.action_size) for ahead in (0, 1))
        return Noise(*(normal(shape, generator) for shape in shapes))

    def phase(self) -> Hashable:
        return self.updates > 0, self.updates % self.period

    def learn(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        if not isinstance(batch.segments, Segments):
            return {}
        metrics = self.learn_novelty(batch.seen)
        inputs = batch.segments, batch.weights, noise.next_action
        _, parts, states, errors = self.minimise("world", self.world_loss, *inputs)
        self.priorities.rate(batch.places, errors)
        policy_loss = self.minimise("policy", self.policy_loss, states, batch.segments.mask, noise.action)
        if self.updates % self.period == 0:
            move_towards(self.target_world, self.world, self.hyper.tau)
        return {**metrics, **parts, "policy_loss": policy_loss}

    def world_loss(self, segments: Segments, weights: Tensor, noise: Tensor) -> tuple[Tensor, dict, Tensor, Tensor]:
        """Errors of predicted states, rewards and values along the stored actions. Also the mean of each, the predicted
        states (B, horizon + 1, state_size), and by how much the critics err on each segment, (B,)."""
        hyper, world = self.hyper, self.world
        following = segments.observation[:, 1:]
        with torch.no_grad():
            reward = segments.reward + hyper.novelty * self.novelty_bonus(following)
            next_value = self.policys_value(self.target_world, world.encode(following), noise)
            expected_value = reward + hyper.gamma * (1 - segments.terminated) * next_value
            expected_state = self.target_world.encode(following)
        states, rewards, values = [world.encode(segments.observation[:, 0])], [], []
        for actions in segments.action.unbind(1):
            values.append(world.values(states[-1], actions))
            state, predicted = world.step(states[-1], actions)
            states.append(state)
            rewards.append(predicted)
        reached, value_error = torch.stack(states, dim=1), torch.stack(values, dim=-1) - expected_value
        errors = {
            "state_loss": (reached[:, 1:] - expected_state).square().mean(-1),
            "reward_loss": (torch.stack(rewards, dim=-1) - reward).square(),
            "value_loss": value_error.square().sum(0),
            "priority": value_error.abs().sum(0),
        }
        counts = segments.mask * self.fading[:-1]
        sums = {name: (counts * error).sum(-1).clamp(max=ERROR_LIMIT) for name, error in errors.items()}
        priority = sums.pop("priority").detach()
        total = hyper.state_weight * sums["state_loss"] + hyper.reward_weight * sums["reward_loss"]
        total = total + hyper.value_weight * sums["value_loss"]
        parts = {name: error.mean() for name, error in sums.items()}
        return (weights * total).mean() / hyper.horizon, parts, reached, priority

    def policy_loss(self, states: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        """Minus the value of the policy's actions at predicted states (B, horizon + 1, state_size), those of steps that
        were taken."""
        taken = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1)
        return -(taken * self.fading * self.policys_value(self.world, states, noise)).sum(-1).mean()
