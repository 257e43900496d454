"""What minus the marginal likelihood of observations does to an agent's model (Marino & Yue 2019, Sec 4, Eq 6 and 8).

A world of one dimension that actions move and that is rewarded, and d slow ones that are seen better and do not matter;
an agent whose belief has k latents. Every mean of the objective is a closed form (relatent.objectives.closed_loop), so
agents climb exact gradients by Adam, through the world too; only estimates of the marginal are sampled, with the exact
number as control variate. A run trains one agent for every k and d, on one seed's distractors and first parameters.

What `run` records, in nats per step; an estimate that is sampled takes one k and one d
    distractors             (d,) how many
    return_kK               (d,) of beliefs of K latents. 0: no action at all, 1: the best policy that there is
    task_kK                 (d,) R² of the controlled dimension by z
    held_kK                 (d,) Σ R² of distractors by z: how many distractors' worth z holds
    surprise_kK             (d,) -E log p_a(x_t | z_{t-1}, a_{t-1}) beyond the world's own
    gain_kK                 (d,) E[T4 + T5], what z_t tells the model of x_t
    M_small_many            (1,) each of these, M, with fewest latents and most distractors
    M_large_few             (1,) with most latents and the fewest distractors above none
    learned_large_few       (1,) how much surprise training took away there
    interaction             (1,) what most latents add to the return with most distractors, beyond that with fewest
    marginal_gradient       (1,) norm of T5's gradient at the start, over all parameters
    step                    (checkpoints,)
    M_while                 (checkpoints, agents) each of these, M, in the order of k, then d
    objective_while         (checkpoints, agents) as estimated; never above 0 where it is Eq 6 or 8 and exact
    overestimate_while      (checkpoints, agents) log p_a(x_t | z_{t-1}, a_{t-1}) minus its estimate
    training_while          (checkpoints,) 1 until the run diverged: an objective above LIMIT, or no number any more.
                            What is recorded afterwards is the last before
    diverged                (1,) 1 if so, else 0
    highest                 (1,) the highest objective of any step
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from relatent.objectives import closed_loop, marginal_likelihood
from relatent.objectives.closed_loop import Belief, Moments, World
from relatent.objectives.linear_agents import EVERY, MEANS, Agents, agents, drawn, padding
from relatent.objectives.linear_gaussian import Gaussian, LinearGaussian
from relatent.objectives.marginal_likelihood import Transition
from relatent.objectives.terms import (
    ACTION,
    LATENT_DYNAMICS,
    LIKELIHOOD,
    MARGINAL,
    OPTIMALITY,
    Objective,
    Use,
    Weight,
    conventional,
    discriminative,
    generative,
)
from relatent.specs.errors import RelatentError

Array = np.ndarray[Any, Any]
ANNEALED = Weight(start=0.01, growth=1.01, limit=1.0)
"""Of joelouismarino/variational_rl@de405de, whose episode is a step here."""
LIMIT = 1000.0
"""Nats per step."""
ESTIMATORS: dict[str, Callable[[LinearGaussian, Transition, Gaussian, Tensor], Tensor]] = {
    "dynamics": lambda model, step, _, noise: marginal_likelihood.from_dynamics(model, step, noise),
    "posterior": marginal_likelihood.from_posterior,
    "own": marginal_likelihood.with_own,
}
BELIEF, ACTS = frozenset({"model", "inference"}), frozenset({"policy", "prior"})

OBJECTIVES = {
    "conventional": conventional(EVERY),
    "separate": Objective(
        "separate",
        (Use(OPTIMALITY, ACTS), Use(ACTION, ACTS), Use(LATENT_DYNAMICS, BELIEF), Use(LIKELIHOOD, BELIEF)),
    ),
    "generative": generative(EVERY),
    "discriminative": discriminative(EVERY),
    "detached": Objective("detached", (*conventional(EVERY).uses, Use(MARGINAL, frozenset(), ANNEALED))),
    "annealed": Objective("annealed", (*conventional(EVERY).uses, Use(MARGINAL, EVERY, ANNEALED))),
}


@dataclass(frozen=True)
class Hyper:
    objective: Literal["conventional", "separate", "generative", "discriminative", "detached", "annealed"]
    """Eq 8 without the marginal; the same, its reward training the policy alone; Eq 8; Eq 6; with the marginal as in
    official code, whose weight grows and which has no gradient; the same with its gradient."""
    estimator: Literal["exact", "dynamics", "posterior", "own"]
    """Of the marginal, as relatent.objectives.marginal_likelihood has them."""
    samples: int
    """Latents (n) of an estimate."""
    transitions: int
    """Transitions that an estimate is averaged over."""
    reward_scale: float
    """Nats that a squared unit of the controlled dimension costs."""
    latents: tuple[int, ...]
    """Sizes k of the belief."""
    distractors: tuple[int, ...]
    """Numbers d of distractors."""
    steps: int
    """Steps of Adam."""
    learning_rate: float
    """Of Adam; falls to 0 in a line."""
    checkpoints: int
    """How often training is looked at."""


def drawn_world(generator: np.random.Generator, hyper: Hyper) -> World:
    """Distractors of 50 to 500 times their sensors' variance, each seen in its own unit; the task is seen worse."""
    most = max(hyper.distractors)
    there = np.array([np.arange(most) < d for _, d in product(hyper.latents, hyper.distractors)])
    ratio = np.exp(generator.uniform(np.log(50), np.log(500), most))
    decay = np.broadcast_to(generator.uniform(0.9, 0.99, most), there.shape)
    return World(
        decay=0.9,
        control=1.0,
        process=0.3,
        action_cost=0.1,
        reward_scale=hyper.reward_scale,
        sensor=torch.tensor(np.concatenate([np.full((len(there), 1), 0.2), there / (1 + ratio)], 1)),
        distractor_decay=torch.tensor(decay),
        distractor_variance=torch.tensor(there * ratio / (1 + ratio)),
    )


