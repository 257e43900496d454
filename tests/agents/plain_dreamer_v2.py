"""What DreamerV2 and Plan2Explore compute, a second time: in numpy, from the weights alone, one sequence, one step and
one imagined future after the other."""

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy import stats
from torch import nn

from relatent.nets.categorical_rssm import CategoricalRSSM
from relatent.nets.truncated_policy import TruncatedPolicy
from tests.nets.tiny_world import Array, arrays, decode_image, dense, encode_image, plain_elu, sigmoid


class Plain(NamedTuple):
    """Along one sequence; laws as logits (variables, classes)."""

    stoch: list[Array]
    deter: list[Array]
    posterior: list[Array]
    prior: list[Array]


def softmax(logits: Array) -> Array:
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def one_hot(logits: Array, noise: Array) -> Array:
    """The largest of logits and noise of each variable."""
    values = np.zeros_like(logits)
    for variable, row in enumerate(logits + noise.reshape(logits.shape)):
        values[variable, row.argmax()] = 1
    return values.reshape(-1)


def kl(posterior: Array, prior: Array) -> float:
    ours, theirs = softmax(posterior), softmax(prior)
    return float((ours * np.log(ours / theirs)).sum())


def recur(model: CategoricalRSSM, stoch: Array, deter: Array, action: Array) -> Array:
    """h_t: three gates of one linear layer, which are normalised together."""
    told = plain_elu(dense(model.read[0], np.concatenate([stoch, action])))
    weight, bias, scale, shift = arrays(model.recurrence)
    raw = weight @ np.concatenate([told, deter]) + bias
    raw = scale * (raw - raw.mean()) / math.sqrt(raw.var() + 1e-3) + shift
    size = len(deter)
    reset, new, update = raw[:size], raw[size : 2 * size], sigmoid(raw[2 * size :] - 1)
    return update * np.tanh(sigmoid(reset) * new) + (1 - update) * deter


def prior_logits(model: CategoricalRSSM, deter: Array) -> Array:
    return dense(model.predict, deter).reshape(model.shape)


def posterior_logits(model: CategoricalRSSM, deter: Array, embedded: Array) -> Array:
    named = {name: parameter.detach().numpy() for name, parameter in model.infer.named_parameters()}
    joint = np.concatenate([named["of_deter.weight"], named["see.weight"]], axis=1)
    hidden = plain_elu(joint @ np.concatenate([deter, embedded]) + named["see.bias"])
    return (named["output.1.0.weight"] @ hidden + named["output.1.0.bias"]).reshape(model.shape)


def plain_prior(model: CategoricalRSSM, stoch: Array, deter: Array, action: Array, noise: Array) -> tuple[Array, Array]:
    """z and h of the next state, unseen."""
    deter = recur(model, stoch, deter, action)
    return one_hot(prior_logits(model, deter), noise), deter


def filter_one(model: CategoricalRSSM, embedded: Array, actions: Array, first: Array, noise: Array) -> Plain:
    """One sequence; every argument has its steps along the first axis."""
    found, stoch, deter = Plain([], [], [], []), np.zeros(model.stoch_size), np.zeros(model.deter_size)
    for seen, action, begins, draws in zip(embedded, actions, first, noise, strict=True):
        if begins:
            stoch, deter, action = np.zeros_like(stoch), np.zeros_like(deter), np.zeros_like(action)
        deter = recur(model, stoch, deter, action)
        posterior = posterior_logits(model, deter, seen)
        stoch = one_hot(posterior, draws)
        for column, value in zip(found, (stoch, deter, posterior, prior_logits(model, deter)), strict=True):
            column.append(value)
    return found


# The agent


def embed(agent: Any, seen: Array) -> Array:
    if seen.ndim == 3:
        return encode_image(agent.world.encode, seen)
    return plain_elu(dense(agent.world.encode, seen))


def log_normal(value: Array, mean: Array) -> float:
    return float(stats.norm.logpdf(value, mean).sum())


def filter_batch(agent: Any, batch: Any, noise: Any) -> list[Plain]:
    rows = zip(*(part.numpy() for part in (batch.observation, batch.action, batch.first, noise)), strict=True)
    return [filter_one(agent.world.rssm, np.stack([embed(agent, one) for one in seen]), *rest) for seen, *rest in rows]


def plain_world_loss(agent: Any, batch: Any, noise: Any) -> float:
    """With the divergence above its free nats, where a balance leaves the value as it is."""
    world, terms = agent.world, []
    for row, found in enumerate(filter_batch(agent, batch, noise)):
        for step, (stoch, deter, posterior, prior) in enumerate(zip(*found, strict=True)):
            seen, features = batch.observation[row, step].numpy(), np.concatenate([stoch, deter])
            image = seen.ndim == 3
            mean = decode_image(world.decode, features) if image else dense(world.decode, features)
            likely = log_normal(seen / 255 - 0.5 if image else seen, mean)
            rewarded = log_normal(batch.reward[row, step].numpy()[None], dense(world.reward, features))
            terms.append((kl(posterior, prior), likely + rewarded))
    divergences, likely = np.array(terms).T
    assert divergences.mean() > agent.hyper.free_nats
    return float(divergences.mean() - likely.mean())


