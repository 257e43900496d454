"""Which behaviour of the code a run was trained with.

config/revisions.lock holds for every agent and study a revision, which is part of its runs' specs, and a fingerprint of
its code: the module and every module of this package that it imports, as syntax trees without comments, docstrings or
layout. A test fails when a fingerprint has moved and the lock has not; then say what the change means:

    python -m relatent.specs.revisions bump smac                    results differ: all its runs are trained again
    python -m relatent.specs.revisions keep smac --why "renamed"    results are the same: the runs stay

The entry `training` stands for the loop, replay and environments, which decide every agent's results: bumping it bumps
all agents.
"""

import argparse
import ast
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field

from relatent.specs.closed import Closed, Name, Positive
from relatent.specs.errors import RelatentError, SpecError, unknown
from relatent.specs.files import write_atomic
from relatent.specs.loading import check, read_yaml

LOCK = "config/revisions.lock"
TRAINING = "training"
TRAINING_MODULES = (
    *("training.train", "training.session", "training.loop", "training.replay", "training.seeds", "training.record"),
    *("training.checkpoint", "training.acceleration", "training.stack", "training.together", "training.remote_env"),
    *("training.episodes", "training.process", "envs", "envs.dmc", "envs.dmc_pixels", "envs.pixel_noise"),
)
HEADER = "# Written by `python -m relatent.specs.revisions`; see its help.\n"


class Entry(Closed):
    revision: Positive
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    kept: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Why the revision stayed when the code changed."""


class Lock(Closed):
    revisions: dict[Name, Entry]


def read_lock(root: Path) -> dict[str, Entry]:
    """The lock's entries; none where there is no lock yet."""
    path = root / LOCK
    return dict(check(Lock, read_yaml(path, root)).revisions) if path.exists() else {}


def write_lock(root: Path, entries: dict[str, Entry]) -> None:
    lines = [HEADER, "revisions:\n"]
    for name, entry in sorted(entries.items()):
        lines += [f"  {name}:\n", f"    revision: {entry.revision}\n", f'    fingerprint: "{entry.fingerprint}"\n']
        lines += ["    kept:\n", *(f"      - {_quoted(why)}\n" for why in entry.kept)] if entry.kept else []
    write_atomic(root / LOCK, "".join(lines))


def _quoted(text: str) -> str:
    escaped = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def code(root: Path) -> dict[str, str]:
    """The fingerprint of every agent and study there is, and of `training`."""
    package = root / "src/relatent"
    names = {
        path.stem: f"{folder}.{path.stem}"
        for folder in ("agents", "studies")
        for path in sorted((package / folder).glob("*.py"))
        if path.stem != "__init__"
    }
    prints = {name: _print(_reach(package, [module])) for name, module in names.items()}
    return {**prints, TRAINING: _print({module: _tree(package, module) for module in TRAINING_MODULES})}


def _reach(package: Path, todo: list[str]) -> dict[str, ast.Module | None]:
    """These modules and all they reach by import. Modules of `specs` are left out: they decide no result."""
    seen: dict[str, ast.Module | None] = {}
    while todo:
        module = todo.pop()
        if module in seen or module.split(".")[0] == "specs":
            continue
        tree = _tree(package, module)
        if tree is None:
            continue
        seen[module] = tree
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("relatent"):
                inside = (node.module or "").removeprefix("relatent").removeprefix(".")
                todo += [inside, *(f"{inside}.{alias.name}".lstrip(".") for alias in node.names)]
            elif isinstance(node, ast.Import):
                todo += [alias.name.removeprefix("relatent.") for alias in node.names if "relatent." in alias.name]
    return seen


def _tree(package: Path, module: str) -> ast.Module | None:
    path = package / module.replace(".", "/")
    for file in (path.with_name(path.name + ".py"), path / "__init__.py"):
        if module and file.is_file():
            return ast.parse(file.read_text(), str(file))
    return None


def _print(trees: dict[str, ast.Module | None]) -> str:
    text = []
    for module, tree in sorted(trees.items()):
        for node in ast.walk(tree) if tree else ():
            if hasattr(node, "body") and isinstance(node.body, list):
                node.body = [one for one in node.body if not _is_text(one)]
        text.append(module + (ast.dump(tree) if tree else ""))
    return hashlib.sha256("\n".join(text).encode()).hexdigest()[:12]


def _is_text(node: ast.stmt) -> bool:
    """A docstring, of a field too."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def moved(root: Path) -> list[str]:
    """What the lock does not know, a line each."""
    lock, now = read_lock(root), code(root)
    lines = []
    for name in sorted(now.keys() | lock.keys()):
        if name not in lock:
            lines.append(f"{name}: new, `bump {name}` gives it revision 1")
        elif name not in now:
            lines.append(f"{name}: its module is gone, `bump {name}` drops it")
        elif lock[name].fingerprint != now[name]:
            lines.append(f'{name}: its code changed, `bump {name}` to train again or `keep {name} --why "..."`')
    return lines


def bump(root: Path, names: Iterable[str]) -> None:
    """A new revision: all runs of these agents and studies are trained again. A new module gets revision 1."""
    lock, now = read_lock(root), code(root)
    names = set(names)
    if TRAINING in names and TRAINING in lock:
        names |= {name for name in lock if (root / f"src/relatent/agents/{name}.py").exists()}
    for name in names:
        if name not in now and name not in lock:
            raise SpecError(f"{LOCK}: {unknown('agent or study', name, now)}")
        if name not in now:
            del lock[name]
        else:
            lock[name] = Entry(revision=lock[name].revision + 1 if name in lock else 1, fingerprint=now[name])
    write_lock(root, lock)


def keep(root: Path, names: Iterable[str], why: str) -> None:
    """The same revision for changed code, with the reason why its results are the same."""
    lock, now = read_lock(root), code(root)
    if not why.strip():
        raise SpecError(f"{LOCK}: keep wants a reason, --why TEXT")
    for name in names:
        if name not in lock or name not in now:
            raise SpecError(f"{LOCK}: {unknown('agent or study', name, lock.keys() & now.keys())}")
        entry = lock[name]
        if entry.fingerprint != now[name]:
            lock[name] = Entry(revision=entry.revision, fingerprint=now[name], kept=(*entry.kept, why))
    write_lock(root, lock)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="relatent.specs.revisions", description=__doc__, formatter_class=_Help)
    parser.add_argument("--root", type=Path, default=Path(), help="the clone; by default the current folder")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="say what the lock does not know")
    commands.add_parser("bump", help="results differ: train again").add_argument("names", nargs="+")
    kept = commands.add_parser("keep", help="same results: keep the runs")
    kept.add_argument("names", nargs="+")
    kept.add_argument("--why", required=True)
    given = parser.parse_args(arguments)
    try:
        if given.command == "bump":
            bump(given.root, given.names)
        elif given.command == "keep":
            keep(given.root, given.names, given.why)
        lines = moved(given.root)
    except RelatentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines) or f"{LOCK} knows all code", file=sys.stderr if lines else sys.stdout)
    return 1 if lines and given.command == "check" else 0


class _Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the docstring's lines."""


if __name__ == "__main__":
    sys.exit(main())
