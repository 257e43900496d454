"""What z and actions are worth in imagination, and what p(z|s, a) and π(z|s) learn from it. # RPG, Eq 3 and Algorithm 1

The agent itself is in relatent/agents/rpg.py: its networks, how it acts, and its other losses.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relatent.nets.batch import Starts
from relatent.nets.imagination import Rollout, imagine
from relatent.nets.latent_policy import GaussianLatentPolicy
from relatent.nets.latent_variable import Latent
from relatent.nets.latent_world import LatentWorld
from relatent.nets.policies import Policy
from relatent.objectives.novelty import NoveltyLearner
from relatent.objectives.rollout_value import rollout_value
from relatent.objectives.schedules import fall


class LatentRollouts(NoveltyLearner):
    """An agent with a world model, a policy that is given z, p(z|s, a) and π(z|s), which it makes itself."""

    world: LatentWorld
    policy: Policy
    latent: Latent
    latent_policy: Any
    log_alpha: nn.Parameter
    weights: Tensor
    progress: Tensor

    def alpha(self) -> Tensor:
        """The temperature."""
        return self.hyper.init_alpha * self.log_alpha.exp()

    def imagine(self, world: LatentWorld, state: Tensor, latent: Tensor, noise: Tensor) -> Rollout:
        """Act in a world. A critic of actions needs one action more than there are steps."""
        return imagine(world, self.policy, state, latent, noise, self.hyper.horizon)

    def climbed(self, state: Tensor, latent: Tensor, noise: Tensor) -> tuple[Tensor, Rollout]:
        """What policies climb: a state's value (B,), by the critic that is theirs, and the rollout that it is of."""
        rollout = self.imagine(self.world, state, latent, noise)
        values = self.value(self.world, rollout, latent, entropy_bonus=True)
        return values[0] if self.hyper.actor_critic == "first" else values.amin(0), rollout

    def value(self, world: LatentWorld, rollout: Rollout, latent: Tensor, entropy_bonus: bool) -> Tensor:
        """Both critics' estimates of where a rollout began, (2, ...). # Eq 3"""
        hyper = self.hyper
        latents = latent.expand(len(rollout.actions), *latent.shape)
        bonus = self.bonus(rollout, latents, entropy_bonus)
        if hyper.critic == "state_value":
            bootstraps = world.values(rollout.next_states, latents)
        else:
            values = world.values(rollout.states, latents, rollout.actions)
            bootstraps = (values + bonus)[:, 1:]
        gains = rollout.rewards + bonus[: hyper.horizon]
        return rollout_value(gains, bootstraps, hyper.gamma, self.weights)

    def bonus(self, rollout: Rollout, latents: Tensor, entropy_bonus: bool) -> Tensor:
        """r' of every imagined action."""
        bonus = self.hyper.beta * self.latent.log_posterior(latents, rollout.states, rollout.actions)
        return bonus - self.alpha().detach() * rollout.log_probs if entropy_bonus else bonus

    # What p(z|s, a) and π(z|s) learn

    def posterior_loss(self, latent: Tensor, states: Tensor, actions: Tensor) -> Tensor:
        """E[-log p(z|s, a)] on imagined steps."""
        return -self.latent.log_posterior(latent, states, actions).mean()

    def latent_loss(self, starts: Starts, noise: Tensor, latent_noise: Tensor) -> Tensor:
        """Minus the mean value of a z drawn from π(z|s) where an episode begins, and its entropy. # Algorithm 1

        Differentiated through z, and through the imagined rollout that it leads to. The entropy has the temperature of
        π(a|s, z), of which Table 1 takes away a growing share. Agent steps are counted from the first update on.
        """
        with torch.no_grad():
            state = self.world.encode(starts.observation)
        value, _ = self.climbed(state, self.latent_policy(state, latent_noise), noise)
        weight = self.alpha().detach()
        if self.hyper.latent_entropy_decay:
            weight = weight * fall(self.progress * self.hyper.update_every, *self.hyper.latent_entropy_decay)
        return -(value + weight * self.latent_policy.entropy(state)).mean()

    def latent_values_loss(self, starts: Starts, noise: Tensor) -> Tensor:
        """Squared error of the values that π(z|s) is a softmax of, at the z that was drawn."""
        hyper = self.hyper
        with torch.no_grad():
            state = self.world.encode(starts.observation)
            rollout = self.imagine(self.world, state, starts.latent, noise)
            latents = starts.latent.expand(len(rollout.actions), *starts.latent.shape)
            if hyper.critic == "state_value":
                values = rollout.rewards + hyper.gamma * self.world.values(rollout.next_states, latents)
            else:
                values = self.world.values(rollout.states, latents, rollout.actions)[:, : hyper.horizon]
            value = values.amin(0) + self.bonus(rollout, latents, entropy_bonus=True)[: hyper.horizon]
            states = rollout.states[: hyper.horizon]
        return F.mse_loss((self.latent_policy.values(states) * starts.latent).sum(-1), value)

    # What a figure measures

    def probe(self, name: str, replay: Any, generator: torch.Generator) -> dict[str, float]:
        """`latent`: on imagined steps, the cross entropy of p(z|s, a) and the bound of I(z; s, a) from it, in nats.

        H(z) of a learnt Gaussian is not known. Its z is drawn in the states that rollouts begin in, as if episodes did,
        and the mean entropy of π(z|s) there takes the place of H(z), which is never smaller.
        """
        if name != "latent":
            return super().probe(name, replay, generator)
        with torch.no_grad():
            other = replay.sample_segments(self.hyper.batch, 1, generator)
            noise = self.policy.draw_noise((self.hyper.horizon, self.hyper.batch), generator)
            state, latent, excess = self.world.encode(other.observation[:, 0]), other.kept, 0.0
            if isinstance(self.latent_policy, GaussianLatentPolicy):
                latent = self.latent_policy(state, self.latent_policy.draw_noise(latent.shape, generator))
                excess = float(self.latent_policy.entropy_excess(state).mean())
            rollout = self.imagine(self.world, state, latent, noise)
            steps = slice(self.hyper.horizon)
            cross_entropy = self.posterior_loss(latent, rollout.states[steps], rollout.actions[steps])
            information = self.latent.information(cross_entropy)
        return {"cross_entropy": float(cross_entropy), "information": float(information) + excess}
