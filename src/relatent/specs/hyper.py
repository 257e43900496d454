"""Hyperparameters as an agent's source declares them, read without importing it (and so without torch)."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from math import inf, isfinite
from pathlib import Path
from typing import Any

from relatent.specs.errors import SpecError, unknown
from relatent.specs.loading import not_a_number

TYPES = {"int": int, "float": float, "str": str, "bool": bool}

RANGES = (
    ("float", 0, inf, "lr *_lr learning_rate"),
    ("float", 0, 1, "gamma tau rho decay length_decay balance holdout real_share policy_share plan_policy_share"),
    ("float", 0, 1, "momentum plan_momentum lambda_weight lambdas discounts chances"),
    ("int", 0, inf, "particles plan_* picture_channels layers"),  # agents say what none of them means
    ("int", 1, inf, "batch *_batch width *_width *_size depth deter stoch classes blocks experts"),
    ("int", 1, inf, "critics subset networks predictors models latent latent1 latent2 latents dimension dimensions"),
    ("int", 1, inf, "state states actions percepts horizon *_horizon length segment segments replay recent *_memory"),
    ("int", 1, inf, "most_held *_every policy_delay *_particles samples *_samples elites *_elites bins"),
    ("int", 1, inf, "iterations *_iterations rollouts draws restarts pairs environments episodes processes scenarios"),
    ("int", 1, inf, "planned transitions checkpoints steps *_steps epoch"),
    ("int", 0, inf, "*"),
)
"""The least and the most that numbers of a type with these names may be; the first row that fits. A name means the same
in all agents and studies."""


@dataclass(frozen=True)
class Field:
    """One field of a `Hyper` dataclass."""

    name: str
    type: str
    """int, float, str, bool, choice or tuple."""
    choices: tuple[str, ...] = ()
    """Of a choice: what it may be."""
    item: str = ""
    """Of a tuple: the type of its items."""
    required: bool = True
    doc: str = ""

    def read(self, value: Any) -> Any:
        """The value in the field's type, so that 1 and 1.0 give one spec. ValueError says what was expected."""
        if self.type == "tuple":
            if not isinstance(value, list):
                raise ValueError(f"expected a list of {self.item}, got {value!r}")
            return [_read(self.item, item) for item in value]
        if self.type == "choice":
            if value not in self.choices:
                raise ValueError(unknown("choice", value, self.choices))
            return value
        return _read(self.type, value)

    def check_range(self, value: Any) -> None:
        """Raises ValueError where a value that was read, or an item of it, is out of the range of its name."""
        kind = self.item or self.type
        for of, least, most, names in RANGES:
            if of == kind and any(fnmatchcase(self.name, name) for name in names.split()):
                for number in value if self.item else [value]:
                    if not least <= number <= most:
                        expected = f"at least {least}" if most == inf else f"{least} to {most}"
                        raise ValueError(f"found {number}, expected {expected}")
                return


def _read(kind: str, value: Any) -> Any:
    """A value of one of TYPES."""
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in ("int", "float") and isinstance(value, str):
        raise ValueError(not_a_number(value, "an integer" if kind == "int" else "a number"))
    if not isinstance(value, TYPES[kind]) or (kind == "int" and isinstance(value, bool)):
        raise ValueError(f"expected {kind}, got {value!r}")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"expected a finite number, got {value!r}")
    return value


def module_path(root: Path, package: str, name: str) -> Path:
    """The file of an agent (package `agents`) or study (`studies`)."""
    return root / "src/relatent" / package / f"{name}.py"


def modules(root: Path) -> dict[str, Path]:
    """The files of all agents and studies, by name."""
    package = root / "src/relatent"
    found = [path for folder in ("agents", "studies") for path in sorted((package / folder).glob("*.py"))]
    return {path.stem: path for path in found if path.stem != "__init__"}


@cache
def hyper_fields(path: Path) -> Mapping[str, Field]:
    """The fields of the `Hyper` dataclass in a module, in order."""
    for node in ast.parse(path.read_text(), str(path)).body:
        if isinstance(node, ast.ClassDef) and node.name == "Hyper":
            return {field.name: field for field in _fields(node, path)}
    raise SpecError(f"{_shown(path)}: lacks a dataclass `Hyper` with its hyperparameters")


def _fields(node: ast.ClassDef, path: Path) -> list[Field]:
    fields: list[Field] = []
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        doc = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            doc = " ".join(str(following.value.value).split())
        kind, choices, item = _type(statement.annotation, path)
        fields.append(Field(statement.target.id, kind, choices, item, statement.value is None, doc))
    return fields


def _type(annotation: ast.expr, path: Path) -> tuple[str, tuple[str, ...], str]:
    match annotation:
        case ast.Name(id=name) if name in TYPES:
            return name, (), ""
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=choices)):
            return "choice", tuple(str(ast.literal_eval(choice)) for choice in choices), ""
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Constant(value=choice)):
            return "choice", (str(choice),), ""
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[ast.Name(id=item), ast.Constant()])):
            if item in TYPES:
                return "tuple", (), item
    raise SpecError(
        f"{_shown(path)}:{annotation.lineno}: {ast.unparse(annotation)}: a hyperparameter is int, float, str, bool, "
        "Literal[...] of text or tuple[..., ...]"
    )


def _shown(path: Path) -> str:
    """A module's path from the clone."""
    return "/".join(("src", *path.parts[-3:]))
