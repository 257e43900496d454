"""Every mistake in the configuration is one line: file, line, path, what was expected."""

import re
from pathlib import Path

import pytest

from relatent.specs.catalog import Catalog
from relatent.specs.errors import SpecError
from relatent.specs.suites import SUITE_TASKS
from tests.specs.toy import BUDGETS, PAPER, write_config

AT = "config/papers/toy.yaml"
B = "config/budgets.yaml"

# What is replaced, by what, the message after file and line; and where the line is not that of the change, its text.
PAPER_MISTAKES = {
    "misspelt key": (
        "seeds: [0, 1]",
        "seedz: [0, 1]",
        "seedz: unknown key 'seedz', did you mean 'seeds'?",
    ),
    "misspelt key of a figure": (
        "title: The second",
        "titel: The second",
        "figures.b.titel: unknown key 'titel', did you mean 'title'?",
    ),
    "key that is missing": ("title: A toy paper\n", "", "title: this key is missing", "paper: toy"),
    "misspelt hyperparameter": (
        "{size: 8, lr: 3.0e-4",
        "{size: 8, lrr: 3.0e-4",
        "algorithms.one.hyper.lrr: unknown hyperparameter 'lrr', did you mean 'lr'?",
    ),
    "misspelt hyperparameter of a group": (
        "{gamma: 0.99, tau",
        "{gamme: 0.99, tau",
        "shared.rates.gamme: unknown hyperparameter 'gamme', did you mean 'gamma'? (agent first, used by one)",
    ),
    "hyperparameter without a value": (
        "size: 8, lr: 3.0e-4, kind",
        "size: 8, kind",
        "algorithms.one: hyperparameters of agent first without a value: lr",
        "  one:",
    ),
    "number without a point": (
        "lr: 3.0e-4",
        "lr: 3e-4",
        "algorithms.one.hyper.lr: expected a number, got the text '3e-4': YAML 1.1 wants a point, write 3.0e-4",
    ),
    "number without a point in the protocol": (
        "frames: 1_000,",
        "frames: 1e3,",
        "training.frames: expected an integer, got the text '1e3': YAML 1.1 wants a point, write 1.0e+3",
    ),
    "text for a number": (
        "lr: 3.0e-4",
        "lr: fast",
        "algorithms.one.hyper.lr: expected a number, got the text 'fast'",
    ),
    "number for a choice": (
        "kind: plain",
        "kind: plaid",
        "algorithms.one.hyper.kind: unknown choice 'plaid', did you mean 'plain'?",
    ),
    "fraction for a count": (
        "{size: 8, lr",
        "{size: 8.5, lr",
        "algorithms.one.hyper.size: expected int, got 8.5",
    ),
    "yes for a number": (
        "{size: 8, lr",
        "{size: yes, lr",
        "algorithms.one.hyper.size: expected int, got True",
    ),
    "infinite rate": ("lr: 3.0e-4", "lr: .inf", "algorithms.one.hyper.lr: expected a finite number, got inf"),
    "unknown task": (
        "cheetah_run]",
        "cheeta_run]",
        "tasks.both.names.1: unknown task 'cheeta_run', did you mean 'cheetah_run'?",
    ),
    "unknown environment": (
        "both: {env: states",
        "both: {env: state",
        "tasks.both.env: unknown environment 'state', did you mean 'states'?",
    ),
    "unknown suite": (
        "suite: dmc",
        "suite: atari",
        f"envs.states.suite: unknown suite 'atari', expected one of {', '.join(sorted(SUITE_TASKS))}",
    ),
    "duplicate seed": ("seeds: [0, 1]", "seeds: [0, 1, 0]", "seeds: 0 is given twice"),
    "negative seed": ("seeds: [0, 1]", "seeds: [0, -1]", "seeds.1: should be greater than or equal to 0, got -1"),
    "duplicate task": (
        "[walker_run, cheetah_run]",
        "[walker_run, walker_run]",
        "tasks.both.names: 'walker_run' is given twice",
    ),
    "key given twice": ("title: A toy", "paper: toy\ntitle: A toy", "paper: this key is given twice"),
    "unknown agent": (
        "agent: second",
        "agent: secand",
        "algorithms.two.agent: unknown agent 'secand', did you mean 'second'?",
    ),
    "unknown algorithm": (
        "algorithms: [two]",
        "algorithms: [too]",
        "figures.b.data.algorithms.0: unknown algorithm 'too', did you mean 'two'?",
    ),
    "unknown group": (
        "label: Two\n    use: [rates]",
        "label: Two\n    use: [rate]",
        "algorithms.two.use.0: unknown group of hyperparameters 'rate', did you mean 'rates'?",
    ),
    "agent and like at once": (
        "agent: second",
        "agent: second\n    like: one",
        "algorithms.two: expected exactly one of agent, study and like, got agent, like",
        "  two:",
    ),
    "like in a circle": (
        "agent: second",
        "like: two",
        "algorithms.two.like: goes round in a circle: two -> two",
    ),
    "claim about another algorithm": (
        "than: two, tasks",
        "than: three, tasks",
        "figures.a.claims.0.test: unknown algorithm of this figure 'three', expected one of one, two",
    ),
    "panel whose legend has no text": (
        "kind: learning_curve\n    title: The second",
        "kind: learning_curve\n    panels: [{title: P, y: {m: }, y_label: m}]\n    title: The second",
        "figures.b.panels.0.y.m: should be a valid string",
    ),
    "panels of another kind": (
        "kind: learning_curve\n    title: The second",
        "kind: learning_curve\n    panels: [{title: P, y: {m: ''}, y_label: m}]\n    title: The second",
        "figures.b.panels: expected at least one for the kind panels and none for others, got learning_curve",
    ),
    "no panels": (
        "kind: learning_curve\n    title: The second",
        "kind: panels\n    title: The second",
        "figures.b.panels: expected at least one for the kind panels and none for others, got panels",
        "  b:",
    ),
    "pictures that no run records": (
        "kind: learning_curve\n    title: The second",
        "kind: pictures\n    title: The second",
        "figures.b.data: expected pictures among the probes, as the figure's kind shows them",
        "    data: {algorithms: [two], tasks: both}",
    ),
    "panel of another algorithm": (
        "kind: learning_curve\n    title: The second",
        "panels: [{title: P, y: {m: ''}, y_label: m, algorithms: [one]}]\n    kind: panels\n    title: The second",
        "figures.b.panels.0.algorithms.0: unknown algorithm of this figure 'one', expected one of two",
    ),
    "panel on an unknown task": (
        "kind: learning_curve\n    title: The second",
        "panels: [{title: P, y: {m: ''}, y_label: m, task: walker_rum}]\n    kind: panels\n    title: The second",
        "figures.b.panels.0.task: unknown task of this figure 'walker_rum', did you mean 'walker_run'?",
    ),
    "claim from an unknown budget": (
        "from: small",
        "from: smol",
        "figures.a.claims.0.from: unknown budget 'smol', did you mean 'small'?",
    ),
    "claim about another task": (
        "tasks: [walker_run]}",
        "tasks: [walker_walk]}",
        "figures.a.claims.0.test.tasks.0: unknown task of this figure from budget small on 'walker_walk', "
        "did you mean 'walker_run'?",
    ),
    "unknown kind of test": (
        "kind: better",
        "kind: bettre",
        "figures.a.claims.0.test.kind: unknown kind 'bettre', did you mean 'better'?",
    ),
    "reference that is not there": (
        "toy.csv",
        "tay.csv",
        "figures.a.reference.file: no file config/reference/tay.csv",
    ),
    "the same runs twice": (
        "agent: second\n    label: Two\n    use: [rates]\n    hyper: {size: 8}",
        "like: one",
        "figures.a.data.algorithms: one and two are the same at budget small, with the same hyperparameters there: "
        "give one of them another value, or show one of them only",
        "    data: {algorithms: [one, two]",
    ),
    "the same runs where a budget replaces their values": (
        "agent: second\n    label: Two\n    use: [rates]\n    hyper: {size: 8}",
        "like: one\n    hyper: {size: 16}",
        "figures.a.data.algorithms: one and two are the same at budget small, which replaces size by 2 for both: "
        "add `fixed: [size]` to algorithms.two",
        "    data: {algorithms: [one, two]",
    ),
    "the same runs where the other's value is the budget's": (
        "agent: second\n    label: Two\n    use: [rates]\n    hyper: {size: 8}",
        "like: one\n    hyper: {size: 2}\n    fixed: [lr]",
        "figures.a.data.algorithms: one and two are the same at budget small, which replaces size by 2 for both: "
        "add `fixed: [size]` to algorithms.one",
        "    data: {algorithms: [one, two]",
    ),
    "the same runs with values that are fixed already": (
        "agent: second\n    label: Two\n    use: [rates]\n    hyper: {size: 8}",
        "like: one\n    hyper: {size: 16}\n    fixed: [lr]",
        "figures.a.data.algorithms: one and two are the same at budget small, which replaces size by 2 for both: "
        "add `fixed: [lr, size]` to algorithms.two",
        "    data: {algorithms: [one, two]",
    ),
    "negative rate": (
        "lr: 3.0e-4",
        "lr: -3.0e-4",
        "algorithms.one.hyper.lr: found -0.0003, expected at least 0",
    ),
    "discount above one": (
        "{gamma: 0.99, tau",
        "{gamma: 99, tau",
        "shared.rates.gamma: found 99.0, expected 0 to 1",
    ),
    "negative average of a group": (
        "tau: 0.005}",
        "tau: -0.005}",
        "shared.rates.tau: found -0.005, expected 0 to 1",
    ),
    "negative count": (
        "{size: 8, lr",
        "{size: -8, lr",
        "algorithms.one.hyper.size: found -8, expected at least 0",
    ),
    "a batch of nothing": (
        "hyper: {size: 8}\n",
        "hyper: {size: 8}\n    tuned:\n      walker_run: {batch: 0}\n",
        "algorithms.two.tuned.walker_run.batch: found 0, expected at least 1",
        "      walker_run:",
    ),
    "negative count in a list": (
        "kind: plain}",
        "kind: plain, sizes: [1, -1]}",
        "algorithms.one.hyper.sizes: found -1, expected at least 0",
    ),
    "negative batch of a task": (
        "hyper: {size: 8}",
        "hyper: {size: 8}\n    tuned:\n      walker_run: {batch: -256}",
        "algorithms.two.tuned.walker_run.batch: found -256, expected at least 1",
        "      walker_run:",
    ),
    "ours without a note": (
        "both: {env: states",
        "both: {origin: ours, env: states",
        "tasks.both: `origin: ours` and a `note` that says what is ours go together",
        "  both:",
    ),
    "another paper's name": ("paper: toy", "paper: tay", "paper: expected 'toy', the file's name"),
    "tab": ("  states:", "\tstates:", "not YAML: a tab, expected spaces as indentation"),
    "bracket left open": ("seeds: [0, 1]", "seeds: [0, 1", "not YAML: expected ',' or ']', but got ':'", "resources:"),
    "merge key": (
        "{size: 8}",
        "{<<: *r, size: 8}",
        "not YAML: found undefined alias 'r'",
    ),
    "merge key loop": (
        "hyper: {size: 8}",
        "hyper: &h {<<: *h, size: 8}",
        "algorithms.two.hyper: merge key <<: not in the grammar, share values by `use` or `like`",
    ),
    "alias loop": (
        "hyper: {size: 8}",
        "hyper: &h {size: *h}",
        "algorithms.two.hyper.size: an alias that contains itself; write the values out",
    ),
    "date for text": (
        "title: A toy paper",
        "title: 2026-01-01",
        "title: '2026-01-01' reads as timestamp: put text in quotes",
    ),
    "python object": (
        "title: A toy paper",
        "title: !!python/name:os.system",
        "title: '' reads as python/name:os.system: put text in quotes",
    ),
}

