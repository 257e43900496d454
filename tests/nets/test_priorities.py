"""How often transitions are drawn, how much they count, and that a continued run draws on."""

import io
from types import SimpleNamespace

import pytest
import torch

from relatent.nets.priorities import Priorities


def replay(transitions: int, capacity: int) -> SimpleNamespace:
    """What is asked of one."""

    class Counts(SimpleNamespace):
        def __len__(self) -> int:
            return min(self.transitions, self.capacity)

    return Counts(transitions=transitions, capacity=capacity)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rated(alpha: float = 0.6, beta: float = 0.4) -> Priorities:
    """Four transitions of errors 0.1, 1, 2 and 4."""
    priorities = Priorities(6, alpha, beta)
    priorities.draw(replay(4, 6), 1, generator())
    priorities.rate(torch.tensor([3, 0, 2, 1]), torch.tensor([4.0, 0.1, 2.0, 1.0]))
    return priorities


@pytest.mark.parametrize("alpha", [0.6, 0.0, 1.0])
def test_transitions_are_drawn_by_a_power_of_their_error(alpha: float) -> None:
    priorities, counts, draws, own = rated(alpha), torch.zeros(4), 20_000, generator()
    for _ in range(draws):
        places, _ = priorities.draw(replay(4, 6), 1, own)
        counts[places] += 1
    expected = torch.tensor([0.1, 1, 2, 4]) ** alpha
    expected = expected / expected.sum()
    assert ((counts / draws - expected).abs() < 4.5 * (expected * (1 - expected) / draws).sqrt()).all()


def test_weights_make_up_for_it_and_the_largest_is_one() -> None:
    chances = torch.tensor([0.1, 1, 2, 4]) ** 0.6
    expected = (4 * chances / chances.sum()) ** -0.4
    places, weights = rated().draw(replay(4, 6), 4, generator())
    assert sorted(places.tolist()) == [0, 1, 2, 3]  # without replacement
    torch.testing.assert_close(weights, (expected / expected.max())[places], rtol=1e-5, atol=0)
    assert weights.max() == 1


def test_without_a_power_all_count_the_same() -> None:
    _, weights = rated(alpha=0.0).draw(replay(4, 6), 3, generator())
    assert weights.tolist() == [1, 1, 1]


def test_new_transitions_are_as_likely_as_the_likeliest() -> None:
    priorities = Priorities(6, 0.5, 0.4)
    priorities.draw(replay(2, 6), 1, generator())
    assert priorities.chances.tolist() == [1, 1, 0, 0, 0, 0]
    priorities.rate(torch.tensor([0, 1]), torch.tensor([9.0, 4.0]))
    priorities.draw(replay(3, 6), 1, generator())
    torch.testing.assert_close(priorities.chances, torch.tensor([3.0, 2, 3, 0, 0, 0]))
    priorities.draw(replay(3, 6), 1, generator())
    torch.testing.assert_close(priorities.chances, torch.tensor([3.0, 2, 3, 0, 0, 0]))


@pytest.mark.parametrize(
    ("transitions", "chances"),
    [(5, [0.1, 0.2, 0.3, 0.7]), (6, [0.1, 0.7, 0.3, 0.7]), (8, [0.1, 0.7, 0.7, 0.7]), (20, [0.7, 0.7, 0.7, 0.7])],
)
def test_what_takes_the_place_of_an_old_transition_is_new(transitions: int, chances: list[float]) -> None:
    """A replay of four, where the fifth transition is at the first place; there is room for more priorities."""
    priorities = Priorities(6, 1.0, 0.4)
    priorities.draw(replay(5, 4), 1, generator())
    priorities.rate(torch.arange(4), torch.tensor([0.1, 0.2, 0.3, 0.7]))
    priorities.draw(replay(transitions, 4), 1, generator())
    torch.testing.assert_close(priorities.chances, torch.tensor([*chances, 0, 0]), rtol=1e-5, atol=2e-6)


def test_restored_ones_draw_the_same() -> None:
    first, buffer = rated(), io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    second = Priorities(6, 0.6, 0.4)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    for one, other in zip(
        first.draw(replay(5, 6), 3, generator(1)), second.draw(replay(5, 6), 3, generator(1)), strict=True
    ):
        assert torch.equal(one, other)
    assert torch.equal(first.chances, second.chances)
