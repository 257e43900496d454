import io
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relatent.nets.learner import Learner, clip_by_norm, move_towards, step
from relatent.training.replay import Replay
from tests.agents.tiny import ACTION, AGENTS, OBSERVATION, build, waves

LEARNERS = pytest.mark.parametrize("name", AGENTS)


def replay() -> Replay:
    made = Replay(40, OBSERVATION, ACTION)
    for number in range(40):
        x, following = waves((OBSERVATION,), number).numpy(), waves((OBSERVATION,), number + 1).numpy()
        action = waves((ACTION,), number + 0.5).numpy()
        made.add(x, action, float(x[0]), following, number % 10 == 9, number % 10 == 9)
    return made


def agent(name: str) -> Any:
    torch.manual_seed(7)
    return build(name)


def updated(learner: Any, numbers: range, memory: Replay) -> Any:
    for number in numbers:
        learner.update(memory, torch.Generator().manual_seed(number))
    return learner


def everything(learner: Learner) -> dict[str, Tensor]:
    """Parameters, buffers and Adam's moments by name."""
    state = {key: value for key, value in learner.state_dict().items() if isinstance(value, Tensor)}
    for name, optimiser in learner.optimisers.items():
        for index, moments in optimiser.state_dict()["state"].items():
            state |= {f"{name}.{index}.{key}": value for key, value in moments.items()}
    return state


def assert_identical(one: Learner, two: Learner) -> None:
    mine, yours = everything(one), everything(two)
    assert mine.keys() == yours.keys()
    assert [key for key in mine if not torch.equal(mine[key], yours[key])] == []


@LEARNERS
@pytest.mark.parametrize("before", [1, 2])
def test_a_saved_agent_goes_on_bit_for_bit(name: str, before: int) -> None:
    """Saved after an odd and after an even number of updates, because TD3's actor learns at every second one."""
    memory = replay()
    whole = updated(agent(name), range(before + 2), memory)

    first, buffer = updated(agent(name), range(before), memory), io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    torch.manual_seed(8)
    second = build(name)  # other parameters, fresh optimisers
    second.load_state_dict(torch.load(buffer, weights_only=True))
    assert_identical(first, second)
    assert_identical(whole, updated(second, range(before, before + 2), memory))


@LEARNERS
def test_optimisers_that_were_not_restored_would_be_noticed(name: str) -> None:
    memory = replay()
    whole = updated(agent(name), range(4), memory)
    first, second = updated(agent(name), range(2), memory), agent(name)
    parameters = {key: value for key, value in first.state_dict().items() if isinstance(value, Tensor)}
    second.load_state_dict(parameters, strict=False)
    with pytest.raises(AssertionError):
        assert_identical(whole, updated(second, range(2, 4), memory))


def test_td3_learns_its_actor_at_every_second_update() -> None:
    learner, memory, moved = agent("td3"), replay(), []
    for number in range(4):
        before = {key: value.clone() for key, value in learner.state_dict().items() if isinstance(value, Tensor)}
        updated(learner, range(number, number + 1), memory)
        after = learner.state_dict()
        moved.append({key.split(".")[0] for key in before if not torch.equal(before[key], after[key])})
    assert moved == [{"critic"}, {"critic", "actor", "target_critic", "target_actor"}] * 2


@LEARNERS
def test_updates_repeat_given_the_same_generator(name: str) -> None:
    memory = replay()
    assert_identical(updated(agent(name), range(2), memory), updated(agent(name), range(2), memory))


@LEARNERS
def test_updates_return_detached_numbers(name: str) -> None:
    metrics = agent(name).update(replay(), torch.Generator().manual_seed(0))
    assert metrics
    assert all(value.dim() == 0 and not value.requires_grad and value.isfinite() for value in metrics.values())


@pytest.mark.parametrize("name", [name for name in AGENTS if name != "td3"])
def test_the_target_critic_follows_the_updated_critic(name: str) -> None:
    learner = agent(name)
    start = deepcopy(learner.critic)
    updated(learner, range(1), replay())
    for target, new, old in zip(
        learner.target_critic.parameters(), learner.critic.parameters(), start.parameters(), strict=True
    ):
        torch.testing.assert_close(target, old + 0.1 * (new - old), rtol=1e-5, atol=1e-7)


def test_the_first_step_of_adam_is_the_learning_rate() -> None:
    """Down the gradient, by lr in each parameter; of the named optimiser's parameters only."""
    learner = Learner()
    learner.one, learner.other = nn.Parameter(torch.tensor([1.0, -2.0])), nn.Parameter(torch.tensor(3.0))
    learner.optimise("one", [learner.one], 0.125)
    learner.optimise("other", [learner.other], 0.5)
    learner.minimise("one", lambda: learner.one.square().sum() * learner.other)
    torch.testing.assert_close(learner.one.detach(), torch.tensor([0.875, -1.875]))
    assert learner.other.item() == 3.0
    assert learner.other.grad is None


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
def test_move_towards_is_a_weighted_mean(fraction: float) -> None:
    target, source = nn.Linear(2, 2), nn.Linear(2, 2)
    start = deepcopy(target)
    move_towards(target, source, fraction)
    for moved, old, new in zip(target.parameters(), start.parameters(), source.parameters(), strict=True):
        torch.testing.assert_close(moved, (1 - fraction) * old + fraction * new)


def test_move_towards_leaves_the_source_and_every_gradient_alone() -> None:
    target, source = nn.Linear(2, 2), nn.Linear(2, 2)
    start = deepcopy(source)
    move_towards(target, source, 0.5)
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), start.parameters(), strict=True))
    assert all(p.grad is None and p.grad_fn is None for p in [*target.parameters(), *source.parameters()])


@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clipping_is_pytorchs(limit: float) -> None:
    gradients = (waves((3, 2), 0.1), waves((4,), 0.2))
    parameters = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    nn.utils.clip_grad_norm_(parameters, limit)
    for clipped, parameter in zip(clip_by_norm(gradients, limit), parameters, strict=True):
        torch.testing.assert_close(clipped, parameter.grad)


def test_a_transposed_gradient_is_not_taken_for_another() -> None:
    """The fused kernel reads memory in order, whatever the strides say."""
    gradient = waves((2, 3), 0.3).float().t()
    assert not gradient.is_contiguous()
    fused, plain = nn.Parameter(torch.zeros(3, 2)), nn.Parameter(torch.zeros(3, 2))
    for _ in range(2):
        step(torch.optim.Adam([fused], fused=True, eps=1.0), [gradient])
        step(torch.optim.Adam([plain], fused=False, eps=1.0), [gradient])
    torch.testing.assert_close(fused, plain)
