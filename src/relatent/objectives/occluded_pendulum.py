"""A pendulum to be balanced upright, behind something that hides it there; inferred by particles.

    ω' = ω + Δ (g sin θ + u) + √Δ σ ε,    θ' = θ + Δ ω'              θ = 0 upright
    hidden with probability sigmoid((arc - |θ|) / blur); elsewhere θ is seen with noise, ω never
    r = -(w_θ (1 - cos θ) + ½ w_ω ω²)

The value is that of the model linear about the top (relatent.objectives.optimistic_inference). Particles are reweighed
by what is seen, being hidden included, and by exp f for the three ways of inference there: planned, f = V_t(z); told,
f = -½ (z - m)' K'HK (z - m), m being the filter's mean. Float64.
"""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from relatent.objectives.linear_gaussian import LinearGaussian
from relatent.objectives.optimistic_inference import Inference, Step, Task, future


class Pendulum(NamedTuple):
    gravity: float
    """g, 1/s²."""
    interval: float
    """Δ, s."""
    disturbance: float
    """The deviation of ω after a second, rad/s."""
    sight: float
    """Deviation of what is seen of θ, rad."""
    arc: float
    """Half of what is hidden, rad."""
    blur: float
    """Of its edges, rad."""
    weights: tuple[float, float]
    """w_θ and w_ω, nats."""
    action_deviation: float
    """Of the prior N(0, .) of u, 1/s²."""

    def moved(self, state: Tensor, action: Tensor, noise: Tensor) -> Tensor:
        """The next (θ, ω), (..., 2), from actions and standard normal noise (...)."""
        angle, speed = state.unbind(-1)
        speed = speed + self.interval * (self.gravity * angle.sin() + action)
        speed = speed + math.sqrt(self.interval) * self.disturbance * noise
        return torch.stack([angle + self.interval * speed, speed], -1)

    def log_hidden(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """log of the probabilities of being hidden and of being seen, (...)."""
        depth = (self.arc - state[..., 0].abs()) / self.blur
        return torch.nn.functional.logsigmoid(depth), torch.nn.functional.logsigmoid(-depth)

    def reward(self, state: Tensor) -> Tensor:
        angle, speed = state.unbind(-1)
        return -(self.weights[0] * (1 - angle.cos()) + 0.5 * self.weights[1] * speed.square())

    def linear(self) -> LinearGaussian:
        """About the top; what is seen plays no part in the value."""
        step, double = self.interval, torch.float64
        transition = torch.tensor([[1 + step**2 * self.gravity, step], [step * self.gravity, 1.0]], dtype=double)
        control = torch.tensor([[step**2], [step]], dtype=double)
        process = self.disturbance**2 / step * control @ control.mT
        return LinearGaussian(transition, control, torch.eye(2, dtype=double), process, torch.eye(2, dtype=double))

    def task(self, steps: int) -> Task:
        precision = torch.tensor([[self.action_deviation**-2]], dtype=torch.float64)
        return Task(torch.diag(torch.tensor(self.weights, dtype=torch.float64)), precision, steps)


class Balance(NamedTuple):
    """Of each episode, (n,)."""

    total: Tensor
    """Sum of rewards."""
    objective: Tensor
    """An estimate of L; minus infinity where a mean is acted on."""
    error: Tensor
    """Mean square of E_q[θ_t] - θ_t."""
    bias: Tensor
    """Mean square of E_q[θ_t] less the filter's mean."""
    optimism: Tensor
    """E_q[V_t] - E_filter[V_t], mean over steps."""
    fallen: Tensor
    """Whether θ ever left (-π/2, π/2)."""


def resampled(particles: Tensor, log_weights: Tensor, offset: Tensor) -> Tensor:
    """Systematically: (n, k, 2) by log weights (n, k) that sum to one, and offsets (n, 1) in [0, 1)."""
    count = particles.shape[1]
    places = (torch.arange(count, dtype=particles.dtype) + offset) / count
    chosen = torch.searchsorted(log_weights.exp().cumsum(1), places).clamp(max=count - 1)
    return particles.gather(1, chosen[..., None].expand_as(particles))


def log_tilt(inference: Inference, particles: Tensor, mean: Tensor, step: Step) -> Tensor:
    """f of particles (n, k, 2), the filter's means being (n, 1, 2)."""
    match inference:
        case "filter":
            return torch.zeros_like(particles[..., 0])
        case "planned":
            return -0.5 * ((particles @ step.hessian) * particles).sum(-1)
        case "told":
            return -0.5 * ((particles - mean) @ step.gain.mT).square().squeeze(-1) * step.action_precision.squeeze()


def balance(
    pendulum: Pendulum,
    inference: Inference,
    act_on: Literal["sample", "mean"],
    start: Tensor,
    noise: Tensor,
    generator: torch.Generator,
    particles: int,
) -> Balance:
    """Episodes from N(0, diag(start²)), `start` (2,); `noise` (T, n, 3), standard normal, is the environment's own."""
    steps, count, _ = noise.shape
    state = start * noise[0, :, :2]
    cloud = start * torch.randn(count, particles, 2, generator=generator, dtype=torch.float64)
    action_variance = pendulum.action_deviation**2
    totals, costs = [pendulum.reward(state)], []
    errors, biases, optimisms, fallen = [], [], [], state[:, 0].abs() > math.pi / 2
    for t, step in enumerate(future(pendulum.linear(), pendulum.task(steps))):
        drawn = torch.rand(count, 3, generator=generator, dtype=torch.float64)
        hidden = drawn[:, :1].log() < pendulum.log_hidden(state)[0][:, None]
        seen = state[:, :1] + pendulum.sight * noise[t, :, 2:]
        log_hidden, log_shown = pendulum.log_hidden(cloud)
        log_seen = log_shown - 0.5 * ((seen - cloud[..., 0]) / pendulum.sight).square()
        belief = torch.where(hidden, log_hidden, log_seen).log_softmax(1)
        mean = (belief.exp()[..., None] * cloud).sum(1, keepdim=True)
        posterior = (belief + log_tilt(inference, cloud, mean, step)).log_softmax(1)
        weight = posterior.exp()
        latent = (weight * (posterior - belief)).sum(1)
        values = -0.5 * ((cloud @ step.hessian) * cloud).sum(-1)
        optimisms.append(((weight - belief.exp()) * values).sum(1))
        best = (weight[..., None] * cloud).sum(1)
        errors.append((best[:, 0] - state[:, 0]).square())
        biases.append((best[:, 0] - mean[:, 0, 0]).square())

        variance = 1 / step.action_precision.squeeze()
        if act_on == "sample":
            place = torch.searchsorted(weight.cumsum(1), drawn[:, 1:2].contiguous()).clamp(max=particles - 1)
            best = cloud.gather(1, place[..., None].expand(-1, -1, 2))[:, 0]
        centre = (best @ step.gain.mT).squeeze(-1)
        jitter = torch.randn(count, generator=generator, dtype=torch.float64)
        action = centre + variance.sqrt() * jitter if act_on == "sample" else centre
        ratio = (variance + centre.square()) / action_variance
        costs.append(latent + 0.5 * (ratio - 1 - torch.log(variance / action_variance)))

        state = pendulum.moved(state, action, noise[t + 1, :, 0])
        moving = torch.randn(count, particles, generator=generator, dtype=torch.float64)
        cloud = pendulum.moved(resampled(cloud, belief, drawn[:, 2:]), action[:, None], moving)
        totals.append(pendulum.reward(state))
        fallen = fallen | (state[:, 0].abs() > math.pi / 2)
    total = torch.stack(totals).sum(0)
    return Balance(
        total,
        total - torch.stack(costs).sum(0) if act_on == "sample" else torch.full_like(total, -math.inf),
        torch.stack(errors).mean(0),
        torch.stack(biases).mean(0),
        torch.stack(optimisms).mean(0),
        fallen,
    )
