"""What comes of inferring the state while success to come is taken for granted (Marino & Yue, Algorithm 1)?

Two environments, each with more and more noise, which the agent knows: random linear-Gaussian systems, one a seed,
whose expectations are exact (relatent.objectives.optimistic_inference); and a pendulum that is hidden where it should
stand, by particles (relatent.objectives.occluded_pendulum). The state is inferred in one of the former's three ways.
The agent acts on a sample of q(z_t), as Algorithm 1 does, or on its mean.

A system's transition has the spectral radius given and the entries of its matrices are normal; noises of motion and of
observation have the same deviation, as has the start about a known mean; W and U are identities.

What `run` records; X: sample, mean
    noise                   (n,) deviations
    return_X                (n,) expected sum of rewards
    lost_X                  (n,) what is lost of the return against the filter, as a share of it
    objective               (n,) L, acting on a sample
    objective_gain          (n,) the same less the filter's
    expected                (n,) what the agent expects of L after its first observation
    expected_gain           (n,) the same less the filter's
    log_optimality          (n,) log p(O), of which L is a bound
    error                   (n,) root mean square of E_q[z_t] - s_t, acting on the mean
    bias                    (n,) root mean square of E_q[z_t] less the filter's mean, acting on the mean
    optimism                (n,) E_q[V_t] - E_filter[V_t], acting on the mean
    noisy_Y                 (1,) for each Y above but noise: with the most noise
    loss_growth_X           (1,) lost_X with the most noise less that with the least
    least_gap               (1,) the smallest log p(O) - L
    pendulum_noise          (k,) deviations of ω after a second
    pendulum_return_X, pendulum_objective, pendulum_error, pendulum_bias, pendulum_optimism, pendulum_fallen
                            (k,) over episodes; error and bias of the angle; fallen: the share that left (-π/2, π/2)
    pendulum_noisy_Y        (1,) with the most noise
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from relatent.objectives.linear_gaussian import Gaussian, LinearGaussian
from relatent.objectives.occluded_pendulum import Pendulum, balance
from relatent.objectives.optimistic_inference import Inference, Outcome, Task, log_optimality, outcome

ActOn = Literal["sample", "mean"]


@dataclass(frozen=True)
class Hyper:
    inference: Literal["filter", "planned", "told"]
    """How the state is inferred."""
    states: int
    """Dimensions of the linear system's state; actions and observations have one."""
    radius: float
    """Largest modulus of its transition's eigenvalues."""
    steps: int
    """T."""
    noises: tuple[float, ...]
    """Deviations of its noises, rising."""
    gravity: float
    """Of the pendulum, in 1/s²."""
    interval: float
    """Of its steps, in s."""
    pendulum_steps: int
    """T."""
    disturbances: tuple[float, ...]
    """Deviations of its angular speed after a second, rising, in rad/s."""
    sight: float
    """Deviation of what is seen of its angle, in rad."""
    arc: float
    """Half of the angle in which it is hidden, in rad."""
    blur: float
    """Width of that angle's edges, in rad."""
    weights: tuple[float, ...]
    """Of angle and angular speed in its reward, in nats."""
    action_deviation: float
    """Of the prior of its actions, in 1/s²."""
    start: tuple[float, ...]
    """Deviations of angle and angular speed at the start."""
    episodes: int
    """Episodes for each disturbance and way of acting."""
    particles: int
    """Of its filter."""