BUDGET_MISTAKES = {
    "negative count": (
        "first: {size: 2}",
        "first: {size: -2}",
        "budgets.small.hyper.first.size: found -2, expected at least 0",
    ),
    "a budget's value that no algorithm has": (
        "first: {size: 2}",
        "first: {bold: true}",
        "budgets.small.hyper.first: unknown value of any algorithm of first 'bold', "
        "expected one of gamma, kind, lr, size, tau",
    ),
    "negative budget": ("frames: 100", "frames: -100", "budgets.small.frames: should be greater than 0, got -100"),
    "misspelt key": (
        "frames: 100",
        "frame: 100",
        "budgets.small.frame: unknown key 'frame', did you mean 'frames'?",
    ),
    "unknown agent": (
        "first: {size",
        "frist: {size",
        "budgets.small.hyper.frist: unknown agent or study 'frist', did you mean 'first'?",
    ),
    "misspelt hyperparameter": (
        "{size: 2}",
        "{sise: 2}",
        "budgets.small.hyper.first.sise: unknown hyperparameter 'sise', did you mean 'size'?",
    ),
    "unknown task set": (
        "{both:",
        "{bath:",
        "budgets.small.tasks.toy.bath: unknown task set 'bath', did you mean 'both'?",
    ),
    "unknown task": (
        "[walker_run]",
        "[walker_rum]",
        "budgets.small.tasks.toy.both.0: unknown task 'walker_rum', did you mean 'walker_run'?",
    ),
    "too many random frames": (
        "frames: 100",
        "random_share: 0.5",
        "budgets.small.random_share: should be less than or equal to 0.1, got 0.5",
    ),
    "paper that replaces": (
        "paper: {}",
        "paper: {seeds: 1}",
        "budgets: expected the last one to be `paper: {}`, which replaces nothing",
        "budgets:",
    ),
}


