"""Files, hyperparameters read from source, revisions, verdicts."""

import os
from pathlib import Path

import pytest

from relatent.specs import files
from relatent.specs.catalog import Catalog
from relatent.specs.errors import RelatentError, SpecError
from relatent.specs.files import write_atomic, write_if_changed
from relatent.specs.hyper import Field, hyper_fields, modules
from relatent.specs.lists import write_lists
from relatent.specs.revisions import TRAINING_MODULES, bump, code, keep, main, moved, read_lock
from relatent.specs.verdicts import verdict_words
from tests.specs.toy import ROOT, write_config


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep/file.txt"
    write_atomic(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_a_file_can_be_read_by_others(tmp_path: Path) -> None:
    write_atomic(tmp_path / "file", b"\x00\xff")
    assert (tmp_path / "file").read_bytes() == b"\x00\xff"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_equal_content_keeps_its_age(tmp_path: Path) -> None:
    path = tmp_path / "list"
    assert write_if_changed(path, "a\n")
    os.utime(path, ns=(1, 1))
    assert not write_if_changed(path, "a\n")
    assert path.stat().st_mtime_ns == 1
    assert write_if_changed(path, "b\n")
    assert path.stat().st_mtime_ns > 1


def test_lists_hold_one_run_a_line(tmp_path: Path) -> None:
    catalog = Catalog.load(write_config(tmp_path))
    write_lists(catalog, tmp_path / "results")
    assert sorted(
        path.relative_to(tmp_path / "results").as_posix() for path in (tmp_path / "results").rglob("*.*")
    ) == [
        f"{budget}/toy_{figure}.{kind}"
        for budget in ("paper", "small")
        for figure in "ab"
        for kind in ("drawing.json", "runs")
    ]
    assert (tmp_path / "results/paper/toy_a.runs").read_text().splitlines() == catalog.runs("paper", "toy_a")


def test_fields_are_read_from_source(tmp_path: Path) -> None:
    fields = hyper_fields(write_config(tmp_path) / "src/relatent/agents/first.py")
    assert fields["size"] == Field("size", "int", doc="How large.")
    assert fields["kind"] == Field("kind", "choice", choices=("plain", "fancy"), doc="Which.")
    assert fields["sizes"] == Field("sizes", "tuple", item="int", required=False, doc="More sizes.")
    assert fields["bold"] == Field("bold", "bool", required=False)


@pytest.mark.parametrize("path", modules(ROOT).values(), ids=modules(ROOT))
def test_source_and_dataclass_have_the_same_fields(path: Path) -> None:
    """What specs read without importing is what the agent has; and every field says what it is."""
    import dataclasses
    from importlib import import_module

    hyper = import_module(f"relatent.{path.parent.name}.{path.stem}").Hyper
    found = hyper_fields(path)
    assert [field.name for field in dataclasses.fields(hyper)] == list(found)
    required = [field.name for field in dataclasses.fields(hyper) if field.default is dataclasses.MISSING]
    assert required == [field.name for field in found.values() if field.required]
    assert all(field.doc.endswith(".") for field in found.values())


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (Field("x", "float"), 1, 1.0),
        (Field("x", "int"), 3, 3),
        (Field("x", "bool"), True, True),
        (Field("x", "tuple", item="float"), [1, 2.5], [1.0, 2.5]),
        (Field("x", "choice", choices=("a", "b")), "b", "b"),
    ],
)
def test_values_get_their_declared_type(field: Field, value: object, expected: object) -> None:
    assert field.read(value) == expected
    assert type(field.read(value)) is type(expected)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field("x", "int"), True),
        (Field("x", "int"), 1.0),
        (Field("x", "float"), True),
        (Field("x", "float"), float("nan")),
        (Field("x", "bool"), 1),
        (Field("x", "str"), 1),
        (Field("x", "int"), None),
        (Field("x", "tuple", item="int"), 1),
        (Field("x", "tuple", item="int"), [1, "2"]),
        (Field("x", "choice", choices=("a",)), ["a"]),
    ],
)
def test_values_of_another_type_are_refused(field: Field, value: object) -> None:
    with pytest.raises(ValueError, match=r"expected|unknown"):
        field.read(value)


def test_the_lock_knows_all_code() -> None:
    """When this fails, say what your change means: see `python -m relatent.specs.revisions --help`."""
    assert moved(ROOT) == []


