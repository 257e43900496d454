"""Where the information in Eq 10 leads a planner: to light, or to noise (Marino & Yue, Sec 3.3)?

A point walks from (0, 0) to (3, 0) in a bounded number of steps and sees where it is through noise. The straight way
runs along an edge, so that a plan may lean to either side of it:

    light     observations are precise beyond the edge (across > 0), vague before it; motion has one noise everywhere
    strip     motion is noisy in a strip beyond the edge; observations have one noise everywhere
    constant  both noises are the same everywhere

The agent knows the noises, keeps an extended Kalman filter's belief, and at each step plans the actions that remain by
relatent.objectives.informed_planning: by the cross-entropy method, or by gradient ascent. Several searches start apart;
the first action of the best one is taken.

What `run` records; X: light, strip, constant; Y: cem, gradient; means over episodes
    time                    (steps + 1,)
    X_along_Y, X_across_Y   (steps + 1,) the path
    X_uncertainty_Y         (steps + 1,) the belief's variance in each direction
    X_share_Y               (1,) share of steps in the light or strip; for constant, beyond the edge
    X_variance_Y            (1,) mean variance of the belief after the first step
    X_error_Y               (1,) distance from the goal at the end
    X_return_Y              (1,) sum of rewards
    X_spread_Y              (1,) over a step's searches, the deviation of the first action, root mean square
    constant_departure_Y    (1,) the largest distance between any two states of this run and the same one with β = 0
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from relatent.objectives.informed_planning import Belief, Terrain, worth
from relatent.objectives.planning import one_step_later, search

GOAL = torch.tensor([3.0, 0.0], dtype=torch.float64)
AXES = len(GOAL)


@dataclass(frozen=True)
class Hyper:
    beta: float
    """Weight β of the information."""
    reading: Literal["latents", "beliefs"]
    """What the information of x_τ is conditioned on: z_<τ, as Eq 10 has it, or x_<τ."""
    steps: int
    """Actions of an episode."""
    stride: float
    """Length of the largest step in each direction."""
    start_variance: float
    """Of the start, in each direction."""
    edge_width: float
    """Over which noises change from one side to the other."""
    strip_width: float
    """Of the strip."""
    motion: float
    """Variance of motion in each direction, but in the strip."""
    strip_motion: float
    """In the strip."""
    sight: float
    """Variance of observations where light does not matter."""
    light_sight: float
    """In the light."""
    dark_sight: float
    """In the dark."""
    episodes: int
    """Episodes of each terrain and planner."""
    restarts: int
    """Searches a step, two at least."""
    draws: int
    """Sequences an iteration of the cross-entropy method."""
    elites: int
    """The best of these."""
    iterations: int
    """Iterations of the cross-entropy method."""
    least_deviation: float
    """Of the Gaussian that it draws from."""
    ascents: int
    """Steps of gradient ascent."""
    lr: float
    """Adam's learning rate in these."""


def beyond(position: Tensor, edge: float, width: float) -> Tensor:
    """From 0 before the edge to 1 beyond it."""
    return torch.sigmoid((position[..., 1] - edge) / width)


def terrains(hyper: Hyper) -> dict[str, Terrain]:
    def everywhere(variance: float) -> Callable[[Tensor], Tensor]:
        return lambda position: torch.full_like(position[..., 0], variance)

    def lit(position: Tensor) -> Tensor:
        share = beyond(position, 0.0, hyper.edge_width)
        return torch.exp(math.log(hyper.dark_sight) + share * math.log(hyper.light_sight / hyper.dark_sight))

    def stirred(position: Tensor) -> Tensor:
        left = beyond(position, hyper.strip_width, hyper.edge_width)
        inside = beyond(position, 0.0, hyper.edge_width) - left
        return hyper.motion + inside * (hyper.strip_motion - hyper.motion)

    return {
        "light": Terrain(everywhere(hyper.motion), lit, GOAL, hyper.stride),
        "strip": Terrain(stirred, everywhere(hyper.sight), GOAL, hyper.stride),
        "constant": Terrain(everywhere(hyper.motion), everywhere(hyper.sight), GOAL, hyper.stride),
    }


Value = Callable[[Belief, Tensor], Tensor]
"""Of a belief (..., d) and actions (H, ..., d)."""
Planner = Callable[[Value, Belief, Tensor, Hyper, torch.Generator], Tensor]
"""From first guesses (H, n, d), one for each belief (n, d), to the plans."""


def cross_entropy(value: Value, belief: Belief, guesses: Tensor, hyper: Hyper, generator: torch.Generator) -> Tensor:
    """The mean of the last Gaussian, whose elites all count alike."""
    horizon, count, _ = guesses.shape
    shape = (count, hyper.iterations, horizon, hyper.draws, AXES)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)

    def one(mean: Tensor, variance: Tensor, guess: Tensor, draws: Tensor) -> Tensor:
        return search(
            value=lambda sequences, _: value(Belief(mean, variance), sequences),
            mean=guess,
            guesses=guess[:, None],
            noise=((each, each) for each in draws),
            least_std=torch.tensor(hyper.least_deviation, dtype=torch.float64),
            elites=hyper.elites,
            temperature=0.0,
            momentum=0.0,
        ).mean

    return vmap(one, in_dims=(0, 0, 1, 0), out_dims=1)(belief.mean, belief.variance, guesses, noise)


