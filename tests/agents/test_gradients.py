"""Every loss of every agent: its derivative, who receives it, and that it can be batched over agents."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from relatent.nets.batch import Batch
from tests.agents.checks import assert_gradients_agree
from tests.agents.tiny import CASES, batch, loss, noise_for, number, parameters_of, precise

LOSSES = pytest.mark.parametrize(("name", "part"), CASES)


@LOSSES
def test_gradients_agree_with_finite_differences(name: str, part: str) -> None:
    agent, data = precise(name), batch()
    noise = noise_for(agent)
    assert_gradients_agree(lambda: loss(agent, part, data, noise), parameters_of(agent, part))


@LOSSES
def test_minimising_one_loss_moves_its_own_parameters_only(name: str, part: str) -> None:
    agent, data = precise(name), batch()
    before = deepcopy(dict(agent.named_parameters()))
    mine = {id(parameter) for parameter in parameters_of(agent, part)}
    agent.minimise(part, lambda: loss(agent, part, data, noise_for(agent)))
    for key, parameter in agent.named_parameters():
        if id(parameter) not in mine:
            assert torch.equal(parameter, before[key]), key
    moved = [key for key, parameter in agent.named_parameters() if not torch.equal(parameter, before[key])]
    assert moved
    assert all(id(dict(agent.named_parameters())[key]) in mine for key in moved)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_critics_targets_carry_no_gradient(name: str) -> None:
    """Neither to the policy that makes the next action, nor to the temperature, nor to the target networks."""
    agent = precise(name)
    others = [p.requires_grad_() for key, p in agent.named_parameters() if not key.startswith("critic.")]
    gradients = torch.autograd.grad(
        agent.critic_loss(batch(), noise_for(agent)), [*others, *agent.critic.parameters()], allow_unused=True
    )
    assert all(gradient is None for gradient in gradients[: len(others)])
    assert all(gradient is not None for gradient in gradients[len(others) :])


@pytest.mark.parametrize("name", [name for name, part in CASES if part == "alpha"])
def test_the_actors_loss_does_not_move_the_temperature(name: str) -> None:
    agent = precise(name)
    (gradient,) = torch.autograd.grad(
        loss(agent, "actor", batch(), noise_for(agent)), [agent.log_alpha], allow_unused=True
    )
    assert gradient is None


class Loss(nn.Module):
    """A loss as a module, whose parameters torch.func can replace."""

    def __init__(self, agent: nn.Module, part: str) -> None:
        super().__init__()
        self.agent, self.part = agent, part

    def forward(self, data: Batch, noise: Any) -> Tensor:
        return loss(self.agent, self.part, data, noise)


@LOSSES
def test_losses_of_two_agents_can_be_computed_as_one(name: str, part: str) -> None:
    """Losses are functions of (parameters, batch, noise), so that torch.func can batch them over agents and seeds."""
    agents = [Loss(precise(name, phase), part) for phase in (0.0, 4.0)]
    data, noise = batch(), noise_for(agents[0].agent)
    parameters, buffers = stack_module_state(agents)  # type: ignore[arg-type]

    def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        return functional_call(agents[0], (parameters, buffers), (data, noise))

    gradients, values = vmap(grad_and_value(one))(parameters, buffers)
    for index, module in enumerate(agents):
        alone = module(data, noise)
        assert number(values[index]) == pytest.approx(number(alone), rel=1e-6)
        own = {key: p for key, p in module.named_parameters() if any(p is q for q in parameters_of(module.agent, part))}
        for (key, _), gradient in zip(own.items(), torch.autograd.grad(alone, list(own.values())), strict=True):
            torch.testing.assert_close(gradients[key][index], gradient, rtol=1e-6, atol=1e-9)
