"""Active variational EM with a learned model, by real interaction (Marino & Yue 2019, Algorithm 1, Eq 8 and 10).

At every step the E-step infers z_t from what is seen and then the law q of the actions to come, which begins as the
action prior p_a(a|z) and climbs Σ_τ [r_τ + log p_a(a_τ|z_τ) - log q(a_τ)] in imagined futures. The M-step is a gradient
step on the bound along replayed segments: the model learns by Eq 8, and the prior by T2, which is the divergence from
the stored q to it (consolidation, Sec 3.3). The terms, and whom each may reach, are an `Objective`.

    planned: 1          q(a_t) is inferred, later actions come from the prior                            Eq 10
    planned: horizon    the whole plan is inferred; its later actions pay their own T2                   Eq 8, imagined
    prior: learned      p_a(a|z) of a network
           uniform      p_a(a) uniform on [-1, 1], as in entropy-regularised learning                    Levine 2018
           none         no T2: plans begin at zero and climb reward alone, the conventional planner

Ours, where the paper leaves it open: futures end after `horizon` steps and nothing is added for what follows; the
gradient of T2 stays in the prior, which learns from the newest steps only, as old q are those of worse models; q
depends on x alone, as rewards are not seen before the next decision; before the first update q is N(0, 1). T5 and the
information of Eq 10 are of x alone (nets/state_space.py). Terminal states end no imagined future, so this is for tasks
that a time limit ends. Rewards are at most `best_reward`, which is subtracted in T1 as in joelouismarino/variational_rl
@de405de, whose T5 is detached and grows by 1.01 an episode.
"""

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from relatent.nets.batch import Segments
from relatent.nets.distributions import Gaussian
from relatent.nets.learner import Learner
from relatent.nets.mlp import mlp
from relatent.nets.noise import normal, normal_if
from relatent.nets.state_space import Path, StateSpace
from relatent.objectives.action_inference import Uniform, expected_log_prob, infer
from relatent.objectives.terms import (
    ACTION,
    LATENT_DYNAMICS,
    LIKELIHOOD,
    MARGINAL,
    OPTIMALITY,
    Densities,
    Objective,
    Use,
    Weight,
)
from relatent.specs.errors import RelatentError

WORLD, PRIOR = frozenset({"model", "inference"}), frozenset({"prior"})
MARGINAL_WEIGHT = Weight(0.01, 1.01, 1.0)  # variational_rl@de405de
Start = Literal["prior", "zero"]
"""Where a plan begins."""
Act = Callable[[np.ndarray, Any, torch.Generator], tuple[np.ndarray, Any]]
"""An action, and the next belief, of observation and belief."""
ITERATIONS = (0, 1, 2, 5, 10)
"""Of the planner, as evaluations compare them."""


@dataclass(frozen=True)
class Hyper:
    width: int
    """Units of every hidden layer."""
    latent_size: int
    """Numbers in z."""
    inference_steps: int
    """By which q(z) is improved at each observation."""
    batch: int
    """Segments in one update."""
    segment: int
    """Steps of a segment."""
    lr: float
    """Adam's learning rate, of the model and of q(z)."""
    prior_lr: float
    """Adam's learning rate of the action prior."""
    clip_norm: float
    """Largest norm of the gradient."""
    marginal: Literal["none", "detached", "learned"]
    """T5: left out, as in the official code without a gradient, or with it."""
    marginal_updates: int
    """Updates that count as an episode in T5's schedule."""
    prior: Literal["learned", "uniform", "none"]
    """p_a(a|z); none leaves T2 out."""
    largest_mean: float
    """Of the learned prior before tanh, approached smoothly: it keeps the opposite action within its reach."""
    recent: int
    """Newest steps, whose q the prior learns from."""
    best_reward: float
    """What no reward of an agent step exceeds."""
    reward_scale: float
    """log p(O|r) is this times r less the best one."""
    information: float
    """Weight of Eq 10's information."""
    horizon: int
    """Steps of an imagined future."""
    planned: int
    """Its first steps, whose actions are inferred."""
    iterations: int
    """Of the inference of actions."""
    rate: float
    """Share of the way to the best law in one iteration."""
    samples: int
    """Of plans in one iteration."""
    scenarios: int
    """Imagined futures of each plan, the same noise for all plans."""
    least_std: float
    """Least deviation of an action before tanh."""
    update_after: int
    """Frames before the first update."""
    updates: int
    """In an agent step."""
    replay: int
    """Transitions kept; the oldest make room for new ones."""


