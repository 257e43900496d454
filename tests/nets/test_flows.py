import pytest
import torch
from torch import Tensor

from relatent.nets.flows import Coupling, RealNVP

STATE = 3
SIZES = pytest.mark.parametrize(("actions", "blocks"), [(1, 2), (2, 2), (2, 4), (5, 3)])


def flow(actions: int, blocks: int, bound: float = 2.0) -> RealNVP:
    """A flow in float64 whose last layers are not the zeros that it starts from."""
    torch.manual_seed(0)
    made = RealNVP(STATE, actions, width=8, layers=2, blocks=blocks, log_scale_bound=bound).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def inputs(actions: int, rows: int = 6) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(rows, STATE, dtype=torch.float64), torch.randn(rows, actions, dtype=torch.float64)


@SIZES
def test_the_inverse_undoes_the_flow(actions: int, blocks: int) -> None:
    made, (state, value) = flow(actions, blocks), inputs(actions)
    image, _ = made(state, value)
    assert (image - value).abs().max() > 0.1
    torch.testing.assert_close(made.inverse(state, image), value, rtol=1e-9, atol=1e-9)


@SIZES
def test_the_determinant_is_that_of_the_jacobian(actions: int, blocks: int) -> None:
    made, (state, value) = flow(actions, blocks), inputs(actions)
    _, log_det = made(state, value)
    for row in range(len(value)):
        jacobian = torch.autograd.functional.jacobian(lambda z, row=row: made(state[row], z)[0], value[row])
        torch.testing.assert_close(log_det[row], jacobian.slogdet().logabsdet, rtol=1e-9, atol=1e-9)


@SIZES
def test_a_new_flow_is_the_identity(actions: int, blocks: int) -> None:
    made = RealNVP(STATE, actions, width=8, layers=2, blocks=blocks, log_scale_bound=2.0)
    state, value = (tensor.float() for tensor in inputs(actions))
    image, log_det = made(state, value)
    assert torch.equal(image, value)
    assert torch.equal(log_det, torch.zeros(len(value)))


@pytest.mark.parametrize(("actions", "masks"), [(1, [[0], [0]]), (2, [[1, 0], [0, 1]]), (3, [[1, 0, 1], [0, 1, 0]])])
def test_masks_alternate(actions: int, masks: list[list[int]]) -> None:
    assert [block.mask.tolist() for block in flow(actions, blocks=4).blocks] == masks * 2


@pytest.mark.parametrize("actions", [2, 3, 5])
def test_every_dimension_is_changed_and_decides_others(actions: int) -> None:
    """Two blocks suffice for both, or the flow were no more than a Gaussian along some dimension."""
    made, (state, value) = flow(actions, blocks=2), inputs(actions)
    jacobian = torch.autograd.functional.jacobian(lambda z: made(state[0], z)[0], value[0])
    away = jacobian - torch.diag(jacobian.diagonal())
    assert (away.abs().sum(0) > 0).all()
    assert ((made(state, value)[0] - value).abs().max(0).values > 0).all()


def test_one_action_is_transformed_by_the_observation_alone() -> None:
    made, (state, _) = flow(1, blocks=2), inputs(1)
    zero, one, two = (made(state, torch.full((6, 1), z, dtype=torch.float64))[0] for z in (0.0, 1.0, 2.0))
    torch.testing.assert_close(two - one, one - zero)  # affine
    assert (one - zero).std() > 0  # and another one for each observation


def test_a_blocks_log_scale_stays_within_its_bound() -> None:
    block = Coupling(STATE, 2, width=8, layers=2, log_scale_bound=0.7, parity=0)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=5.0)
    state, value = (tensor.float() for tensor in inputs(2, rows=200))
    _, log_det = block(state, value)
    assert 0.69 < log_det.abs().max() <= 0.7
