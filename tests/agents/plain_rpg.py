"""RPG's losses a second time, one number after the other: cells by nn.GRUCell, densities by torch.distributions, sums
of Eq 3 and 4 as loops over examples and steps. Nothing here is shared with relatent.agents.rpg but the weights."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from relatent.agents.rpg import RPG
from relatent.nets.batch import Segments, Starts

ZERO = torch.zeros((), dtype=torch.float64)


def dense(module: nn.Module, *inputs: Tensor) -> Tensor:
    """Linear layers with ELU between them, from the weights alone."""
    values = torch.cat(inputs, -1)
    layers = [(layer.weight, layer.bias) for layer in module.modules() if isinstance(layer, nn.Linear)]
    for weight, bias in layers[:-1]:
        values = values @ weight.T + bias
        values = torch.where(values > 0, values, values.clamp(max=0).exp() - 1)
    return values @ layers[-1][0].T + layers[-1][1]


def cell(world: Any) -> nn.GRUCell:
    recurrence = world.recurrence
    made = nn.GRUCell(recurrence.input_weight.shape[1], recurrence.hidden_weight.shape[1]).double()
    made.weight_ih, made.weight_hh = recurrence.input_weight, recurrence.hidden_weight
    made.bias_ih, made.bias_hh = recurrence.input_bias, recurrence.hidden_bias
    return made


def act(agent: RPG, state: Tensor, latent: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The action that this noise makes, and its log-density."""
    size, output = agent.action_size, dense(agent.policy.net, state, latent)
    if agent.hyper.policy == "gaussian":
        base = Normal(output[:size], agent.hyper.policy_std * output[size:].clamp(-20, 2).exp())
        policy = TransformedDistribution(Independent(base, 1), [TanhTransform(cache_size=1)])
        action = policy.transforms[0](base.loc + base.scale * noise)
        return action, policy.log_prob(action)
    means, log_stds, logits = output[: 12 * size], output[12 * size : 24 * size], output[24 * size :]
    stds = agent.hyper.policy_std * log_stds.clamp(-20, 2).exp()
    components = Normal(means.view(12, size), stds.view(12, size))
    pre_tanh = components.loc + components.scale * noise[: 12 * size].view(12, size)
    gumbels = noise[12 * size :]
    if agent.hyper.policy == "mixture":
        chosen = max(range(12), key=lambda k: float(logits[k] + gumbels[k]))
        mixture = MixtureSameFamily(Categorical(logits=logits), Independent(components, 1))
        drawn = pre_tanh[chosen]
        return torch.tanh(drawn), mixture.log_prob(drawn) + 2 * drawn.cosh().log().sum()  # tanh' = cosh⁻²
    action, log_prob = torch.zeros(size, dtype=torch.float64), ZERO
    weights = (logits + gumbels).exp() / (logits + gumbels).exp().sum()
    for k in range(12):
        own = Normal(components.loc[k], components.scale[k]).log_prob(pre_tanh[k]) + 2 * pre_tanh[k].cosh().log()
        action = action + weights[k] * torch.tanh(pre_tanh[k])
        log_prob = log_prob + weights[k] * (own.sum() + logits[k])
    return action, log_prob


def log_posterior(agent: RPG, latent: Tensor, state: Tensor, action: Tensor) -> Tensor:
    if agent.hyper.latent == "none":
        return ZERO
    if agent.hyper.latent in ("gaussian", "learnt_gaussian"):
        mean = dense(agent.latent.mean, state, action)
        return Independent(Normal(mean, agent.hyper.posterior_std), 1).log_prob(latent)
    shares = Categorical(logits=dense(agent.latent.logits, state, action)).probs
    return Categorical(probs=0.8 * shares + 0.2 / len(latent)).log_prob(latent.argmax())


