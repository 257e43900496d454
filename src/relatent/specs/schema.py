"""The JSON schemas of the configuration files, which editors complete and check from. Generated, committed, closed.

python -m relatent.specs.schema            write workflow/schemas
python -m relatent.specs.schema --check    fail if they differ from the models or from an agent's hyperparameters
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from relatent.specs.errors import RelatentError
from relatent.specs.files import write_if_changed
from relatent.specs.hyper import Field, hyper_fields, modules
from relatent.specs.models import Budgets, Paper

FOLDER = "workflow/schemas"
NUMBERS = {"int": "integer", "float": "number", "bool": "boolean", "str": "string"}


def schemas(root: Path) -> dict[str, str]:
    """File name -> text."""
    found = {}
    for name, model in (("paper", Paper), ("budgets", Budgets)):
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(by_alias=True)}
        _close(schema)
        schema["$defs"]["Hyper"] = hyper_values(root)
        found[f"{name}.schema.json"] = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
    return found


def hyper_values(root: Path) -> dict[str, Any]:
    """The schema of a mapping of hyperparameters: every name that any agent or study has, with its meaning."""
    fields: dict[str, dict[str, Field]] = {}
    for module, path in sorted(modules(root).items()):
        for field in hyper_fields(path).values():
            fields.setdefault(field.name, {})[module] = field
    properties = {name: _merged(of) for name, of in sorted(fields.items())}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _merged(of: dict[str, Field]) -> dict[str, Any]:
    types = list({json.dumps(_value(field)): _value(field) for field in of.values()}.values())
    docs: dict[str, list[str]] = {}
    for module, field in of.items():
        docs.setdefault(field.doc, []).append(module)
    described = " ".join(f"{doc} ({', '.join(names)})" for doc, names in docs.items())
    return {"description": described, **(types[0] if len(types) == 1 else {"anyOf": types})}


def _value(field: Field) -> dict[str, Any]:
    if field.type == "choice":
        return {"enum": list(field.choices)}
    if field.type == "tuple":
        return {"type": "array", "items": {"type": NUMBERS[field.item]}}
    return {"type": NUMBERS[field.type]}


def _close(node: Any) -> None:
    """No other keys in any mapping, `Hyper` where the models say so, and no titles, which only repeat the keys."""
    if isinstance(node, dict):
        if "patternProperties" in node:
            node["additionalProperties"] = False
        if node.get("$comment") == "Hyper":
            del node["$comment"]
            node["$ref"] = "#/$defs/Hyper"
        if isinstance(node.get("title"), str):
            del node["title"]
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _close(value)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="relatent.specs.schema", description="The configuration's JSON schemas.")
    parser.add_argument("--root", type=Path, default=Path(), help="the clone; by default the current folder")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a schema is out of date")
    given = parser.parse_args(arguments)
    try:
        stale = []
        for name, text in schemas(given.root).items():
            path = given.root / FOLDER / name
            if given.check and not (path.is_file() and path.read_text() == text):
                stale.append(f"{path}: out of date, run `python -m relatent.specs.schema`")
            elif not given.check:
                write_if_changed(path, text)
    except RelatentError as error:
        stale = [f"error: {error}"]
    if stale:
        print("\n".join(stale), file=sys.stderr)
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