class Belief(NamedTuple):
    """After a decision."""

    latent: Tensor
    """z_t, (latent_size,)."""
    action: Tensor
    """a_t, (action_size,)."""
    law: Gaussian
    """q(a_t), before tanh, (action_size,) each."""


class ActionNoise(NamedTuple):
    """Standard normal draws of one decision."""

    latent: Tensor  # (latent_size,)
    plans: Tensor  # (iterations, samples, planned, action_size)
    actions: Tensor  # (horizon - planned, scenarios, action_size), of the prior
    process: Tensor  # (horizon, scenarios, latent_size)
    explore: Tensor  # (action_size,)


class Given(NamedTuple):
    """What one update learns from."""

    segments: Segments
    law: Tensor  # (B, segment, 2 action_size), q's mean and log-deviation as they were
    recent: Tensor  # (B,), 1 where the prior may learn from it


class VariationalEM(Learner):
    """The agent. Its belief is what it inferred last, and replay keeps q(a)."""

    def __init__(self, observation_size: int, action_size: int, hyper: Hyper) -> None:
        super().__init__()
        refuse(hyper)
        self.hyper, self.action_size, self.kept_size = hyper, action_size, 2 * action_size
        sizes = observation_size, action_size, hyper.latent_size, hyper.width, hyper.inference_steps
        self.world = StateSpace(*sizes)
        self.habit = mlp([hyper.latent_size, hyper.width, hyper.width, 2 * action_size])
        for parameter in self.habit[-1].parameters():
            parameter.data.mul_(0.01)  # N(0, 1) at first
        self.habit.requires_grad_(hyper.prior == "learned")
        self.optimise("world", self.world.parameters(), hyper.lr, hyper.clip_norm)
        if hyper.prior == "learned":
            self.optimise("prior", self.habit.parameters(), hyper.prior_lr, hyper.clip_norm)

    @property
    def objective(self) -> Objective:
        """Its bound: Eq 8, without T5 unless asked for."""
        uses = [Use(OPTIMALITY), Use(LATENT_DYNAMICS, WORLD), Use(LIKELIHOOD, WORLD)]
        if self.hyper.prior != "none":
            uses.insert(1, Use(ACTION, PRIOR))
        if self.hyper.marginal != "none":
            reaches = WORLD if self.hyper.marginal == "learned" else frozenset()
            uses.append(Use(MARGINAL, reaches, MARGINAL_WEIGHT))
        return Objective("variational_em", tuple(uses))

    # E-step

    def choose(self, observation: Tensor, belief: Any, noise: ActionNoise) -> tuple[Tensor, Belief]:
        """tanh of a sample of q, after as many iterations as there is noise for."""
        return self.decide(observation, belief, noise, "prior")

    def decide(self, observation: Tensor, belief: Any, noise: ActionNoise, start: Start) -> tuple[Tensor, Belief]:
        """The same from a plan that begins as the prior, or as N(0, 1)."""
        before = self.world.nothing(observation) if belief is None else (belief.latent, belief.action)
        latent = self.world.infer(self.world.dynamics(*before), observation).sample(noise.latent)
        plan = self.plan(latent, noise, start)
        law = Gaussian(plan.mean[0], plan.log_std[0])
        action = torch.tanh(law.sample(noise.explore))
        return action, Belief(latent, action, law)

    def draw_action_noise(self, explore: bool, generator: torch.Generator) -> ActionNoise:
        return self.draw_decision(explore, generator, self.hyper.iterations if self.updates else 0)

    def draw_decision(self, explore: bool, generator: torch.Generator, iterations: int) -> ActionNoise:
        hyper, size = self.hyper, self.action_size
        return ActionNoise(
            normal_if(explore, (hyper.latent_size,), generator),
            normal((iterations, hyper.samples, hyper.planned, size), generator),
            normal((hyper.horizon - hyper.planned, hyper.scenarios, size), generator),
            normal((hyper.horizon, hyper.scenarios, hyper.latent_size), generator),
            normal_if(explore, (size,), generator),
        )

    def keep(self, belief: Belief | None) -> np.ndarray | None:
        return None if belief is None else torch.cat(belief.law).detach().cpu().numpy()

    def plan(self, latent: Tensor, noise: ActionNoise, start: Start) -> Gaussian:
        """q of the next `planned` actions, (planned, action_size), from z (latent_size,). # Algorithm 1"""
        zero = latent.new_zeros(self.hyper.planned, self.action_size)
        habitual = start == "prior" and self.hyper.prior == "learned"
        begun = self.habits(latent) if habitual else Gaussian(zero, zero)

        def gain(plans: Tensor, law: Gaussian) -> Tensor:
            cost = law.log_prob(plans).sum(-1) if self.hyper.prior != "none" else 0.0
            return self.value(latent, plans, noise) - cost

        return infer(gain, begun, noise.plans, self.hyper.rate, self.hyper.least_std)

    def habits(self, latent: Tensor) -> Gaussian:
        """The prior along the future that its means lead to."""
        laws = []
        for _ in range(self.hyper.planned):
            laws.append(self.habit_law(latent))
            latent = self.world.dynamics(latent, torch.tanh(laws[-1].mean)).mean
        mean, log_std = (torch.stack(parts) for parts in zip(*laws, strict=True))
        return Gaussian(mean, log_std)

    def value(self, latent: Tensor, plans: Tensor, noise: ActionNoise) -> Tensor:
        """Of plans (N, planned, action_size) from z: the mean over scenarios of scaled rewards, of information and of
        log p_a of the plan's actions, (N,). # Eq 10"""
        hyper, world = self.hyper, self.world
        states = latent.expand(len(plans), hyper.scenarios, -1)
        reached, total = [], torch.zeros_like(states[..., 0])
        for step, process in enumerate(noise.process):
            if step < hyper.planned:
                before_tanh = plans[:, step, None].expand(-1, hyper.scenarios, -1)
                if hyper.prior != "none":
                    total = total + self.prior(states).log_prob(before_tanh)
            else:
                before_tanh = self.prior(states).sample(noise.actions[step - hyper.planned])
            predicted = world.dynamics(states, torch.tanh(before_tanh))
            if hyper.information:
                total = total + hyper.information * world.information(predicted)
            states = predicted.sample(process)
            reached.append(states)
        rewards = world.rewarded(torch.stack(reached)).mean.squeeze(-1)
        return (total + self.log_optimality(rewards).sum(0)).mean(-1)

    # p_a(a|z), before tanh

    def prior(self, latent: Tensor) -> Gaussian | Uniform:
        if self.hyper.prior != "learned":
            return Uniform(latent.new_zeros(*latent.shape[:-1], self.action_size))
        return self.habit_law(latent)

    def habit_law(self, latent: Tensor) -> Gaussian:
        """The learned one."""
        mean, raw = self.habit(latent).chunk(2, -1)
        largest, widest = self.hyper.largest_mean, -math.log(self.hyper.least_std)
        return Gaussian(largest * torch.tanh(mean / largest), widest * (2 * torch.sigmoid(raw) - 1))

    def log_optimality(self, reward: Tensor) -> Tensor:
        """log p(O = 1 | r). # Eq 3"""
        return self.hyper.reward_scale * (reward - self.hyper.best_reward)

    # M-step

    def phase(self) -> Hashable:
        return self.episode()

    def episode(self) -> int:
        """By which T5's weight grows."""
        return self.updates // self.hyper.marginal_updates if MARGINAL in self.objective else 0

    def updates_due(self, before: int, after: int) -> int:
        return self.hyper.updates * super().updates_due(before, after)

    def draw_update(self, replay: Any, generator: torch.Generator) -> tuple[Given, Tensor]:
        """Half of the segments from anywhere, half of them from the newest steps."""
        batch, recent = self.hyper.batch, self.hyper.recent
        self.updates += 1
        reach = torch.full((batch,), len(replay), device=generator.device)
        reach[batch // 2 :].clamp_(max=recent)
        ages = 1 + (torch.rand(batch, generator=generator, device=generator.device) * reach).long()
        given = self.gather(replay, ages)
        return given, self.draw_noise(batch, generator)

    def gather(self, replay: Any, ages: Tensor) -> Given:
        """Segments whose first steps are the newest, at age 1, or older."""
        length, firsts = self.hyper.segment, replay.transitions - ages
        each = (firsts[:, None] + torch.arange(length, device=ages.device)).flatten() % replay.capacity
        # What lies beyond the newest step is masked, but must be there.
        law = replay.segments(each.clamp(max=len(replay) - 1), 1).kept.unflatten(0, (len(ages), length))
        return Given(replay.segments(firsts % replay.capacity, length), law, (ages <= self.hyper.recent).to(law.dtype))

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Tensor:
        return normal((batch_size, self.hyper.segment + 1, self.hyper.latent_size), generator)

    def learn(self, batch: Given, noise: Tensor) -> dict[str, Tensor]:
        _, means, latent = self.minimise("world", self.bound_loss, batch, noise)
        if self.hyper.prior == "learned":
            self.minimise("prior", self.consolidation_loss, batch, latent)
        return means

    def bound_loss(self, given: Given, noise: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Minus the bound's mean over steps, that of T2 over recent ones; every term's mean, and z. # Eq 8"""
        mask = given.segments.mask
        counts = {"T1": ahead(mask), "T2": acted_recently(given)}
        path = self.world.follow(given.segments.observation, given.segments.action, noise)
        terms = self.objective.terms(self.densities(given, path), self.episode())
        means = {key: average(term, counts.get(key, ahead(mask, 1.0))) for key, term in terms.items()}
        return -sum(means.values(), torch.zeros_like(means["T3"])), means, path.latent

    def consolidation_loss(self, given: Given, latent: Tensor) -> Tensor:
        """Minus T2's mean, at z (B, segment + 1, latent_size): the divergence from q to the prior. # Sec 3.3"""
        densities = self.acting(given, latent)
        return average(densities["action"] - densities["action_prior"], acted_recently(given))

    def densities(self, given: Given, path: Path) -> Densities:
        """What the terms take at a path's samples of z, (B, segment + 1)."""
        modelled, acting = self.modelled(path, given.segments), self.acting(given, path.latent.detach())

        def of(groups: frozenset[str]) -> Mapping[str, Tensor]:
            parts = ((modelled, WORLD), (acting, PRIOR))
            return {k: v if own <= groups else v.detach() for values, own in parts for k, v in values.items()}

        return of

    def acting(self, given: Given, latent: Tensor) -> dict[str, Tensor]:
        """Of actions, in the mean over the q that is stored."""
        law, habits = Gaussian(*given.law.chunk(2, -1)), self.prior(latent[:, :-1])
        return {"action": behind(expected_log_prob(law, law)), "action_prior": behind(expected_log_prob(habits, law))}

    def modelled(self, path: Path, segments: Segments) -> dict[str, Tensor]:
        """Of what is seen and of z."""
        world, latent = self.world, path.latent
        rewarded = world.rewarded(latent[:, 1:]).log_prob(segments.reward.unsqueeze(-1)) * segments.mask
        found = {
            "reward": ahead(self.log_optimality(segments.reward)),
            "latent": path.posterior.log_prob(latent),
            "latent_dynamics": path.predicted.log_prob(latent),
            "observation": world.emitted(latent).log_prob(segments.observation) + ahead(rewarded),
        }
        if MARGINAL in self.objective:
            found["observation_marginal"] = world.marginal(path.predicted, segments.observation)
        return found

    # Measured while it trains

    @torch.no_grad()
    def probe(self, name: str, replay: Any, generator: torch.Generator) -> dict[str, float]:
        """`consolidation`: the divergence from q to the prior, in nats an action, and q's entropy before tanh, over
        the newest steps."""
        if name != "consolidation":
            return super().probe(name, replay, generator)
        reach = min(len(replay), self.hyper.recent)
        ages = 1 + torch.randint(reach, (self.hyper.batch,), generator=generator, device=generator.device)
        given = self.gather(replay, ages)
        noise = self.draw_noise(self.hyper.batch, generator)
        path = self.world.follow(given.segments.observation, given.segments.action, noise)
        entropy = -average(self.acting(given, path.latent)["action"], acted_recently(given))
        return {"divergence": float(self.consolidation_loss(given, path.latent)), "entropy": float(entropy)}

    def compare(self, name: str, play: Callable[[Act], float]) -> Mapping[str, float | np.ndarray]:
        """`planner`: mean returns of evaluation episodes that are played with 0 to 10 iterations from the prior, and
        from N(0, 1), which is all without a learned prior; by how much the first are larger, and by how much
        those without an iteration exceed 0.8 of those with five."""
        if name != "planner":
            return super().compare(name, play)
        starts: tuple[Start, ...] = ("prior", "zero") if self.hyper.prior == "learned" else ("zero",)
        found: dict[str, float | np.ndarray] = {"iterations": np.array(ITERATIONS, float)}
        for start in starts:
            returns = [play(self.actor(start, iterations)) for iterations in ITERATIONS]
            found |= {f"from_{start}_{n}": value for n, value in zip(ITERATIONS, returns, strict=True)}
            found[f"from_{start}"] = np.array(returns)
        if "from_prior" in found:
            gains = {n: found[f"from_prior_{n}"] - found[f"from_zero_{n}"] for n in ITERATIONS}
            found |= {f"gain_{n}": gain for n, gain in gains.items()}
            found["habit_surplus"] = found["from_prior_0"] - 0.8 * found["from_prior_5"]
        return found

    def actor(self, start: Start, iterations: int) -> Act:
        """How it would act otherwise: `act` without exploration."""

        @torch.no_grad()
        def act(observation: np.ndarray, belief: Any, generator: torch.Generator) -> tuple[np.ndarray, Any]:
            device = self.world.noise.device
            noise = tree_map(lambda draw: draw.to(device), self.draw_decision(False, generator, iterations))
            action, belief = self.decide(torch.from_numpy(observation).to(device), belief, noise, start)
            return action.cpu().numpy(), belief

        return act


def refuse(hyper: Hyper) -> None:
    """Raise RelatentError where imagined futures lack actions."""
    if not 1 <= hyper.planned <= hyper.horizon:
        raise RelatentError(f"planned: found {hyper.planned}, expected 1 to horizon, {hyper.horizon}")
    if hyper.prior == "none" and hyper.planned < hyper.horizon:
        raise RelatentError(f"prior: none has no actions beyond a plan, expected planned: {hyper.horizon}")


def ahead(values: Tensor, first: float = 0.0) -> Tensor:
    """(B, T) as (B, T + 1) with what belongs to the first observation before it."""
    return torch.cat([torch.full_like(values[:, :1], first), values], dim=1)


def behind(values: Tensor) -> Tensor:
    """(B, T) as (B, T + 1), a zero for the last observation, at which no action was taken."""
    return torch.cat([values, torch.zeros_like(values[:, :1])], dim=1)


def acted_recently(given: Given) -> Tensor:
    """1 where the prior may learn from a step's q, (B, segment + 1)."""
    return behind(given.segments.mask * given.recent[:, None])


def average(values: Tensor, counts: Tensor) -> Tensor:
    """The mean of those that count."""
    return (values * counts).sum() / counts.sum().clamp(min=1.0)