class Training:
    """The agents of all k and d, and what is asked of them at every step."""

    def __init__(self, hyper: Hyper, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.noises = torch.Generator().manual_seed(seed)
        self.hyper, self.objective = hyper, OBJECTIVES[hyper.objective]
        self.world = drawn_world(generator, hyper)
        self.there = padding([(k, 1 + d) for k, d in product(hyper.latents, hyper.distractors)])
        self.parameters = drawn(generator, self.there)
        self.least_surprise = closed_loop.least_surprise(self.world)
        self.idle, self.best = closed_loop.reward_limits(self.world)

    def flat(self) -> list[Tensor]:
        """All parameters."""
        return [value for names in self.parameters.values() for value in names.values()]

    def acting(self, reached: frozenset[str] = EVERY) -> tuple[Agents, Moments]:
        """The agents, with gradients to some groups only, and their settled loops."""
        agent = agents(self.parameters, self.there, reached)
        return agent, closed_loop.settled(self.world, agent.inference, agent.policy)

    def noise(self) -> Tensor:
        """What an estimate is made from, (transitions, ..): a transition of the loop, and latents."""
        k, sensors = max(self.hyper.latents), 1 + max(self.hyper.distractors)
        shape = (self.hyper.transitions, k + 1 + sensors + k * self.hyper.samples)
        return torch.randn(shape, generator=self.noises, dtype=torch.float64)

    def overestimate(self, agent: Agents, moments: Moments, noise: Tensor) -> Tensor:
        """E log p_a(x_t | z_{t-1}, a_{t-1}) minus its estimate, both at the same transitions of the only agent."""
        if self.hyper.estimator == "exact":
            return torch.zeros(len(moments.state), dtype=torch.float64)
        model = LinearGaussian(*(matrix[0] for matrix in agent.model))
        belief = Belief(*(matrix[0] for matrix in agent.inference))
        given = torch.linalg.cholesky(moments.given()[0])
        k, width = len(belief.recurrence), len(given)
        drawn_step = noise[:, :width] @ given.mT
        step = Transition(drawn_step[:, :k], drawn_step[:, k : k + 1], drawn_step[:, k + 1 :])
        posterior = Gaussian(
            step.latent @ belief.recurrence.mT + step.action @ belief.action.mT + step.observation @ belief.gain.mT,
            belief.root @ belief.root.mT,
        )
        latents = noise[:, width:].unflatten(-1, (self.hyper.samples, k))
        estimate = ESTIMATORS[self.hyper.estimator](model, step, posterior, latents)
        return (marginal_likelihood.exact(model, step) - estimate).mean(0, keepdim=True)

    def densities(self, noise: Tensor) -> Callable[[frozenset[str]], Mapping[str, Tensor]]:
        """Means of what the terms take, (agents, 1)."""
        # In this order always, which a set has not: sums of gradients round by it.
        taken = dict.fromkeys(name for use in self.objective.uses for name in use.term.takes)

        def at(reached: frozenset[str]) -> Mapping[str, Tensor]:
            agent, moments = self.acting(reached)
            found = {name: MEANS[name](self.world, agent, moments) for name in taken}
            if "observation_marginal" in found:
                found["observation_marginal"] = found["observation_marginal"] - self.overestimate(agent, moments, noise)
            return {name: value.unsqueeze(-1) for name, value in found.items()}

        return at

    @torch.no_grad()
    def seen(self, noise: Tensor) -> dict[str, Array]:
        """What is recorded of the agents as they are, each (agents,)."""
        agent, moments = self.acting()
        marginal = MEANS["observation_marginal"](self.world, agent, moments)
        found = {
            "return": (closed_loop.reward(self.world, moments) - self.idle) / (self.best - self.idle),
            "task": closed_loop.explained_task(moments),
            "held": closed_loop.explained_distractors(self.world, moments),
            "surprise": -marginal - self.least_surprise,
            "gain": MEANS["observation"](self.world, agent, moments) - marginal,
            "overestimate": self.overestimate(agent, moments, noise),
        }
        return {name: value.numpy() for name, value in found.items()}

    def marginal_gradient(self) -> float:
        """Norm of the gradient of T5, over all parameters."""
        terms = self.objective.terms(self.densities(self.noise()))
        if MARGINAL not in self.objective or not terms[MARGINAL.key].requires_grad:
            return 0.0
        found = torch.autograd.grad(terms[MARGINAL.key].sum(), self.flat(), allow_unused=True)
        return float(torch.stack([one.square().sum() for one in found if one is not None]).sum().sqrt())


def run(spec: dict[str, Any], record: Any) -> None:
    """Train, and record what the module's text lists."""
    hyper = Hyper(**spec["hyper"])
    if hyper.estimator != "exact" and len(hyper.latents) * len(hyper.distractors) > 1:
        raise RelatentError(f"estimator {hyper.estimator} takes one number of latents and one of distractors")
    training = Training(hyper, spec["seed"])
    gradient = training.marginal_gradient()
    optimiser = torch.optim.Adam(training.flat(), lr=hyper.learning_rate, maximize=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / hyper.steps)
    rows: dict[str, list[Array]] = defaultdict(list)
    highest, every = -np.inf, max(1, hyper.steps // hyper.checkpoints)
    for step in range(hyper.steps + 1):
        try:
            noise = training.noise()
            value = training.objective.value(training.densities(noise), step)
            highest = max(highest, float(value.detach().max()))
            if not (value <= LIMIT).all():
                break
            if step % every == 0:
                for name, found in (training.seen(noise) | {"objective": value.detach().numpy()}).items():
                    rows[name].append(found)
                record.progress(step, hyper.steps)
        except torch.linalg.LinAlgError:  # in float64 nothing is left of a covariance
            break
        optimiser.zero_grad()
        value.sum().backward()
        optimiser.step()
        schedule.step()
    looks, seen = hyper.steps // every + 1, len(rows["objective"])
    table = {name: np.array(found + found[-1:] * (looks - seen)) for name, found in rows.items()}
    record.arrays(
        step=np.arange(looks) * every,
        **{f"{name}_while": found for name, found in table.items()},
        training_while=(np.arange(looks) < seen).astype(float),
        diverged=np.array([float(seen < looks)]),
        highest=np.array([highest]),
        marginal_gradient=np.array([gradient]),
        **by_size({name: one.reshape(looks, len(hyper.latents), -1) for name, one in table.items()}, hyper),
    )


def by_size(table: dict[str, Array], hyper: Hyper) -> dict[str, Array]:
    """What is left after training, by k and d, from arrays (checkpoints, k, d)."""
    small, large = np.argmin(hyper.latents), np.argmax(hyper.latents)
    none, many = np.argmin(hyper.distractors), np.argmax(hyper.distractors)
    few = np.argmin([d if d else np.inf for d in hyper.distractors])
    found: dict[str, Array] = {"distractors": np.array(hyper.distractors, float)}
    for name in ("return", "task", "held", "surprise", "gain"):
        last = table[name][-1]
        found |= {f"{name}_k{k}": last[i] for i, k in enumerate(hyper.latents)}
        found |= {f"{name}_small_many": last[small, [many]], f"{name}_large_few": last[large, [few]]}
    rewards = table["return"][-1]
    added = rewards[large] - rewards[small]
    learned = table["surprise"][0, large, [few]] - table["surprise"][-1, large, [few]]
    return found | {"interaction": added[[many]] - added[[none]], "learned_large_few": learned}