class Law(NamedTuple):
    """SciPy's, before it is cut."""

    mean: Array
    std: Array

    def cut(self) -> Any:
        return stats.truncnorm((-1 - self.mean) / self.std, (1 - self.mean) / self.std, self.mean, self.std)


def policy(net: TruncatedPolicy, features: Array) -> Law:
    hidden = plain_elu(dense(net.trunk, features))
    return Law(np.tanh(dense(net.mean, hidden)), 2 * sigmoid(dense(net.std, hidden) / 2) + 0.1)


def disagreement(agent: Any, features: Array, action: Array) -> float:
    """Over all networks' predictions."""
    predictions = []
    for member in range(agent.hyper.predictors):
        hidden = np.concatenate([features, action])
        for place, layer in enumerate(agent.predictors.layers):
            hidden = hidden @ layer.weight[member].detach().numpy() + layer.bias[member, 0].detach().numpy()
            hidden = hidden if place == len(agent.predictors.layers) - 1 else plain_elu(hidden)
        predictions.append(hidden)
    return float(np.std(predictions, axis=0).mean())


class Future(NamedTuple):
    """From one state. Losses of policy and value are means over such, and over steps."""

    actor: float
    critic: float
    entropy: float


def reward_of(agent: Any, which: str, features: Array, led_here: Array) -> float:
    if which == "task":
        return float(dense(agent.world.reward, features)[0])
    return disagreement(agent, features, led_here)


def future(agent: Any, which: str, stoch: Array, deter: Array, states: Array, actions: Array) -> Future:
    """Of one inferred state, by draws (H, size) of states and actions."""
    hyper, behaviour = agent.hyper, getattr(agent, which)
    horizon = len(states)
    led_here = np.zeros(agent.action_size)
    features, rewards, entropies = [], [], []
    for step in range(horizon):
        here = np.concatenate([stoch, deter])
        law = policy(behaviour.actor, here)
        features.append(here)
        rewards.append(reward_of(agent, which, here, led_here))
        entropies.append(float(np.sum(law.cut().entropy())))
        led_here = np.clip(law.cut().ppf(stats.norm.cdf(actions[step])), -1 + 1e-6, 1 - 1e-6)
        stoch, deter = plain_prior(agent.world.rssm, stoch, deter, led_here, states[step])
    features.append(np.concatenate([stoch, deter]))
    values = [float(dense(behaviour.slow_critic, here)[0]) for here in features]
    returns = values[:]  # V_H = v_H
    for step in reversed(range(horizon)):
        mixed = (1 - hyper.lambda_weight) * values[step + 1] + hyper.lambda_weight * returns[step + 1]
        returns[step] = rewards[step] + hyper.gamma * mixed
    actor, critic = [], []
    for step in range(horizon - 1):
        actor.append(-(hyper.gamma**step) * (returns[step + 1] + hyper.entropy * entropies[step]))
    for step in range(horizon):
        value = dense(behaviour.critic, features[step])
        critic.append(-(hyper.gamma**step) * log_normal(np.array([returns[step]]), value))
    return Future(float(np.mean(actor)), float(np.mean(critic)), float(np.mean(entropies[:-1])))


def plain_behaviour(agent: Any, which: str, batch: Any, noise: Any) -> Future:
    """From all states of a batch."""
    draws = noise.task if which == "task" else noise.exploration
    futures = []
    for row, found in enumerate(filter_batch(agent, batch, noise.filter)):
        for step in range(len(found.stoch)):
            own = draws.state[row, step].numpy(), draws.action[row, step].numpy()
            futures.append(future(agent, which, found.stoch[step], found.deter[step], *own))
    return Future(*(float(np.mean(part)) for part in zip(*futures, strict=True)))


def plain_predictor_loss(agent: Any, batch: Any, noise: Any) -> float:
    """Of the next z, told a state and the action before it."""
    losses: list[float] = []
    for row, found in enumerate(filter_batch(agent, batch, noise)):
        for step in range(len(found.stoch) - 1):
            told = np.concatenate([found.stoch[step], found.deter[step], batch.action[row, step].numpy()])
            losses.append(0.0)
            for member in range(agent.hyper.predictors):
                hidden = told
                for place, layer in enumerate(agent.predictors.layers):
                    hidden = hidden @ layer.weight[member].detach().numpy() + layer.bias[member, 0].detach().numpy()
                    hidden = hidden if place == len(agent.predictors.layers) - 1 else plain_elu(hidden)
                losses[-1] -= log_normal(found.stoch[step + 1], hidden)
    return float(np.mean(losses))


def linear_sizes(sizes: list[int]) -> int:
    """Numbers in a perceptron."""
    return sum(before * after + after for before, after in pairwise(sizes))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