def random_system(generator: torch.Generator, states: int, radius: float) -> tuple[LinearGaussian, Tensor]:
    """With noises of deviation one; and the mean of its start."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    transition = normal(states, states)
    transition = radius * transition / torch.linalg.eigvals(transition).abs().max()
    identity = torch.eye(states, dtype=torch.float64)
    model = LinearGaussian(transition, normal(states, 1), normal(1, states), identity, identity[:1, :1])
    return model, normal(states)


def linear_outcomes(hyper: Hyper, generator: torch.Generator) -> dict[str, Tensor]:
    """What is recorded of the linear system."""
    drawn, mean = random_system(generator, hyper.states, hyper.radius)
    identity = torch.eye(hyper.states, dtype=torch.float64)
    task = Task(identity, identity[:1, :1], hyper.steps)
    rows: list[dict[str, Tensor]] = []
    for noise in hyper.noises:
        model = drawn._replace(process=noise**2 * drawn.process, noise=noise**2 * drawn.noise)
        start = Gaussian(mean, noise**2 * identity)

        def both(inference: Inference, model: LinearGaussian = model, start: Gaussian = start) -> dict[str, Outcome]:
            return {way: outcome(model, task, start, inference, way) for way in get_args(ActOn)}

        found, plain = both(hyper.inference), both("filter")
        sampled = found["sample"]
        rows.append(
            {
                **{f"return_{way}": one.total for way, one in found.items()},
                **{f"lost_{way}": one.total / plain[way].total - 1 for way, one in found.items()},
                "objective": sampled.objective,
                "objective_gain": sampled.objective - plain["sample"].objective,
                "expected": sampled.expected,
                "expected_gain": sampled.expected - plain["sample"].expected,
                "log_optimality": log_optimality(model, task, start),
                "error": found["mean"].error,
                "bias": found["mean"].bias,
                "optimism": found["mean"].optimism,
            }
        )
    table = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    growth = {f"loss_growth_{way}": (table[f"lost_{way}"][-1] - table[f"lost_{way}"][0])[None] for way in plain}
    gap = (table["log_optimality"] - table["objective"]).min()[None]
    noisy = {f"noisy_{name}": values[-1:] for name, values in table.items()}
    return {"noise": torch.tensor(hyper.noises, dtype=torch.float64), **table, **noisy, **growth, "least_gap": gap}


def pendulum_outcomes(hyper: Hyper, seed: int, record: Any) -> dict[str, Tensor]:
    """What is recorded of the pendulum; the noises are the same for every way of inference and of acting."""
    start = torch.tensor(hyper.start, dtype=torch.float64)
    angle, speed = hyper.weights
    rows: list[dict[str, Tensor]] = []
    for number, disturbance in enumerate(hyper.disturbances):
        pendulum = Pendulum(
            hyper.gravity,
            hyper.interval,
            disturbance,
            hyper.sight,
            hyper.arc,
            hyper.blur,
            (angle, speed),
            hyper.action_deviation,
        )
        found = {}
        for way in get_args(ActOn):
            generator = torch.Generator().manual_seed(seed)
            shape = (hyper.pendulum_steps, hyper.episodes, 3)
            noise = torch.randn(shape, generator=generator, dtype=torch.float64)
            found[way] = balance(pendulum, hyper.inference, way, start, noise, generator, hyper.particles)
        on_mean = found["mean"]
        rows.append(
            {
                **{f"return_{way}": one.total.mean() for way, one in found.items()},
                "objective": found["sample"].objective.mean(),
                "error": on_mean.error.mean().sqrt(),
                "bias": on_mean.bias.mean().sqrt(),
                "optimism": on_mean.optimism.mean(),
                "fallen": on_mean.fallen.double().mean(),
            }
        )
        record.progress(number + 1, len(hyper.disturbances))
    table = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    return {
        "pendulum_noise": torch.tensor(hyper.disturbances, dtype=torch.float64),
        **{f"pendulum_{name}": values for name, values in table.items()},
        **{f"pendulum_noisy_{name}": values[-1:] for name, values in table.items()},
    }


def run(spec: dict[str, Any], record: Any) -> None:
    """Compute and record what the module's text lists."""
    hyper = Hyper(**spec["hyper"])
    linear = linear_outcomes(hyper, torch.Generator().manual_seed(spec["seed"]))
    pendulum = pendulum_outcomes(hyper, spec["seed"], record)
    record.arrays(**{name: values.numpy() for name, values in (linear | pendulum).items()})
