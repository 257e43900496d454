"""ALM agents small enough to check by hand, in float64, data for them, and their networks from the weights alone."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from relatent.agents.alm import ALM, Given, Hyper, Noise
from relatent.nets.batch import Batch, Segments
from tests.agents.tiny import replaced, waves

OBSERVATION, ACTION, BATCH, HORIZON, GAMMA, LAMBDA = 3, 2, 5, 3, 0.9, 0.8
LIMIT, CLIP, STD, CLASSIFIER = 0.8, 0.3, 0.4, 0.25

HYPER: dict[str, Any] = {
    "width": 6,
    "model_width": 7,
    "latent_size": 4,
    "horizon": HORIZON,
    "batch": BATCH,
    "lr": 1e-3,
    "clip_norm": 100.0,
    "gamma": GAMMA,
    "lambda_weight": LAMBDA,
    "tau": 0.1,
    "first_std": 1.0,
    "last_std": 0.1,
    "std_steps": 100,
    "noise_clip": CLIP,
    "action_limit": LIMIT,
    "classifier_weight": CLASSIFIER,
    "classifier": "mlp",
    "pairing": "independent",
    "kl": True,
    "representation_value": "both",
    "representation_discount": False,
    "encoder": "gaussian",
    "representation": "aligned",
    "actor": "imagined",
    "actor_starts": "all",
    "first_activation": "tanh",
    "log_reward": "none",
    "log_scale": 50.0,
    "reward_shift": 0.0,
    "entropy": False,
    "init_alpha": 0.2,
    "alpha_lr": 1e-3,
    "update_after": 0,
    "replay": 99,
}
# What a test calls an agent -> how it differs from the one above.
VARIANTS: dict[str, dict[str, Any]] = {
    "official": {},
    "one_step": {"horizon": 1},
    "same_pairing": {"pairing": "same"},
    "linear_classifier": {"classifier": "linear"},
    "without_classifier": {"classifier_weight": 0.0},
    "without_kl": {"kl": False},
    "reward_only": {"representation_value": "reward"},
    "kl_only": {"representation_value": "none"},
    "discounted": {"representation_discount": True},
    "first_start": {"actor_starts": "first"},
    "elu": {"first_activation": "elu"},
    "identity": {"encoder": "identity"},
    "identity_fixed": {"encoder": "identity_fixed"},
    "model_free": {"encoder": "none", "actor": "td3"},
    "td3_actor": {"actor": "td3"},
    "reconstruction": {"representation": "reconstruction"},
    "critic_too": {"representation": "critic_too"},
    "critic_only": {"representation": "critic_only"},
    "log_of_representation": {"log_reward": "representation", "reward_shift": 1.5},
    "log_everywhere": {"log_reward": "everywhere", "reward_shift": 1.5, "representation_discount": True},
    "scaled_log": {"log_reward": "scaled"},
    "entropy": {"entropy": True},
    "entropy_td3": {"entropy": True, "actor": "td3"},
    "entropy_log": {"entropy": True, "log_reward": "everywhere", "actor_starts": "first"},
}


def build(name: str = "official", **changes: Any) -> ALM:
    """A float32 agent as the trainer builds it."""
    return ALM(OBSERVATION, ACTION, Hyper(**{**HYPER, **VARIANTS[name], **changes}))


def precise(name: str = "official", phase: float = 0.0, **changes: Any) -> ALM:
    """A float64 agent whose parameters are `waves`, so that no target is its source, with rewards and values around 2,
    so that they have logarithms and that either Q-function may be the smaller one, and with noise that is clipped at
    times."""
    agent = build(name, **changes).double()
    with torch.no_grad():
        for number, (key, parameter) in enumerate(agent.named_parameters()):
            if key == "log_alpha":
                parameter.fill_(math.log(agent.hyper.init_alpha))
            else:
                parameter.copy_(0.8 * waves(tuple(parameter.shape), phase + number))
        for heads in (agent.reward, agent.critic, agent.target_critic):
            for net in heads.nets:
                somewhere = waves((9, linears(net)[0][0].shape[1]), phase + 0.3)
                linears(net)[-1][1].add_(2.0 - net(somewhere).mean())
        agent.actor.std.fill_(STD)
    return agent


def segments(agent: ALM, phase: float = 0.5) -> Segments:
    steps = agent.hyper.horizon
    return Segments(
        waves((BATCH, steps + 1, OBSERVATION), phase),
        LIMIT * waves((BATCH, steps, ACTION), phase + 1),
        torch.zeros(BATCH, 0, dtype=torch.float64),
        waves((BATCH, steps), phase + 2),
        torch.zeros(BATCH, steps, dtype=torch.float64),
        torch.ones(BATCH, steps, dtype=torch.float64),
    )


def transitions(phase: float = 2.5) -> Batch:
    """The second and the last one are terminated."""
    return Batch(
        waves((BATCH, OBSERVATION), phase),
        LIMIT * waves((BATCH, ACTION), phase + 1),
        3 * waves((BATCH,), phase + 2),
        waves((BATCH, OBSERVATION), phase + 3),
        torch.tensor([0, 1, 0, 0, 1], dtype=torch.float64),
    )


def given(agent: ALM, phase: float = 0.0) -> tuple[Given, Noise]:
    """A batch and draws of one update."""
    draws = replaced(agent.draw_noise(BATCH, torch.Generator().manual_seed(0)), phase + 0.7)
    return Given(segments(agent, phase + 0.5), transitions(phase + 2.5)), draws


LOG_PROB = 1.3 * waves((BATCH,), 0.9)  # what the temperature is judged by


def loss(agent: ALM, part: str, data: Given, draws: Noise) -> Tensor:
    """What the optimiser of this name minimises."""
    if part == "world":
        rebuilds = agent.hyper.representation == "reconstruction"
        return (agent.reconstruction_loss if rebuilds else agent.aligned_loss)(data.segments, draws)[0]
    if part == "heads":
        return agent.heads_loss(data.transitions, draws)[0]
    if part == "critic":
        return agent.critic_loss(data.transitions, draws)
    if part == "encoder":
        return agent.all_heads_loss(data.transitions, draws)
    if part == "actor":
        return agent.actor_loss(data.transitions, draws)[0]
    return agent.alpha_loss(LOG_PROB)


CASES = [(name, part) for name in VARIANTS for part in build(name).optimisers]

# The networks, from their weights alone; every vector is one example's


def linears(module: nn.Module) -> list[tuple[Tensor, Tensor]]:
    return [(layer.weight, layer.bias) for layer in module.modules() if isinstance(layer, nn.Linear)]


def elu(raw: Tensor) -> Tensor:
    return torch.where(raw > 0, raw, raw.clamp(max=0).exp() - 1)


def softplus(raw: Tensor) -> Tensor:
    return raw.clamp(min=0) + torch.log1p((-raw.abs()).exp())


def dense(module: nn.Module, inputs: Tensor) -> Tensor:
    *hidden, (last, shift) = linears(module)
    for weight, bias in hidden:
        inputs = elu(weight @ inputs + bias)
    return last @ inputs + shift


def within(raw: Tensor, lowest: float, highest: float) -> Tensor:
    return lowest + softplus(highest - softplus(highest - raw) - lowest)


def gaussian(module: nn.Module, *inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of z."""
    outputs = dense(module, torch.cat(inputs))
    mean, raw = outputs[: len(outputs) // 2], outputs[len(outputs) // 2 :]
    return 30 * torch.tanh(mean / 30), within(raw, 0.1, 10.0)


def encode(agent: ALM, encoder: nn.Module, observation: Tensor) -> tuple[Tensor, Tensor]:
    kind = agent.hyper.encoder
    if kind == "gaussian":
        return gaussian(encoder, observation)
    if kind == "identity":
        ((weight, bias),) = linears(encoder)
        return observation, within(weight @ observation + bias, 0.1, 10.0)
    return observation, torch.full_like(observation, 0.1 if kind == "identity_fixed" else 0.0)


def normalised(module: nn.Module, inputs: Tensor, first_activation: str) -> Tensor:
    """A head of two hidden layers, of which the first is normalised."""
    (w1, b1), (w2, b2), (w3, b3) = linears(module)
    (norm,) = (layer for layer in module.modules() if isinstance(layer, nn.LayerNorm))
    raw = w1 @ inputs + b1
    raw = (raw - raw.mean()) / (raw.var(unbiased=False) + 1e-5).sqrt() * norm.weight + norm.bias
    raw = torch.tanh(raw) if first_activation == "tanh" else elu(raw)
    return w3 @ elu(w2 @ raw + b2) + b3


def heads(agent: ALM, module: Any, latent: Tensor, action: Tensor) -> list[Tensor]:
    """The reward in a list, or both values."""
    inputs = torch.cat([latent, action])
    return [normalised(net, inputs, agent.hyper.first_activation)[0] for net in module.nets]


def logits(agent: ALM, latent: Tensor, action: Tensor, following: Tensor) -> Tensor:
    """Of a z' that was predicted, and of one that was encoded."""
    inputs = torch.cat([latent, action, following])
    if agent.hyper.classifier == "linear":
        ((weight, bias),) = linears(agent.classifier)
        return weight @ inputs + bias
    return normalised(agent.classifier, inputs, "tanh")


def policy(agent: ALM, latent: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the action before any bound."""
    outputs = dense(agent.actor, latent)
    if not agent.hyper.entropy:
        return torch.tanh(outputs), torch.full_like(outputs, STD)
    return torch.tanh(outputs[:ACTION]), within(outputs[ACTION:], math.exp(-5), math.exp(2))
