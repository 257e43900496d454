"""What every agent needs to act, to take gradient steps and to be saved with its optimisers.

An agent writes four pure functions: `choose` (an action from observation, belief and noise), its losses (from batch and
noise), `learn` (the order of one update's steps), and draws all noise beforehand. Nothing in them draws, logs, copies
to the host or branches on data. What runs them may therefore compile them, capture them in a CUDA graph or give their
parameters a leading axis of seeds, and no agent knows. The price is one rule: what `learn` does outside of losses
works on trailing axes only (`log_prob.mean(-1)`, not `log_prob.mean()`).
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from relatent.nets.batch import Played


class Learner(nn.Module):
    """A module that owns named Adam optimisers, whose state travels in `state_dict()`.

    A loss is differentiated with respect to one optimiser's parameters only, so that an actor's loss spends no time on
    the critic's gradients and can never move the critic.
    """

    hyper: Any
    learns_from: Literal["transitions", "episodes"] = "transitions"
    """What its replay holds. Who learns from episodes is made from the shape of observations instead of their size."""
    sees_pictures = False
    """Whether observations may be pictures, whose shape it is then made from."""
    period = 1
    """Updates after which `learn` does the same again."""
    kept_size = 0
    """Numbers of its belief that the agent wants back with each transition."""

    def __init__(self) -> None:
        super().__init__()
        self.optimisers: dict[str, torch.optim.Adam] = {}
        self.clip_norms: dict[str, float] = {}
        self.updates = 0  # begun so far
        self.evaluate: Callable[..., Any] = directly  # replaced by what compiles losses

    def choose(self, observation: Tensor, belief: Any, noise: Any) -> tuple[Tensor, Any]:
        """An action in [-1, 1] and the next belief."""
        raise NotImplementedError

    def draw_action_noise(self, explore: bool, generator: torch.Generator) -> Any:
        """The draws of one `choose`; zeros where nothing is explored, for the action to be judged by."""
        raise NotImplementedError

    def learn(self, batch: Any, noise: Any) -> dict[str, Tensor]:
        """One update; returns metrics, one number each."""
        raise NotImplementedError

    def draw_noise(self, batch_size: int, generator: torch.Generator) -> Any:
        """The draws of one `learn`, on the generator's device."""
        raise NotImplementedError

    def probe(self, name: str, replay: Any, generator: torch.Generator) -> dict[str, float]:
        """What some figures measure of an agent while it learns."""
        raise NotImplementedError(f"{type(self).__name__} has no probe {name!r}")

    def watch(
        self, name: str, episodes: Sequence[Played], generator: torch.Generator
    ) -> Mapping[str, float | np.ndarray]:
        """What some figures measure of an agent on the episodes of an evaluation: numbers, of which series are made,
        and arrays, of which the last evaluation's are kept."""
        raise NotImplementedError(f"{type(self).__name__} has no probe {name!r}")

    def compare(self, name: str, play: Callable[[Callable[..., Any]], float]) -> Mapping[str, float | np.ndarray]:
        """What some figures measure of other ways to act; `play` gives the mean return of an evaluation's episodes that
        are acted in by a function of observation, belief and generator."""
        raise NotImplementedError(f"{type(self).__name__} has nothing to compare under {name!r}")

    def phase(self) -> Hashable:
        """What `learn` may branch on, and nothing else."""
        return self.updates % self.period

    def keep(self, belief: Any) -> np.ndarray | None:
        """The `kept_size` numbers that replay keeps of the belief that an action was chosen with. A random action has
        no belief, None; if nothing can be kept with it, the agent cannot learn from random actions."""
        del belief
        return None

    @torch.no_grad()
    def act(
        self, observation: np.ndarray, belief: Any, explore: bool, generator: torch.Generator
    ) -> tuple[np.ndarray, Any]:
        """An action of the environment's own kind, and the next belief."""
        seen, noise = self.draw_choice(observation, explore, generator)
        action, belief = self.choose(seen, belief, noise)
        return action.cpu().numpy(), belief

    def draw_choice(self, observation: np.ndarray, explore: bool, generator: torch.Generator) -> tuple[Tensor, Any]:
        """What `choose` is given, on the agent's device: the observation, and noise."""
        device = next(self.parameters()).device
        noise = tree_map_only(Tensor, lambda draw: draw.to(device), self.draw_action_noise(explore, generator))
        return torch.from_numpy(observation).to(device), noise

    def updates_due(self, before: int, after: int) -> int:
        """One gradient update per agent step, once replay holds `update_after` frames."""
        return int(after > self.hyper.update_after and after > before)

    def update(self, replay: Any, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a batch, then noise, then learn from them."""
        return self.learn(*self.draw_update(replay, generator))

    def draw_update(self, replay: Any, generator: torch.Generator) -> tuple[Any, Any]:
        """Begin an update: what `learn` is given, a batch and then noise."""
        batch = replay.sample(self.hyper.batch, generator)
        noise = self.draw_noise(self.hyper.batch, generator)
        self.updates += 1
        return batch, noise

    def optimise(
        self, name: str, parameters: Iterable[nn.Parameter], learning_rate: float, clip_norm: float | None = None
    ) -> None:
        """Give `parameters` an Adam optimiser under `name`, their common gradient's norm limited to `clip_norm`."""
        self.optimisers[name] = torch.optim.Adam(list(parameters), lr=learning_rate, fused=True)
        if clip_norm is not None:
            self.clip_norms[name] = clip_norm

    def minimise(self, name: str, loss: Callable[..., Any], *inputs: Any) -> Any:
        """One step of the named optimiser down the gradient of `loss(*inputs)`, a scalar or a tuple that begins with
        one; returns what the loss returned, without its graph."""
        gradients, outputs = self.differentiate(name, loss, *inputs)
        self.descend(name, gradients)
        return outputs

    def differentiate(self, name: str, loss: Callable[..., Any], *inputs: Any) -> tuple[tuple[Tensor, ...], Any]:
        """The gradient that `minimise` would step down, for those who step later, and the loss's outputs."""
        outputs = self.evaluate(loss, *inputs)
        gradients = torch.autograd.grad(scalar(outputs), self.optimisers[name].param_groups[0]["params"])
        if name in self.clip_norms:
            gradients = clip_by_norm(gradients, self.clip_norms[name])
        return gradients, detached(outputs)

    def descend(self, name: str, gradients: tuple[Tensor, ...]) -> None:
        """One step of the named optimiser."""
        step(self.optimisers[name], gradients)

    def get_extra_state(self) -> dict[str, Any]:
        """The optimisers' state and the updates' number, stored by PyTorch beside the parameters."""
        optimisers = {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()}
        return {"updates": self.updates, "optimisers": optimisers}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_extra_state` returned."""
        self.updates = state["updates"]
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])


def directly(loss: Callable[..., Any], *inputs: Any) -> Any:
    """Evaluate a loss as it is written."""
    return loss(*inputs)


def scalar(outputs: Any) -> Tensor:
    """What is to be minimised among a loss's outputs."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def detached(outputs: Any) -> Any:
    """The same tensors without their graphs."""
    return tree_map_only(Tensor, Tensor.detach, outputs)


def step(optimiser: torch.optim.Adam, gradients: Iterable[Tensor]) -> None:
    """One step of the optimiser with these gradients of its parameters.

    The fused kernel walks memory from end to end and takes a transposed gradient for another one without a word.
    """
    for parameter, gradient in zip(optimiser.param_groups[0]["params"], gradients, strict=True):
        parameter.grad = gradient.contiguous()
    optimiser.step()


def clip_by_norm(gradients: tuple[Tensor, ...], limit: float) -> tuple[Tensor, ...]:
    """Scale gradients down to a common Euclidean norm of `limit` where theirs is larger, as
    torch.nn.utils.clip_grad_norm_ does, but without touching the originals."""
    norm = torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
    factor = (limit / (norm + 1e-6)).clamp(max=1.0)
    return tuple(gradient * factor for gradient in gradients)


@torch.no_grad()
def move_towards(target: nn.Module, source: nn.Module, fraction: float) -> None:
    """Exponential moving average of parameters: target <- target + fraction (source - target)."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), fraction)