def message(root: Path) -> str:
    with pytest.raises(SpecError) as caught:
        Catalog.load(root)
    assert caught.value.__cause__ is None
    return str(caught.value)


def line_of(text: str, changed: str, marker: str) -> int:
    """The line that begins with `marker`, or without one the first that differs."""
    lines = changed.splitlines()
    if marker:
        return next(number for number, line in enumerate(lines, 1) if line.startswith(marker))
    return next(n for n, (old, new) in enumerate(zip(text.splitlines(), lines, strict=False), 1) if old != new)


@pytest.mark.parametrize("mistake", PAPER_MISTAKES)
def test_a_mistake_in_a_paper_is_one_line(mistake: str, tmp_path: Path) -> None:
    old, new, expected, *marker = PAPER_MISTAKES[mistake]
    assert PAPER.count(old) == 1
    changed = PAPER.replace(old, new)
    line = line_of(PAPER, changed, *(marker or [""]))
    assert message(write_config(tmp_path, paper=changed)) == f"{AT}:{line}: {expected}"


@pytest.mark.parametrize("mistake", BUDGET_MISTAKES)
def test_a_mistake_in_the_budgets_is_one_line(mistake: str, tmp_path: Path) -> None:
    old, new, expected, *marker = BUDGET_MISTAKES[mistake]
    assert BUDGETS.count(old) == 1
    changed = BUDGETS.replace(old, new)
    line = line_of(BUDGETS, changed, *(marker or [""]))
    assert message(write_config(tmp_path, budgets=changed)) == f"{B}:{line}: {expected}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", f"{AT}:1: the file is empty, expected a mapping"),
        ("# a comment\n", f"{AT}:1: the file is empty, expected a mapping"),
        ("- a\n- b\n", f"{AT}:1: expected a mapping at the top, such as `paper: smac`"),
        ("a: b: c", f"{AT}:1: not YAML: mapping values are not allowed here"),
        ("a: b\0c", f"{AT}: not UTF-8 text"),
        ("[" * 5000, f"{AT}: nested too deeply"),
        ("1: a\n", f"{AT}:1: key 1: expected text"),
    ],
    ids=["empty", "comment", "list", "colons", "binary", "deep", "number as key"],
)
def test_a_file_that_is_no_mapping_is_one_line(content: str, expected: str, tmp_path: Path) -> None:
    assert message(write_config(tmp_path, paper=content)) == expected


