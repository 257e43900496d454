"""What `relatent bench --ways` measures is what trains: updates of whole agents, one seed or several."""

import io
from typing import Any

import pytest
from rich.console import Console

from relatent.commands import peer
from relatent.commands.ways import Way, measure, show, updater
from relatent.specs.errors import RelatentError
from relatent.training.acceleration import Acceleration
from relatent.training.stack import Stack
from tests.training.test_continuation import AGENTS, spec


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("seeds", [1, 3])
def test_every_call_updates_every_seed(agent: str, seeds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stacks: list[Stack] = []
    learn = Stack.learn
    monkeypatch.setattr(Stack, "learn", lambda self, *given: stacks.append(self) or learn(self, *given))
    update = updater(spec(agent), ((1,), 1), seeds, Acceleration())
    answers: list[Any] = [update(), update()]
    if seeds == 1:
        assert not stacks
        assert "critic_loss" in answers[0]
        assert float(answers[0]["critic_loss"]) != float(answers[1]["critic_loss"])
    else:
        assert [one.updates for one in stacks[0].agents] == [2] * seeds
        assert len({float(metrics["critic_loss"]) for metrics in answers[0]}) == seeds


def test_a_table_has_ratios_of_seeds_a_second() -> None:
    text = io.StringIO()
    found = [Way("as written", 1, int, 10.0), Way("as written", 5, int, 20.0), Way("compiled", 1, int, 5.0)]
    show(Console(file=text, width=120), "sac", found, [0.010, 0.025, 0.008])
    rows = [line.split() for line in text.getvalue().splitlines()[2:]]
    assert [row[-5:] for row in rows] == [
        ["1", "10.00", "100", "1.00", "10"],
        ["5", "25.00", "200", "2.00", "20"],
        ["1", "8.00", "125", "1.25", "5"],
    ]


def test_seconds_are_of_one_call() -> None:
    calls = {"slow": 0, "fast": 0}

    def work(name: str, size: int) -> Any:
        def update() -> int:
            calls[name] += 1
            return sum(range(size))

        return update

    found = [Way("slow", 1, work("slow", 200_000), 0.0), Way("fast", 1, work("fast", 2_000), 0.0)]
    slow, fast = measure(found, rounds=3, round_seconds=0.02, device="cpu")
    assert slow > 10 * fast
    assert calls["fast"] > calls["slow"]


def test_a_peer_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(RelatentError, match="`make peer` installs it"):
        peer.require_peer()