def test_every_training_module_is_there() -> None:
    for module in TRAINING_MODULES:
        path = ROOT / "src/relatent" / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """Two agents, of which the first imports a module through another; both known to the lock."""
    root = write_config(tmp_path)
    package = root / "src/relatent"
    for folder in ("nets", "training", "envs"):
        (package / folder).mkdir()
        (package / folder / "__init__.py").write_text("")
    (package / "nets/mlp.py").write_text("from relatent.nets import layer\n")
    (package / "nets/layer.py").write_text("SIZE = 1\n")
    (package / "training/loop.py").write_text("STEP = 1\n")
    with (package / "agents/first.py").open("a") as file:
        file.write("\nfrom relatent.nets.mlp import layer\nfrom relatent.specs.errors import RelatentError\n")
    bump(root, code(root))
    assert moved(root) == []
    return root


def append(root: Path, module: str, text: str) -> None:
    with (root / "src/relatent" / module).open("a") as file:
        file.write(text)


def test_a_change_deep_below_an_agent_moves_it_and_no_other(locked: Path) -> None:
    append(locked, "nets/layer.py", "SIZE = 2\n")
    assert moved(locked) == ['first: its code changed, `bump first` to train again or `keep first --why "..."`']


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A toy agent."""', '"""Another docstring."""'),
        ('"""How large."""', '"""Size."""'),
        ("class Hyper:", "class Hyper:  # a comment"),
        ("    size: int\n", "\n    size: int\n\n"),
    ],
)
def test_words_and_layout_move_nothing(old: str, new: str, locked: Path) -> None:
    path = locked / "src/relatent/agents/first.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert moved(locked) == []


def test_bump_renames_the_runs_of_that_agent_only(locked: Path) -> None:
    before = Catalog.load(locked).runs("paper", "toy_a")
    append(locked, "agents/first.py", "X = 1\n")
    bump(locked, ["first"])
    assert moved(locked) == []
    assert {name: entry.revision for name, entry in read_lock(locked).items()} == {
        "first": 2,
        "second": 1,
        "training": 1,
    }
    after = Catalog.load(locked).runs("paper", "toy_a")
    assert [old == new for old, new in zip(before, after, strict=True)] == [False] * 4 + [True] * 4


def test_keep_leaves_the_runs_and_remembers_why(locked: Path) -> None:
    before = Catalog.load(locked).runs("paper", "toy_a")
    append(locked, "agents/first.py", "X = 1\n")
    keep(locked, ["first"], 'a "renamed" \\ constant\nonly')
    assert moved(locked) == []
    assert read_lock(locked)["first"].kept == ('a "renamed" \\ constant only',)
    assert Catalog.load(locked).runs("paper", "toy_a") == before


def test_bumping_the_loop_bumps_every_agent(locked: Path) -> None:
    append(locked, "training/loop.py", "STEP = 2\n")
    assert [line.split(":")[0] for line in moved(locked)] == ["training"]
    bump(locked, ["training"])
    assert {entry.revision for entry in read_lock(locked).values()} == {2}


def test_new_and_lost_modules_are_named(locked: Path) -> None:
    (locked / "src/relatent/agents/second.py").rename(locked / "src/relatent/agents/third.py")
    assert moved(locked) == [
        "second: its module is gone, `bump second` drops it",
        "third: new, `bump third` gives it revision 1",
    ]
    bump(locked, ["second", "third"])
    assert set(read_lock(locked)) == {"first", "third", "training"}


def test_the_revisions_command(locked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ["--root", str(locked)]
    assert main([*root, "check"]) == 0
    append(locked, "agents/first.py", "X = 1\n")
    assert main([*root, "check"]) == 1
    assert "first: its code changed" in capsys.readouterr().err
    assert main([*root, "bump", "frist"]) == 2
    assert (
        capsys.readouterr().err
        == "error: config/revisions.lock: unknown agent or study 'frist', did you mean 'first'?\n"
    )
    assert main([*root, "keep", "first", "--why", " "]) == 2
    assert main([*root, "keep", "first", "--why", "nothing"]) == 0
    assert main([*root, "check"]) == 0


def test_verdicts_in_words(tmp_path: Path) -> None:
    path = tmp_path / "x.check.json"
    assert verdict_words(path) == "not checked"
    path.write_text('{"claims": []}')
    assert verdict_words(path) == "no claims"
    path.write_text('{"claims": [{"verdict": "supported"}, {"verdict": "inconclusive"}, {"verdict": "supported"}]}')
    assert verdict_words(path) == "1 inconclusive, 2 supported"


def test_specs_are_read_without_torch() -> None:
    import subprocess
    import sys

    code_text = (
        "import sys; from pathlib import Path; from relatent.specs.catalog import Catalog; "
        f"Catalog.load(Path({str(ROOT)!r})).jobs('paper', 'smac_fig11'); "
        "print([name for name in ('torch', 'numpy', 'matplotlib', 'dm_control') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code_text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_spec_errors_are_errors_of_the_user() -> None:
    assert issubclass(SpecError, RelatentError)
