"""ALM's losses a second time, one example and one step after the other. Nothing here is shared with relatent.agents.alm
but the weights.

What has no gradient goes through `Held`: with every kind of it held at the numbers of a first evaluation, a finite
difference of these losses is the gradient that the agent must have; with one kind less it is another one.
"""

import math
from collections import Counter, defaultdict

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from relatent.agents.alm import ALM, Given, Noise
from relatent.nets.batch import Batch, Segments
from tests.agents.tiny_alm import BATCH, CLIP, LIMIT, LOG_PROB, dense, encode, gaussian, heads, logits, policy

LATENT, ACTION_OF_MODEL, PREDICTION, OF_POLICY, OF_CLASSIFIER, OF_VALUE, BOUND = (
    *("z0 of the policy", "the last action of a sequence", "what the classifier sees predicted"),
    *("the policy's later z", "the classifier's z'", "the value's action", "actions' bounds"),
)
TARGET, ENTROPY_OF_VALUE = "targets", "the entropy that is part of a value"


class Held:
    """Gives back what it is given; of the kinds in `kinds`, what it was given in a first evaluation."""

    def __init__(self) -> None:
        self.first: defaultdict[str, list[Tensor]] = defaultdict(list)
        self.kinds: frozenset[str] | None = None  # None: the first evaluation
        self.seen: Counter[str] = Counter()

    def again(self, kinds: frozenset[str]) -> "Held":
        self.kinds, self.seen = kinds, Counter()
        return self

    def __call__(self, kind: str, value: Tensor) -> Tensor:
        if self.kinds is None:
            self.first[kind].append(value.detach().clone())
            return value
        self.seen[kind] += 1
        return self.first[kind][self.seen[kind] - 1] if kind in self.kinds else value


def draw(latent: tuple[Tensor, Tensor], noise: Tensor) -> Tensor:
    return latent[0] + latent[1] * noise


def divergence(model: tuple[Tensor, Tensor], encoder: tuple[Tensor, Tensor]) -> Tensor:
    return kl_divergence(Normal(*model), Normal(*encoder)).sum()


def act(agent: ALM, latent: Tensor, noise: Tensor, held: Held) -> tuple[Tensor, Tensor]:
    """An action to learn from, and log π of it before it was bounded. It is bounded as if by adding a constant."""
    mean, std = policy(agent, latent)
    if agent.hyper.entropy:
        action = mean + std * noise
        log_prob = Normal(mean, std).log_prob(action).sum()
    else:
        action = mean + torch.stack([one.clamp(-CLIP, CLIP) for one in std * noise])
        log_prob = torch.zeros((), dtype=torch.float64)
    moved = torch.stack([min(max(one, -LIMIT + 1e-6), LIMIT - 1e-6) - one for one in action.detach()])
    return action + held(BOUND, moved), log_prob


def transformed(agent: ALM, value: Tensor, here: str) -> Tensor:
    where, scale = agent.hyper.log_reward, agent.hyper.log_scale
    if where == "scaled":
        return scale * (torch.log(value + scale) - math.log(scale))
    if where == "everywhere" or where == here:
        return torch.log(value.clamp(min=1e-6))
    return value


def shown(agent: ALM, observation: Tensor, noise: Tensor) -> Tensor:
    """z as heads, critic and policy are trained at it."""
    online = agent.hyper.representation in ("reconstruction", "critic_too", "critic_only")
    return draw(encode(agent, agent.encoder if online else agent.target_encoder, observation), noise)


def world_loss(agent: ALM, data: Segments, draws: Noise, held: Held) -> Tensor:
    """Eq 7, or its parts."""
    hyper, total = agent.hyper, torch.zeros((), dtype=torch.float64)
    for b in range(BATCH):
        latent = draw(encode(agent, agent.encoder, data.observation[b, 0]), draws.start[b])
        for t in range(hyper.horizon):
            weight = hyper.gamma**t if hyper.representation_discount else 1.0
            action, following = data.action[b, t], data.observation[b, t + 1]
            predicted = gaussian(agent.model, latent, action)
            if hyper.kl:
                total = total + weight * divergence(predicted, encode(agent, agent.target_encoder, following))
            if hyper.representation_value in ("both", "reward"):
                (reward,) = heads(agent, agent.reward, latent, action)
                total = total - weight * transformed(agent, reward, "representation")
            latent = draw(predicted, draws.path[t, b])
        if hyper.representation_value == "both":
            weight = hyper.gamma**hyper.horizon if hyper.representation_discount else 1.0
            last_action = held(ACTION_OF_MODEL, act(agent, latent, draws.last_action[b], held)[0])
            value = min(heads(agent, agent.critic, latent, last_action))
            total = total - weight * transformed(agent, value, "representation")
    return total / BATCH


def reconstruction_loss(agent: ALM, data: Segments, draws: Noise, held: Held) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for b in range(BATCH):
        observation = data.observation[b]
        start = draw(encode(agent, agent.encoder, observation[0]), draws.start[b])
        error = dense(agent.decoder, start) - observation[0]
        total = total + sum(error**2) / len(error)
        latent = held(LATENT, start)
        for t in range(agent.hyper.horizon):
            predicted = gaussian(agent.model, latent, data.action[b, t])
            mean, std = encode(agent, agent.encoder, observation[t + 1])
            total = total + divergence(predicted, (held(TARGET, mean), held(TARGET, std)))
            latent = draw(predicted, draws.path[t, b])
    return total / BATCH