@torch.no_grad()
def rollout_values(
    agent: RPG, world: Any, state: Tensor, latent: Tensor, noise: Tensor, entropy: bool
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Both critics' values of where a rollout begins, log π of its actions, its actions."""
    hyper, gru = agent.hyper, cell(world)
    horizon, alpha = hyper.horizon, hyper.init_alpha * float(agent.log_alpha.detach().exp())
    hidden = dense(world.begin, state)
    states, actions, log_probs, rewards, bonuses = [state], [], [], [], []
    for step in range(len(noise)):
        action, log_prob = act(agent, states[step], latent, noise[step])
        bonus = hyper.beta * log_posterior(agent, latent, states[step], action)
        bonuses.append(bonus - alpha * log_prob if entropy else bonus)
        actions.append(action)
        log_probs.append(log_prob)
        if step < horizon:
            embedded = dense(world.embed, action)
            hidden = gru(embedded[None], hidden[None])[0]
            states.append(dense(world.decode, hidden))
            rewards.append(dense(world.predict_reward, embedded, states[-1])[0])
    values = []
    for critic in world.critics:
        of_lengths, gained = [], ZERO
        for step in range(horizon):
            gained = gained + hyper.gamma**step * (rewards[step] + bonuses[step])
            if hyper.critic == "state_value":
                rest = dense(critic, states[step + 1], latent)[0]
            else:
                rest = dense(critic, states[step + 1], latent, actions[step + 1])[0] + bonuses[step + 1]
            of_lengths.append(gained + hyper.gamma ** (step + 1) * rest)
        decay = hyper.length_decay
        weights = [decay**step for step in range(horizon)] if decay else [0] * (horizon - 1) + [1]
        values.append(sum(w * v for w, v in zip(weights, of_lengths, strict=True)) / sum(weights))
    return values, log_probs, torch.stack(actions)


def novelty_errors(agent: RPG, observations: Tensor) -> list[Tensor]:
    """Of each observation."""
    errors = []
    for observation in observations:
        outputs = []
        for net in (agent.novelty.predictor, agent.novelty.target):
            values = observation
            linears = [layer for layer in net if isinstance(layer, nn.Linear)]
            for number, layer in enumerate(linears):
                values = layer.weight @ values + layer.bias
                if number < len(linears) - 1:
                    values = torch.where(values > 0, values, 0.01 * values)
            outputs.append(values)
        errors.append(sum((one - other) ** 2 for one, other in zip(*outputs, strict=True)))
    return errors


def world_loss(agent: RPG, segments: Segments, noise: Tensor) -> Tensor:
    """Eq 4, with the weights and targets that the agent's switches choose."""
    hyper, world, total = agent.hyper, agent.world, ZERO
    gru = cell(world)
    for b in range(len(segments.reward)):
        latent, state = segments.kept[b], dense(world.encode, segments.observation[b, 0])
        hidden = dense(world.begin, state)
        for t in range(hyper.horizon):
            if segments.mask[b, t] == 0:
                break
            following = segments.observation[b, t + 1]
            reward = hyper.reward_scale * segments.reward[b, t]
            if hyper.reward_ramp:
                share, first, second = hyper.reward_ramp
                updates = float(agent.progress)
                late = min(max((updates - first) / (second - first), 0), 1)
                reward = reward * (share * min(updates / first, 1) + (1 - share) * late)
            if hyper.novelty:
                (error,) = novelty_errors(agent, following[None])
                novelty = agent.novelty
                reward = reward + hyper.novelty * (error - novelty.mean) / novelty.variance.sqrt()
            encoded = dense(agent.target_world.encode, following)
            values, _, _ = rollout_values(
                agent, agent.target_world, encoded, latent, noise[:, b, t], hyper.target_entropy_bonus
            )
            value = min(values) * (1 - segments.terminated[b, t])
            action, before = segments.action[b, t], state
            embedded = dense(world.embed, action)
            hidden = gru(embedded[None], hidden[None])[0]
            state = dense(world.decode, hidden)
            expected = encoded if hyper.target_encoder else dense(world.encode, following)
            total = total + hyper.state_weight * sum((state - expected) ** 2) / len(state)
            total = total + hyper.reward_weight * (dense(world.predict_reward, embedded, state)[0] - reward) ** 2
            for critic in world.critics:
                if hyper.critic == "state_value":
                    error = dense(critic, state, latent)[0] - value
                else:
                    error = dense(critic, before, latent, action)[0] - (reward + hyper.gamma * value)
                total = total + hyper.value_weight * error**2 / 2
    return total / hyper.horizon / len(segments.reward)


@torch.no_grad()
def policy_loss(agent: RPG, starts: Starts, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Minus Eq 3, and the entropy that α is judged by."""
    value, entropy, size, horizon = ZERO, ZERO, len(starts.latent), agent.hyper.horizon
    for b in range(size):
        state = dense(agent.world.encode, starts.observation[b])
        values, log_probs, _ = rollout_values(agent, agent.world, state, starts.latent[b], noise[:, b], True)
        value = value + (values[0] if agent.hyper.actor_critic == "first" else min(values)) / size
        entropy = entropy - sum(log_probs[:horizon]) / horizon / size
    return -value, entropy


def posterior_loss(agent: RPG, latent: Tensor, states: Tensor, actions: Tensor) -> Tensor:
    steps, size = states.shape[:2]
    every = [(h, b) for h in range(steps) for b in range(size)]
    return -sum(log_posterior(agent, latent[b], states[h, b], actions[h, b]) for h, b in every) / len(every)


def latent_values_loss(agent: RPG, starts: Starts, noise: Tensor) -> Tensor:
    """At every imagined step: what π(z|s) is a softmax of, at the z that was drawn, against the smaller Q(s, a, z) and
    r', of which H(π(z|s)) is no part (haosulab/RPG@a7dc920)."""
    hyper, world, total, size = agent.hyper, agent.world, ZERO, len(starts.latent)
    alpha, gru = hyper.init_alpha * float(agent.log_alpha.detach().exp()), cell(agent.world)
    for b in range(size):
        latent, state = starts.latent[b], dense(world.encode, starts.observation[b])
        hidden = dense(world.begin, state)
        for step in range(hyper.horizon):
            action, log_prob = act(agent, state, latent, noise[step, b])
            bonus = hyper.beta * log_posterior(agent, latent, state, action) - alpha * log_prob
            embedded = dense(world.embed, action)
            hidden = gru(embedded[None], hidden[None])[0]
            following = dense(world.decode, hidden)
            if hyper.critic == "state_value":
                reward = dense(world.predict_reward, embedded, following)[0]
                values = [reward + hyper.gamma * dense(critic, following, latent)[0] for critic in world.critics]
            else:
                values = [dense(critic, state, latent, action)[0] for critic in world.critics]
            predicted = dense(agent.latent_policy.values, state)[latent.argmax()]
            total = total + (predicted - min(values) - bonus) ** 2 / hyper.horizon / size
            state = following
    return total


def entropy_weight(agent: RPG) -> float:
    """α in Algorithm 1, of which Table 1 leaves less and less from one count of environment steps to another."""
    alpha = agent.hyper.init_alpha * float(agent.log_alpha.detach().exp())
    if not agent.hyper.latent_entropy_decay:
        return alpha
    first, last = agent.hyper.latent_entropy_decay
    steps = agent.hyper.update_every * float(agent.progress)
    if steps <= first:
        return alpha
    return 0.0 if steps >= last else alpha * (1 - (steps - first) / (last - first))


@torch.no_grad()
def latent_loss(agent: RPG, starts: Starts, noise: Tensor, latent_noise: Tensor) -> Tensor:
    """Minus V(s, z) - α log π(z|s), of which the entropy is exact and z is one draw. # Algorithm 1"""
    total, size = ZERO, len(latent_noise)
    for b in range(size):
        state = dense(agent.world.encode, starts.observation[b])
        output = dense(agent.latent_policy.net, state)
        own = Normal(output[: len(output) // 2], output[len(output) // 2 :].exp())
        latent = own.loc + own.scale * latent_noise[b]
        values = rollout_values(agent, agent.world, state, latent, noise[:, b], True)[0]
        value = values[0] if agent.hyper.actor_critic == "first" else min(values)
        total = total - (value + entropy_weight(agent) * Independent(own, 1).entropy()) / size
    return total


@torch.no_grad()
def loss(agent: RPG, part: str, data: Any) -> Tensor:
    """The loss of an optimiser on what `tests.agents.tiny_rpg` gives it."""
    if part == "novelty":
        return sum(novelty_errors(agent, data.seen())) / len(data.seen())
    if part == "world":
        return world_loss(agent, data.segments(agent), data.noise(agent, data.HORIZON))
    if part == "policy":
        return policy_loss(agent, data.starts(agent), data.noise(agent))[0]
    if part == "alpha":
        return math.exp(data.LOG_ALPHA) * (-1.7 - (-data.ACTION)) + ZERO
    if part == "posterior":
        return posterior_loss(agent, data.starts(agent).latent, *data.imagined(agent))
    if agent.hyper.latent == "categorical":
        return latent_values_loss(agent, data.starts(agent), data.noise(agent))
    return latent_loss(agent, data.starts(agent), data.noise(agent), data.latent_noise(agent))