def test_a_file_in_another_encoding_is_one_line(tmp_path: Path) -> None:
    write_config(tmp_path)
    (tmp_path / AT).write_bytes("title: naïve".encode("latin-1"))
    assert message(tmp_path) == f"{AT}: not UTF-8 text"


def test_no_budgets_file_is_one_line(tmp_path: Path) -> None:
    write_config(tmp_path)
    (tmp_path / B).unlink()
    assert message(tmp_path) == f"{B}: cannot be read: No such file or directory"


def test_no_papers_is_said(tmp_path: Path) -> None:
    write_config(tmp_path)
    (tmp_path / AT).unlink()
    assert message(tmp_path) == "config/papers: no paper, expected at least one *.yaml"


def test_a_hyperparameter_of_an_unknown_type_names_the_source(tmp_path: Path) -> None:
    write_config(tmp_path)
    source = tmp_path / "src/relatent/agents/first.py"
    source.write_text(source.read_text().replace("lr: float", "lr: list"))
    assert re.fullmatch(
        r"src/relatent/agents/first\.py:\d+: list: a hyperparameter is int, float, str, bool, .*", message(tmp_path)
    )


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda c: c.jobs("paper", "toy_c"), "unknown figure 'toy_c', did you mean 'toy_b'?"),
        (lambda c: c.drawing("papers", "toy_a"), "unknown budget 'papers', did you mean 'paper'?"),
        (lambda c: c.job("runs/paper/toy/one/walker_run/s0-000000000000"), "no figure asks for it"),
        (lambda c: c.job("nonsense"), "unknown budget"),
    ],
)
def test_asking_for_what_is_not_there_is_one_line(call, expected: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    catalog = Catalog.load(write_config(tmp_path))
    with pytest.raises(SpecError) as caught:
        call(catalog)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