def heads_loss(agent: ALM, data: Batch, draws: Noise, held: Held) -> Tensor:
    """Eq 11 and Eq 9: two of five examples are given a prediction."""
    total = torch.zeros((), dtype=torch.float64)
    for b in range(BATCH):
        observation, action = data.observation[b], data.action[b]
        latent = shown(agent, observation, draws.shown[b])
        (reward,) = heads(agent, agent.reward, latent, action)
        total = total + (reward - data.reward[b] - agent.hyper.reward_shift) ** 2
        if b < BATCH // 2:
            own = latent if agent.hyper.pairing == "same" else shown(agent, observation, draws.origin[b])
            following = held(PREDICTION, draw(gaussian(agent.model, own, action), draws.predicted[b]))
        else:
            following = draw(encode(agent, agent.target_encoder, data.next_observation[b]), draws.encoded[b])
        shares = logits(agent, latent, action, following).softmax(-1)
        total = total - shares[0 if b < BATCH // 2 else 1].log()
    return total / BATCH


def alpha(agent: ALM) -> float:
    return agent.hyper.init_alpha if agent.hyper.entropy else 0.0


def critic_loss(agent: ALM, data: Batch, draws: Noise, held: Held) -> Tensor:
    """Eq 10, of two Q-functions."""
    hyper, total = agent.hyper, torch.zeros((), dtype=torch.float64)
    for b in range(BATCH):
        target = data.reward[b] + hyper.reward_shift
        if not data.terminated[b]:
            following = draw(encode(agent, agent.target_encoder, data.next_observation[b]), draws.following[b])
            next_action, log_prob = act(agent, following, draws.next_action[b], held)
            value = min(heads(agent, agent.target_critic, following, next_action))
            target = target + hyper.gamma * (value - alpha(agent) * log_prob)
        latent = shown(agent, data.observation[b], draws.valued[b])
        first, second = heads(agent, agent.critic, latent, data.action[b])
        total = total + ((first - target) ** 2 + (second - target) ** 2) / 2
    return total / BATCH


def actor_loss(agent: ALM, data: Batch, draws: Noise, held: Held) -> Tensor:
    """Eq 8 as a mean of returns of 1 .. K steps, each summed on its own."""
    hyper, total, cost = agent.hyper, torch.zeros((), dtype=torch.float64), alpha(agent)
    steps, last = hyper.horizon, 0 if hyper.actor == "td3" else hyper.horizon
    for b in range(BATCH):
        latent, rewards, values = shown(agent, data.observation[b], draws.imagined[b]), [], []
        for t in range(last + 1):
            action, log_prob = act(agent, held(OF_POLICY, latent), draws.actions[t, b], held)
            if hyper.actor == "td3":
                total = total + cost * log_prob - min(heads(agent, agent.critic, latent, action))
                break
            value = min(heads(agent, agent.critic, latent, held(OF_VALUE, action)))
            values.append(transformed(agent, value, "actor") - held(ENTROPY_OF_VALUE, cost * log_prob))
            if t < last:
                (reward,) = heads(agent, agent.reward, latent, action)
                following = draw(gaussian(agent.model, latent, action), draws.imagined_path[t, b])
                predicted, encoded = logits(agent, latent, action, held(OF_CLASSIFIER, following))
                odds = hyper.classifier_weight * (encoded - predicted)
                rewards.append(transformed(agent, reward, "actor") - cost * log_prob + odds)
                latent = following
        if hyper.actor == "td3":
            continue
        for start in range(steps if hyper.actor_starts == "all" else 1):
            longest = steps - start
            for length in range(1, longest + 1):
                weight = hyper.lambda_weight ** (length - 1) * (1 - hyper.lambda_weight if length < longest else 1)
                gained = sum(hyper.gamma**k * rewards[start + k] for k in range(length))
                whole = gained + hyper.gamma**length * values[start + length]
                total = total - hyper.gamma**start * weight * whole / (steps if hyper.actor_starts == "all" else 1)
    return total / BATCH


def loss(agent: ALM, part: str, data: Given, draws: Noise, held: Held) -> Tensor:
    """What the optimiser of this name minimises."""
    if part == "world":
        rebuilds = agent.hyper.representation == "reconstruction"
        return (reconstruction_loss if rebuilds else world_loss)(agent, data.segments, draws, held)
    if part == "heads":
        return heads_loss(agent, data.transitions, draws, held)
    if part == "critic":
        return critic_loss(agent, data.transitions, draws, held)
    if part == "encoder":
        both = (heads_loss, critic_loss)
        return sum((one(agent, data.transitions, draws, held) for one in both), torch.zeros(()))
    if part == "actor":
        return actor_loss(agent, data.transitions, draws, held)
    return -sum(agent.log_alpha * (one - 2) for one in LOG_PROB) / BATCH
