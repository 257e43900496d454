"""YAML with line numbers, strict where YAML is lax, and checked against a model; each mistake is one clear line."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from relatent.specs.errors import SpecError, unknown

Model = TypeVar("Model", bound=BaseModel)
Keys = tuple[str | int, ...]
SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str")}


@dataclass(frozen=True)
class Document:
    """A file's content, and the line of every key in it."""

    name: str
    data: Any
    lines: dict[Keys, int]

    def error(self, keys: Iterable[str | int], message: str) -> SpecError:
        """`file:line: path: message`; the line is that of the innermost key which the file has."""
        keys = tuple(keys)
        known = next(keys[:n] for n in range(len(keys), -1, -1) if keys[:n] in self.lines)
        dotted = ".".join(str(key) for key in keys)
        return SpecError(f"{self.name}:{self.lines[known]}: {dotted + ': ' if dotted else ''}{message}")


class _Reader:
    """Builds plain values from YAML nodes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Keys, int] = {(): 1}
        self.open: set[int] = set()
        self.scalars = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node, keys: Keys) -> Any:
        if id(node) in self.open:
            raise self.error(node, keys, "an alias that contains itself; write the values out")
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, keys)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, self.mark(item, (*keys, n))) for n, item in enumerate(node.value)]
            return self.scalar(node, keys)
        finally:
            self.open.discard(id(node))

    def mapping(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise self.error(key_node, keys, "merge key <<: not in the grammar, share values by `use` or `like`")
            key = self.scalar(key_node, keys) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise self.error(key_node, keys, f"key {key!r}: expected text")
            if key in values:
                raise self.error(key_node, (*keys, key), "this key is given twice")
            values[key] = self.build(value_node, self.mark(key_node, (*keys, key)))
        return values

    def scalar(self, node: yaml.Node, keys: Keys) -> Any:
        if node.tag not in SCALARS:
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            raise self.error(node, keys, f"{node.value!r} reads as {kind}: put text in quotes")
        try:
            return self.scalars.construct_object(node)
        except ValueError as error:
            raise self.error(node, keys, str(error)) from None

    def mark(self, node: yaml.Node, keys: Keys) -> Keys:
        self.lines[keys] = node.start_mark.line + 1
        return keys

    def error(self, node: yaml.Node, keys: Keys, message: str) -> SpecError:
        dotted = ".".join(str(key) for key in keys)
        return SpecError(f"{self.name}:{node.start_mark.line + 1}: {dotted + ': ' if dotted else ''}{message}")


def read_yaml(path: Path, root: Path) -> Document:
    """A file's values, which must be a mapping. No merge keys, no key twice, no tags, no alias inside itself."""
    name = path.relative_to(root).as_posix()
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise SpecError(f"{name}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.reader.ReaderError):
        raise SpecError(f"{name}: not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "cannot be parsed"
        if "'\\t'" in problem:
            problem = "a tab, expected spaces as indentation"
        raise SpecError(f"{name}:{mark.line + 1 if mark else 1}: not YAML: {problem}") from None
    except RecursionError:
        raise SpecError(f"{name}: nested too deeply") from None
    if node is None:
        raise SpecError(f"{name}:1: the file is empty, expected a mapping")
    if not isinstance(node, yaml.MappingNode):
        raise SpecError(f"{name}:{node.start_mark.line + 1}: expected a mapping at the top, such as `paper: smac`")
    reader = _Reader(name)
    data = reader.build(node, ())
    return Document(name, data, reader.lines)


def check(model: type[Model], document: Document) -> Model:
    """The document as a model, or its first mistake as one line."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        first = error.errors()[0]
        keys = _keys(first["loc"], document.data)
        if first["type"] == "unknown_key":
            keys = (*keys, first["ctx"]["key"])
        elif first["type"].startswith("union_tag"):
            keys = (*keys, first["ctx"]["discriminator"].strip("'"))
        raise document.error(keys, _message(first)) from None


def _keys(location: Iterable[str | int], data: Any) -> Keys:
    """A pydantic location without the names of union branches, which the file does not have."""
    keys: list[str | int] = []
    parts = list(location)
    for number, part in enumerate(parts):
        inside = (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if inside:
            data = data[part]
            keys.append(part)
        elif number == len(parts) - 1 and isinstance(data, dict):  # a key that is missing
            keys.append(part)
    return tuple(keys)


def _message(error: Any) -> str:
    if error["type"] == "missing":
        return "this key is missing"
    if error["type"] == "union_tag_not_found":
        return "this key is missing"
    if error["type"] == "union_tag_invalid":
        kinds = error["ctx"]["expected_tags"].replace("'", "").split(", ")
        return unknown(error["ctx"]["discriminator"].strip("'"), error["ctx"]["tag"], kinds)
    message, given = error["msg"], error["input"]
    message = message[0].lower() + message[1:].replace("Input should", "should")
    message = message.removeprefix("input ").removeprefix("value error, ")
    if error["type"].startswith(("int_", "float_")) and isinstance(given, str):
        return not_a_number(given, "an integer" if error["type"].startswith("int") else "a number")
    if isinstance(given, (str, int, float, bool)) and error["type"] not in ("unknown_key", "value_error"):
        message += f", got {given!r}"
    return message


def not_a_number(given: str, wanted: str) -> str:
    """`3e-4` is the usual way to write a number that YAML 1.1 reads as text."""
    try:
        value = float(given)
    except ValueError:
        return f"expected {wanted}, got the text {given!r}"
    shown = f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e+")
    return f"expected {wanted}, got the text {given!r}: YAML 1.1 wants a point, write {shown}"