def ascent(value: Value, belief: Belief, guesses: Tensor, hyper: Hyper, _generator: torch.Generator) -> Tensor:
    """Adam, each step brought back to where actions may be, the rate falling to zero at the end."""
    actions = guesses.clone().requires_grad_()
    optimiser = torch.optim.Adam([actions], hyper.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, hyper.ascents)
    for _ in range(hyper.ascents):
        optimiser.zero_grad()
        (-value(belief, actions).sum()).backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            actions.clamp_(-1, 1)
    return actions.detach()


PLANNERS: dict[str, Planner] = {"cem": cross_entropy, "gradient": ascent}


class Episodes(NamedTuple):
    """What happened; `states` (T + 1, episodes, d), the first one the start."""

    states: Tensor
    variance: Tensor
    """(T + 1, episodes) of beliefs."""
    spread: Tensor
    """(T, episodes) of the first action over searches: the variance, summed over directions."""


def episodes(terrain: Terrain, planner: Planner, hyper: Hyper, seed: int) -> Episodes:
    """Walk `hyper.episodes` times; the noises are the same for every β and planner."""
    generator = torch.Generator().manual_seed(seed)
    count, searches = hyper.episodes, hyper.restarts
    noise = torch.randn(2 * hyper.steps + 1, count, AXES, generator=generator, dtype=torch.float64)
    at_start, of_motion, of_sight = noise.split([1, hyper.steps, hyper.steps])

    def value(belief: Belief, actions: Tensor) -> Tensor:
        return worth(terrain, belief, actions, hyper.beta, hyper.reading)

    state = math.sqrt(hyper.start_variance) * at_start[0]
    start = torch.full((count,), hyper.start_variance, dtype=torch.float64)
    belief = Belief(torch.zeros(count, AXES, dtype=torch.float64), start)
    plan = torch.zeros(hyper.steps, count, AXES, dtype=torch.float64)
    states, variances, spreads = [state], [start], []
    for step in range(hyper.steps):
        apart = torch.rand(hyper.steps - step, searches - 1, count, AXES, generator=generator, dtype=torch.float64)
        guesses = torch.cat([plan[:, None], 2 * apart - 1], dim=1).flatten(1, 2)  # one goes on from the last plan
        repeated = Belief(belief.mean.repeat(searches, 1), belief.variance.repeat(searches))
        plans = planner(value, repeated, guesses, hyper, generator)
        best = value(repeated, plans).unflatten(0, (searches, count)).argmax(0)
        plans = plans.unflatten(1, (searches, count))
        plan = plans[:, best, torch.arange(count)]
        spreads.append(plans[0].var(0).sum(-1))
        before = belief.advanced(terrain, plan[0])
        state = state + terrain.stride * plan[0] + terrain.motion(state).sqrt()[:, None] * of_motion[step]
        belief = before.corrected(terrain, state + terrain.sight(state).sqrt()[:, None] * of_sight[step])
        plan = one_step_later(plan)[:-1]
        states.append(state)
        variances.append(belief.variance)
    return Episodes(torch.stack(states), torch.stack(variances), torch.stack(spreads))


def measured(found: Episodes, terrain: Terrain, farthest: float) -> dict[str, Tensor]:
    """What is recorded of a terrain and a planner; a step counts as inside where 0 < across < `farthest`."""
    along, across = found.states.unbind(-1)
    inside = (across[1:] > 0) & (across[1:] < farthest)
    off = (found.states[1:] - terrain.goal).square().sum(-1)
    return {
        "along": along.mean(1),
        "across": across.mean(1),
        "uncertainty": found.variance.mean(1),
        "share": inside.double().mean()[None],
        "variance": found.variance[1:].mean()[None],
        "error": off[-1].sqrt().mean()[None],
        "return": -off.sum(0).mean()[None],
        "spread": found.spread.mean().sqrt()[None],
    }


def run(spec: dict[str, Any], record: Any) -> None:
    """Walk, and record what the module's text lists."""
    hyper = Hyper(**spec["hyper"])
    farthest = {"light": math.inf, "strip": hyper.strip_width, "constant": math.inf}
    kept: dict[str, Tensor] = {"time": torch.arange(hyper.steps + 1.0)}
    every = terrains(hyper)
    for number, (name, terrain) in enumerate(every.items()):
        for label, planner in PLANNERS.items():
            found = episodes(terrain, planner, hyper, spec["seed"])
            values = measured(found, terrain, farthest[name])
            if name == "constant":
                without = episodes(terrain, planner, replace(hyper, beta=0.0), spec["seed"])
                values["departure"] = (found.states - without.states).norm(dim=-1).max()[None]
            kept |= {f"{name}_{measure}_{label}": value for measure, value in values.items()}
        record.progress(number + 1, len(every))
    record.arrays(**{name: value.numpy() for name, value in kept.items()})
